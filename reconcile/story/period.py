"""What the audit says of a period of time: for the daily digest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, distinct, func, select

from reconcile.audit import tables
from reconcile.domain.instants import as_utc
from reconcile.domain.model import Outcome
from reconcile.run.summary import RunStatus


@dataclass(frozen=True, kw_only=True)
class Past:
    """What the audit says of a period: enrollments by outcome, runs by how they ended."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)  #: by status
    aborted: Counter[str] = field(default_factory=Counter)  #: by reason
    last_completed: datetime | None = None  #: whenever it was, in the period or before

    @property
    def given_access(self) -> int:
        """Learners whose access was made or confirmed in the period."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.has_access)


def past(connection: Connection, *, since: datetime, until: datetime) -> Past:
    """Attempts that ended, and runs that began, in [`since`, `until`). Three queries; reads only."""
    start, end = since.astimezone(UTC), until.astimezone(UTC)
    attempt, run = tables.attempts.c, tables.runs.c
    outcomes = connection.execute(
        select(attempt.outcome, func.count(distinct(attempt.enrollment_id)))
        .where(attempt.finished_at >= start, attempt.finished_at < end, attempt.outcome.is_not(None))
        .group_by(attempt.outcome)
    )
    runs = connection.execute(
        select(run.status, run.reason, func.count())
        .where(run.started_at >= start, run.started_at < end)
        .group_by(run.status, run.reason)
        .order_by(run.status, run.reason)
    ).all()
    completed = run.status == RunStatus.COMPLETED.value
    last = connection.execute(select(func.max(run.finished_at)).where(completed)).scalar()
    statuses: Counter[str] = Counter()
    aborted: Counter[str] = Counter()
    for status, reason, count in runs:
        statuses[status] += count
        if status == RunStatus.ABORTED.value:
            aborted[reason or "an unknown reason"] += count
    return Past(
        outcomes=Counter({Outcome(outcome): count for outcome, count in outcomes}),
        runs=statuses,
        aborted=aborted,
        last_completed=as_utc(last),
    )
