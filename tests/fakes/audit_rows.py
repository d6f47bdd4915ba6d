"""The rows of the audit log in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconcile.domain.model import (
    AnyEnrollment,
    EffectKey,
    Enrollment,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.ports import Origin
from reconcile.run.summary import RunStatus, RunSummary


@dataclass
class Run:
    """A run as it is remembered."""

    summary: RunSummary
    origin: Origin
    heartbeat_at: datetime
    status: RunStatus
    finished_at: datetime | None = None


@dataclass
class Attempt:
    """One row."""

    attempt_id: int
    run_id: str
    enrollment: AnyEnrollment
    number: int
    action: str
    started_at: datetime
    finished_at: datetime | None = None
    verdict: Verdict | None = None
    http_status: int | None = None
    flags: frozenset[str] = frozenset()
    lease_token: str | None = None
    never_sent: bool = False

    @property
    def key(self) -> EffectKey | None:
        return self.enrollment.key if isinstance(self.enrollment, Enrollment) else None

    @property
    def is_unanswered(self) -> bool:
        return self.verdict is not None and self.verdict.reason in (Reason.LMS_TIMEOUT, Reason.PROTOCOL)

    @property
    def was_excused(self) -> bool:
        verdict = self.verdict
        return (
            self.number > 0
            and verdict is not None
            and verdict.outcome is Outcome.RETRYING
            and not verdict.attempts
            and verdict.reason in (Reason.LMS_UNAVAILABLE, Reason.LMS_TIMEOUT)
        )
