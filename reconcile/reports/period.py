"""What the audit says of a period of time: for the daily digest."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import Connection, distinct, func, select

from reconcile.audit import tables
from reconcile.domain.model import Outcome
from reconcile.reports.digest import Past
from reconcile.run.summary import RunStatus


def past(connection: Connection, *, since: datetime, until: datetime) -> Past:
    """Attempts that ended, and runs that began, in [`since`, `until`). Three queries; reads only."""
    attempt, run = tables.attempts.c, tables.runs.c
    outcomes = connection.execute(
        select(attempt.outcome, func.count(distinct(attempt.enrollment_id)))
        .where(attempt.finished_at >= since, attempt.finished_at < until, attempt.outcome.is_not(None))
        .where(attempt.never_sent == 0)
        .group_by(attempt.outcome)
    )
    runs = connection.execute(
        select(run.status, run.reason, func.count())
        .where(run.started_at >= since, run.started_at < until)
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
        last_completed=last,
    )
