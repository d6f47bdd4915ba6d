"""HttpPinger: the dead-man's switch over HTTP, as healthchecks.io and its like expect it.

The address is the permission to ping: it is never part of a message.
"""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from reconcile import __version__
from reconcile.base import log
from reconcile.base.bounded import TookTooLong, within

_log = log.get_logger(__name__)

TIMEOUT = 5.0
TRIES = 2
#: Of a service that wants to be asked and not to be told; the second try asks.
_WANTS_GET = (405, 501)


class HttpPinger:
    """Pings one address. Seconds."""

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout

    def ping(self, *, failed: bool, text: str) -> None:
        """POST to the address, or to `/fail` behind it; once more where that was not taken. Never raises."""
        url = failing(self._url) if failed else self._url
        method, problem = "POST", ""
        for _ in range(TRIES):
            status, problem = self._send(method, url, text)
            if status is not None and status < 400:
                return
            if status in _WANTS_GET:
                method = "GET"
        _log.warning("The ping was not taken", failed=failed, error=problem)

    def _send(self, method: str, url: str, text: str) -> tuple[int | None, str]:
        """The answer's status, and what to say of it."""
        import requests

        def send() -> int:
            with requests.request(
                method,
                url,
                data=text.encode() if method == "POST" else None,
                headers={
                    "Content-Type": "text/plain; charset=utf-8",
                    "User-Agent": f"reconcile/{__version__}",
                },
                timeout=self._timeout,
                stream=True,  # the body is of no interest
            ) as response:
                return response.status_code

        try:
            status = within(self._timeout, send, name="ping")
        except TookTooLong as error:
            return None, str(error)
        except Exception as error:  # noqa: BLE001  whatever it is, the run is over and well
            # The class alone: the text holds the address.
            return None, type(error).__name__
        return status, f"answered with {status}"


def failing(url: str) -> str:
    """The address for bad news: `/fail` behind the path, the query kept."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))
