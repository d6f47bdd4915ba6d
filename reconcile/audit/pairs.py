"""Who else is at a learner and course: the audit's own lock, and what another run has open.

Works inside the caller's transaction; each look is one query by index for all pairs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, select, text

from reconcile.audit.chain.digests import plain
from reconcile.audit.tables import MAY_LOCK, attempts, runs
from reconcile.base.batched import batched
from reconcile.run.summary import RunStatus

#: A person's key and a course, as a row has them.
Pair = tuple[str | None, str | None]

#: PostgreSQL's advisory lock on what is decided by looking at others' attempts: "attempts" in ASCII.
_ATTEMPTS_LOCK = 0x617474656D707473
_AT_ONCE = 500


def lock_attempts(connection: Connection) -> None:
    """From here to the end of the transaction nobody else decides by what they see of attempts.

    Comes before any row's lock. SQLite has one writer anyway. May be repeated.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ATTEMPTS_LOCK})


def pair_of(row: Mapping[Any, Any]) -> Pair:
    """The pair that an attempt's row is about, as the database holds it."""
    course = row["course"]
    return row["member_key"], plain(course) if course is not None else None


def locked(
    connection: Connection, pairs: Collection[Pair], *, run_id: str, held_since: datetime
) -> frozenset[Pair]:
    """Those for which another run has begun an attempt since then that has no outcome, or no answer."""
    return _others(connection, pairs, run_id, attempts.c.started_at >= held_since)


def busy(connection: Connection, pairs: Collection[Pair], *, run_id: str) -> frozenset[Pair]:
    """Those for which another run that is under way has an attempt without an outcome."""
    under_way = exists().where(runs.c.run_id == attempts.c.run_id, runs.c.status == RunStatus.RUNNING.value)
    return _others(connection, pairs, run_id, attempts.c.finished_at.is_(None), under_way)


def _others(
    connection: Connection, pairs: Collection[Pair], run_id: str, *conditions: ColumnElement[bool]
) -> frozenset[Pair]:
    """Those for which another run has such an attempt."""
    found: frozenset[Pair] = frozenset()
    for keys in batched(_members(pairs), _AT_ONCE):
        query = select(attempts.c.member_key, attempts.c.course).where(
            # By member alone: somebody has few courses, and these rows are few.
            attempts.c.member_key.in_(keys),
            MAY_LOCK,
            attempts.c.run_id != run_id,
            *conditions,
        )
        found |= frozenset((row.member_key, row.course) for row in connection.execute(query))
    return found.intersection(pairs)


def _members(pairs: Iterable[Pair]) -> Iterable[str]:
    return dict.fromkeys(member for member, _ in pairs if member is not None)
