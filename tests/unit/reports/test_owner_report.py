"""The owner's report in its corners: nothing yet, one of a kind, a period of the past."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.audit.log import SqlAuditLog
from reconcile.domain.model import DUPLICATE_PAYMENT, Outcome, Reason, Verdict
from reconcile.reports.model import Bars, ReportFilter, Section, TimeLine
from reconcile.reports.owner.buckets import MOST, buckets
from reconcile.reports.owner.overview import Overview
from reconcile.reports.words import between, counted, listed, money, moneys, share, span
from reconcile.run.ports import Intent, Record
from reconcile.run.summary import RunStatus
from tests.fakes.attempts import begin
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import ENROLLED, HERE, NOON, WAITING, enrollment, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@contextmanager
def overview(log: SqlAuditLog, *, at: datetime = NOON + DAY, **chosen: Any) -> Iterator[Overview]:
    with log.reading() as connection:
        yield Overview(connection, ReportFilter(**chosen), generated_at=at)


def sections(log: SqlAuditLog, **options: Any) -> Mapping[str, Section]:
    with overview(log, **options) as report:
        return {section.name: section for section in report.sections()}


def figures(section: Section) -> dict[str, object]:
    return {figure.name: figure.value for figure in section.figures}


def rows(section: Section, name: str) -> list[dict[str, object]]:
    return [dict(row) for table in section.tables if table.name == name for row in table.rows]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        yield log


def record(log: SqlAuditLog, verdict: Verdict, *, at: datetime = NOON, **changes: object) -> None:
    order = enrollment(**changes)  # type: ignore[arg-type]
    log.record([Record(run_id="run-1", enrollment=order, action="x", verdict=verdict, at=at)])


# --- corners -------------------------------------------------------------------------------


def test_an_empty_audit_is_a_whole_report(tmp_path: Path) -> None:
    with new_audit(tmp_path) as log, overview(log) as report:
        assert list(report.rows()) == []
        assert "No run is recorded" in report.now_is()
        for section in report.sections():
            assert section.title
            assert all(section.words)
            assert section.chart is None


@pytest.mark.parametrize(
    ("unmarked", "chosen", "figure", "words"),
    [
        (3, {}, 3, "paid and never marked: 3 orders that somebody has paid at Stripe"),
        (1, {"since": NOON - DAY}, 1, "never marked: 1 order that"),
        (0, {}, 0, None),
        (None, {}, 9, "never marked: 9 orders"),  # it did not look: the one before did
        (3, {"course": "clinical-ai"}, None, None),  # the number is the whole shop's
    ],
)
def test_orders_that_were_paid_and_never_marked(
    tmp_path: Path, unmarked: int | None, chosen: dict[str, Any], figure: int | None, words: str | None
) -> None:
    with new_audit(tmp_path) as log:
        for run_id, count, status in (
            ("run-1", 9, RunStatus.COMPLETED),
            ("run-2", unmarked, RunStatus.COMPLETED),
            ("run-3", None, RunStatus.ABORTED),
        ):
            run = summary(run_id, started_at=NOON + int(run_id[-1]) * HOUR)
            log.open_run(run, HERE)
            run.unmarked = count
            run.close(status, at=run.started_at + HOUR)
            log.close_run(run)
        found = sections(log, **chosen)["backlog"]

    told = [line for line in found.words if "never marked" in line]
    assert figures(found).get("unmarked") == figure
    assert (words in told[0]) if words is not None else (told == [])


def test_an_order_without_access_is_money_by_currency_and_age(log: SqlAuditLog) -> None:
    record(log, WAITING, id="1", amount=Decimal("199.5"), paid_at=NOON - HOUR)
    record(log, WAITING, id="2", amount=Decimal("0.1"), paid_at=NOON - 90 * DAY)
    record(log, WAITING, id="3", amount=Decimal(5), currency="eur", paid_at=None)
    record(log, WAITING, id="4", amount=None, paid_at=NOON + DAY)

    backlog = sections(log)["backlog"]

    assert figures(backlog) == {
        "learners": 1,
        "orders": 4,
        "money_eur": 5,
        "money_usd": Decimal("199.6"),
        "oldest_seconds": 91 * 86400.0,
    }
    assert rows(backlog, "age") == [
        {"age": "under an hour", "currency": "usd", "orders": 1, "amount": 0},
        {"age": "a day to a week", "currency": "usd", "orders": 1, "amount": Decimal("199.5")},
        {"age": "over 30 days", "currency": "usd", "orders": 1, "amount": Decimal("0.1")},
        {"age": "unknown", "currency": "eur", "orders": 1, "amount": 5},
    ]
    assert (
        backlog.words[0] == "1 learner paid 5.00 EUR and 199.60 USD in 4 orders and cannot open the course."
    )


def test_an_order_that_was_found_unpaid_lacks_nothing(log: SqlAuditLog) -> None:
    record(log, Verdict(outcome=Outcome.SKIPPED, reason=Reason.NOT_PAID))

    found = sections(log)

    assert figures(found["backlog"])["orders"] == 0
    assert found["causes"].words == ["Nobody is without access."]
    assert figures(found["leaks"])["lost"] == 0


def test_an_attempt_under_way_is_unsettled(log: SqlAuditLog) -> None:
    begin(log, Intent(run_id="run-1", enrollment=enrollment(), number=1, started_at=NOON))

    found = sections(log)

    (cause,) = rows(found["causes"], "causes_by_learners")
    assert (cause["cause"], cause["learners"]) == ("unsettled", 1)
    (waiting,) = rows(found["waiting"], "waiting")
    assert (waiting["waits_for"], waiting["reason"]) == ("the next run", "unsettled")


def test_one_learner_in_two_orders_is_one_learner(log: SqlAuditLog) -> None:
    record(log, WAITING, id="1")
    record(log, WAITING, id="2", member="LEARNER@example.com ", course="other")
    record(log, WAITING, id="3", member="another@example.com")

    found = sections(log)

    assert figures(found["backlog"])["learners"] == 2
    assert rows(found["causes"], "causes_by_learners")[0]["learners"] == 2
    courses = {row["course"]: row["learners_without_access"] for row in rows(found["courses"], "courses")}
    assert courses == {"clinical-ai": 2, "other": 1}


def test_a_report_of_the_past_is_as_of_its_end(log: SqlAuditLog) -> None:
    record(log, WAITING, paid_at=NOON - HOUR)
    record(log, ENROLLED, at=NOON + 5 * HOUR)

    then = sections(log, until=NOON + 2 * HOUR)
    now = sections(log)

    assert figures(then["backlog"])["oldest_seconds"] == 3 * 3600.0
    assert figures(then["leaks"])["lost"] == 0
    assert figures(now["backlog"])["orders"] == 0
    assert figures(now["access"])["p50_seconds"] == 6 * 3600.0


def test_a_payment_alone_in_the_list_has_its_twin_in_the_shop(log: SqlAuditLog) -> None:
    twice = replace(ENROLLED, flags=frozenset({DUPLICATE_PAYMENT}))
    record(log, twice, id="1", paid_at=NOON - HOUR)
    record(log, twice, id="2", paid_at=NOON - 2 * HOUR)
    record(log, twice, id="3", course="other")
    # A later row without the flag does not take it back.
    record(log, replace(ENROLLED, outcome=Outcome.ALREADY_ENROLLED), id="3", course="other")

    twins = rows(sections(log)["duplicates"], "duplicates")

    assert [(row["enrollment_id"], row["refund_candidate"]) for row in twins] == [
        ("2", False),
        ("1", True),
        ("3", True),
    ]


@pytest.mark.parametrize(
    ("outcome", "reason", "what"),
    [
        (Outcome.WAITING, Reason.COURSE_UNPUBLISHED, "the course to be published"),
        (Outcome.RETRYING, Reason.LMS_TIMEOUT, "the LMS"),
        (Outcome.RETRYING, Reason.LMS_REJECTED, "the next run"),
        (Outcome.FAILED, Reason.LMS_TIMEOUT, "a person"),
        (Outcome.FAILED, Reason.EXHAUSTED, "a person"),
        (Outcome.FAILED, Reason.INVALID_EMAIL, "a corrected e-mail address"),
        (Outcome.SKIPPED, Reason.LEASE_HELD, "the next run"),
    ],
)
def test_it_is_said_whose_move_it_is(log: SqlAuditLog, outcome: Outcome, reason: Reason, what: str) -> None:
    record(log, Verdict(outcome=outcome, reason=reason))

    (row,) = rows(sections(log)["waiting"], "waiting")

    assert row["waits_for"] == what


def test_the_hundred_oldest_are_listed_and_the_others_counted(log: SqlAuditLog) -> None:
    orders = [enrollment(str(n), paid_at=NOON - n * HOUR) for n in range(1100)]
    log.record(
        [Record(run_id="run-1", enrollment=one, action="x", verdict=WAITING, at=NOON) for one in orders]
    )

    (table,) = sections(log)["waiting"].tables

    assert [row["enrollment_id"] for row in table.rows] == [str(n) for n in range(1099, 999, -1)]
    assert table.left_out == 1000


def test_a_year_of_runs_is_a_time_line_of_few_points(log: SqlAuditLog) -> None:
    with log.store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM runs")
        connection.exec_driver_sql(
            "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 8759) "
            "INSERT INTO runs (run_id, mode, status, reason, started_at, heartbeat_at, host, pid, "
            "process_started, version, scanned, lms_requests, outcomes, reasons) "
            "SELECT 'run-' || n, 'apply', CASE WHEN n % 100 < 3 THEN 'aborted' ELSE 'completed' END, "
            "CASE WHEN n % 100 < 3 THEN 'lms_unavailable' END, "
            "strftime('%Y-%m-%d %H:%M:%S.000000', '2026-01-01', '+' || n || ' hours'), "
            "'2026-01-01 00:00:00.000000', 'host', 1, '', '0', 0, 0, '{}', '{}' FROM numbers"
        )

    section = sections(log, at=datetime(2027, 1, 1, tzinfo=UTC))["runs"]

    assert isinstance(section.chart, TimeLine)
    assert figures(section) == {"runs": 8760, "completed": 8496, "outages": 88, "longest_seconds": 3 * 3600.0}
    assert all(len(points) <= 5 * MOST for points in section.chart.lanes.values())
    assert len(section.chart.spans) <= MOST


def test_a_leak_in_an_outage_points_at_the_outage(log: SqlAuditLog) -> None:
    stopped = summary("run-0", started_at=NOON - HOUR)
    log.open_run(stopped, HERE)
    stopped.close(RunStatus.ABORTED, at=NOON, reason="mongodb_unavailable")
    log.close_run(stopped)
    for number in range(20):
        record(log, ENROLLED, id=str(number), paid_at=NOON - HOUR + number * timedelta(minutes=1))

    leaks = sections(log)["leaks"]

    assert leaks.words[0] == (
        "The webhook lost 20 orders between 11:00 and 11:19 on 2026-11-24 UTC; usual in so long a time: 0.0. "
        "Runs of that time stopped with mongodb_unavailable: look there first."
    )
    assert isinstance(leaks.chart, Bars)
    assert sum(leaks.chart.series["in a leak"]) == 20


@pytest.mark.parametrize(
    ("began", "says"),
    [
        (NOON - HOUR, "Runs of that time found nothing wrong with the LMS: look at the webhook's log."),
        (NOON - DAY, "No run is recorded of that time: look at the logs of the webhook and of the LMS."),
    ],
)
def test_a_leak_says_whether_anybody_looked(tmp_path: Path, began: datetime, says: str) -> None:
    with new_audit(tmp_path) as log:
        run = summary(started_at=began)
        log.open_run(run, HERE)
        for number in range(20):
            record(log, ENROLLED, id=str(number), paid_at=NOON - HOUR + number * timedelta(minutes=1))

        assert sections(log)["leaks"].words[0].endswith(says)


# --- words ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.4, "0.4 s"),
        (42, "42 s"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3 * 3600 + 610, "3 h 10 min"),
        (86400, "1 day"),
        (2 * 86400 + 59, "2 days"),
        (2 * 86400 + 3 * 3600 + 59 * 60, "2 days 3 h"),
        (1234 * 86400, "1,234 days"),
        (-90, "-1 min 30 s"),
        (3599.9, "1 h"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_other_words() -> None:
    assert [counted(n, "order") for n in (0, 1, 2500)] == ["0 orders", "1 order", "2,500 orders"]
    assert [money(Decimal(amount), "usd") for amount in ("20600", "0.1", "12.3456", "1E+3")] == [
        "20,600.00 USD", "0.10 USD", "12.3456 USD", "1,000.00 USD",
    ]  # fmt: skip
    assert moneys({"usd": Decimal(1), None: Decimal(2)}) == "2.00 UNKNOWN and 1.00 USD"
    assert moneys({}) == "nothing"
    assert [listed(list(parts)) for parts in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]
    assert between(NOON, NOON + HOUR) == "between 12:00 and 13:00 on 2026-11-24"
    assert between(NOON, NOON + DAY) == "between 2026-11-24 12:00 and 2026-11-25 12:00"
    assert [share(*pair) for pair in ((0, 0), (1, 3), (1, 1000), (3, 3))] == [
        "0 %",
        "33 %",
        "under 1 %",
        "100 %",
    ]


@given(st.integers(0, 4 * 10**9), st.integers(0, 10**9))
def test_bars_are_few_and_each_instant_has_its_own(begin: int, length: int) -> None:
    first, last = (datetime.fromtimestamp(second, UTC) for second in (begin, begin + length))

    steps = buckets(first, last)

    assert steps.count <= MOST + 10
    assert steps.start <= first < steps.start + steps.step
    assert steps.place(first) == 0
    assert steps.place(last) == steps.count - 1
    assert len(steps.labels()) == steps.count
