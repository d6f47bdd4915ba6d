"""What each view of the audit says, on a real database that the real audit log has written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from reconcile.audit.log import SqlAuditLog
from reconcile.domain.model import DUPLICATE_PAYMENT, Outcome, Reason, Verdict
from reconcile.reports.model import ReportFilter, Row, View
from reconcile.reports.owner.verdicts import percentile
from reconcile.reports.views import COLUMNS, build_report
from reconcile.run.ports import Intent, Record
from reconcile.run.summary import RunStatus
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import ENROLLED, HERE, NOON, REFUSED, WAITING, enrollment, summary

MINUTE = timedelta(minutes=1)
# INTERFACE: "JSON shapes".
ATTEMPT_COLUMNS = (
    "run_id, attempt_id, enrollment_id, payment_id, email, course, number, action, started_at, finished_at, "
    "duration_ms, outcome, reason, http_status, lms_enrollment_id, error, flags"
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlAuditLog]:
    """Two runs: order-1 is refused, then enrolled; 2 waits; 3 is paid in euro; 4 is under way."""
    with new_audit(tmp_path_factory.mktemp("reports")) as log:
        first, second = summary("run-1"), summary("run-2", started_at=NOON + 10 * MINUTE)
        log.open_run(first, HERE)
        _attempt(log, "order-1", REFUSED, minute=0, flags=frozenset({DUPLICATE_PAYMENT}))
        waiting = enrollment("order-2", member="other@example.com", email="other@example.com")
        log.record([Record(run_id="run-1", enrollment=waiting, action="wait", verdict=WAITING, at=NOON)])
        first.add(REFUSED)
        first.add(WAITING)
        first.scanned, first.unmarked = 2, 4
        first.close(RunStatus.COMPLETED, at=NOON + MINUTE)
        log.close_run(first)
        log.open_run(second, HERE)
        _attempt(log, "order-1", ENROLLED, minute=10, run_id="run-2", number=2)
        euro = enrollment("order-3", currency="eur", amount=Decimal("0.1"), course="other-course")
        known = Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id="lms-3")
        log.record(
            [Record(run_id="run-2", enrollment=euro, action="confirm", verdict=known, at=NOON + 11 * MINUTE)]
        )
        begin(
            log,
            Intent(run_id="run-2", enrollment=enrollment("order-4"), number=1, started_at=NOON + 12 * MINUTE),
        )
        yield log


def _attempt(
    log: SqlAuditLog,
    order: str,
    verdict: Verdict,
    *,
    minute: int,
    run_id: str = "run-1",
    number: int = 1,
    flags: frozenset[str] = frozenset(),
    shop_tries: int = 0,
) -> None:
    began = NOON + minute * MINUTE
    intent = Intent(
        run_id=run_id,
        enrollment=enrollment(order),
        number=number,
        started_at=began,
        flags=flags,
        shop_tries=shop_tries,
    )
    attempt_id = begin(log, intent)
    finish(log, attempt_id, verdict, run_id=run_id, at=began + timedelta(milliseconds=1500), http_status=200)


def rows(log: SqlAuditLog, view: View, *, with_emails: bool = False, **chosen: Any) -> list[Row]:
    with log.reading() as connection:
        report = build_report(
            connection,
            view,
            generated_at=NOON,
            chosen=ReportFilter(**chosen),
            with_emails=with_emails,
        )
        return list(report.rows)


def ids(found: list[Row]) -> list[object]:
    return [row["enrollment_id"] for row in found]


@pytest.mark.parametrize("view", list(View))
def test_every_view_gives_its_columns_in_their_order(log: SqlAuditLog, view: View) -> None:
    names = [column.name for column in COLUMNS[view]]

    found = rows(log, view)

    assert found
    assert all(list(row) == names for row in found)


def test_an_attempt_is_told_as_the_interface_says(log: SqlAuditLog) -> None:
    assert ", ".join(column.name for column in COLUMNS[View.ATTEMPTS]) == ATTEMPT_COLUMNS

    refused, waiting, enrolled, known, left_open = rows(log, View.ATTEMPTS)

    assert refused == {
        "run_id": "run-1",
        "attempt_id": 1,
        "enrollment_id": "order-1",
        "payment_id": "cs_order-1",
        "email": "b***@example.com",
        "course": "clinical-ai",
        "number": 1,
        "action": "enroll",
        "started_at": NOON,
        "finished_at": NOON + timedelta(seconds=1.5),
        "duration_ms": 1500,
        "outcome": "retrying",
        "reason": "lms_rejected",
        "http_status": 200,
        "lms_enrollment_id": None,
        "error": "no",
        "flags": ("duplicate_payment",),
    }
    assert (waiting["number"], waiting["duration_ms"], waiting["flags"]) == (0, 0, ())
    assert (enrolled["number"], enrolled["lms_enrollment_id"]) == (2, "lms-1")
    assert known["action"] == "confirm"
    assert (left_open["finished_at"], left_open["duration_ms"], left_open["outcome"]) == (None, None, None)


def test_an_enrollment_is_told_by_its_latest_verdict(log: SqlAuditLog) -> None:
    enrolled, waiting, euro, left_open = rows(log, View.ENROLLMENTS)

    assert enrolled == {
        "enrollment_id": "order-1",
        "payment_id": "cs_order-1",
        "email": "b***@example.com",
        "course": "clinical-ai",
        "outcome": "enrolled",
        "reason": None,
        "attempts": 2,
        "visits": 2,
        "shop_tries": 0,
        "paid_at": NOON - 60 * MINUTE,
        "access_at": NOON + 10 * MINUTE + timedelta(seconds=1.5),
        "paid_to_access_seconds": 70 * 60 + 1.5,
        "amount": Decimal("199.5"),
        "currency": "usd",
        "first_seen": NOON,
        "last_seen": NOON + 10 * MINUTE + timedelta(seconds=1.5),
    }
    assert (waiting["outcome"], waiting["reason"], waiting["access_at"]) == (
        "waiting",
        "member_missing",
        None,
    )
    assert (euro["amount"], euro["attempts"]) == (Decimal("0.1"), 0)
    assert (left_open["outcome"], left_open["last_seen"]) == (None, NOON + 12 * MINUTE)


def test_the_shops_tries_and_our_visits_are_told_side_by_side(tmp_path: Path) -> None:
    """Two writes of one run are one visit; of the shop's tries the newest row tells."""
    with new_audit(tmp_path) as log:
        for run_id, minute in (("run-1", 0), ("run-2", 10), ("run-3", 20)):
            log.open_run(summary(run_id, started_at=NOON + minute * MINUTE), HERE)
        _attempt(log, "order-1", REFUSED, minute=0, shop_tries=3)
        _attempt(log, "order-1", REFUSED, minute=1, number=2, shop_tries=3)
        _attempt(log, "order-1", REFUSED, minute=10, run_id="run-2", number=3, shop_tries=5)
        order, at = enrollment("order-1"), NOON + 30 * MINUTE
        waits = Record(run_id="run-3", enrollment=order, action="wait", verdict=WAITING, at=at, shop_tries=6)
        log.record([waits])
        (row,) = rows(log, View.ENROLLMENTS)
        (total,) = (each for each in rows(log, View.SUMMARY) if each["outcome"] == "total")

    assert (row["visits"], row["shop_tries"], row["attempts"], total["attempts"]) == (2, 6, 8, 8)


