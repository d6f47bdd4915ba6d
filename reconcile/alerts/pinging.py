"""The dead-man's switch: somebody outside is told of each run, and speaks up when no word comes.

Over HTTP, as healthchecks.io and its like expect it. The address is the permission to ping: it is never
part of a message.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from reconcile import __version__
from reconcile.base import log
from reconcile.base.bounded import TookTooLong, within
from reconcile.base.redaction import excerpt
from reconcile.run.follow_up import Finished
from reconcile.run.summary import RunStatus, RunSummary

_log = log.get_logger(__name__)

TIMEOUT = 5.0
TRIES = 2
#: Of a service that wants to be asked and not to be told; the second try asks.
_WANTS_GET = (405, 501)


class Pinger(Protocol):
    """The address of the one who watches."""

    def ping(self, *, failed: bool, text: str) -> None:
        """Say that a run has ended well, or that it has not. Bounded in time; never raises."""
        ...


class Pinging:
    """The FollowUp that pings. A run of part of the backlog and an interrupted one say nothing.

    Both would mislead: the one does not show that the schedule works, the other was asked to stop.
    """

    name = "ping"

    def __init__(self, pinger: Pinger) -> None:
        self._pinger = pinger

    def after(self, finished: Finished) -> None:
        """Ping: well where the run was completed (exit code 0 or 1), else `/fail` with the reason."""
        summary = finished.result.summary
        if not finished.options.selection.is_everything or summary.status is RunStatus.INTERRUPTED:
            return
        failure = finished.result.failure
        failed = summary.status is not RunStatus.COMPLETED
        self._pinger.ping(failed=failed, text=report(summary, failure))


def report(summary: RunSummary, failure: Exception | None) -> str:
    """A run's end in a line or two, without secrets or whole addresses."""
    if failure is not None:
        hint = getattr(failure, "hint", "")
        return f"{summary.status.value}: {summary.reason}\n{excerpt(f'{failure}')}\n{excerpt(hint)}".rstrip()
    outcomes = ", ".join(f"{count} {outcome.value}" for outcome, count in summary.outcomes.items() if count)
    ending = f"{summary.status.value}{f': {summary.reason}' if summary.reason else ''}"
    return f"{ending}; {summary.scanned} orders looked at; {outcomes or 'nothing to do'}"


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
