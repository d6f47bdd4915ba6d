"""What follows a run: it is counted, and how things stand is looked at."""

from __future__ import annotations

import math
import threading
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.samples import Sample

from reconcile.base.errors import ServiceUnavailable, StoreUnavailable
from reconcile.domain.shop_queue import ShopQueue
from reconcile.metrics import metering as module
from reconcile.metrics.metering import Metering, look
from reconcile.metrics.metrics import Metrics
from reconcile.run.follow_up import Finished, follow_up
from reconcile.run.options import RunOptions, RunResult
from tests.fakes.harness import World
from tests.fakes.metrics import Numbers, numbers
from tests.fakes.world import NOON, order

UNKNOWN = pytest.approx(math.nan, nan_ok=True)
NOT_LOOKED = {(status,): UNKNOWN for status in ("pending", "retrying", "failed", "unset")}


def runs(metrics: Metrics, status: str) -> float:
    return metrics.value("reconcile_runs_total", status=status)


def backlog(metrics: Metrics) -> Numbers:
    return numbers(metrics, "reconcile_backlog")


def a_backlog(*, pending: int = 0, failed: int = 0) -> Numbers:
    return {("pending",): pending, ("retrying",): 0, ("failed",): failed, ("unset",): 0}


def last_success(metrics: Metrics) -> float:
    return metrics.value("reconcile_last_success_timestamp_seconds")


def waited(metrics: Metrics) -> float:
    return metrics.value("reconcile_paid_to_access_seconds_sum")


def enrolled(metrics: Metrics) -> float:
    return metrics.value("reconcile_enrollments_total", outcome="enrolled", reason="none")


def standing(metrics: Metrics) -> dict[str, list[Sample]]:
    """All that is no count."""
    return {each.name: each.samples for each in metrics.collect(NOON) if each.type == "gauge"}


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

    assert runs(metrics, "completed") == 1
    assert enrolled(metrics) == result.summary.outcomes["enrolled"] == 1
    assert waited(metrics) == 86400
    assert backlog(metrics) == a_backlog(failed=1)
    assert last_success(metrics) == NOON.timestamp()


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

    assert slow == ["e1"]
    assert enrolled(metrics) == 2
    assert waited(metrics) == 86400 + 86400 + 2.0
    by_audit = [row.finished_at for row in world.audit.attempts.values() if row.number == 1]
    assert min(finished for finished in by_audit if finished) == NOON


def test_what_the_shop_leaves_undone_is_seen() -> None:
    event = {"eventType": "checkout.session.completed", "processedAt": NOON - timedelta(hours=2)}
    world = World([order("e1", status="pending", stripeEvents=[event])])
    world.source.queue = ShopQueue(collection="retry_jobs", open=3, overdue=2)
    metrics, _ = metered(world)

    shop = ("reconcile_unmarked_orders", "reconcile_shop_jobs_open", "reconcile_shop_jobs_overdue")
    assert [metrics.value(name) for name in shop] == [1, 3, 2]


def test_runs_found_dead_are_counted_as_crashed() -> None:
    world = World([order("e1")])
    world.run()
    (first,) = world.audit.runs.values()
    first.summary.status = first.status = type(first.status).RUNNING
    world.clock.advance(3600)

    metrics, _ = metered(world)

    assert (runs(metrics, "crashed"), runs(metrics, "completed")) == (1, 1)


def test_a_run_that_aborts_is_counted_and_the_backlog_seen_all_the_same() -> None:
    world = World([order("e1")])
    world.lms.down = ServiceUnavailable("gone")
    metrics, _ = metered(world)

    assert (runs(metrics, "aborted"), runs(metrics, "completed")) == (1, 0)
    assert backlog(metrics) == a_backlog(pending=1)
    assert last_success(metrics) == 0


def test_without_mongodb_what_was_known_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([order("e1", email="broken")])
    metrics, _ = metered(world)
    before = standing(metrics)

    def gone(*_: object) -> object:
        raise StoreUnavailable("no MongoDB")

    monkeypatch.setattr(world.source, "scan", gone)
    step = Metering(metrics, world.ports, stop=world.stop)
    follow_up([step], Finished(options=RunOptions(), result=world.run()))
    look(metrics, world.ports, stop=world.stop)

    assert runs(metrics, "aborted") == 1
    assert standing(metrics) == before


def test_without_the_audit_the_backlog_is_seen() -> None:
    world = World([order("e1")])
    world.audit.broken = True
    metrics, _ = metered(world)

    assert runs(metrics, "aborted") == 1
    assert backlog(metrics) == a_backlog(pending=1)


def test_another_processs_success_counts() -> None:
    world = World([order("e1", email="broken")])
    world.run()
    world.clock.advance(60)
    metrics = Metrics()

    look(metrics, world.ports, stop=threading.Event())

    assert last_success(metrics) == NOON.timestamp()
    assert set(numbers(metrics, "reconcile_runs_total").values()) == {0}


def test_a_process_that_drains_does_not_look() -> None:
    world = World([order("e1")])
    world.stop.set()
    metrics, result = metered(world)

    assert result.summary.status == "interrupted"
    assert runs(metrics, "interrupted") == 1
    assert backlog(metrics) == NOT_LOOKED


def test_a_signal_ends_the_look() -> None:
    world = World([order("e1")])
    stop = threading.Event()
    stop.set()
    metrics = Metrics()

    look(metrics, world.ports, stop=stop)

    assert backlog(metrics) == NOT_LOOKED


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

    assert backlog(metrics) == NOT_LOOKED
    assert "takes too long" in caplog.text
