"""The views: which columns each has, in their order, where its rows come from, and the report they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from reconcile import __version__
from reconcile.domain.model import Outcome
from reconcile.reports.model import Column, ReportFilter, Row, View
from reconcile.reports.owner.overview import Overview
from reconcile.reports.queries import attempt_rows, enrollment_rows, run_rows


def _text(name: str, width: int, rank: int = 0) -> Column:
    return Column(name=name, width=max(width, len(name)), rank=rank)


def _number(name: str, width: int = 0, rank: int = 0) -> Column:
    return Column(name=name, width=max(width, len(name)), rank=rank, numeric=True)


COLUMNS: Mapping[View, Sequence[Column]] = {
    View.SUMMARY: (
        _text("outcome", 16),
        _text("reason", 18),
        _text("currency", 8),
        _number("enrollments"),
        _number("attempts"),
        _number("amount", 12),
        _number("paid_to_access_p50_seconds", rank=1),
        _number("paid_to_access_p95_seconds", rank=2),
        _number("paid_to_access_max_seconds", rank=3),
    ),
    View.ATTEMPTS: (
        _text("run_id", 12, rank=8),
        _number("attempt_id", rank=3),
        _text("enrollment_id", 24),
        _text("payment_id", 28, rank=7),
        _text("email", 26, rank=2),
        _text("course", 24, rank=2),
        _number("number", rank=4),
        _text("action", 8, rank=5),
        _text("started_at", 20, rank=1),
        _text("finished_at", 20, rank=9),
        _number("duration_ms", rank=6),
        _text("outcome", 16),
        _text("reason", 18),
        _number("http_status", rank=4),
        _text("lms_enrollment_id", 17, rank=6),
        _text("error", 40, rank=5),
        _text("flags", 17, rank=6),
    ),
    View.ENROLLMENTS: (
        _text("enrollment_id", 24),
        _text("payment_id", 28, rank=6),
        _text("email", 26, rank=1),
        _text("course", 24, rank=1),
        _text("outcome", 16),
        _text("reason", 18),
        _number("attempts", rank=2),
        _number("visits", rank=4),
        _number("shop_tries", rank=4),
        _text("paid_at", 20, rank=3),
        _text("access_at", 20, rank=4),
        _number("paid_to_access_seconds", rank=3),
        _number("amount", 10, rank=2),
        _text("currency", 8, rank=2),
        _text("first_seen", 20, rank=5),
        _text("last_seen", 20, rank=5),
    ),
    View.RUNS: (
        _text("run_id", 12),
        _text("mode", 8, rank=4),
        _text("status", 11),
        _text("reason", 18, rank=2),
        _text("started_at", 20, rank=1),
        _text("finished_at", 20, rank=5),
        _number("duration_seconds", rank=3),
        _number("scanned"),
        *(_number(outcome.value, rank=2) for outcome in Outcome),
        _number("unmarked", rank=4),
        _number("lms_requests", rank=4),
        _number("exit_code"),
        _text("version", 8, rank=5),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """A report to be written once: `rows` is read from the database while it is written."""

    view: View
    columns: Sequence[Column]
    rows: Iterator[Row]
    filters: Row
    generated_at: datetime
    version: str = __version__
    with_emails: bool = False
    overview: Overview | None = None  #: of the view `summary`: what the owner asks, beside the rows


def build_report(
    connection: Connection,
    view: View,
    *,
    generated_at: datetime,
    chosen: ReportFilter | None = None,
    with_emails: bool = False,
) -> Report:
    """The report, its rows not yet read: the connection must stay open until it is written.

    Addresses are masked unless `with_emails`; those of forgotten people stay masked. What the database
    raises while the rows are read is the caller's to handle.
    """
    chosen = chosen or ReportFilter()
    overview = Overview(connection, chosen, generated_at=generated_at, with_emails=with_emails)
    match view:
        case View.SUMMARY:
            rows = overview.rows()
        case View.ATTEMPTS:
            rows = attempt_rows(connection, chosen, with_emails=with_emails)
        case View.ENROLLMENTS:
            rows = enrollment_rows(connection, chosen, with_emails=with_emails)
        case View.RUNS:
            rows = run_rows(connection, chosen)
        case _:
            assert_never(view)
    return Report(
        view=view,
        columns=COLUMNS[view],
        rows=rows,
        filters=chosen.as_row(with_emails=with_emails),
        generated_at=generated_at,
        with_emails=with_emails,
        overview=overview if view is View.SUMMARY else None,
    )
