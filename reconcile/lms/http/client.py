"""The HTTP edge: sessions, time-outs, retry of reads, limits. Knows HTTP and nothing of Frappe.

A read may be repeated here; a write is sent once, whatever happens. Only our errors leave this
module, and no message of theirs holds the Authorization header.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from requests import Response, Session

from reconcile import __version__
from reconcile.base.errors import ProtocolViolation, ServiceUnavailable
from reconcile.lms.http.answer import Answer
from reconcile.lms.http.errors import CAUGHT, passes, to_error
from reconcile.lms.http.session import leaving_within, new_session

#: Told after each request: operation, HTTP status (None where there was no answer), seconds.
Observer = Callable[[str, int | None, float], None]

LARGEST_BODY = 16 * 1024 * 1024
READ_RETRIES = 2
#: Of a gateway or a restart: gone in a moment, as a rule. Not 429: that names its own time.
PASSING = frozenset({502, 503, 504})
_RETRY_BASE = 0.2
#: Connections idle for longer are not used again: what stands between may have forgotten them, and a
#: write lost that way would count as unanswered and be held for minutes.
_MAX_IDLE = 20.0
#: Seconds beyond `timeout` after which a write does not leave any more (see `session`).
_SLACK = 5.0
_PIECE = 64 * 1024


class _TooLarge(Exception):
    """The body is larger than anything the contract knows."""


class _TooSlow(TimeoutError):
    """The body comes in drips."""


class Http:
    """Requests to one server. Thread-safe. Durations in seconds."""

    def __init__(
        self,
        *,
        base_url: str,
        authorization: str | None = None,
        timeout: float = 10.0,
        largest_body: int = LARGEST_BODY,
        on_request: Observer | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`timeout` bounds connecting, the wait for an answer, and the reading of its body, each."""
        self._base_url = base_url.rstrip("/")
        self._headers = {
            "Accept": "application/json",
            "Accept-Language": "en",
            "User-Agent": f"reconcile/{__version__}",
        }
        if authorization:
            self._headers["Authorization"] = authorization
        self._timeout = timeout
        self._largest_body = largest_body
        self._on_request = on_request
        self._sleep = sleep
        self._lock = threading.Lock()
        #: Sessions that nobody uses right now, and since when: the one used last comes last.
        self._idle: list[tuple[Session, float]] = []
        self._requests = 0
        #: Headers of the newest answer of any thread (lower case): what the server says of its budget.
        self.last_headers: Mapping[str, str] = {}

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated ones included."""
        return self._requests

    def read(
        self, operation: str, method: str, path: str, *, body: Any = None, retries: int = READ_RETRIES
    ) -> Answer:
        """Ask; ask again up to `retries` times where the obstacle is likely to pass.

        Raises ServiceUnavailable (no answer) and ProtocolViolation (unsendable, too large).
        """
        for tried in range(retries):
            try:
                answer = self._send(operation, method, path, body=body, write=False)
            except ServiceUnavailable as error:
                if not passes(error):
                    raise
            else:
                if answer.status not in PASSING:
                    return answer
            # Jitter, so that threads that failed together do not come back together.
            self._sleep(_RETRY_BASE * 2**tried * random.uniform(0.5, 1.5))  # noqa: S311  no cryptography
        return self._send(operation, method, path, body=body, write=False)

    def write(self, operation: str, path: str, *, body: Any) -> Answer:
        """POST once, never again by itself, and not later than `timeout` and five seconds from now.

        Raises ServiceUnavailable (not sent), AmbiguousWrite (sent, not answered) and
        ProtocolViolation (unsendable, or the answer is too large).
        """
        with leaving_within(self._timeout + _SLACK):
            return self._send(operation, "POST", path, body=body, write=True)

    def close(self) -> None:
        """Close the connections that nobody uses right now."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session, _ in idle:
            session.close()

    def _send(self, operation: str, method: str, path: str, *, body: Any, write: bool) -> Answer:
        with self._lock:
            self._requests += 1
        started = time.monotonic()
        status: int | None = None
        session = self._borrow(started)
        try:
            response = session.request(
                method,
                self._base_url + path,
                data=None if body is None else json.dumps(body, allow_nan=False).encode(),
                headers=None if body is None else {"Content-Type": "application/json"},
                timeout=(self._timeout, self._timeout),
                allow_redirects=False,
                stream=True,
            )
            try:
                answer = Answer.of(response.status_code, response.headers, self._body(response))
            finally:
                response.close()
            status, self.last_headers = answer.status, answer.headers
        except _TooLarge:
            # No cause: the chain would hold the response, and it says nothing more.
            raise ProtocolViolation(
                f"{operation}: the answer is larger than {self._largest_body} bytes",
                hint="Check that FRAPPE_LMS_BASE_URL is the LMS itself.",
            ) from None
        except CAUGHT as error:
            raise to_error(error, operation, write=write) from error
        else:
            return answer
        finally:
            now = time.monotonic()
            self._give_back(session, now)
            if self._on_request is not None:
                self._on_request(operation, status, now - started)

    def _body(self, response: Response) -> bytes:
        """The whole body, piece by piece as it comes: bounded in size and in time."""
        deadline = time.monotonic() + self._timeout
        pieces, size = [], 0
        while piece := response.raw.read1(_PIECE, decode_content=True):
            pieces.append(piece)
            size += len(piece)
            if size > self._largest_body:
                raise _TooLarge
            if time.monotonic() > deadline:
                raise _TooSlow
        return b"".join(pieces)

    def _borrow(self, now: float) -> Session:
        """A session for this request alone: the one used last, so that as many are open as are in flight."""
        with self._lock:
            session, used_at = self._idle.pop() if self._idle else (None, now)
        if session is None:
            return new_session(self._headers)
        if now - used_at > _MAX_IDLE:
            session.close()  # its connections; it opens new ones
        return session

    def _give_back(self, session: Session, now: float) -> None:
        with self._lock:
            self._idle.append((session, now))
            stale = [each for each, used_at in self._idle if now - used_at > _MAX_IDLE]
            del self._idle[: len(stale)]  # they stand first
        for each in stale:
            each.close()