def test_runs_are_told_with_their_counts(log: SqlAuditLog) -> None:
    first, second = rows(log, View.RUNS)

    assert (first["run_id"], first["status"], first["exit_code"]) == ("run-1", "completed", 1)
    assert (first["scanned"], first["retrying"], first["waiting"], first["enrolled"]) == (2, 1, 1, 0)
    assert first["duration_seconds"] == 60.0
    assert (second["status"], second["finished_at"], second["exit_code"]) == ("running", None, None)
    assert (first["unmarked"], second["unmarked"]) == (4, None)


def test_the_summary_counts_each_enrollment_once(log: SqlAuditLog) -> None:
    found = rows(log, View.SUMMARY)

    heads = [(row["outcome"], row["reason"], row["currency"]) for row in found]
    assert heads == [
        ("enrolled", None, "usd"),
        ("already_enrolled", None, "eur"),
        ("waiting", "member_missing", "usd"),
        (None, None, "usd"),
        ("total", None, "eur"),
        ("total", None, "usd"),
    ]
    total = found[-1]
    assert (total["enrollments"], total["attempts"], total["amount"]) == (3, 2, Decimal("598.5"))
    assert total["paid_to_access_p50_seconds"] == total["paid_to_access_max_seconds"] == 4201.5
    assert found[2]["paid_to_access_p95_seconds"] is None


def test_the_summary_of_nothing_is_nothing(log: SqlAuditLog) -> None:
    assert rows(log, View.SUMMARY, course="no-such-course") == []


