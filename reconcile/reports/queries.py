"""The rows of the views `attempts`, `enrollments` and `runs`, streamed from the audit database.

Reads only, one query per view, a thousand rows in memory at a time. The connection is the caller's,
and so are its errors; it must stay open until the last row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Dialect,
    Select,
    Subquery,
    case,
    exists,
    func,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.types import UserDefinedType

from reconcile.audit import tables
from reconcile.audit.rows import person_key
from reconcile.domain.instants import as_utc
from reconcile.domain.model import Outcome
from reconcile.domain.money import major_units
from reconcile.reports.model import Cell, ReportFilter, Row, tidy

CHUNK = 1000
#: How many columns `latest_verdicts` finds: sums over the attempts, then those of the latest attempt.
_SUMS, _VERDICT = 6, 9
_ACCESS = [outcome.value for outcome in Outcome if outcome.has_access]


class _Instant(UserDefinedType[datetime]):
    """An instant that is read as the tables' own type reads it, in one step instead of four."""

    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002
        """SQLite holds text."""
        return _of_text if dialect.name == "sqlite" else as_utc


def _of_text(text: str | None) -> datetime | None:
    if text is None:
        return None
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else as_utc(instant)


def _instant(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return type_coerce(column, _Instant())


def attempt_rows(connection: Connection, chosen: ReportFilter, *, with_emails: bool = False) -> Iterator[Row]:
    """One row per attempt, in the order in which they began."""
    row = tables.attempts.c
    query = (
        select(row.run_id, row.attempt_id, row.enrollment_id, row.payment_id)
        .add_columns(_email(with_emails=with_emails), row.course, row.number, row.action)
        .add_columns(_instant(row.started_at), _instant(row.finished_at), row.outcome, row.reason)
        .add_columns(row.http_status, row.lms_enrollment_id, row.error, row.flags)
        .where(*attempts_chosen(connection, chosen))
        .order_by(row.attempt_id)
    )
    # Unpacked, and not asked for by name: of a million rows that is seconds.
    for run_id, attempt_id, enrollment_id, payment_id, email, course, number, action, *rest in stream(
        connection, _with_people(query) if with_emails else query
    ):
        started, finished, outcome, reason, http_status, lms_enrollment_id, error, flags = rest
        yield {
            "run_id": run_id,
            "attempt_id": attempt_id,
            "enrollment_id": enrollment_id,
            "payment_id": payment_id,
            "email": email,
            "course": course,
            "number": number,
            "action": action,
            "started_at": started,
            "finished_at": finished,
            "duration_ms": round((finished - started).total_seconds() * 1000) if finished else None,
            "outcome": outcome,
            "reason": reason,
            "http_status": http_status,
            "lms_enrollment_id": lms_enrollment_id,
            "error": error,
            "flags": tuple(flags.split()),
        }


def enrollment_rows(
    connection: Connection, chosen: ReportFilter, *, with_emails: bool = False
) -> Iterator[Row]:
    """One row per enrollment, by its id: the latest verdict, and what led to it.

    `access_at` is when the LMS first said that the learner is in the course. `attempts` are our visits and
    the shop's own tries together.
    """
    query, _ = latest_verdicts(connection, chosen, with_emails=with_emails)
    for found in stream(connection, query):
        yield enrollment_row(found)


def latest_verdicts(
    connection: Connection,
    chosen: ReportFilter,
    *,
    with_emails: bool = False,
    also: Sequence[ColumnElement[Any]] = (),
) -> tuple[Select[Any], Subquery]:
    """The query of the view `enrollments`, and its sums over each enrollment's attempts.

    `also`: more such sums. The query can be joined and given more columns; the latest attempt is `attempts`.
    """
    row = tables.attempts.c
    newest_end = func.max(case((row.finished_at.is_not(None), row.attempt_id)))
    facts = (
        select(
            row.enrollment_id,
            # A visit is a run, however many of its writes count.
            func.count(func.distinct(case((row.counted > 0, row.run_id)))).label("visits"),
            _instant(func.min(row.started_at)).label("first_seen"),
            _instant(func.max(func.coalesce(row.finished_at, row.started_at))).label("last_seen"),
            _instant(func.min(case((row.outcome.in_(_ACCESS), row.finished_at)))).label("access_at"),
            # An enrollment whose only attempt is still open is told by that one.
            func.coalesce(newest_end, func.max(row.attempt_id)).label("newest"),
            *also,
        )
        # What was never sent says nothing about an enrollment.
        .where(*_conditions(connection, chosen), row.never_sent == 0)
        .group_by(row.enrollment_id)
        .subquery("facts")
    )
    query = (
        select(
            facts,
            row.payment_id,
            row.course,
            row.outcome,
            row.reason,
            _instant(row.paid_at).label("paid_at"),
            row.amount_e4,
            row.currency,
            # Rows of earlier versions do not tell.
            func.coalesce(row.shop_tries, 0).label("shop_tries"),
            _email(with_emails=with_emails),
        )
        .select_from(facts)
        .join(tables.attempts, row.attempt_id == facts.c.newest)
        .where(*_verdict_is(chosen))
        .order_by(facts.c.enrollment_id)
    )
    return _with_people(query) if with_emails else query, facts


def enrollment_row(found: Sequence[Any], *, also: int = 0) -> Row:
    """A row of the view `enrollments` out of one that `latest_verdicts` found, with so many more sums."""
    enrollment_id, visits, first_seen, last_seen, access, _ = found[:_SUMS]
    payment_id, course, outcome, reason, paid, amount_e4, currency, shop_tries, email = found[
        _SUMS + also : _SUMS + also + _VERDICT
    ]
    return {
        "enrollment_id": enrollment_id,
        "payment_id": payment_id,
        "email": email,
        "course": course,
        "outcome": outcome,
        "reason": reason,
        "attempts": int(visits) + int(shop_tries),
        "visits": int(visits),
        "shop_tries": int(shop_tries),
        "paid_at": paid,
        "access_at": access,
        "paid_to_access_seconds": round((access - paid).total_seconds(), 3) if access and paid else None,
        "amount": amount(amount_e4),
        "currency": currency,
        "first_seen": first_seen,
        "last_seen": last_seen,
    }


def run_rows(connection: Connection, chosen: ReportFilter) -> Iterator[Row]:
    """One row per run, the oldest first."""
    run = tables.runs.c
    conditions = _began_within(run.started_at, chosen)
    if chosen.run is not None:
        conditions.append(run.run_id == chosen.run)
    # What is left of the filter is about attempts: runs that made at least one such.
    inner = ReportFilter(
        course=chosen.course, outcome=chosen.outcome, reason=chosen.reason, email=chosen.email
    )
    if inner != ReportFilter():
        about = attempts_chosen(connection, inner)
        conditions.append(exists().where(tables.attempts.c.run_id == run.run_id, *about))
    query = select(tables.runs).where(*conditions).order_by(run.started_at, run.run_id)
    for found in stream(connection, query):
        started, finished = found.started_at, found.finished_at
        counts = json.loads(found.outcomes)
        yield {
            "run_id": found.run_id,
            "mode": found.mode,
            "status": found.status,
            "reason": found.reason,
            "started_at": started,
            "finished_at": finished,
            "duration_seconds": round((finished - started).total_seconds(), 3) if finished else None,
            "scanned": found.scanned,
            **{outcome.value: int(counts.get(outcome.value, 0)) for outcome in Outcome},
            "unmarked": found.unmarked,
            "lms_requests": found.lms_requests,
            "exit_code": found.exit_code,
            "version": found.version,
        }


@lru_cache(maxsize=1000)  # a shop has few prices
def amount(ten_thousandths: int | None) -> Cell:
    """An amount in major units: an int where it is whole, else a Decimal without idle zeros."""
    if ten_thousandths is None:
        return None
    return tidy(major_units(ten_thousandths))


def stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    """What a query finds, a chunk in memory at a time."""
    # `yield_per` also asks PostgreSQL for a cursor on the server's side.
    for chunk in connection.execute(query, execution_options={"yield_per": CHUNK}).partitions():
        yield from chunk


def _conditions(connection: Connection, chosen: ReportFilter) -> list[ColumnElement[bool]]:
    """What an attempt must be to be looked at at all."""
    row = tables.attempts.c
    conditions = _began_within(row.started_at, chosen)
    if chosen.course is not None:
        conditions.append(row.course == chosen.course)
    if chosen.run is not None:
        conditions.append(row.run_id == chosen.run)
    if chosen.email is not None:
        key = person_key(_secret(connection), chosen.email)
        conditions.append(or_(row.email_key == key, row.member_key == key))
    return conditions


def _began_within(began: ColumnElement[Any], chosen: ReportFilter) -> list[ColumnElement[bool]]:
    # Never empty: an empty `where` is a warning.
    conditions: list[ColumnElement[bool]] = [true()]
    if chosen.since is not None:
        conditions.append(began >= chosen.since)
    if chosen.until is not None:
        conditions.append(began < chosen.until)
    return conditions


def attempts_chosen(connection: Connection, chosen: ReportFilter) -> list[ColumnElement[bool]]:
    """What an attempt must be to be a row of the view `attempts`."""
    return [*_conditions(connection, chosen), *_verdict_is(chosen)]


def _verdict_is(chosen: ReportFilter) -> list[ColumnElement[bool]]:
    row = tables.attempts.c
    wanted = ((row.outcome, chosen.outcome), (row.reason, chosen.reason))
    return [column == value for column, value in wanted if value is not None]


def _secret(connection: Connection) -> bytes:
    """By the key a person is found also after the address was forgotten."""
    query = select(tables.meta.c.value).where(tables.meta.c.key == tables.SECRET_KEY)
    return bytes.fromhex(connection.execute(query).scalar() or "")


def _email(*, with_emails: bool) -> ColumnElement[Any]:
    masked = tables.attempts.c.email_masked
    shown = func.coalesce(tables.people.c.email, masked) if with_emails else masked
    return shown.label("email")


def _with_people(query: Select[Any]) -> Select[Any]:
    return query.outerjoin(tables.people, tables.people.c.person_key == tables.attempts.c.email_key)
