"""The numbers on the owner's page, read out of Chromium, are SQL's.

The SQL here is not the report's: it was written from the meaning of the words alone.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from reconcile.reports.words import span
from tests.browser.conftest import Browser
from tests.fakes.audit_story import LEAK, REPORTED

pytestmark = pytest.mark.browser

#: The latest verdict on each order, as the audit's rows tell it.
LATEST = """
WITH latest AS (
  SELECT *, coalesce(member_key, email_key) AS learner,
         outcome IN ('enrolled', 'already_enrolled', 'recovered') AS has_access
  FROM attempts WHERE attempt_id IN (SELECT max(attempt_id) FROM attempts GROUP BY enrollment_id)
)
"""


@pytest.fixture
def sql(folder: Path) -> Iterator[sqlite3.Cursor]:
    with contextlib.closing(sqlite3.connect(folder / "audit.db")) as connection:
        yield connection.cursor()


def asked(sql: sqlite3.Cursor, query: str) -> list[tuple[Any, ...]]:
    return sql.execute(LATEST + query).fetchall()


def figure(page: Browser, name: str) -> Decimal:
    """A figure as the machine reads it."""
    return Decimal(page.ask("document.querySelector(`[data-figure='${arguments[0]}'] data`).value", name))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_what_people_read_is_what_the_machine_reads(page: Browser) -> None:
    """The tests below compare the machine's values: here they are held against the text."""
    pairs = page.ask("[...document.querySelectorAll('data')].map(node => [node.value, node.textContent])")

    assert len(pairs) > 300
    for value, text in pairs:
        number = text.removesuffix(" EUR").removesuffix(" USD").replace(",", "")
        assert text == span(float(value)) if " " in number else Decimal(number) == Decimal(value)


def test_money_paid_without_access_is_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    ((learners, orders, oldest),) = asked(
        sql, "SELECT count(DISTINCT learner), count(*), min(paid_at) FROM latest WHERE NOT has_access"
    )
    money = asked(
        sql,
        "SELECT currency, sum(amount_e4) FROM latest WHERE NOT has_access AND amount_e4 NOT NULL GROUP BY 1",
    )

    assert (figure(page, "backlog.learners"), figure(page, "backlog.orders")) == (learners, orders)
    assert len(money) == 2
    for currency, amount in money:
        assert figure(page, f"backlog.money_{currency}") == Decimal(amount) / 10_000
    assert figure(page, "backlog.oldest_seconds") == (REPORTED - instant(oldest)).total_seconds()
    by_age = page.table("age")
    assert sum(int(row["orders"]) for row in by_age) == orders
    for currency, amount in money:
        shown = sum(Decimal(row["amount"]) for row in by_age if row["currency"] == currency)
        assert shown == Decimal(amount) / 10_000


def test_the_delay_is_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    rows = asked(
        sql,
        "SELECT paid_at, (SELECT min(finished_at) FROM attempts a "
        "WHERE a.enrollment_id = latest.enrollment_id "
        "AND outcome IN ('enrolled', 'already_enrolled', 'recovered')) FROM latest WHERE has_access",
    )
    delays = sorted((instant(access) - instant(paid)).total_seconds() for paid, access in rows)

    for name, delay in (
        ("p50", delays[ceil(0.50 * len(delays)) - 1]),
        ("p95", delays[ceil(0.95 * len(delays)) - 1]),
        ("max", delays[-1]),
    ):
        assert float(figure(page, f"access.{name}_seconds")) == pytest.approx(delay, abs=0.001)


def test_the_causes_are_ranked_as_sql_ranks_them(page: Browser, sql: sqlite3.Cursor) -> None:
    by_learners = asked(
        sql,
        "SELECT reason, count(DISTINCT learner) AS n, count(*) FROM latest WHERE NOT has_access "
        "GROUP BY 1 ORDER BY n DESC, 1",
    )
    by_money = asked(
        sql,
        "SELECT currency, reason, sum(amount_e4) AS money FROM latest "
        "WHERE NOT has_access AND amount_e4 NOT NULL GROUP BY 1, 2 ORDER BY 1, money DESC, 2",
    )

    shown = [
        (row["cause"], int(row["learners"]), int(row["orders"])) for row in page.table("causes_by_learners")
    ]
    assert shown == by_learners
    dear = [
        (row["currency"], row["cause"], Decimal(row["amount"]) * 10_000)
        for row in page.table("causes_by_money")
    ]
    assert dear == by_money


