"""What an error answer of Frappe says: its status as one of our errors, its words for people. Pure.

The table is FRAPPE 8, "Classification". Neither 401 nor 403 says anything about a learner, any
answer can be HTML, and what a gateway gave up on may still be done.
"""

from __future__ import annotations

import json
import math
import re
from email.utils import parsedate_to_datetime
from typing import Any

from reconcile.base.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ReconcileError,
    ServiceUnavailable,
)
from reconcile.base.redaction import excerpt
from reconcile.domain.model import Reason
from reconcile.lms.http.answer import Answer

NOT_FRAPPE = "Check that FRAPPE_LMS_BASE_URL is the address of a Frappe LMS site."
GIVE_ROLE = "Give the key's user the role Moderator in the LMS, then run again."
CHECK_KEY = "Check FRAPPE_LMS_API_KEY: the LMS does not know this key and secret."

#: A gateway or proxy gave up on the LMS, which may still be at it.
_GAVE_UP = frozenset({502, 504, 520, 521, 522, 523, 524})
#: Answered before anything reached the LMS's own code: it, or its TLS, is down.
_DOWN = frozenset({503, 525, 526, 530})
_LONGEST_WAIT = 86400.0
#: What only an error of Frappe's carries; each may be missing, not all of them.
_OWN_WORDS = ("exc_type", "exception", "_server_messages")
_TAG = re.compile(r"<[^>]{0,200}>")


def check_status(answer: Answer, operation: str, *, write: bool) -> None:
    """Raise what the status alone says; return for 2xx and for the refusals (409, 417).

    Raises AuthenticationFailed, RateLimited, ServiceUnavailable, AmbiguousWrite (writes only) and
    ProtocolViolation.
    """
    status = answer.status
    if 200 <= status < 300 or status in (409, 417):
        return
    said = f"{operation}: the LMS answered {status}{and_said(answer)}"
    if status in (401, 403):
        raise _not_allowed(answer, said)
    if status == 429:
        raise RateLimited(said, http_status=status, retry_after=retry_after(answer))
    # Frappe's own 503 (maintenance) names itself. A cache's or a balancer's may mean that it stopped waiting.
    foreign = status == 503 and not exc_type(answer)
    if write and (foreign or status in _GAVE_UP):
        raise AmbiguousWrite(said, http_status=status)
    if status in _GAVE_UP | _DOWN:
        raise ServiceUnavailable(said, http_status=status, retry_after=retry_after(answer))
    if status in (408, 500, 501):
        raise ServiceUnavailable(said, certain=False, http_status=status)
    if status > 500:  # nobody's standard: whether it was done is anybody's guess
        error: ReconcileError = (
            AmbiguousWrite(said, http_status=status)
            if write
            else ServiceUnavailable(said, certain=False, http_status=status)
        )
        raise error
    raise _unexpected(answer, said)


def _not_allowed(answer: Answer, said: str) -> AuthenticationFailed:
    """401 and 403 say nothing about the learner (FRAPPE, point 6)."""
    if answer.status == 401:
        return AuthenticationFailed(said, reason=Reason.UNAUTHORIZED.value, http_status=401, hint=CHECK_KEY)
    hint = GIVE_ROLE if answer.is_json else "Something before the LMS (a proxy, a firewall) refuses us."
    return AuthenticationFailed(said, reason=Reason.FORBIDDEN.value, http_status=403, hint=hint)


def _unexpected(answer: Answer, said: str) -> ProtocolViolation:
    """3xx and the remaining 4xx: mostly another server, or another site, than the one meant."""
    status = answer.status
    if 300 <= status < 400:
        hint = "The LMS is somewhere else than FRAPPE_LMS_BASE_URL says; set the final https:// address."
        return ProtocolViolation(said, ends_run=True, http_status=status, hint=hint)
    if status == 404:
        hint = (
            "Check that the LMS app is installed on this site."
            if answer.is_json
            else "Check the host name in FRAPPE_LMS_BASE_URL: no Frappe site has it."
        )
        return ProtocolViolation(said, ends_run=True, http_status=status, hint=hint)
    return ProtocolViolation(said, ends_run=status == 405, http_status=status, hint=NOT_FRAPPE)


def exc_type(answer: Answer) -> str:
    """The class name of Frappe's error; empty where there is none."""
    value = answer.json.get("exc_type") if isinstance(answer.json, dict) else None
    return value if isinstance(value, str) else ""


def in_its_own_words(answer: Answer) -> bool:
    """Whether Frappe itself has answered an error, and nobody before it or in its place (FRAPPE 8)."""
    said = answer.json if isinstance(answer.json, dict) else {}
    return any(isinstance(said.get(name), str) and said[name] for name in _OWN_WORDS)


def error_text(answer: Answer) -> str:
    """What the LMS said, for people: redacted, without tags, short; never the traceback (FRAPPE 8)."""
    sentence = next((text for text in sentences(answer) if text), "")
    return (
        excerpt(_TAG.sub(" ", sentence[:4000])) or excerpt(exc_type(answer), limit=80) or answer.text_excerpt
    )


def sentences(answer: Answer) -> list[str]:
    """What the LMS said, raw: `_server_messages` (JSON in JSON in JSON), then the words in `exception`."""
    if not isinstance(answer.json, dict):
        return []
    found = []
    for item in _decoded(answer.json.get("_server_messages"), list) or []:
        message = _decoded(item, dict) or {}
        found.append(message.get("message"))
    exception = answer.json.get("exception")
    if isinstance(exception, str):
        found.append(exception.partition(": ")[2] or exception)
    return [text for text in found if isinstance(text, str)]


def _decoded(value: object, kind: type[Any]) -> Any:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, kind) else None


def retry_after(answer: Answer) -> float | None:
    """Seconds until the LMS wants to be asked again: Retry-After, else X-RateLimit-Reset (FRAPPE 7)."""
    for name in ("retry-after", "x-ratelimit-reset"):
        seconds = _seconds(answer.headers.get(name, "").strip(), answer.headers.get("date", ""))
        if seconds is not None:
            return max(0.0, min(seconds, _LONGEST_WAIT))
    return None


def _seconds(value: str, date: str) -> float | None:
    """A number, or a date as seen from the server's own clock."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", value):
        return float(value)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError, OverflowError):  # no dates, or one with and one without a zone
        return None
    return seconds if math.isfinite(seconds) else None


def and_said(answer: Answer) -> str:
    """The LMS's words behind a colon; empty where there are none."""
    text = error_text(answer)
    return f": {text}" if text else ""
