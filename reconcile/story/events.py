"""What the audit says about one order: its attempts and what people asked for. Reads only."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from reconcile.audit import tables
from reconcile.story.story import Event

#: Rows shown of one order: a poison record has a few dozen at most.
_MOST = 500

_NEVER_SENT = "meant to ask the LMS to enroll"
_SENT = {"enroll": "asked the LMS to enroll", "confirm": "looked at the LMS"}


def audit_events(connection: Connection, enrollment_id: str) -> Iterator[Event]:
    """The order's part of the timeline, oldest first."""
    query = (
        select(tables.attempts)
        .where(tables.attempts.c.enrollment_id == enrollment_id)
        .order_by(tables.attempts.c.attempt_id)
        .limit(_MOST)
    )
    for row in connection.execute(query):
        ended = "no outcome is recorded yet"
        if row.finished_at is not None:
            words = [row.outcome, row.reason, f"HTTP {row.http_status}" if row.http_status else None]
            words += [row.lms_enrollment_id, row.error]
            ended = ", ".join(str(word) for word in words if word)
            if row.never_sent:
                ended += ", never sent"
        sent = _NEVER_SENT if row.never_sent else _SENT.get(row.action, "looked")
        number = f" (write {row.number})" if row.number else ""
        yield Event(at=row.started_at, who=f"run {row.run_id}", what=f"{sent}{number}: {ended}")
    asked = select(tables.interventions).where(tables.interventions.c.enrollment_id == enrollment_id)
    for row in connection.execute(asked.order_by(tables.interventions.c.intervention_id).limit(_MOST)):
        until = f" until {row.until:%Y-%m-%d %H:%M} UTC" if row.until is not None else ""
        why = f": {row.because}" if row.because else ""
        yield Event(at=row.at, who=row.who, what=f"asked to {row.kind}{until}{why}")
