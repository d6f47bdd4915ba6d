"""The owner's page in Chromium: its numbers are SQL's, it is quiet, and it fits screen, phone and paper.

The SQL here is not the report's: it was written from the meaning of the words alone.
"""

from __future__ import annotations

import base64
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

from reconcile.reports import Format, View, build_report, write_report
from tests.browser.conftest import Browser
from tests.fakes.audit_story import HOSTILE, LEAK, REPORTED, story

pytestmark = pytest.mark.browser

#: The latest verdict on each order, as the audit's rows tell it.
LATEST = """
WITH latest AS (
  SELECT *, coalesce(member_key, email_key) AS learner,
         outcome IN ('enrolled', 'already_enrolled', 'recovered') AS has_access
  FROM attempts WHERE attempt_id IN (SELECT max(attempt_id) FROM attempts GROUP BY enrollment_id)
)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The story's audit database, and the pages of each view."""
    folder = tmp_path_factory.mktemp("owner")
    with story(folder) as log, log.reading() as connection:
        for view in View:
            report = build_report(connection, view, generated_at=REPORTED)
            with (folder / f"{view.value}.html").open("w", encoding="utf-8", newline="") as out:
                write_report(report, Format.HTML, out)
    return folder


@pytest.fixture
def page(browser: Browser, folder: Path) -> Browser:
    """The owner's page, just opened."""
    browser.width(1200)
    browser.open(folder / "summary.html")
    return browser


@pytest.fixture
def sql(folder: Path) -> Iterator[sqlite3.Cursor]:
    with contextlib.closing(sqlite3.connect(folder / "audit.db")) as connection:
        yield connection.cursor()


def asked(sql: sqlite3.Cursor, query: str) -> list[tuple[Any, ...]]:
    return sql.execute(LATEST + query).fetchall()


def figure(page: Browser, name: str) -> Decimal:
    """A figure as the machine reads it; what people read is the same number."""
    value, text = page.ask(
        "(node => [node.querySelector('data').value, node.textContent])"
        "(document.querySelector(`[data-figure='${arguments[0]}']`))",
        name,
    )
    if " " not in text:
        assert text.replace(",", "") == value
    return Decimal(value)


def table(page: Browser, name: str) -> list[dict[str, str]]:
    """A table's rows by its columns: the machine's value where there is one, else the text."""
    found: list[dict[str, str]] = page.ask(
        """(table => {
          const names = [...table.querySelectorAll('thead th')].map(head => head.dataset.column);
          return [...table.querySelectorAll('tbody tr')].map(row => Object.fromEntries(
            [...row.children].map((cell, place) => {
              const machine = cell.querySelector('data, time');
              return [names[place], machine ? machine.value ?? machine.dateTime : cell.textContent];
            })));
        })(document.querySelector(`[data-table='${arguments[0]}']`))""",
        name,
    )
    return found


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- the numbers ---------------------------------------------------------------------------


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
    by_age = table(page, "age")
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
        (row["cause"], int(row["learners"]), int(row["orders"])) for row in table(page, "causes_by_learners")
    ]
    assert shown == by_learners
    dear = [
        (row["currency"], row["cause"], Decimal(row["amount"]) * 10_000)
        for row in table(page, "causes_by_money")
    ]
    assert dear == by_money


def test_each_order_without_access_is_in_the_list_of_who_waits(page: Browser, sql: sqlite3.Cursor) -> None:
    orders = asked(
        sql,
        "SELECT enrollment_id, reason, email_masked FROM latest WHERE NOT has_access "
        "ORDER BY paid_at IS NULL, paid_at, enrollment_id",
    )

    shown = [(row["enrollment_id"], row["reason"], row["email"]) for row in table(page, "waiting")]

    assert shown == orders
    assert {row["waits_for"] for row in table(page, "waiting") if row["reason"] == "member_missing"} == {
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

    for row in table(page, "days"):
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
        for row in table(page, "courses")
        if row["course"] in courses
    }

    assert len(shown) == len(courses) - 1, "one hostile name has a mark that is shown as an escape"
    assert shown == {course: courses[course] for course in shown}


def test_the_duplicates_are_sqls(page: Browser, sql: sqlite3.Cursor) -> None:
    flagged = asked(
        sql, "SELECT payment_id FROM latest WHERE flags = 'duplicate_payment' ORDER BY enrollment_id"
    )

    rows = table(page, "duplicates")

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
    (outage,) = table(page, "outages")
    assert datetime.fromisoformat(outage["from"]) == instant(first)
    assert datetime.fromisoformat(outage["until"]) == instant(recovered)
    assert int(outage["runs_stopped"]) == stopped


def test_the_leak_is_told_in_words(page: Browser) -> None:
    (leak,) = table(page, "leaks")

    assert datetime.fromisoformat(leak["from"]) == LEAK
    assert int(leak["orders_lost"]) == 37
    text = page.ask("document.getElementById('leaks').innerText")
    assert "The webhook lost 37 orders between 14:05 and 16:40 on 2026-11-18 UTC" in text


def test_the_summary_is_the_views(page: Browser, sql: sqlite3.Cursor) -> None:
    counted = asked(
        sql, "SELECT outcome, currency, sum(amount_e4), count(*) FROM latest GROUP BY 1, 2, reason"
    )

    rows = [row for row in table(page, "summary") if row["outcome"] != "total"]

    assert sorted((row["outcome"], row["currency"], int(row["enrollments"])) for row in rows) == sorted(
        (outcome, currency, number) for outcome, currency, _, number in counted
    )
    totals = {row["currency"]: row for row in table(page, "summary") if row["outcome"] == "total"}
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
    assert int(told["row count"]) == len(table(page, "summary"))


