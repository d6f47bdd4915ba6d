"""The dead-man's switch: somebody outside is told of each run, and speaks up when no word comes."""

from __future__ import annotations

from typing import Protocol

from reconcile.base.redaction import excerpt
from reconcile.domain.summary import RunStatus, RunSummary
from reconcile.followup import Finished

__all__ = ["Pinger", "Pinging", "report"]


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
