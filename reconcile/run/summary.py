"""What one run did: a fold over its verdicts, and the exit code that follows. Pure.

Exit codes are INTERFACE: 0 converged · 1 finished, some need a person or another try · 2 key or
configuration · 4 cannot record, or a bug · 75 temporary · 130 interrupted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from reconcile.domain.histogram import Histogram
from reconcile.domain.model import Outcome, Reason, Verdict


class ExitCode(IntEnum):
    """The verdict of a command, for cron lines and monitoring."""

    CONVERGED = 0
    ATTENTION = 1
    USAGE = 2
    CHANGES_PENDING = 3
    ABORTED = 4
    TEMPORARY = 75
    INTERRUPTED = 130


class RunStatus(StrEnum):
    """How a run ended; `running` until it has, `crashed` when its process is gone."""

    RUNNING = "running"
    COMPLETED = "completed"
    ABORTED = "aborted"
    INTERRUPTED = "interrupted"
    CRASHED = "crashed"


class AbortReason(StrEnum):
    """Why a run ended early, beside the reasons that an enrollment can have too."""

    STORE_UNAVAILABLE = "mongodb_unavailable"
    AUDIT_UNAVAILABLE = "audit_unavailable"
    CONFIGURATION = "configuration"
    TOO_MANY_ENROLLS = "too_many_enrolls"
    BUG = "internal_error"


#: The run ended in good order at the limit that a person gave it; more is left to enroll.
MAX_ENROLLS = "max_enrolls"

#: Seconds from payment to access that are told apart: a minute, the schedule, hours, days, a month.
WAIT_BOUNDS = (60, 300, 600, 1800, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400)

_EXIT_OF_REASON = {
    Reason.UNAUTHORIZED.value: ExitCode.USAGE,
    Reason.FORBIDDEN.value: ExitCode.USAGE,
    Reason.BLIND.value: ExitCode.USAGE,
    Reason.PROTOCOL.value: ExitCode.USAGE,
    AbortReason.CONFIGURATION.value: ExitCode.USAGE,
    AbortReason.TOO_MANY_ENROLLS.value: ExitCode.ATTENTION,
    Reason.LMS_UNAVAILABLE.value: ExitCode.TEMPORARY,
    Reason.RATE_LIMITED.value: ExitCode.TEMPORARY,
    AbortReason.STORE_UNAVAILABLE.value: ExitCode.TEMPORARY,
    AbortReason.AUDIT_UNAVAILABLE.value: ExitCode.ABORTED,
    AbortReason.BUG.value: ExitCode.ABORTED,
}


@dataclass(kw_only=True)
class RunSummary:
    """The counts of one run, filled while it goes on."""

    run_id: str
    mode: str
    started_at: datetime
    status: RunStatus = RunStatus.RUNNING
    reason: str | None = None
    finished_at: datetime | None = None
    scanned: int = 0
    lms_requests: int = 0
    lms_total: int | None = None  #: LMS enrollments there were when the run began, where the LMS tells
    came_back: int = 0  #: orders that said `failed` and were tried: what others gave up on, we have not
    unmarked: int | None = None  #: orders that somebody has paid and that were never marked; None: not looked
    left_over: int = 0  #: orders left alone because of `max_enrolls`
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)
    verdicts: Counter[tuple[Outcome, Reason | None]] = field(default_factory=Counter)
    waits: Histogram = field(
        default_factory=lambda: Histogram(bounds=WAIT_BOUNDS)
    )  #: paid to access, in seconds
    buried: int = 0  #: runs of dead processes that this one has closed as `crashed`

    def add(self, verdict: Verdict, *, paid_at: datetime | None = None, at: datetime | None = None) -> None:
        """Count one enrollment's verdict, reached at `at`.

        How long its learner waited counts where we gave the access: `already_enrolled` says nothing of
        when it was given.
        """
        self.outcomes[verdict.outcome] += 1
        self.verdicts[verdict.outcome, verdict.reason] += 1
        if verdict.reason is not None:
            self.reasons[verdict.reason] += 1
        given_by_us = verdict.outcome in (Outcome.ENROLLED, Outcome.RECOVERED)
        if given_by_us and paid_at is not None and at is not None:
            self.waits.observe((at - paid_at).total_seconds())

    def close(self, status: RunStatus, *, at: datetime, reason: str | None = None) -> None:
        """Say how the run ended. Later calls change nothing: the first cause is the cause."""
        if self.status is not RunStatus.RUNNING:
            return
        self.status, self.reason, self.finished_at = status, reason, at

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of INTERFACE for this run."""
        return exit_code(self)

    def as_json(self) -> dict[str, Any]:
        """The object that `run --json` prints."""
        return {
            "run_id": self.run_id,
            "mode": self.mode,
            "status": self.status.value,
            "reason": self.reason,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "scanned": self.scanned,
            "outcomes": {outcome.value: self.outcomes[outcome] for outcome in Outcome},
            "reasons": {reason.value: self.reasons[reason] for reason in Reason if self.reasons[reason]},
            "lms_requests": self.lms_requests,
            "exit_code": int(self.exit_code),
        }


def exit_code(summary: RunSummary) -> ExitCode:
    """What the run's end means to the caller.

    `retrying` counts as attention (something failed and a later run has work); `waiting` and
    `skipped` do not: nothing is left that a run can do about them now.
    """
    if summary.status is RunStatus.INTERRUPTED:
        return ExitCode.INTERRUPTED
    if summary.status is not RunStatus.COMPLETED:
        return _EXIT_OF_REASON.get(summary.reason or "", ExitCode.ABORTED)
    if summary.left_over or summary.outcomes[Outcome.FAILED] or summary.outcomes[Outcome.RETRYING]:
        return ExitCode.ATTENTION
    return ExitCode.CONVERGED
