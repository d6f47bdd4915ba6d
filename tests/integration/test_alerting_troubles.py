"""Who tells, and what happens where the one who should listen, the audit or the run itself is in trouble."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

import pytest
from apscheduler.events import EVENT_JOB_MAX_INSTANCES, JobEvent

from reconcile.alerts.book import SqlAlertBook, SqlRunHistory
from reconcile.alerts.decision import Cause, Findings, Kind, decide_alerts
from reconcile.alerts.memory import MemoryAlertBook
from reconcile.app.alerts import could_not_begin, judge_silence
from reconcile.base.errors import ConfigurationError, StoreUnavailable
from reconcile.jobs.registry import job_named
from reconcile.jobs.scheduler import Scheduler
from reconcile.run.source import Selection
from tests.acceptance.harness import until
from tests.fakes.mongo_shop import mongo_orders
from tests.fakes.receiver import closed_port
from tests.integration.watched import MINUTES, Watched

# --- who tells it --------------------------------------------------------------------------


def test_two_processes_do_not_tell_the_same_twice(watched: Watched) -> None:
    """Both have decided before either has claimed."""
    cause = Cause(kind=Kind.DRIFT, count=3)
    now = watched.clock.now()
    with watched.app() as one, watched.app() as other:
        books = [SqlAlertBook(app.ports.audit.store) for app in (one, other)]  # type: ignore[attr-defined]
        plans = [decide_alerts(Findings(causes={"drift": cause}), book.load(), now) for book in books]
        claims = [
            book.claim(step.key, step.before, now=now, until=now + MINUTES)
            for book, (step,) in zip(books, plans, strict=True)
        ]

        assert [claim is not None for claim in claims] == [True, False]

        one.drift_found({"ghosts": 3})
    assert watched.titles == [], "while another tells, nobody else does"


@pytest.mark.parametrize("mood", ["answers 500", "nobody there"])
def test_what_could_not_be_sent_is_sent_after_the_next_run(
    watched: Watched, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    watched.orders(2, published=0)
    if mood == "answers 500":
        watched.alerts.status = 500
        assert int(watched.run().summary.exit_code) == 0
    else:
        watched.clock.advance(300)
        url = f"json://127.0.0.1:{closed_port()}/t0ken-of-nobody"
        with watched.app(RECONCILE_ALERT_URLS=url) as app:
            assert int(app.reconcile(app.options()).summary.exit_code) == 0
    assert "Alert could not be sent" in caplog.text
    watched.alerts.got.clear()
    watched.alerts.status = 200

    watched.run()
    watched.run()

    (got,) = watched.alerts.got
    assert "(5 minutes)" in got.message, "since when is told from when it was first seen"
    assert "t0ken" not in caplog.text


def test_a_receiver_that_hangs_holds_a_run_up_for_a_bounded_time(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("reconcile.alerts.notify.PATIENCE", 0.5)
    watched.orders(1, published=0)
    watched.orders(1, course="other", published=0)
    watched.alerts.hangs = True
    started = time.monotonic()

    assert int(watched.run().summary.exit_code) == 0

    assert time.monotonic() - started < 20
    assert caplog.text.count("Alert could not be sent") == 1, "the second is not waited for as well"
    assert watched.bench.audit("SELECT told_at, claimed_by FROM alerts")[0][:] == (None, None)


def test_pings_that_nobody_takes_do_not_fail_a_run(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.pings.status = 500

    assert int(watched.run().summary.exit_code) == 0

    assert len(watched.pings.got) == 2
    assert "The ping was not taken" in caplog.text


def test_a_run_of_a_part_and_a_dry_run_do_not_ping(watched: Watched) -> None:
    watched.run(selection=Selection(limit=1))
    watched.run(dry_run=True)

    assert watched.pings.got == []


def test_a_run_that_a_bug_ended_is_told_of(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    with watched.app() as app:
        monkeypatch.setattr(app.ports.platform, "ping", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            app.reconcile(app.options())

    assert [ping.path for ping in watched.pings.got] == ["/uuid/fail?x=y"]
    assert "ZeroDivisionError" in watched.pings.got[0].body
    assert watched.titles == ["runs are aborted, internal_error"]


# --- without a run, without an audit -------------------------------------------------------


def test_a_run_that_could_not_begin_is_told_of_once(watched: Watched) -> None:
    error = StoreUnavailable("there is no such host as db.example.com", hint="Check MONGODB_URI.")

    for _ in range(2):
        could_not_begin(watched.settings(), error)

    assert watched.titles == ["runs are aborted, mongodb_unavailable"]
    assert "What to do: Check MONGODB_URI." in watched.alerts.got[0].message
    assert [ping.path for ping in watched.pings.got] == ["/uuid/fail?x=y"] * 2
    assert "no such host" in watched.pings.got[0].body
    watched.run()
    assert watched.titles[1:] == ["all clear: runs succeed again (mongodb_unavailable)"]


def test_without_an_audit_a_process_that_lives_on_remembers_what_it_told(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    memory = MemoryAlertBook()
    gone = watched.bench.audit_file.with_name("gone.db")
    watched.bench.audit_file.rename(gone)
    watched.bench.audit_file.mkdir()
    for _ in range(3):
        with pytest.raises(Exception, match="is not a file") as caught:
            watched.run(memory=memory)
        could_not_begin(watched.settings(), caught.value, memory=memory)  # type: ignore[arg-type]
    assert watched.titles == ["runs are aborted, audit_unavailable"]

    # A cron run would say it again every time: it leaves that to the ping.
    could_not_begin(watched.settings(), caught.value)  # type: ignore[arg-type]
    assert len(watched.titles) == 1
    assert "Alerts could not be judged" in caplog.text

    watched.bench.audit_file.rmdir()
    gone.rename(watched.bench.audit_file)
    watched.run(memory=memory)
    watched.run(memory=memory)
    assert watched.titles[1:] == ["all clear: runs succeed again (audit_unavailable)"]


def test_an_audit_that_fails_during_the_run_is_told_of_from_memory(watched: Watched) -> None:
    memory = MemoryAlertBook()
    for _ in range(2):
        with watched.app(memory=memory) as app:
            moved = watched.bench.audit_file.rename(watched.bench.folder / "moved.db")
            result = app.reconcile(app.options())
            moved.rename(watched.bench.audit_file)
        assert result.summary.reason == "audit_unavailable"

    assert watched.titles == ["runs are aborted, audit_unavailable"]


def test_a_run_that_does_not_end_is_noticed(watched: Watched) -> None:
    for _ in range(4):
        watched.run()
    # The scheduler asks by the real clock, and the fake one has gone ahead by 20 minutes.
    with watched.app() as app, app.ports.audit.store.writing() as connection:  # type: ignore[attr-defined]
        connection.exec_driver_sql(
            "UPDATE runs SET started_at = strftime('%Y-%m-%d %H:%M:%f000', started_at, '-40 minutes')"
        )

    judge_silence(watched.settings())
    judge_silence(watched.settings())

    assert watched.titles == ["no run has succeeded for too long"]
    watched.run(after=0)
    assert watched.titles[1:] == ["all clear: runs succeed again"]


def test_without_addresses_nobody_is_told_and_nothing_fails(watched: Watched) -> None:
    nobody = watched.settings(RECONCILE_ALERT_URLS="", RECONCILE_PING_URL="")

    could_not_begin(nobody, StoreUnavailable("away"))
    judge_silence(nobody)
    with watched.app(RECONCILE_ALERT_URLS="", RECONCILE_PING_URL="") as app:
        app.drift_found({"ghosts": 1})
        assert app.follow_ups == []

    assert watched.alerts.got == watched.pings.got == []


def test_telling_never_raises(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    watched.bench.audit_file.unlink()
    watched.bench.audit_file.mkdir()

    judge_silence(watched.settings())
    could_not_begin(watched.settings(RECONCILE_ALERT_URLS="slak://t0ken-of-a-typo"), StoreUnavailable("away"))

    assert caplog.text.count("Alerts could not be judged") == 2
    assert "t0ken" not in caplog.text


def test_messages_of_jobs(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "reconcile")
    with watched.app() as app:
        app.notify(title="Digest", body="Yesterday: sam@example.com got in")
        watched.alerts.status = 500
        app.notify(title="Lost", body="x")
    with watched.app(RECONCILE_ALERT_URLS="") as app:
        app.notify(title="Only logged", body="x")

    assert watched.alerts.got[0].message == "Yesterday: s***@example.com got in"
    assert "Message could not be sent" in caplog.text
    assert "Only logged" in caplog.text


# --- what it looks at ----------------------------------------------------------------------


def test_what_earlier_runs_say(watched: Watched) -> None:
    watched.run()
    first = watched.clock.now()
    watched.orders(1)
    watched.run()
    second = watched.clock.now()
    watched.lms_is(down=True)
    watched.run()
    with watched.app() as app:
        history = SqlRunHistory(app.ports.audit.store)  # type: ignore[attr-defined]

        assert list(history.successes()) == [second, first]
        assert list(history.found_at()) == [second]


def test_the_newest_sale(watched: Watched) -> None:
    orders = watched.bench.database.enrollments
    sale = mongo_orders(watched.bench.database)
    assert sale.newest_paid_at() is None

    watched.orders(3)
    orders.insert_one({"status": "pending", "timestamp": "2100-01-01T00:00:00Z"})
    newest = max(order["timestamp"] for order in orders.find({"status": "paid"}))
    assert sale.newest_paid_at() == datetime.fromisoformat(newest)

    # One that does not tell is told by its id, or not at all.
    orders.insert_one({"status": "paid", "timestamp": "zzz"})
    found = sale.newest_paid_at()
    assert found is not None
    assert abs(found - datetime.now(UTC)) < MINUTES
    orders.insert_one({"_id": 7, "status": "paid", "timestamp": "zzzz"})
    with pytest.raises(StoreUnavailable):
        sale.newest_paid_at()


# --- the scheduler -------------------------------------------------------------------------


def test_the_scheduler_tells_of_runs_that_cannot_begin_and_of_their_end(watched: Watched) -> None:
    job = job_named("reconcile_enrollments")
    assert job is not None
    scheduler = Scheduler(watched.settings)
    gone = watched.bench.audit_file.rename(watched.bench.folder / "gone.db")
    watched.bench.audit_file.mkdir()
    for _ in range(3):
        scheduler._fire(job)
    assert watched.titles == ["runs are aborted, audit_unavailable"]

    watched.bench.audit_file.rmdir()
    gone.rename(watched.bench.audit_file)
    scheduler._fire(job)

    assert watched.titles[1:] == ["all clear: runs succeed again (audit_unavailable)"]
    assert [ping.path for ping in watched.pings.got] == ["/uuid/fail?x=y"] * 3 + ["/uuid?x=y"]


def test_the_scheduler_asks_for_silence_where_a_run_does_not_end(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("reconcile.app.alerts.judge_silence", asked.append)
    scheduler = Scheduler(watched.settings)

    for name in ("reconcile_enrollments", "another_job"):
        scheduler._count(JobEvent(EVENT_JOB_MAX_INSTANCES, name, "default"))

    until(lambda: asked)
    assert asked == [scheduler.settings]


def test_the_scheduler_does_not_start_with_alerts_that_cannot_be_sent(watched: Watched) -> None:
    with pytest.raises(ConfigurationError, match=r"URL number 1 \(slak://…\)"):
        Scheduler(lambda: watched.settings(RECONCILE_ALERT_URLS="slak://t0ken-of-a-typo"))