def test_each_order_without_access_is_in_the_list_of_who_waits(page: Browser, sql: sqlite3.Cursor) -> None:
    orders = asked(
        sql,
        "SELECT enrollment_id, reason, email_masked FROM latest WHERE NOT has_access "
        "ORDER BY paid_at IS NULL, paid_at, enrollment_id",
    )

    shown = [(row["enrollment_id"], row["reason"], row["email"]) for row in page.table("waiting")]

    assert shown == orders
    assert {row["waits_for"] for row in page.table("waiting") if row["reason"] == "member_missing"} == {
        "the learner to sign up"
    }


def test_the_days_are_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    counts = Counter(
        {
            (day, outcome): number
            for day, outcome, number in sql.execute(
                "SELECT substr(finished_at, 1, 10), outcome, count(*) FROM attempts GROUP BY 1, 2"
            )
        }
    )

    for row in page.table("days"):
        day = row["day"][:10]
        for outcome in ("enrolled", "already_enrolled", "recovered", "retrying", "waiting", "failed"):
            assert int(row[outcome]) == counts.pop((day, outcome), 0)
    assert not counts


def test_the_courses_are_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    courses = {
        row[0]: row[1:]
        for row in asked(
            sql,
            "SELECT course, count(*), sum(has_access), sum(NOT has_access), "
            "count(DISTINCT CASE WHEN NOT has_access THEN learner END) FROM latest GROUP BY 1",
        )
    }

    shown = {
        row["course"]: tuple(
            int(row[name])
            for name in ("orders_seen", "with_access", "without_access", "learners_without_access")
        )
        for row in page.table("courses")
        if row["course"] in courses
    }

    assert len(shown) == len(courses) - 1, "one hostile name has a mark that is shown as an escape"
    assert shown == {course: courses[course] for course in shown}


def test_the_duplicates_are_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    flagged = asked(
        sql, "SELECT payment_id FROM latest WHERE flags = 'duplicate_payment' ORDER BY enrollment_id"
    )

    rows = page.table("duplicates")

    assert [row["payment_id"] for row in rows] == [payment for (payment,) in flagged]
    assert [row["refund_candidate"] for row in rows] == ["no", "yes", "yes"]
    assert figure(page, "duplicates.candidates") == 2


def test_runs_and_outages_are_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    ((runs, completed),) = sql.execute("SELECT count(*), sum(status = 'completed') FROM runs").fetchall()
    ((first, stopped),) = sql.execute("SELECT min(started_at), count(*) FROM runs WHERE status = 'aborted'")
    ((recovered,),) = sql.execute(
        "SELECT min(started_at) FROM runs WHERE status = 'completed' AND started_at > "
        "(SELECT max(started_at) FROM runs WHERE status = 'aborted')"
    )

    assert (figure(page, "runs.runs"), figure(page, "runs.completed")) == (runs, completed)
    (outage,) = page.table("outages")
    assert datetime.fromisoformat(outage["from"]) == instant(first)
    assert datetime.fromisoformat(outage["until"]) == instant(recovered)
    assert int(outage["runs_stopped"]) == stopped


def test_the_leak_is_told_in_words(page: Browser) -> None:
    (leak,) = page.table("leaks")

    assert datetime.fromisoformat(leak["from"]) == LEAK
    assert int(leak["orders_lost"]) == 37
    text = page.ask("document.getElementById('leaks').innerText")
    assert "The webhook lost 37 orders between 14:05 and 16:40 on 2026-11-18 UTC" in text


def test_the_summary_is_the_views(page: Browser, sql: sqlite3.Cursor) -> None:
    counted = asked(
        sql, "SELECT outcome, currency, sum(amount_e4), count(*) FROM latest GROUP BY 1, 2, reason"
    )

    rows = [row for row in page.table("summary") if row["outcome"] != "total"]

    assert sorted((row["outcome"], row["currency"], int(row["enrollments"])) for row in rows) == sorted(
        (outcome, currency, number) for outcome, currency, _, number in counted
    )
    totals = {row["currency"]: row for row in page.table("summary") if row["outcome"] == "total"}
    for currency in ("eur", "usd"):
        amount = sum(row[2] or 0 for row in counted if row[1] == currency)
        assert Decimal(totals[currency]["amount"]) == Decimal(amount) / 10_000


def test_the_page_says_what_now_is_and_where_it_comes_from(page: Browser, sql: sqlite3.Cursor) -> None:
    ((last,),) = sql.execute("SELECT max(started_at) FROM runs")

    assert f"The last run began {last[:16]} UTC: completed." in page.ask(
        "document.getElementById('now').innerText"
    )
    told = page.ask(
        "Object.fromEntries([...document.querySelectorAll('[data-provenance]')]"
        ".map(node => [node.dataset.provenance, node.innerText]))"
    )
    assert told["generated at"] == "2026-11-24 12:30:00 UTC"
    assert told["period from"] == "the beginning of the audit"
    assert told["e-mail addresses"] == "masked"
    assert int(told["row count"]) == len(page.table("summary"))