# --- quiet, and harmless -------------------------------------------------------------------


@pytest.mark.parametrize("view", list(View))
def test_nothing_leaves_the_page_and_nothing_runs_in_it(browser: Browser, folder: Path, view: View) -> None:
    path = folder / f"{view.value}.html"
    browser.open(path)

    assert browser.requests() == [path.as_uri()]
    assert browser.complaints() == []
    assert browser.ask("document.scripts.length") == 0
    assert browser.ask("window.pwned ?? null") is None
    assert browser.ask("document.title").endswith("· reconcile")
    assert (
        browser.ask("document.images.length + document.querySelectorAll('iframe, object, link').length") == 0
    )


def test_whatever_an_escape_missed_would_be_stopped(browser: Browser, folder: Path) -> None:
    """The same page with a hole in it: its policy still lets nothing out and nothing run."""
    hole = (
        "<script>window.pwned = 1</script>"
        "<img src='https://evil.example.com/x.png' onerror='window.pwned = 2'>"
        "<style>@import url('https://evil.example.com/x.css');</style>"
    )
    path = folder / "hole.html"
    path.write_text((folder / "summary.html").read_text("utf-8").replace("<main>", f"<main>{hole}"), "utf-8")

    browser.open(path)

    assert browser.ask("document.scripts.length") == 1
    assert browser.ask("window.pwned ?? null") is None
    complaints = " ".join(browser.complaints())
    assert complaints.count("Content Security Policy") >= 3
    answered = browser.ask(
        "performance.getEntriesByType('resource').filter(one => one.transferSize > 0).length"
    )
    assert answered == 0


def test_hostile_text_is_shown_as_it_is(browser: Browser, folder: Path) -> None:
    browser.open(folder / "enrollments.html")

    payments = {row["payment_id"] for row in table(browser, "enrollments")}

    assert {text.replace("\u202e", "\\u202e") for text in HOSTILE} <= payments


# --- for everybody, everywhere -------------------------------------------------------------


@pytest.mark.parametrize("width", [1200, 390, 320])
@pytest.mark.parametrize("view", list(View))
def test_the_page_fits_the_screen(browser: Browser, folder: Path, view: View, width: int) -> None:
    """What is wider than the screen can be moved inside its own frame; the page itself stays."""
    browser.width(width)
    browser.open(folder / f"{view.value}.html")

    assert browser.ask("document.documentElement.scrollWidth") <= width


def test_the_page_can_be_heard(page: Browser) -> None:
    """Headings in order, a name for each table, chart and region, a scope for each head."""
    levels = page.ask("[...document.querySelectorAll('h1, h2, h3')].map(node => node.tagName)")
    assert levels[0] == "H1"
    assert set(levels[1:]) == {"H2"}
    assert page.ask("document.documentElement.lang") == "en"
    assert page.ask("document.querySelectorAll('table').length") == page.ask(
        "document.querySelectorAll('table > caption').length"
    )
    assert page.ask("document.querySelectorAll('th:not([scope])').length") == 0
    drawings = page.ask(
        "[...document.querySelectorAll('svg')].map(node => [node.getAttribute('role'), "
        "...node.getAttribute('aria-labelledby').split(' ')"
        ".map(id => document.getElementById(id).innerText)])"
    )
    assert len(drawings) == 5
    for role, title, words in drawings:
        assert role == "img"
        assert len(title) > 10
        assert len(words) > 30, "each chart says in words what it shows"
    unnamed = page.ask(
        "[...document.querySelectorAll('[aria-labelledby]')]"
        ".filter(node => node.getAttribute('aria-labelledby')"
        ".split(' ').some(id => !document.getElementById(id))).length"
    )
    assert unnamed == 0
    assert page.ask("new Set([...document.querySelectorAll('[id]')].map(node => node.id)).size") == page.ask(
        "document.querySelectorAll('[id]').length"
    )


def test_the_links_lead_to_the_sections(page: Browser) -> None:
    targets = page.ask("[...document.querySelectorAll('nav a')].map(node => node.hash.slice(1))")

    assert targets == page.ask("[...document.querySelectorAll('main > section')].map(node => node.id)")
    assert len(targets) == 10


def test_it_prints(page: Browser, tmp_path: Path) -> None:
    paper = base64.b64decode(page.driver.print_page())
    (tmp_path / "page.pdf").write_bytes(paper)

    assert paper.startswith(b"%PDF")
    assert 3 <= paper.count(b"/Type /Page\n") <= 12


@pytest.mark.parametrize(("name", "width"), [("desktop", 1200), ("phone", 390)])
def test_it_can_be_looked_at(page: Browser, tmp_path: Path, name: str, width: int) -> None:
    """The pictures stay in pytest's folder (`--basetemp`): look at them after a change of the page."""
    page.width(width)
    shot = page.driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"}
    )
    picture = base64.b64decode(shot["data"])
    (tmp_path / f"{name}.png").write_bytes(picture)

    assert int.from_bytes(picture[16:20]) == width
    assert int.from_bytes(picture[20:24]) > 3000
