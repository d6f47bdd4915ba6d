"""What the audit's rows say about an enrollment's past: the `History` that a decision needs.

Works inside the caller's transaction; the caller maps what the database does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select

from reconcile.audit import rows
from reconcile.audit.interventions import ignored_until
from reconcile.audit.tables import attempts, runs
from reconcile.base.batched import batched
from reconcile.domain.model import NO_HISTORY, History, Outcome, Reason
from reconcile.run.summary import RunStatus

#: Ids in one query: well below every database's limit of parameters.
CHUNK = 500

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)


def histories(connection: Connection, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
    """What is remembered of these enrollments; absent ones have no history."""
    found: dict[str, History] = {}
    for chunk in batched(dict.fromkeys(enrollment_ids), CHUNK):
        found.update(_histories(connection, chunk))
        for name, until in ignored_until(connection, chunk).items():
            found[name] = replace(found.get(name, NO_HISTORY), ignored_until=until)
    return found


def given_access(connection: Connection, enrollment_ids: Sequence[str]) -> frozenset[str]:
    """Of these orders, those whose learner we have given access."""
    found: set[str] = set()
    for chunk in batched(dict.fromkeys(enrollment_ids), CHUNK):
        found |= _given_access(connection, chunk)
    return frozenset(found)


def _when(condition: ColumnElement[bool], value: ColumnElement[T] | int) -> ColumnElement[Any]:
    return case((condition, value))


def _histories(connection: Connection, enrollment_ids: Sequence[str]) -> Iterator[tuple[str, History]]:
    """The history of each of these that has one. One query: counts, joined to the newest finished row."""
    row = attempts.c
    finished = row.finished_at.is_not(None)
    # Versions before 0006 added one to the order's `retryCount` for each write.
    known = row.shop_tries.is_not(None)
    # What is skipped is not written back.
    said = and_(
        finished,
        row.outcome != Outcome.SKIPPED.value,
        # That visits are used up: the last refusal's own words stay in the order.
        or_(row.reason.is_(None), row.reason != Reason.EXHAUSTED.value),
    )
    left_open = and_(row.finished_at.is_(None), runs.c.status != RunStatus.RUNNING.value)
    blamed_on_lms = and_(
        row.number > rows.NO_WRITE,
        row.counted == 0,
        row.outcome == Outcome.RETRYING.value,
        row.reason.in_([Reason.LMS_UNAVAILABLE.value, Reason.LMS_TIMEOUT.value]),
    )
    rows_of_success = attempts.alias("rows_of_success")
    last_success = (
        select(rows_of_success.c.attempt_id)
        .where(rows_of_success.c.outcome == Outcome.ENROLLED.value)
        .order_by(rows_of_success.c.attempt_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    facts = (
        select(
            row.enrollment_id,
            # A visit is a run: its writes count once. One that a dead process left open may have been made.
            func.count(func.distinct(_when(or_(row.counted > 0, left_open), row.run_id))).label("visits"),
            func.count(func.distinct(_when(and_(row.counted > 0, known), row.run_id))).label("visits_added"),
            func.count(_when(and_(row.counted > 0, ~known), 1)).label("writes_added"),
            func.count(_when(row.number > rows.NO_WRITE, 1)).label("writes"),
            func.count(_when(blamed_on_lms, 1)).label("excused"),
            func.count(_when(and_(blamed_on_lms, row.attempt_id < last_success), 1)).label("disproved"),
            func.max(_when(finished, row.attempt_id)).label("newest"),
            func.max(_when(left_open, row.attempt_id)).label("open_attempt"),
            func.max(_when(said, row.finished_at)).label("last_said_at"),
            func.max(_when(row.number > rows.NO_WRITE, row.started_at)).label("last_write_at"),
        )
        .join(runs, runs.c.run_id == row.run_id)
        .where(row.enrollment_id.in_(enrollment_ids))
        .group_by(row.enrollment_id)
        .subquery()
    )
    newest = attempts.alias("newest_row")
    query = select(facts, newest.c.outcome, newest.c.reason).outerjoin(
        newest, newest.c.attempt_id == facts.c.newest
    )
    for found in connection.execute(query):
        yield (
            found.enrollment_id,
            History(
                visits=int(found.visits),
                added=int(found.visits_added) + int(found.writes_added),
                writes=int(found.writes),
                excused=int(found.excused),
                disproved=int(found.disproved),
                last_outcome=_word(Outcome, found.outcome),
                last_reason=_word(Reason, found.reason),
                last_said_at=found.last_said_at,
                last_write_at=found.last_write_at,
                open_attempt=found.open_attempt,
            ),
        )


def _word(words: type[Word], value: str | None) -> Word | None:
    """The enum's member; None for a word that this version does not know."""
    return words(value) if value is not None and value in words.__members__.values() else None


def _given_access(connection: Connection, enrollment_ids: Sequence[str]) -> set[str]:
    ours = (Outcome.ENROLLED.value, Outcome.RECOVERED.value)
    query = (
        select(attempts.c.enrollment_id)
        .where(attempts.c.enrollment_id.in_(enrollment_ids), attempts.c.outcome.in_(ours))
        .distinct()
    )
    return set(connection.execute(query).scalars())
