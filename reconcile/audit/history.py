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
from reconcile.domain.model import NO_HISTORY, History, OpenWrite, Outcome, Reason
from reconcile.run.summary import RunStatus

#: Ids in one query: well below every database's limit of parameters.
CHUNK = 500

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)

#: Members by their words: an enumeration asked for one that it may not have is slow.
_KNOWN: dict[Any, dict[Any, Any]] = {
    words: {each.value: each for each in words} for words in (Outcome, Reason)
}


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
    """The history of each of these that has one. One query: counts, joined to the last end."""
    row = attempts.c
    # What was never sent is no news: it counts as the newest row, and as nothing else.
    sent = row.never_sent == 0
    finished = and_(row.finished_at.is_not(None), sent)
    wrote = and_(row.number > rows.NO_WRITE, sent)
    # Versions before 0006 added one to the order's `retryCount` for each write.
    known = row.shop_tries.is_not(None)
    # What is skipped is not written back.
    said = and_(
        finished,
        row.outcome != Outcome.SKIPPED.value,
        # That visits are used up: the last refusal's own words stay in the order.
        or_(row.reason.is_(None), row.reason != Reason.EXHAUSTED.value),
    )
    blamed_on_lms = and_(
        wrote,
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
            func.count(func.distinct(_when(or_(row.counted > 0, _left_open()), row.run_id))).label("visits"),
            func.count(func.distinct(_when(and_(row.counted > 0, known), row.run_id))).label("visits_added"),
            func.count(_when(and_(row.counted > 0, ~known), 1)).label("writes_added"),
            func.count(_when(wrote, 1)).label("writes"),
            func.count(_when(blamed_on_lms, 1)).label("excused"),
            func.count(_when(and_(blamed_on_lms, row.attempt_id < last_success), 1)).label("disproved"),
            func.max(row.attempt_id).label("newest"),
            func.max(_when(finished, row.attempt_id)).label("newest_end"),
            func.count(_when(_left_open(), 1)).label("left_open"),
            func.max(_when(said, row.finished_at)).label("last_said_at"),
            func.max(_when(wrote, row.started_at)).label("last_write_at"),
        )
        .join(runs, runs.c.run_id == row.run_id)
        .where(row.enrollment_id.in_(enrollment_ids))
        .group_by(row.enrollment_id)
        .subquery()
    )
    last = attempts.alias("last_end")
    query = select(facts, last.c.outcome, last.c.reason).outerjoin(
        last, last.c.attempt_id == facts.c.newest_end
    )
    all_found = connection.execute(query).all()
    writes = _open_writes(connection, [found.enrollment_id for found in all_found if found.left_open])
    for found in all_found:
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
                open_attempts=tuple(writes.get(found.enrollment_id, ())),
                newest=int(found.newest),
            ),
        )


def _left_open() -> ColumnElement[bool]:
    """Without an outcome, and its run is over."""
    return and_(attempts.c.finished_at.is_(None), runs.c.status != RunStatus.RUNNING.value)


def _open_writes(connection: Connection, enrollment_ids: Sequence[str]) -> Mapping[str, list[OpenWrite]]:
    """What runs that are over have left open of these enrollments, the oldest first: rarely anything."""
    found: dict[str, list[OpenWrite]] = {}
    if not enrollment_ids:
        return found
    row = attempts.c
    query = (
        select(row.enrollment_id, row.attempt_id, row.started_at, row.lease_token)
        .join(runs, runs.c.run_id == row.run_id)
        .where(row.enrollment_id.in_(enrollment_ids), _left_open())
        .order_by(row.attempt_id)
    )
    for each in connection.execute(query):
        write = OpenWrite(attempt_id=each.attempt_id, started_at=each.started_at, token=each.lease_token)
        found.setdefault(each.enrollment_id, []).append(write)
    return found


def _word(words: type[Word], value: str | None) -> Word | None:
    """The enum's member; None for a word that this version does not know."""
    return _KNOWN[words].get(value)


def _given_access(connection: Connection, enrollment_ids: Sequence[str]) -> set[str]:
    ours = (Outcome.ENROLLED.value, Outcome.RECOVERED.value)
    query = (
        select(attempts.c.enrollment_id)
        .where(attempts.c.enrollment_id.in_(enrollment_ids), attempts.c.outcome.in_(ours))
        .distinct()
    )
    return set(connection.execute(query).scalars())
