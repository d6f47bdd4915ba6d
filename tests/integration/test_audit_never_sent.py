"""What was never sent: who hears of it, what reports say, and its proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from reconcile.audit.forget import forget
from reconcile.audit.log import SqlAuditLog
from reconcile.audit.prune import prune
from reconcile.audit.schema import read_secret
from reconcile.audit.tables import attempts
from reconcile.reports.model import ReportFilter
from reconcile.reports.owner.days import outcomes_by_day
from reconcile.reports.period import past
from reconcile.reports.queries import attempt_rows, enrollment_rows
from reconcile.run.ports import End
from reconcile.story.events import audit_events
from tests.fakes.audit_history import DAY, close, verified
from tests.fakes.audit_samples import (
    ENROLLED,
    HERE,
    NOON,
    REFUSED,
    SKIPPED,
    summary,
)
from tests.integration.test_audit_groups import ends, group, log

__all__ = ["log"]


def test_who_is_owed_something_hears_of_what_was_sent_only(log: SqlAuditLog) -> None:
    told: list[Mapping[Any, Any]] = []
    log.on_outcomes = lambda _connection, rows: told.extend(rows)
    first, second, third = log.begin_all(group(1, each=3), held_since=NOON)
    assert first is not None
    assert second is not None

    log.finish_all(
        [
            End(attempt_id=first, verdict=ENROLLED, at=NOON, http_status=200),
            End(attempt_id=second, verdict=SKIPPED, at=NOON, never_sent=True),
        ],
        run_id="run-1",
    )

    with log.reading() as connection:
        rows = connection.execute(select(attempts).order_by(attempts.c.attempt_id)).mappings().all()
    assert [dict(row) for row in told] == [dict(rows[0])]
    assert [(row["attempt_id"], row["never_sent"], row["lease_token"]) for row in rows] == [
        (first, 0, "token"),
        (second, 1, "token"),
        (third, 0, "token"),
    ]
    told.clear()
    log.finish_all([End(attempt_id=second, verdict=SKIPPED, at=NOON, never_sent=True)], run_id="run-1")
    assert told == []


def test_reports_show_what_was_never_sent_as_an_attempt_and_as_no_verdict(log: SqlAuditLog) -> None:
    order = group(1, each=1)[0]
    (number,) = log.begin_all([order], held_since=NOON)
    log.finish_all(ends([number]), run_id="run-1")
    later = [replace(order, number=2), group(2, each=1)[0]]
    unsent = log.begin_all(later, held_since=NOON)
    log.finish_all(
        [
            End(attempt_id=attempt, verdict=SKIPPED, at=NOON + timedelta(days=1), never_sent=True)
            for attempt in unsent
            if attempt is not None
        ],
        run_id="run-1",
    )

    with log.reading() as connection:
        everything = ReportFilter()
        assert [row["outcome"] for row in attempt_rows(connection, everything)] == [
            "enrolled",
            "skipped",
            "skipped",
        ]
        (row,) = enrollment_rows(connection, everything)
        assert (row["enrollment_id"], row["outcome"]) == (order.enrollment.id, "enrolled")
        days = outcomes_by_day(connection, everything)
        assert {day.isoformat(): dict(of_day) for day, of_day in days.items()} == {
            "2026-11-24": {"enrolled": 1}
        }
        assert dict(past(connection, since=NOON, until=NOON + 9 * DAY).outcomes) == {"enrolled": 1}
        words = [told.what for told in audit_events(connection, order.enrollment.id)]
    assert words[0].startswith("asked the LMS to enroll (write 1): enrolled")
    assert words[1] == "meant to ask the LMS to enroll (write 2): skipped, never sent"


def test_a_run_that_has_closed_anothers_attempt_stays_as_long_as_that_one(log: SqlAuditLog) -> None:
    (number,) = log.begin_all(group(1, each=1), held_since=NOON)
    assert number is not None
    log.close_dead_runs(origin=HERE, stale_before=NOON + 9 * DAY, at=NOON + 9 * DAY)
    log.open_run(summary("later"), HERE)
    log.finish_all([End(attempt_id=number, verdict=SKIPPED, at=NOON, never_sent=True)], run_id="later")
    close(log, "later", at=NOON)

    assert prune(log.store, before=NOON + DAY, by="the test", at=NOON).runs == 0
    assert verified(log).is_intact
    assert prune(log.store, before=NOON + 10 * DAY, by="the test", at=NOON).runs == 2
    assert verified(log).is_intact


def test_forgetting_goes_round_what_was_leased(log: SqlAuditLog) -> None:
    numbers = log.begin_all(group(1, each=2), held_since=NOON)
    said = replace(REFUSED, error="no such user: ,1-0 @example.com")
    log.finish_all([replace(end, verdict=said) for end in ends(numbers)], run_id="run-1")

    forget(log.store, secret=read_secret(log.store), email="1-0@example.com", by="the test", at=NOON)

    assert verified(log).is_intact
