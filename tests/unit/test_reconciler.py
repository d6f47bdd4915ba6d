"""The use case over the in-memory world: what is done, in which order, and what is left alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconcile.domain.model import DUPLICATE_PAYMENT, EffectKey, Outcome, Reason
from reconcile.domain.summary import ExitCode, RunStatus
from reconcile.errors import (
    AmbiguousWrite,
    AuthenticationFailed,
    ProtocolViolation,
    RateLimited,
    ServiceUnavailable,
)
from reconcile.ports import Selection
from reconcile.reconciler import Reconciler, RunOptions
from tests.fakes.harness import World, policy
from tests.fakes.world import NOON, fail, order, refuse


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


def test_a_refused_write_is_tried_a_second_time_after_two_seconds() -> None:
    world = World([order("e1")])
    answers = [refuse("not now"), lambda which: _created(world, which)]

    def one_after_the_other(which: Any) -> Any:
        return answers.pop(0)(which)

    world.lms.answers[key("e1")] = one_after_the_other

    assert world.outcomes() == {"enrolled": 1}
    assert world.clock.slept == [2.0]
    assert [row.number for row in world.audit.attempts.values()] == [1, 2]
    assert world.sync("e1")["retryCount"] == 2


def test_a_write_refused_twice_waits_for_its_backoff() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse("Pay first")

    assert world.outcomes() == {"retrying": 1}
    assert world.sync("e1")["syncStatus"] == "retrying"
    assert "Pay first" in world.sync("e1")["errorMessage"]
    assert world.outcomes() == {"skipped": 1}
    world.clock.advance(3600)
    assert world.outcomes() == {"retrying": 1}


def test_a_poison_record_costs_five_writes_ever_and_no_run() -> None:
    world = World([order("e1"), order("e2")])
    world.lms.answers[key("e1")] = refuse()

    for _ in range(50):
        world.run()
        world.clock.advance(3600)

    assert world.lms.enroll_calls.count(key("e1")) == 5
    assert world.sync("e1")["syncStatus"] == "failed"
    assert world.sync("e2")["syncStatus"] == "success"
    assert len([row for row in world.audit.attempts.values() if row.enrollment.id == "e1"]) <= 6


def test_include_failed_gives_the_failed_another_try() -> None:
    tired = {"synced": False, "syncStatus": "failed", "retryCount": 5, "lastSyncAttempt": NOON}
    world = World([order("e1", frappeSync=tired)])

    assert world.outcomes() == {"failed": 1}
    assert world.lms.enroll_calls == []
    assert world.outcomes(policy=policy(include_failed=True)) == {"enrolled": 1}


def test_a_refusal_because_it_is_there_is_no_refusal() -> None:
    world = World([order("e1")])

    def refuse_because_it_is_there(which: EffectKey) -> Any:
        world.lms.add(which)
        return refuse("already enrolled")(which)

    world.lms.answers[key("e1")] = refuse_because_it_is_there

    assert world.outcomes() == {"already_enrolled": 1}


def test_an_unanswered_write_that_was_done_is_recovered() -> None:
    world = World([order("e1")])

    def done_and_silent(which: EffectKey) -> Any:
        world.lms.add(which)
        raise AmbiguousWrite("no answer within 10 s")

    world.lms.answers[key("e1")] = done_and_silent

    assert world.outcomes() == {"recovered": 1}
    assert world.copies() == {key("e1"): 1}


def test_an_unanswered_write_is_held_and_looked_at_again() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = fail(AmbiguousWrite("no answer within 10 s"))

    assert world.outcomes() == {"retrying": 1}
    assert world.clock.slept == []
    assert len(world.lms.enroll_calls) == 1

    # still on hold: looked at, not written
    world.clock.advance(60)
    assert world.outcomes() == {"skipped": 1}
    assert len(world.lms.enroll_calls) == 1

    # the LMS finished it late
    world.lms.add(key("e1"))
    assert world.outcomes() == {"recovered": 1}
    assert world.copies() == {key("e1"): 1}


def test_after_the_hold_an_unanswered_write_is_made_again() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = fail(AmbiguousWrite("no answer within 10 s"))
    world.run()
    del world.lms.answers[key("e1")]
    world.clock.advance(181)

    assert world.outcomes() == {"enrolled": 1}
    assert world.copies() == {key("e1"): 1}


def test_an_lms_that_is_down_ends_the_run_before_anything_is_touched() -> None:
    world = World([order("e1")])
    world.lms.down = ServiceUnavailable("maintenance")

    result = world.run()

    assert (result.summary.status, result.summary.reason) == (RunStatus.ABORTED, "lms_unavailable")
    assert result.summary.exit_code is ExitCode.TEMPORARY
    assert world.sync("e1") == {"synced": False, "syncStatus": "pending", "retryCount": 0}
    assert world.audit.attempts == {}


def test_failures_in_a_row_are_the_lmss_own_and_cost_nobody_anything() -> None:
    world = World([order(f"e{number:02}") for number in range(30)])
    for number in range(30):
        world.lms.answers[key(f"e{number:02}")] = fail(
            ServiceUnavailable("500", certain=False, http_status=500)
        )

    result = world.run(concurrency=1)

    assert (result.summary.status, result.summary.reason) == (RunStatus.ABORTED, "lms_unavailable")
    assert len(world.lms.enroll_calls) == 5
    assert result.summary.outcomes == {Outcome.RETRYING: 5}
    assert all(world.sync(f"e{number:02}")["retryCount"] == 0 for number in range(30))
    untouched = [number for number in range(30) if world.sync(f"e{number:02}")["syncStatus"] == "pending"]
    assert len(untouched) == 25


def test_a_failure_while_others_go_through_is_the_enrollments_own() -> None:
    world = World([order(f"e{number}") for number in range(8)])
    world.lms.answers[key("e3")] = fail(ServiceUnavailable("500", certain=False, http_status=500))

    assert world.outcomes() == {"enrolled": 7, "retrying": 1}
    assert world.sync("e3")["retryCount"] == 2


def test_maintenance_in_the_middle_uses_up_no_attempt() -> None:
    world = World([order(f"e{number}") for number in range(8)])
    for number in range(8):
        world.lms.answers[key(f"e{number}")] = fail(ServiceUnavailable("503", http_status=503))

    result = world.run()

    assert result.summary.exit_code is ExitCode.TEMPORARY
    assert {world.sync(f"e{number}")["retryCount"] for number in range(8)} == {0}


@pytest.mark.parametrize("reason", ["unauthorized", "forbidden"])
def test_a_key_that_is_refused_ends_the_run_and_every_row_has_its_end(reason: str) -> None:
    world = World([order("e1"), order("e2")])
    error = AuthenticationFailed("no", reason=reason)
    world.lms.answers = {key("e1"): fail(error), key("e2"): fail(error)}

    result = world.run()

    assert (result.summary.reason, result.summary.exit_code) == (reason, ExitCode.USAGE)
    assert result.failure is error
    assert all(row.finished_at for row in world.audit.attempts.values())
    assert {world.sync(name)["retryCount"] for name in ("e1", "e2")} == {0}


def test_a_missing_method_ends_the_run() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = fail(ProtocolViolation("no such method", ends_run=True))

    result = world.run()

    assert (result.summary.reason, result.summary.exit_code) == ("protocol", ExitCode.USAGE)


def test_an_odd_answer_is_held_like_no_answer() -> None:
    world = World([order("e1"), order("e2")])
    world.lms.answers[key("e1")] = fail(ProtocolViolation("HTML", http_status=200))

    assert world.outcomes() == {"enrolled": 1, "retrying": 1}
    assert world.lms.enroll_calls.count(key("e1")) == 1


def test_an_empty_lms_proves_the_key_by_one_write_alone() -> None:
    world = World([order(f"e{number}") for number in range(6)])
    world.lms.blind = True

    result = world.run()

    assert (result.summary.reason, result.summary.exit_code) == ("blind", ExitCode.USAGE)
    assert len(world.lms.enroll_calls) == 1


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
    assert any(seconds >= 6.9 for seconds in world.clock.slept)
    assert sum(world.sync(f"e{number}")["retryCount"] for number in range(3)) == 3


def test_the_lmss_advice_to_breathe_is_taken() -> None:
    world = World([order(f"e{number}") for number in range(3)])
    world.lms.breather = lambda: 11.0  # type: ignore[method-assign]  # the test's own budget

    world.run(concurrency=1)

    assert [round(seconds) for seconds in world.clock.slept if seconds > 5] == [11, 11]


def test_the_rate_holds_over_all_threads() -> None:
    world = World([order(f"e{number}") for number in range(5)])

    world.run(concurrency=4, rate=2.0)

    assert sum(world.clock.slept) >= 2.0 - 1e-6


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


def _created(world: World, which: EffectKey) -> Any:
    from reconcile.domain.answers import Created

    return Created(lms_id=world.lms.add(which), http_status=200)


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