@pytest.mark.parametrize(
    ("chosen", "orders"),
    [
        ({"since": NOON + 11 * MINUTE}, ["order-3", "order-4"]),
        ({"until": NOON + 11 * MINUTE}, ["order-1", "order-2"]),
        ({"course": "other-course"}, ["order-3"]),
        ({"run": "run-1"}, ["order-1", "order-2"]),
        ({"outcome": "enrolled"}, ["order-1"]),
        ({"outcome": "retrying"}, []),
        ({"reason": "member_missing"}, ["order-2"]),
        ({"email": " Other@Example.com"}, ["order-2"]),
        ({"email": "learner@example.com", "outcome": "enrolled"}, ["order-1"]),
        ({"email": "nobody@example.com"}, []),
    ],
)
def test_enrollments_are_chosen_by_their_latest_verdict(
    log: SqlAuditLog, chosen: dict[str, Any], orders: list[str]
) -> None:
    assert ids(rows(log, View.ENROLLMENTS, **chosen)) == orders


def test_attempts_are_chosen_by_their_own_verdict(log: SqlAuditLog) -> None:
    assert ids(rows(log, View.ATTEMPTS, outcome="retrying")) == ["order-1"]
    assert ids(rows(log, View.ATTEMPTS, reason=Reason.MEMBER_MISSING)) == ["order-2"]
    assert ids(rows(log, View.ATTEMPTS, run="run-2", since=NOON + 12 * MINUTE)) == ["order-4"]


@pytest.mark.parametrize(
    ("chosen", "run_ids"),
    [
        ({"since": NOON + MINUTE}, ["run-2"]),
        ({"until": NOON + MINUTE}, ["run-1"]),
        ({"run": "run-2"}, ["run-2"]),
        ({"outcome": "enrolled"}, ["run-2"]),
        ({"reason": "member_missing"}, ["run-1"]),
        ({"email": "buyer@example.com"}, ["run-1", "run-2"]),
        ({"course": "other-course"}, ["run-2"]),
    ],
)
def test_runs_are_chosen_by_what_they_did(
    log: SqlAuditLog, chosen: dict[str, Any], run_ids: list[str]
) -> None:
    assert [row["run_id"] for row in rows(log, View.RUNS, **chosen)] == run_ids


def test_times_of_other_zones_mean_the_same_instant(log: SqlAuditLog) -> None:
    elsewhere = (NOON + 11 * MINUTE).astimezone(tz=None)

    assert ids(rows(log, View.ENROLLMENTS, since=elsewhere)) == ["order-3", "order-4"]
    with pytest.raises(ValueError, match="without a time zone"):
        ReportFilter(since=NOON.replace(tzinfo=None))


def test_addresses_are_shown_only_where_asked_for(log: SqlAuditLog) -> None:
    for view in (View.ATTEMPTS, View.ENROLLMENTS):
        assert "buyer@" not in str(rows(log, view))
        assert rows(log, view, with_emails=True)[0]["email"] == "buyer@example.com"


def test_the_head_masks_the_address_that_was_asked_for() -> None:
    chosen = ReportFilter(email="buyer@example.com", since=NOON)

    assert chosen.as_row() == {"since": NOON, "email": "b***@example.com"}
    assert chosen.as_row(with_emails=True)["email"] == "buyer@example.com"


def test_a_forgotten_person_stays_masked(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        _attempt(log, "order-1", ENROLLED, minute=0)
        with log.store.writing() as connection:
            connection.execute(text("DELETE FROM people"))

        (row,) = rows(log, View.ATTEMPTS, with_emails=True, email="buyer@example.com")

    assert row["email"] == "b***@example.com"


def test_a_report_reads_while_a_run_writes(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        orders = [replace(enrollment(), id=f"order-{n}") for n in range(3000)]
        many = [
            Record(run_id="run-1", enrollment=order, action="wait", verdict=WAITING, at=NOON)
            for order in orders
        ]
        log.record(many)
        with log.reading() as connection:
            report = build_report(connection, View.ATTEMPTS, generated_at=NOON)
            next(report.rows)
            _attempt(log, "late", ENROLLED, minute=1)
            rest = sum(1 for _ in report.rows)

        assert rest == 2999
        assert len(rows(log, View.ATTEMPTS)) == 3001


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]

    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 0.95) == 95.0
    assert percentile([7.0], 0.5) == percentile([7.0], 0.95) == 7.0
    assert percentile([], 0.5) is None
