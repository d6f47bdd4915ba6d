"""Many learners in one request: what is refused together is taken apart, and is nobody's fault."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2
from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite, RateLimited, ServiceUnavailable
from reconcile.domain.model import EffectKey, Enrollment, Outcome, Reason
from reconcile.run.answers import Created
from reconcile.run.summary import RunStatus
from tests.fakes.harness import World
from tests.fakes.world import fail, order, refuse

SIZE = 25


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def batching(count: int = SIZE) -> World:
    """So many to enroll, by `rest`, in an LMS that has somebody already and refuses no duplicate."""
    world = World([order(f"e{number:02}") for number in range(count)])
    world.lms.batches = True
    world.lms.add(key("old"))
    return world


def requests_of(world: World) -> Counter[EffectKey]:
    """In how many requests each learner was."""
    return Counter([*world.lms.enroll_calls, *(each for batch in world.lms.batch_calls for each in batch)])


def rows_of(world: World, name: str) -> list[Any]:
    return [row for row in world.audit.attempts.values() if row.enrollment.id == name]


def test_a_batch_is_one_request_and_a_row_for_each_learner() -> None:
    world = batching()

    assert world.outcomes(batch=SIZE) == {"enrolled": SIZE}
    assert [len(batch) for batch in world.lms.batch_calls] == [SIZE]
    assert world.lms.enroll_calls == []
    assert len(world.audit.attempts) == SIZE
    assert {world.sync(f"e{number:02}")["retryCount"] for number in range(SIZE)} == {1}
    assert world.leases.rows == {}


@pytest.mark.parametrize("bad", [1, 5, SIZE])
def test_the_bad_of_a_batch_keep_nobody_else_out(bad: int) -> None:
    world = batching()
    poison = {f"e{number:02}" for number in range(0, SIZE, SIZE // bad)}
    for name in poison:
        world.lms.answers[key(name)] = refuse("no seat")

    found = world.outcomes(batch=SIZE)

    assert found == {name: count for name, count in (("enrolled", SIZE - bad), ("retrying", bad)) if count}
    # Twice alone: its second try is made as for everybody.
    assert {world.lms.enroll_calls.count(key(name)) for name in poison} == {2}
    bound = 2 * ceil(log2(SIZE)) + 2
    assert max(requests_of(world).values()) <= bound
    assert all(row.finished_at is not None for row in world.audit.attempts.values())
    # One row through the halving, one for the second try.
    assert {len(rows_of(world, name)) for name in poison} == {2}
    assert {world.sync(name)["retryCount"] for name in poison} == {1}, "a visit is used up once"
    assert world.leases.rows == {}


def test_who_cannot_be_enrolled_at_all_is_found_by_the_look_after_a_refusal() -> None:
    world = batching()
    asked: list[int] = []
    real = world.lms.enroll_many

    def vanishes(items: Any) -> Any:
        """Between the look and the write an account is closed."""
        if not asked:
            world.lms.everybody = False
            world.lms.members = {item.member for item in items} - {key("e03").member}
        asked.append(len(items))
        return real(items)

    world.lms.enroll_many = vanishes  # type: ignore[method-assign]  # the test's own misfortune

    assert world.outcomes(batch=SIZE) == {"enrolled": SIZE - 1, "waiting": 1}
    assert asked == [25, 12, 12]
    assert world.sync("e03")["retryCount"] == 0


@pytest.mark.parametrize("done", [True, False])
def test_an_unanswered_batch_holds_all_of_it_and_uses_up_nothing(*, done: bool) -> None:
    world = batching(8)

    def silent(items: Any) -> Any:
        world.lms.batch_calls.append([item.key for item in items])
        if done:
            for item in items:
                world.lms.add(item.key)
        raise AmbiguousWrite("no answer within 10 s")

    world.lms.enroll_many = silent  # type: ignore[method-assign]  # the test's own silence

    assert world.outcomes(batch=SIZE) == ({"recovered": 8} if done else {"retrying": 8})
    assert {world.sync(f"e{number:02}")["retryCount"] for number in range(8)} == {1 if done else 0}
    if done:
        return
    assert world.outcomes(batch=SIZE) == {"skipped": 8}, "on hold"
    world.clock.advance(191)
    assert world.outcomes(batch=SIZE) == {"enrolled": 8}
    assert len(world.lms.batch_calls) == 1, "alone afterwards"
    assert all(copies == 1 for copies in world.copies().values())


def test_one_request_is_one_fault_for_the_breaker() -> None:
    """Four unanswered batches in a row do not trip it; a fifth does, and nobody's attempt is used up."""
    world = batching(SIZE)

    def broken(items: Any) -> Any:
        world.lms.batch_calls.append([item.key for item in items])
        raise ServiceUnavailable("502", certain=False, http_status=502)

    world.lms.enroll_many = broken  # type: ignore[method-assign]  # the test's own outage
    world.lms.answers = {
        key(f"e{number:02}"): fail(ServiceUnavailable("502", certain=False)) for number in range(SIZE)
    }

    result = world.run(batch=5, concurrency=1)

    assert (result.summary.status, result.summary.reason) == (RunStatus.ABORTED, "lms_unavailable")
    assert len(world.lms.batch_calls) == 5
    assert result.summary.outcomes == {Outcome.RETRYING: SIZE}
    assert {world.sync(f"e{number:02}")["retryCount"] for number in range(SIZE)} == {0}


