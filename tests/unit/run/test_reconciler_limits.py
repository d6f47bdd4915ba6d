"""What a run leaves alone, where it stops, and how fast it goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconcile.base.errors import AuthenticationFailed, RateLimited
from reconcile.domain.model import EffectKey, Outcome, Reason
from reconcile.run.options import RunOptions
from reconcile.run.reconciler import Reconciler
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode, RunStatus
from tests.fakes.harness import World
from tests.fakes.world import NOON, order


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def test_an_order_that_stops_being_paid_is_not_enrolled() -> None:
    world = World([order("e1")])

    def refund(enrollment_id: str) -> None:
        world.source.documents[enrollment_id]["status"] = "failed"

    world.source.before_recheck = refund

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == []


def test_an_order_that_the_storefront_syncs_meanwhile_is_noticed() -> None:
    world = World([order("e1")])
    done = {"synced": True, "syncStatus": "success", "enrollmentId": "theirs"}

    def sync(enrollment_id: str) -> None:
        world.source.documents[enrollment_id]["frappeSync"] = dict(done)

    world.source.before_recheck = sync

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == []
    assert world.sync("e1") == done


def test_a_lapsed_lease_fences_the_write() -> None:
    world = World([order("e1")])
    world.source.before_recheck = lambda _: world.clock.advance(121)

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == []


def test_a_learner_whom_somebody_else_works_on_is_skipped() -> None:
    world = World([order("e1"), order("e2")])
    world.leases.take([key("e1")], "another-run")

    result = world.run()

    assert result.summary.outcomes == {Outcome.SKIPPED: 1, Outcome.ENROLLED: 1}
    assert result.summary.reasons == {Reason.LEASE_HELD: 1}


def test_while_the_storefront_is_at_one_order_its_twin_waits() -> None:
    young = (NOON - timedelta(minutes=1)).isoformat()
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com", timestamp=young)])

    assert world.outcomes() == {"skipped": 2}
    world.clock.advance(600)
    assert world.outcomes() == {"enrolled": 1, "already_enrolled": 1}


def test_an_active_retry_job_is_left_alone() -> None:
    world = World([order("e1")])
    world.source.active_jobs = {"e1"}

    assert world.outcomes() == {"skipped": 1}


def test_a_limit_on_enrolls_leaves_the_rest_untouched() -> None:
    world = World([order(f"e{number}") for number in range(9)])

    result = world.run(max_enrolls=4, page_size=3)

    assert len(world.lms.enroll_calls) == 4
    assert result.summary.reason == "max_enrolls"
    assert result.summary.exit_code is ExitCode.ATTENTION
    assert world.leases.rows == {}


def test_a_stop_before_the_first_write_gives_everything_back() -> None:
    world = World([order("e1")])
    world.stop.set()

    result = world.run()

    assert result.summary.status is RunStatus.INTERRUPTED
    assert result.summary.exit_code is ExitCode.INTERRUPTED
    assert world.lms.enroll_calls == []
    assert world.leases.rows == {}


def test_a_stop_in_the_middle_finishes_what_is_in_flight() -> None:
    world = World([order(f"e{number}") for number in range(9)])
    real = world.lms.enroll

    def enroll_and_stop(enrollment: Any) -> Any:
        world.stop.set()
        return real(enrollment)

    world.lms.enroll = enroll_and_stop  # type: ignore[method-assign]  # the test's own interruption

    result = world.run(concurrency=1)

    assert result.summary.status is RunStatus.INTERRUPTED
    assert len(world.lms.rows) == 1
    assert all(row.finished_at for row in world.audit.attempts.values())
    assert sum(bool(world.sync(f"e{number}")["synced"]) for number in range(9)) == 1
    assert world.leases.rows == {}


def test_no_audit_no_write() -> None:
    world = World([order("e1")])
    world.audit.broken = True

    result = world.run()

    assert result.summary.exit_code is ExitCode.ABORTED
    assert world.lms.enroll_calls == []


def test_a_surge_stops_and_asks_for_a_number() -> None:
    world = World([order(f"e{number:04}") for number in range(1200)])
    for number in range(6):
        world.run(selection=Selection(enrollment_ids=(f"e{number:04}",)))

    result = world.run()
    assert (result.summary.status, result.summary.reason) == (RunStatus.ABORTED, "too_many_enrolls")
    assert result.summary.exit_code is ExitCode.ATTENTION
    assert result.failure is not None
    assert "--max-enrolls" in result.failure.hint
    assert len(world.lms.rows) <= 506

    assert world.run(max_enrolls=5000).summary.status is RunStatus.COMPLETED
    assert len(world.lms.rows) == 1200


def test_a_suddenly_empty_lms_is_not_believed() -> None:
    world = World([order("e1")])
    for number in range(150):
        world.lms.add(EffectKey(f"old{number}@example.com", "python-basics"))
    world.run()
    world.lms.rows.clear()
    world.source.documents["e2"] = order("e2")

    result = world.run()

    assert (result.summary.reason, result.summary.exit_code) == ("blind", ExitCode.USAGE)
    assert len(world.lms.enroll_calls) == 1
    with pytest.raises(AuthenticationFailed, match="no enrollment at all"):
        next(Reconciler(world.ports).plan(RunOptions()))


def test_a_rate_limit_on_looking_is_waited_out_once() -> None:
    world = World([order("e1")])
    real, limits = world.lms.observe, [RateLimited("429", retry_after=30)]

    def observe(keys: Any) -> Any:
        if limits:
            raise limits.pop()
        return real(keys)

    world.lms.observe = observe  # type: ignore[method-assign]  # the test's own trouble

    assert world.outcomes() == {"enrolled": 1}
    assert world.clock.slept == [30]

    limits.append(RateLimited("429", retry_after=3600))
    result = world.run()
    assert (result.summary.reason, result.summary.exit_code) == ("rate_limited", ExitCode.TEMPORARY)


def test_a_rate_limited_write_pauses_everybody_and_costs_nothing() -> None:
    world = World([order(f"e{number}") for number in range(3)])
    limits = [RateLimited("429", retry_after=7, http_status=429)]

    def limited_once(which: EffectKey) -> Any:
        if limits:
            raise limits.pop()
        return _created(world, which)

    for number in range(3):
        world.lms.answers[key(f"e{number}")] = limited_once

    assert world.outcomes(concurrency=1) == {"enrolled": 3}
    assert sum(world.clock.slept) >= 6.9
    assert sum(world.sync(f"e{number}")["retryCount"] for number in range(3)) == 3


def test_the_lmss_advice_to_breathe_is_taken() -> None:
    world = World([order(f"e{number}") for number in range(3)])
    world.lms.breather = lambda: 11.0  # type: ignore[method-assign]  # the test's own budget

    world.run(concurrency=1)

    assert round(sum(world.clock.slept)) == 22


def test_the_rate_holds_over_all_threads() -> None:
    world = World([order(f"e{number}") for number in range(5)])

    world.run(concurrency=4, rate=2.0)

    assert sum(world.clock.slept) >= 2.0 - 1e-6


def _created(world: World, which: EffectKey) -> Any:
    from reconcile.run.answers import Created

    return Created(lms_id=world.lms.add(which), http_status=200)
