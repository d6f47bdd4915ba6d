"""What follows a run: it is counted, and how things stand is looked at."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest

from reconcile.base.errors import ServiceUnavailable, StoreUnavailable
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics import metering as module
from reconcile.metrics.metering import Metering, Metrics, look
from reconcile.run.follow_up import Finished, follow_up
from reconcile.run.options import RunOptions, RunResult
from tests.fakes.harness import World
from tests.fakes.world import NOON, order


def metered(world: World) -> tuple[Metrics, RunResult]:
    metrics = Metrics()
    step = Metering(metrics, world.ports, stop=world.stop)
    options = RunOptions()
    result = world.run()
    follow_up([step], Finished(options=options, result=result))
    return metrics, result


def test_a_run_is_counted_and_the_backlog_seen() -> None:
    world = World([order("e1"), order("e2", email="broken")])
    metrics, result = metered(world)

    tally, standing = metrics.snapshot()
    assert tally.runs["completed"] == 1
    assert tally.verdicts["enrolled", "none"] == result.summary.outcomes["enrolled"] == 1
    assert tally.waits.total == 86400
    assert standing.backlog == {"pending": 0, "retrying": 0, "failed": 1, "unset": 0}
    assert standing.last_success == NOON


def test_the_wait_ends_when_the_access_was_given_not_when_the_page_was() -> None:
    """One of two waits for its second try; the other was in the course before."""
    world = World([order("e1"), order("e2")])
    real, slow = world.lms.enroll, []

    def enroll(enrollment: Any) -> Any:
        if enrollment.id == "e1" and not slow:
            slow.append(enrollment.id)
            raise ServiceUnavailable("busy")
        return real(enrollment)

    world.lms.enroll = enroll  # type: ignore[method-assign]
    metrics, _ = metered(world)

    tally, _ = metrics.snapshot()
    assert slow == ["e1"]
    assert tally.verdicts["enrolled", "none"] == 2
    assert tally.waits.total == 86400 + 86400 + 2.0
    by_audit = [row.finished_at for row in world.audit.attempts.values() if row.number == 1]
    assert min(finished for finished in by_audit if finished) == NOON


def test_what_the_shop_leaves_undone_is_seen() -> None:
    event = {"eventType": "checkout.session.completed", "processedAt": NOON - timedelta(hours=2)}
    world = World([order("e1", status="pending", stripeEvents=[event])])
    world.source.queue = ShopQueue(collection="retry_jobs", open=3, overdue=2)
    metrics, _ = metered(world)

    _, standing = metrics.snapshot()
    assert (standing.unmarked, standing.jobs_open, standing.jobs_overdue) == (1, 3, 2)


def test_runs_found_dead_are_counted_as_crashed() -> None:
    world = World([order("e1")])
    world.run()
    (first,) = world.audit.runs.values()
    first.summary.status = first.status = type(first.status).RUNNING
    world.clock.advance(3600)

    metrics, _ = metered(world)

    tally, _ = metrics.snapshot()
    assert (tally.runs["crashed"], tally.runs["completed"]) == (1, 1)


def test_a_run_that_aborts_is_counted_and_the_backlog_seen_all_the_same() -> None:
    world = World([order("e1")])
    world.lms.down = ServiceUnavailable("gone")
    metrics, _ = metered(world)

    tally, standing = metrics.snapshot()
    assert (tally.runs["aborted"], tally.runs["completed"]) == (1, 0)
    assert standing.backlog == {"pending": 1, "retrying": 0, "failed": 0, "unset": 0}
    assert standing.last_success is None


def test_without_mongodb_what_was_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([order("e1", email="broken")])
    metrics, _ = metered(world)
    before = metrics.snapshot()[1]

    def gone(*_: object) -> object:
        raise StoreUnavailable("no MongoDB")

    monkeypatch.setattr(world.source, "scan", gone)
    step = Metering(metrics, world.ports, stop=world.stop)
    follow_up([step], Finished(options=RunOptions(), result=world.run()))
    look(metrics, world.ports, stop=world.stop)

    tally, standing = metrics.snapshot()
    assert tally.runs["aborted"] == 1
    assert standing == before


def test_without_the_audit_the_backlog_is_seen() -> None:
    world = World([order("e1")])
    world.audit.broken = True
    metrics, _ = metered(world)

    tally, standing = metrics.snapshot()
    assert tally.runs["aborted"] == 1
    assert standing.backlog == {"pending": 1, "retrying": 0, "failed": 0, "unset": 0}


def test_another_processs_success_counts() -> None:
    world = World([order("e1", email="broken")])
    world.run()
    world.clock.advance(60)
    metrics = Metrics()

    look(metrics, world.ports, stop=threading.Event())

    assert metrics.snapshot()[1].last_success == NOON
    assert metrics.snapshot()[0].runs.total() == 0


def test_a_process_that_drains_does_not_look() -> None:
    world = World([order("e1")])
    world.stop.set()
    metrics, result = metered(world)

    tally, standing = metrics.snapshot()
    assert result.summary.status == "interrupted"
    assert tally.runs["interrupted"] == 1
    assert standing.backlog is None


def test_a_signal_ends_the_look() -> None:
    world = World([order("e1")])
    stop = threading.Event()
    stop.set()
    metrics = Metrics()

    look(metrics, world.ports, stop=stop)

    assert metrics.snapshot()[1].backlog is None


def test_a_look_that_takes_too_long_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World([order("e1"), order("e2")])
    real = world.source.scan

    def slow(selection: Any) -> Any:
        for item in real(selection):
            world.clock.advance(module.LONGEST_LOOK)
            yield item

    monkeypatch.setattr(world.source, "scan", slow)
    metrics = Metrics()
    look(metrics, world.ports, stop=threading.Event())

    assert metrics.snapshot()[1].backlog is None
    assert "takes too long" in caplog.text


def test_a_snapshot_is_the_callers_own() -> None:
    metrics = Metrics(jobs=["nightly"])
    tally, standing = metrics.snapshot()
    tally.runs["completed"] += 7
    standing.succeeded(NOON + timedelta(days=1))
    metrics.run_broke()

    assert metrics.snapshot()[0].runs == {"completed": 0, "aborted": 1, "interrupted": 0, "crashed": 0}
    assert metrics.snapshot()[1].last_success is None
