"""What becomes of a write that is refused, not answered, or answered oddly, and whose fault it was."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile.base.errors import AmbiguousWrite, AuthenticationFailed, ProtocolViolation, ServiceUnavailable
from reconcile.domain.model import EffectKey, Outcome
from reconcile.run.summary import ExitCode, RunStatus
from tests.fakes.harness import World, policy
from tests.fakes.world import fail, order, refuse


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def test_a_refused_write_is_tried_a_second_time_after_two_seconds() -> None:
    world = World([order("e1")])
    answers = [refuse("not now"), lambda which: _created(world, which)]

    def one_after_the_other(which: Any) -> Any:
        return answers.pop(0)(which)

    world.lms.answers[key("e1")] = one_after_the_other

    assert world.outcomes() == {"enrolled": 1}
    assert world.clock.slept == [2.0]
    assert [row.number for row in world.audit.attempts.values()] == [1, 2]
    # Two writes, one visit.
    assert world.sync("e1")["retryCount"] == 1


def test_a_write_refused_twice_waits_for_its_backoff() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse("Pay first")

    assert world.outcomes() == {"retrying": 1}
    assert world.sync("e1")["syncStatus"] == "retrying"
    assert "Pay first" in world.sync("e1")["errorMessage"]
    assert world.outcomes() == {"skipped": 1}
    world.clock.advance(3600)
    assert world.outcomes() == {"retrying": 1}


def test_a_poison_record_costs_six_visits_ever_and_no_run() -> None:
    world = World([order("e1"), order("e2")])
    world.lms.answers[key("e1")] = refuse()

    for _ in range(50):
        world.run()
        world.clock.advance(3600)

    # The first visit and five more, each with its second try.
    assert world.lms.enroll_calls.count(key("e1")) == 12
    assert world.sync("e1")["retryCount"] == 6
    assert world.sync("e1")["syncStatus"] == "failed"
    assert world.sync("e2")["syncStatus"] == "success"
    assert len([row for row in world.audit.attempts.values() if row.enrollment.id == "e1"]) <= 13


def test_include_failed_gives_the_failed_another_try() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse()
    for _ in range(7):
        world.run()
        world.clock.advance(3600)
    del world.lms.answers[key("e1")]
    world.lms.enroll_calls.clear()

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
    world.clock.advance(191)

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
    assert world.sync("e3")["retryCount"] == 1


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


def _created(world: World, which: EffectKey) -> Any:
    from reconcile.run.answers import Created

    return Created(lms_id=world.lms.add(which), http_status=200)
