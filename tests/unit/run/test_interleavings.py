"""What may happen between two steps of a run, and must not matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite, ServiceUnavailable, StoreUnavailable
from reconcile.domain.model import EffectKey, Outcome, Reason
from reconcile.run import checking
from reconcile.run.answers import Created
from reconcile.run.source import Selection, WriteBack
from reconcile.run.summary import RunStatus
from tests.fakes.harness import World, policy
from tests.fakes.world import fail, order


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def test_a_log_that_blocks_cannot_come_between_the_fence_and_the_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pager at the other end of stderr, stopped for minutes."""
    world = World([order("e1")])

    class Blocking:
        def info(self, event: str, **_: object) -> None:
            if event == "Attempting Frappe LMS enrollment":
                world.clock.advance(121)

    monkeypatch.setattr(checking, "_log", Blocking())

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == []


def test_after_a_bug_in_the_middle_of_a_write_the_key_is_on_hold() -> None:
    world = World([order("e1"), order("e2")])
    world.lms.answers[key("e1")] = fail(RuntimeError("a bug behind the socket"))

    with pytest.raises(RuntimeError):
        world.run(concurrency=1)
    del world.lms.answers[key("e1")]
    world.clock.advance(121)  # the lease has lapsed, the hold has not
    world.run()

    assert world.lms.enroll_calls.count(key("e1")) == 1
    world.lms.add(key("e1"))  # done late
    world.run()
    assert world.copies() == {key("e1"): 1, key("e2"): 1}
    assert world.sync("e1")["syncStatus"] == "success"


def test_a_retry_job_that_begins_after_the_page_was_looked_at_is_left_alone() -> None:
    world = World([order("e1"), order("e2")])
    world.source.before_recheck = lambda _: world.source.active_jobs.add("e2")

    result = world.run(concurrency=1)

    assert result.summary.reasons == {Reason.RETRY_JOB_ACTIVE: 1}
    assert world.lms.enroll_calls == [key("e1")]


def test_a_write_that_goes_through_settles_whose_fault_the_ones_before_it_were() -> None:
    """Eight failures in one run, never five in a row: the LMS is not to blame, and the run goes on."""
    world = World([order(f"e{number}") for number in range(9)])
    calls: list[EffectKey] = []

    def four_fail_one_passes_four_fail(which: EffectKey) -> Any:
        calls.append(which)
        if len(calls) <= 9 and len(calls) != 5:
            raise ServiceUnavailable("500", certain=False, http_status=500)
        return Created(lms_id=world.lms.add(which), http_status=200)

    for number in range(9):
        world.lms.answers[key(f"e{number}")] = four_fail_one_passes_four_fail

    result = world.run(concurrency=1)

    assert result.summary.status is RunStatus.COMPLETED
    assert result.summary.outcomes == {Outcome.ENROLLED: 9}
    assert sorted(world.sync(f"e{number}")["retryCount"] for number in range(9)) == [1] * 9


def test_the_hold_is_the_learners_also_where_a_run_sees_only_the_other_order() -> None:
    """Two orders for one learner and course, each looked at by a run of its own."""
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com")])
    world.lms.answers[key("a")] = fail(AmbiguousWrite("no answer within 10 s"))
    assert world.outcomes(selection=Selection(enrollment_ids=("e1",))) == {"retrying": 1}

    assert world.outcomes(selection=Selection(enrollment_ids=("e2",))) == {"skipped": 1}
    assert world.outcomes(selection=Selection(enrollment_ids=("e2",)), policy=policy(immediately=True)) == {
        "skipped": 1
    }
    world.lms.add(key("a"))  # done late

    assert world.outcomes() == {"recovered": 1, "already_enrolled": 1}
    assert world.lms.enroll_calls == [key("a")]
    assert world.copies() == {key("a"): 1}


def test_a_write_back_that_fails_after_a_success_is_made_good_by_the_next_run() -> None:
    world = World([order("e1")])
    real = world.source.write_back

    def fails(items: Sequence[WriteBack]) -> frozenset[str]:
        world.source.write_back = real  # type: ignore[method-assign]  # the test's own trouble
        raise StoreUnavailable("no primary")

    world.source.write_back = fails  # type: ignore[method-assign]

    assert world.run().summary.reason == "mongodb_unavailable"
    assert world.sync("e1")["syncStatus"] == "pending"

    assert world.outcomes() == {"already_enrolled": 1}
    assert world.sync("e1")["enrollmentId"] == "lms0001"
    assert world.lms.enroll_calls == [key("e1")]