def test_a_rate_limited_batch_goes_again_one_by_one() -> None:
    world = batching(4)
    limits = [RateLimited("429", retry_after=5, http_status=429)]
    real = world.lms.enroll_many

    def limited_once(items: Any) -> Any:
        if limits:
            raise limits.pop()
        return real(items)

    world.lms.enroll_many = limited_once  # type: ignore[method-assign]  # the test's own limit

    assert world.outcomes(batch=SIZE) == {"enrolled": 4}
    assert len(world.lms.enroll_calls) == 4
    assert {world.sync(f"e{number:02}")["retryCount"] for number in range(4)} == {1}


def test_who_has_failed_before_goes_alone() -> None:
    world = batching(3)
    world.lms.answers[key("e01")] = refuse("not yet")
    world.run(batch=1)
    world.source.documents["e05"] = order("e05")
    world.source.documents["e06"] = order("e06")
    world.lms.answers.clear()
    world.lms.enroll_calls.clear()
    world.clock.advance(3600)

    assert world.outcomes(batch=SIZE) == {"enrolled": 3}
    assert world.lms.enroll_calls == [key("e01")]
    assert [len(batch) for batch in world.lms.batch_calls] == [2]


def test_in_an_lms_without_enrollments_the_first_write_goes_alone() -> None:
    world = World([order(f"e{number:02}") for number in range(9)])
    world.lms.batches = True

    assert world.outcomes(batch=4) == {"enrolled": 9}
    assert len(world.lms.enroll_calls) >= 1
    assert world.lms.rows[0][1] == world.lms.enroll_calls[0]
    assert sum(len(batch) for batch in world.lms.batch_calls) == 9 - len(world.lms.enroll_calls)


def test_an_order_refunded_between_the_parts_of_a_batch_is_left_alone() -> None:
    """Its row says so, and it is not taken for one that was never sent: a request for it had left."""
    world = batching(8)
    world.lms.answers[key("e00")] = refuse("no seat")
    real = world.lms.enroll_many

    def refunded(items: list[Enrollment]) -> Any:
        answer = real(items)
        for item in items:
            if item.id == "e05" and len(world.lms.batch_calls) == 1:
                world.source.documents["e05"]["status"] = "failed"
        return answer

    world.lms.enroll_many = refunded  # type: ignore[method-assign]  # the test's own shop

    assert world.outcomes(batch=SIZE) == {"enrolled": 6, "retrying": 1, "skipped": 1}
    (row,) = rows_of(world, "e05")
    assert (row.verdict.reason, row.never_sent) == (Reason.NOT_PAID, False)
    assert key("e05") not in world.copies()


@pytest.mark.parametrize("stopped_at", range(1, 7))
def test_a_stop_in_the_middle_of_the_halving_leaves_nothing_open(stopped_at: int) -> None:
    world = batching()
    world.lms.answers[key("e07")] = refuse("no seat")
    real, calls = world.lms.enroll_many, []

    def stopping(items: Any) -> Any:
        calls.append(len(items))
        if len(calls) == stopped_at:
            world.stop.set()
        return real(items)

    world.lms.enroll_many = stopping  # type: ignore[method-assign]  # the test's own interruption

    result = world.run(batch=SIZE)

    assert result.summary.status in (RunStatus.INTERRUPTED, RunStatus.COMPLETED)
    assert all(row.finished_at is not None for row in world.audit.attempts.values())
    assert world.leases.rows == {}
    world.stop.clear()
    world.lms.enroll_many = real  # type: ignore[method-assign]  # well again
    world.lms.answers[key("e07")] = lambda which: Created(lms_id=world.lms.add(which), http_status=200)
    world.clock.advance(3600)
    world.run(batch=SIZE)
    assert all(copies == 1 for copies in world.copies().values())
    assert len(world.copies()) == SIZE + 1
