"""What follows a run: telling people and machines about it. Never decides about enrollments.

A step (`FollowUp`) sees how a run ended and does one thing with it. It can neither block nor fail
the run: the run is over and recorded, and whatever a step raises is logged and swallowed here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from reconcile.base import log
from reconcile.domain.model import AnyEnrollment, History
from reconcile.run.options import RunOptions, RunResult

_log = log.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run that is over: what it was told, and how it ended."""

    options: RunOptions
    result: RunResult


class FollowUp(Protocol):
    """One thing that is done after each run."""

    name: str

    def after(self, finished: Finished) -> None:
        """Do it. Bounded in time; may raise, which is logged and ends this step alone."""
        ...


class Onlooker(Protocol):
    """Somebody who wants to know who is left without access, and need not read the whole backlog for it.

    Told by the run while it goes on, in one thread; `RunResult.saw_all` says at its end if that was all.
    """

    def begins(self) -> None:
        """A run begins: forget what was told before."""
        ...

    def left(self, item: AnyEnrollment, history: History) -> None:
        """This order is unsynced still; `history` is what is remembered of it now."""
        ...


def follow_up(steps: Iterable[FollowUp], finished: Finished) -> None:
    """Take each step, in order, whatever becomes of the ones before. Never raises."""
    for step in steps:
        try:
            step.after(finished)
        except Exception as error:  # noqa: BLE001  what follows a run must not fail it
            _log.error(
                "What follows a run has failed",
                step=step.name,
                error=f"{type(error).__name__}: {error}",
                run_id=finished.result.summary.run_id,
            )
