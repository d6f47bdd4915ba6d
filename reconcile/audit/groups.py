"""Attempts that are begun, ended and recorded together: a few statements for any number of them.

Works inside the caller's transaction, which commits a group whole or not at all. The order in which things
are locked is the same everywhere: what is decided about attempts, runs, rows, seals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, and_, bindparam, func, insert, or_, select, update

from reconcile.audit import rows
from reconcile.audit.chain.digests import Event, plain
from reconcile.audit.chain.links import chained
from reconcile.audit.pairs import busy, lock_attempts, locked, pair_of
from reconcile.audit.rows import Row
from reconcile.audit.store import insert_new
from reconcile.audit.tables import attempts, people
from reconcile.base.batched import batched
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.model import Outcome
from reconcile.run.ports import End, Intent, Record

#: Writes what finished attempts, given as rows, owe to others: on the same connection, which it must not end.
OnOutcomes = Callable[[Connection, Sequence[Mapping[Any, Any]]], None]

#: Rows that are appended, with the numbers they were given, in their order.
_NUMBERED = insert(attempts).returning(attempts.c.attempt_id, sort_by_parameter_order=True)
#: The end of one attempt; the rest of its columns are named by the values.
_ENDED = update(attempts).where(attempts.c.attempt_id == bindparam("ended"), attempts.c.finished_at.is_(None))
#: What must be known of an attempt to end it.
_NEEDED = [attempts.c[name] for name in ("attempt_id", "finished_at", "flags", "lease_token")]
_AT_ONCE = 500
_ACCESS = frozenset(outcome.value for outcome in Outcome if outcome.has_access)


class Begun(NamedTuple):
    """An intent with its row: made before the transaction, which should be short."""

    intent: Intent
    row: Row


class Said(NamedTuple):
    """A record with its row."""

    record: Record
    row: Row


def begin_all(
    connection: Connection, begun: Sequence[Begun], *, held_since: datetime
) -> Sequence[int | None]:
    """Append the intents whose pair is not locked by another run; each one's number, in their order."""
    lock_attempts(connection)
    numbers: list[int | None] = []
    for run_id, those in groupby(begun, key=lambda one: one.intent.run_id):
        group = list(those)
        taken = locked(connection, {pair_of(one.row) for one in group}, run_id=run_id, held_since=held_since)
        free = [one for one in group if pair_of(one.row) not in taken]
        given = iter(begin(connection, free))
        numbers += [None if pair_of(one.row) in taken else next(given) for one in group]
    return numbers


def begin(connection: Connection, begun: Sequence[Begun]) -> Sequence[int]:
    """Append intents of one run; their numbers, in their order."""
    if not begun:
        return []
    first = begun[0].intent
    with chained(connection, first.run_id, at=first.started_at) as chain:
        _remember_people(connection, ((one.intent.enrollment, one.row) for one in begun))
        numbers = _append(connection, [one.row for one in begun])
        chain.extend(
            (Event.BEGAN if one.row["lease_token"] is None else Event.LEASED, {"attempt_id": n, **one.row})
            for n, one in zip(numbers, begun, strict=True)
        )
    return numbers


def finish_all(
    connection: Connection, ends: Sequence[End], *, run_id: str, on_outcomes: OnOutcomes | None
) -> None:
    """Give open attempts their end; one that has its end keeps it. `on_outcomes` is told of what was sent.

    Raises AuditUnavailable where there is no such run or attempt.
    """
    lock_attempts(connection)
    with chained(connection, run_id, at=max(end.at for end in ends)) as chain:
        columns = _NEEDED if on_outcomes is None else list(attempts.c)
        there = _rows_of(connection, [end.attempt_id for end in ends], columns)
        changes: dict[int, tuple[End, Row]] = {}
        for end in ends:
            row = there.get(end.attempt_id)
            if row is None:
                raise AuditUnavailable(f"attempt {end.attempt_id} is not in the audit database any more")
            if row["finished_at"] is None and end.attempt_id not in changes:
                changes[end.attempt_id] = end, rows.end_columns(end, flags=row["flags"])
        if not changes:
            return
        connection.execute(_ENDED, [{"ended": number, **values} for number, (_, values) in changes.items()])
        after = {number: {**there[number], **values} for number, (_, values) in changes.items()}
        chain.extend(
            (Event.UNSENT if end.never_sent else Event.ENDED, after[number])
            for number, (end, _) in changes.items()
        )
        told = [after[number] for number, (end, _) in changes.items() if not end.never_sent]
        if on_outcomes is not None and told:
            on_outcomes(connection, told)


