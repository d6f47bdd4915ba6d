"""The use case over the in-memory world: who is enrolled, once, and that any world converges."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.base.errors import AmbiguousWrite, ProtocolViolation, ServiceUnavailable
from reconcile.domain.model import DUPLICATE_PAYMENT, EffectKey, Outcome
from reconcile.run.source import Selection
from reconcile.run.summary import ExitCode, RunStatus
from tests.fakes.harness import World
from tests.fakes.world import fail, order, refuse


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def test_a_paid_learner_without_access_gets_it() -> None:
    world = World([order("e1")])

    result = world.run()

    assert result.summary.status is RunStatus.COMPLETED
    assert result.summary.exit_code is ExitCode.CONVERGED
    assert world.copies() == {key("e1"): 1}
    sync = world.sync("e1")
    assert sync["synced"] is True
    assert sync["syncStatus"] == "success"
    assert sync["enrollmentId"] == "lms0001"
    assert sync["retryCount"] == 1
    (attempt,) = world.audit.attempts.values()
    assert attempt.verdict is not None
    assert attempt.verdict.outcome is Outcome.ENROLLED
    assert world.leases.rows == {}


def test_running_twice_changes_nothing_the_second_time() -> None:
    world = World([order("e1"), order("e2", courseId="gone"), order("e3", email="nobody")])
    world.run()
    rows, writes = len(world.audit.attempts), len(world.source.writes)

    again = world.run()

    assert (len(world.audit.attempts), len(world.source.writes)) == (rows, writes)
    assert again.summary.outcomes[Outcome.WAITING] == 1
    assert again.summary.outcomes[Outcome.FAILED] == 1
    assert len(world.lms.enroll_calls) == 1


def test_what_the_lms_has_already_is_only_confirmed() -> None:
    world = World([order("e1")])
    world.lms.add(key("e1"))

    assert world.outcomes() == {"already_enrolled": 1}
    assert world.lms.enroll_calls == []
    assert world.sync("e1")["enrollmentId"] == "lms0001"
    assert world.sync("e1")["retryCount"] == 0


def test_two_paid_orders_are_one_enrollment_and_two_write_backs() -> None:
    world = World([order("e1", email="a@example.com"), order("e2", email="A@example.com ")])

    result = world.run()

    assert world.copies() == {key("a"): 1}
    assert result.summary.outcomes == {Outcome.ENROLLED: 1, Outcome.ALREADY_ENROLLED: 1}
    assert world.sync("e1")["enrollmentId"] == world.sync("e2")["enrollmentId"]
    assert all(DUPLICATE_PAYMENT in row.flags for row in world.audit.attempts.values())
    assert {row.enrollment.id for row in world.audit.attempts.values()} == {"e1", "e2"}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_two_paid_orders_on_neighbouring_pages_are_one_enrollment_too(size: int) -> None:
    world = World([order("e1", email="a@example.com"), order("e2"), order("e3", email="a@example.com")])

    result = world.run(page_size=size)

    assert world.copies() == {key("a"): 1, key("e2"): 1}
    assert sum(result.summary.outcomes.values()) == 3
    assert world.sync("e1")["synced"]
    assert world.sync("e3")["synced"]


def test_an_order_out_of_attempts_shares_its_twins_success() -> None:
    tired = {"synced": False, "syncStatus": "failed", "retryCount": 5}
    world = World([order("e1", email="a@example.com", frappeSync=tired), order("e2", email="a@example.com")])

    world.run()

    assert world.copies() == {key("a"): 1}
    assert world.sync("e1")["synced"]


def test_a_selection_leaves_the_rest_alone() -> None:
    world = World([order("e1"), order("e2")])

    world.run(selection=Selection(enrollment_ids=("e2",)))

    assert world.copies() == {key("e2"): 1}


def test_without_a_key_the_lmss_own_word_must_do() -> None:
    world = World([order("e1"), order("e2")])
    world.lms.verified = False
    world.lms.add(key("e1"))

    assert world.outcomes() == {"already_enrolled": 1, "enrolled": 1}
    assert world.sync("e1")["enrollmentId"] == "already-enrolled"
    assert world.sync("e2")["enrollmentId"] == "lms0002"

    world.lms.verified = True
    assert world.outcomes() == {"already_enrolled": 1}
    assert world.sync("e1")["enrollmentId"] == "lms0001"
    assert world.outcomes() == {}


def test_who_was_synced_without_a_name_and_is_gone_is_not_enrolled_again() -> None:
    unnamed = {"synced": True, "syncStatus": "success", "enrollmentId": "already-enrolled"}
    world = World([order("e1", frappeSync=dict(unnamed))])

    assert world.outcomes() == {}
    assert world.lms.enroll_calls == []
    assert world.sync("e1") == unnamed


kinds = st.sampled_from(["fine", "there", "refused", "silent", "silent-done", "error", "odd", "down"])


def _behave(world: World, name: str, kind: str) -> None:
    def done_and_silent(which: EffectKey) -> Any:
        world.lms.add(which)
        raise AmbiguousWrite("no answer")

    if kind == "there":
        world.lms.add(key(name))
    behaviours: dict[str, Any] = {
        "refused": refuse(),
        "silent": fail(AmbiguousWrite("no answer")),
        "silent-done": done_and_silent,
        "error": fail(ServiceUnavailable("500", certain=False, http_status=500)),
        "odd": fail(ProtocolViolation("HTML")),
        "down": fail(ServiceUnavailable("503", http_status=503)),
    }
    if kind in behaviours:
        world.lms.answers[key(name)] = behaviours[kind]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(kinds, st.sampled_from(["paid", "pending"]), st.integers(0, 6)), max_size=14),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_any_world_converges_without_doubles_and_then_stands_still(
    shape: list[tuple[str, str, int]], page_size: int, concurrency: int
) -> None:
    documents = [
        order(f"e{number:02}", status=status, frappeSync={"syncStatus": "pending", "retryCount": retries})
        for number, (_, status, retries) in enumerate(shape)
    ]
    world = World(documents)
    for number, (kind, _, _) in enumerate(shape):
        _behave(world, f"e{number:02}", kind)

    for _ in range(30):
        world.run(page_size=page_size, concurrency=concurrency)
        world.clock.advance(3600)
    world.lms.answers.clear()  # the LMS is well again
    for _ in range(3):
        world.run(page_size=page_size, concurrency=concurrency)
        world.clock.advance(3600)

    paid = {key(f"e{number:02}") for number, (_, status, _) in enumerate(shape) if status == "paid"}
    assert set(world.lms.enroll_calls) <= paid
    assert all(copies == 1 for copies in world.copies().values())
    assert all(row.finished_at for row in world.audit.attempts.values())
    rows, writes, calls = len(world.audit.attempts), len(world.source.writes), len(world.lms.enroll_calls)
    world.run(page_size=page_size, concurrency=concurrency)
    assert (len(world.audit.attempts), len(world.source.writes)) == (rows, writes)
    assert len(world.lms.enroll_calls) == calls
