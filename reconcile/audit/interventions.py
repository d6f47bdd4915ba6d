"""What people have asked for by hand, in the audit database: appended, and read back.

Works inside the caller's transaction; the caller maps what the database does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from reconcile.audit.tables import interventions
from reconcile.domain.interventions import Intervention, InterventionKind

_IGNORING = (InterventionKind.IGNORE.value, InterventionKind.UNIGNORE.value)
_row = interventions.c


def append(connection: Connection, intervention: Intervention) -> None:
    """Append one."""
    connection.execute(
        insert(interventions),
        {
            "kind": intervention.kind.value,
            "who": intervention.who,
            "at": intervention.at,
            "enrollment_id": intervention.enrollment_id,
            "scope": intervention.scope,
            "until": intervention.until,
            "because": intervention.because,
        },
    )


def ignored_until(connection: Connection, enrollment_ids: Sequence[str]) -> Mapping[str, datetime]:
    """Until when each of these is to be left alone, by the newest word on it."""
    newest = (
        select(func.max(_row.intervention_id))
        .where(_row.enrollment_id.in_(enrollment_ids), _row.kind.in_(_IGNORING))
        .group_by(_row.enrollment_id)
    )
    query = select(interventions).where(_row.intervention_id.in_(newest), _row.until.is_not(None))
    return {
        row.enrollment_id: row.until
        for row in connection.execute(query)
        if row.kind == InterventionKind.IGNORE.value
    }


def ignored(connection: Connection, *, now: datetime) -> list[Intervention]:
    """Everything that is to be left alone at `now`, the soonest to end first."""
    newest = (
        select(func.max(_row.intervention_id)).where(_row.kind.in_(_IGNORING)).group_by(_row.enrollment_id)
    )
    query = (
        select(interventions)
        .where(
            _row.intervention_id.in_(newest),
            _row.kind == InterventionKind.IGNORE.value,
            _row.until > now,
        )
        .order_by(_row.until, _row.intervention_id)
    )
    return [
        Intervention(
            kind=InterventionKind(row.kind),
            who=row.who,
            at=row.at,
            enrollment_id=row.enrollment_id,
            scope=row.scope,
            until=row.until,
            because=row.because,
        )
        for row in connection.execute(query)
    ]