def record(connection: Connection, said: Sequence[Said], *, on_outcomes: OnOutcomes | None) -> frozenset[str]:
    """Append verdicts that needed no write, but what another run has said meanwhile; the orders left out."""
    lock_attempts(connection)
    left_out: set[str] = set()
    for run_id, those in groupby(said, key=attrgetter("record.run_id")):
        group = list(those)
        old = _said_meanwhile(connection, group, run_id=run_id)
        left_out |= old
        news = [one for one in group if one.record.enrollment.id not in old]
        if not news:
            continue
        with chained(connection, run_id, at=news[0].record.at) as chain:
            _remember_people(connection, ((one.record.enrollment, one.row) for one in news))
            numbers = _append(connection, [one.row for one in news])
            chain.extend(
                (Event.RECORDED, {"attempt_id": n, **one.row}) for n, one in zip(numbers, news, strict=True)
            )
        if on_outcomes is not None:
            on_outcomes(connection, [one.row for one in news])
    return frozenset(left_out)


def _said_meanwhile(connection: Connection, group: Sequence[Said], *, run_id: str) -> set[str]:
    """The orders whose verdict is no news any more."""
    gives_access = [one for one in group if one.row["outcome"] in _ACCESS]
    pairs = {pair_of(one.row) for one in gives_access}
    taken = busy(connection, pairs, run_id=run_id) if pairs else frozenset()
    found = {one.record.enrollment.id for one in gives_access if pair_of(one.row) in taken}
    for chunk in batched(group, _AT_ONCE):
        newer = _newer(connection, chunk)
        found |= {one.record.enrollment.id for one in chunk if any(_says_so(row, one) for row in newer(one))}
    return found


def _newer(connection: Connection, chunk: Sequence[Said]) -> Callable[[Said], Iterable[Any]]:
    """For each of these, the attempts of its order that came after what its run knew of."""
    row = attempts.c
    known = {plain(one.record.enrollment.id): one.record.known or 0 for one in chunk}
    fresh = [name for name, number in known.items() if not number]
    seen = {name: number for name, number in known.items() if number}
    whose: list[ColumnElement[bool]] = [row.enrollment_id.in_(fresh)] if fresh else []
    if seen:
        whose.append(and_(row.enrollment_id.in_(list(seen)), row.attempt_id > min(seen.values())))
    query = select(row.attempt_id, row.run_id, row.enrollment_id, row.outcome, row.reason).where(
        or_(*whose), row.never_sent == 0
    )
    found: dict[str, list[Any]] = {}
    for each in connection.execute(query):
        if each.attempt_id > known[each.enrollment_id]:
            found.setdefault(each.enrollment_id, []).append(each)
    return lambda one: found.get(plain(one.record.enrollment.id), ())


def _says_so(row: Any, one: Said) -> bool:
    """Whether that row says the same, or will: by its run, or by whoever settles what it leaves open."""
    outcome, reason = one.row["outcome"], one.row["reason"]
    if outcome not in _ACCESS:
        return (row.outcome, row.reason) == (outcome, reason)
    return row.outcome in _ACCESS or (row.outcome is None and row.run_id != one.record.run_id)


def _rows_of(
    connection: Connection, numbers: Iterable[int], columns: Sequence[Column[Any]]
) -> Mapping[int, Mapping[Any, Any]]:
    """These attempts' rows as they are, held until the transaction ends."""
    found: dict[int, Mapping[Any, Any]] = {}
    for chunk in batched(dict.fromkeys(numbers), _AT_ONCE):
        query = select(*columns).where(attempts.c.attempt_id.in_(chunk)).order_by(attempts.c.attempt_id)
        for row in connection.execute(query.with_for_update()).mappings():
            found[row["attempt_id"]] = row
    return found


def _append(connection: Connection, values: Sequence[Row]) -> Sequence[int]:
    """Append these rows; their numbers, in their order."""
    if connection.dialect.name == "sqlite":
        # Asked for the numbers, it would take a statement for each row. Nobody else writes meanwhile, and
        # each number is the one after the largest that there ever was.
        connection.execute(insert(attempts), values)
        newest = connection.execute(select(func.last_insert_rowid())).scalar_one()
        return range(newest - len(values) + 1, newest + 1)
    return connection.execute(_NUMBERED, values).scalars().all()


def _remember_people(connection: Connection, orders: Iterable[tuple[Any, Row]]) -> None:
    addresses: dict[str, str] = {}
    for enrollment, row in orders:
        addresses.update(rows.people_of(enrollment, row))
    if addresses:
        # Sorted: two transactions that add the same people in another order would wait for each other.
        values = [{"person_key": key, "email": email} for key, email in sorted(addresses.items())]
        insert_new(connection, people, values)
