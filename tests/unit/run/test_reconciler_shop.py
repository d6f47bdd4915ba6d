"""Runs beside the storefront: what it has tried, what it is trying, whom it has sent."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from reconcile.base.errors import StoreUnavailable
from reconcile.domain.interventions import Intervention, InterventionKind
from reconcile.domain.model import DUPLICATE_PAYMENT, ODD_ORDER, EffectKey, Reason
from reconcile.run.options import RunOptions
from reconcile.run.reconciler import Reconciler
from reconcile.run.retry import RetryPolicy
from reconcile.run.source import Selection
from reconcile.run.summary import RunStatus
from tests.fakes.audit_samples import HERE, summary
from tests.fakes.harness import World, policy
from tests.fakes.world import NOON, order, refuse

MINUTE = timedelta(minutes=1)


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", "python-basics")


def shop_tried(minutes: float, error: str = "fetch failed", **changes: Any) -> dict[str, Any]:
    """What the storefront leaves after a try that came to nothing."""
    return {
        "synced": False,
        "syncStatus": "retrying",
        "retryCount": 2,
        "errorMessage": error,
        "lastSyncAttempt": NOON - minutes * MINUTE,
    } | changes


GIVEN_UP = shop_tried(60 * 24 * 9, syncStatus="failed", retryCount=5)


def test_whom_the_shop_has_given_up_on_is_let_in_at_once() -> None:
    world = World([order("e1", frappeSync=dict(GIVEN_UP)), order("e2")])

    result = world.run()

    assert {outcome.value: n for outcome, n in result.summary.outcomes.items() if n} == {"enrolled": 2}
    assert result.summary.came_back == 1
    assert result.summary.exit_code == 0


def test_the_count_in_the_order_grows_by_one_a_visit_from_whatever_it_was() -> None:
    world = World([order("e1", frappeSync=dict(GIVEN_UP))])
    world.lms.answers[key("e1")] = refuse()
    counts, writes = [], []

    for _ in range(8):
        world.run()
        counts.append(world.sync("e1")["retryCount"])
        writes.append(len(world.lms.enroll_calls))
        world.clock.advance(3600)

    assert counts == [6, 7, 8, 9, 10, 11, 11, 11]
    assert writes == [2, 4, 6, 8, 10, 12, 12, 12]
    assert world.sync("e1")["syncStatus"] == "failed"
    assert {row.enrollment.sync.retry_count for row in world.audit.attempts.values()} >= {5}


def test_the_waits_between_the_visits_are_2_4_8_16_and_32_minutes() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse()
    visits: list[float] = []

    for _ in range(240):  # every 20 seconds
        before = len(world.lms.enroll_calls)
        world.run()
        if len(world.lms.enroll_calls) > before:
            visits.append((world.clock.time - NOON).total_seconds() / 60)
        world.clock.advance(20)

    waits = [later - earlier for earlier, later in pairwise(visits)]
    assert len(visits) == 6
    for wait, minutes in zip(waits, (2, 4, 8, 16, 32), strict=True):
        assert 0.9 * minutes <= wait <= 1.1 * minutes + 0.5


def test_between_the_two_tries_of_the_last_visit_nobody_is_given_up_on() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse()

    world.run(policy=policy(max_attempts=1))
    world.clock.advance(3600)
    world.run(policy=policy(max_attempts=1))

    rows = [row.verdict.outcome.value for row in world.audit.attempts.values() if row.verdict]
    assert rows == ["retrying", "retrying", "retrying", "failed"]


def test_a_new_audit_begins_at_none() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse()
    for _ in range(7):
        world.run()
        world.clock.advance(3600)
    assert world.outcomes() == {"failed": 1}
    del world.lms.answers[key("e1")]

    again = World(list(world.source.documents.values()), lms=world.lms, clock=world.clock)

    assert again.outcomes() == {"enrolled": 1}


def test_our_own_write_back_is_no_sign_of_the_storefront() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse()
    world.run()
    world.clock.advance(135)  # the wait after one visit is over, the age that is left to the shop is not

    assert world.outcomes() == {"retrying": 1}
    assert len(world.lms.enroll_calls) == 4


@pytest.mark.parametrize("error", ["The operation was aborted due to timeout", "fetch failed", None])
def test_the_shops_unanswered_try_is_waited_out(error: str | None) -> None:
    world = World([order("e1", frappeSync=shop_tried(1, error or ""))])
    at_any_age = policy(min_age=0.0)

    assert world.outcomes(policy=at_any_age) == {"skipped": 1}
    assert world.lms.enroll_calls == []
    world.lms.add(key("e1"))  # committed late

    assert world.outcomes(policy=at_any_age) == {"already_enrolled": 1}
    assert world.copies() == {key("e1"): 1}


def test_after_the_shops_unanswered_try_the_hold_ends() -> None:
    world = World([order("e1", frappeSync=shop_tried(1.5))])
    assert world.outcomes(policy=policy(immediately=True)) == {"skipped": 1}
    world.clock.advance(91)

    assert world.outcomes(policy=policy(min_age=0.0)) == {"enrolled": 1}


def test_a_page_that_the_success_page_pays_between_look_and_write_is_left_alone() -> None:
    world = World([order("e1")])

    def opened(name: str) -> None:
        opening = world.source.documents[name]["timestamp"]
        world.source.documents[name]["updatedAt"] = world.clock.time
        assert opening

    world.source.before_recheck = opened

    assert world.outcomes() == {"skipped": 1}
    assert world.lms.enroll_calls == []
    (row,) = world.audit.attempts.values()
    assert row.verdict is not None
    assert row.verdict.reason is Reason.TOO_NEW


def test_an_order_whose_address_is_corrected_between_look_and_write_is_left_to_the_next_run() -> None:
    world = World([order("e1")])

    def corrected(name: str) -> None:
        world.source.documents[name]["email"] = "other@example.com"

    world.source.before_recheck = corrected
    assert world.outcomes() == {"skipped": 1}
    world.source.before_recheck = lambda _: None

    assert world.outcomes() == {"enrolled": 1}
    assert world.copies() == {key("other"): 1}


def test_whoever_is_there_under_the_address_that_the_shop_sent_is_confirmed() -> None:
    world = World([order("e1", email="corrected@example.com"), order("e2", email="two@example.com")])
    world.source.sent_as = {"e1": ("first@example.com",), "e2": ("elsewhere@example.com",)}
    lms_id = world.lms.add(key("first"))

    assert world.outcomes() == {"already_enrolled": 1, "enrolled": 1}
    assert world.sync("e1")["enrollmentId"] == lms_id
    assert world.copies() == {key("first"): 1, key("two"): 1}


def test_whoever_is_there_under_both_is_confirmed_by_the_orders_own() -> None:
    world = World([order("e1", email="corrected@example.com")])
    world.source.sent_as = {"e1": ("first@example.com", "corrected@example.com")}
    world.lms.add(key("first"))
    own = world.lms.add(key("corrected"))

    assert world.outcomes() == {"already_enrolled": 1}
    assert world.sync("e1")["enrollmentId"] == own


def test_a_made_up_address_needs_a_person_unless_the_shop_knows_another() -> None:
    made_up = "temp_1764300000000@placeholder.com"
    world = World([order("e1", email=made_up), order("e2", email=made_up)])
    world.source.sent_as = {"e2": ("kim@example.com",)}

    result = world.run()

    assert result.summary.outcomes == {"failed": 1, "enrolled": 1}
    assert result.summary.reasons == {Reason.PLACEHOLDER_EMAIL: 1}
    assert world.copies() == {key("kim"): 1}
    assert "made this e-mail address up" in world.sync("e1")["errorMessage"]


def busy_by_job(world: World) -> None:
    world.source.active_jobs = {"e2"}


def busy_by_age(world: World) -> None:
    world.source.documents["e2"]["createdAt"] = NOON - MINUTE


def busy_by_hold(world: World) -> None:
    world.source.documents["e2"]["frappeSync"] = shop_tried(1)


@pytest.mark.parametrize("busy", [busy_by_job, busy_by_age, busy_by_hold])
@pytest.mark.parametrize("alone", [True, False])
def test_while_the_storefront_is_at_one_order_its_twin_waits_wherever_it_stands(
    busy: Any, alone: bool
) -> None:
    """Two orders for one learner and course; the run may see only the other one."""
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com"), order("e3")])
    busy(world)
    selection = Selection(enrollment_ids=("e1", "e3")) if alone else Selection()
    min_age = 0.0 if busy is busy_by_hold else 300.0

    world.run(selection=selection, policy=policy(min_age=min_age))

    assert world.lms.enroll_calls == [key("e3")]


def test_a_twin_that_is_settled_keeps_nobody_back() -> None:
    long_ago = NOON - 60 * MINUTE
    synced = {"synced": True, "syncStatus": "success", "enrollmentId": "gone", "lastSyncAttempt": long_ago}
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com", frappeSync=synced)])

    assert world.outcomes(policy=policy(min_age=0.0)) == {"enrolled": 1}
    (row,) = world.audit.attempts.values()
    assert row.flags == {DUPLICATE_PAYMENT}


def test_a_paid_order_that_is_written_like_one_that_is_not_is_flagged() -> None:
    world = World([order("e1", paymentId="STRIPE_cs_test_a1"), order("e2")])

    assert world.outcomes() == {"enrolled": 2}
    assert [row.flags for row in world.audit.attempts.values() if row.enrollment.id == "e1"] == [{ODD_ORDER}]
    assert [row.flags for row in world.audit.attempts.values() if row.enrollment.id == "e2"] == [set()]


def test_what_is_paid_and_not_marked_is_counted_and_never_enrolled() -> None:
    completed = {"eventType": "checkout.session.completed", "processedAt": NOON - 20 * MINUTE}
    world = World([order("e1", status="pending", stripeEvents=[completed]), order("e2")])

    result = world.run()

    assert (result.summary.unmarked, result.summary.scanned) == (1, 1)
    assert world.lms.enroll_calls == [key("e2")]
    world.audit.intervene(
        Intervention(
            kind=InterventionKind.IGNORE, who="kim", at=NOON, enrollment_id="e1", until=NOON + 99 * MINUTE
        )
    )
    assert world.run().summary.unmarked == 0  # refunded, and a person has said so
    part = world.run(selection=Selection(course="python-basics"))
    assert part.summary.unmarked is None


def test_a_plan_shows_the_same() -> None:
    world = World([order("e1", frappeSync=dict(GIVEN_UP)), order("e2", frappeSync=shop_tried(1))])

    (page,) = Reconciler(world.ports).plan(RunOptions(policy=RetryPolicy()))

    assert [type(entry.decision).__name__ for entry in page.entries] == ["Enroll", "Skip"]


def settle(world: World, name: str) -> None:
    """The storefront's own call has gone through at this moment."""
    document = world.source.documents[name]
    document |= {"status": "paid", "updatedAt": world.clock.time}
    document["frappeSync"] = {
        "synced": True,
        "syncStatus": "success",
        "enrollmentId": world.lms.add(key("a")),
        "lastSyncAttempt": world.clock.time,
    }


@pytest.mark.parametrize("settled", [True, False])
def test_a_twin_that_is_paid_between_look_and_write_keeps_the_write_back(settled: bool) -> None:
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com", status="pending")])

    def pays(_: str) -> None:
        world.source.documents["e2"] |= {"status": "paid", "updatedAt": world.clock.time}
        if settled:
            settle(world, "e2")

    world.source.before_recheck = pays

    world.run()

    assert world.lms.enroll_calls == []


def test_a_twin_that_is_settled_between_the_look_and_the_look_for_twins_keeps_the_write_back() -> None:
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com")])
    look = world.lms.observe

    def observe(keys: Any) -> Any:
        seen = look(keys)
        if not world.lms.rows:
            settle(world, "e2")
        return seen

    world.lms.observe = observe  # type: ignore[method-assign]

    assert world.outcomes(selection=Selection(enrollment_ids=("e1",))) == {"skipped": 1}
    assert world.copies() == {key("a"): 1}


def test_who_is_asked_for_by_hand_is_left_to_the_storefronts_own_call_for_a_minute() -> None:
    world = World([order("e1", updatedAt=NOON - timedelta(seconds=1))])

    assert world.outcomes(policy=policy(immediately=True)) == {"skipped": 1}
    world.clock.advance(60)
    assert world.outcomes(policy=policy(immediately=True)) == {"enrolled": 1}


def test_a_run_that_is_stopped_by_a_surge_says_how_many_had_been_given_up_on() -> None:
    world = World([order(f"e{number:03}", frappeSync=dict(GIVEN_UP)) for number in range(600)])
    for number in range(5):
        world.audit.open_run(summary(f"run-{number}"), HERE)
        earlier = summary(f"run-{number}")
        earlier.close(RunStatus.COMPLETED, at=NOON)
        world.audit.close_run(earlier)

    result = world.run()

    assert (result.summary.reason, result.summary.came_back) == (
        "too_many_enrolls",
        len(world.lms.enroll_calls),
    )
    assert "500 of them had been given up on before" in str(result.failure)


def test_what_we_write_over_the_shops_words_is_known_as_ours_again() -> None:
    world = World([order("e1")])
    world.lms.everybody = False
    assert world.outcomes() == {"waiting": 1}
    world.clock.advance(3600)
    world.sync("e1").update(shop_tried(-30, "User not found"))  # half an hour ago, by now
    assert world.outcomes() == {"waiting": 1}
    rows = len(world.audit.attempts)
    world.clock.advance(60)
    world.lms.everybody = True

    assert world.outcomes() == {"enrolled": 1}
    assert rows == 2


def test_what_is_only_told_of_the_shop_cannot_end_a_run() -> None:
    world = World([order("e1")])

    def unmarked(*_: object, **__: object) -> Any:
        raise StoreUnavailable("gone")

    world.source.unmarked = unmarked  # type: ignore[method-assign]

    result = world.run()

    assert (result.summary.status, result.summary.unmarked) == (RunStatus.COMPLETED, None)


def test_who_is_given_up_on_stays_so_run_after_run() -> None:
    world = World([order("e1", frappeSync=dict(GIVEN_UP))])
    world.lms.answers[key("e1")] = refuse()
    for _ in range(6):
        world.run()
        world.clock.advance(3600)

    ends = []
    for _ in range(4):
        ends.append(world.outcomes())
        world.clock.advance(60)

    assert ends == [{"failed": 1}] * 4


def test_a_twin_whose_worker_ends_while_we_look_keeps_the_write_back() -> None:
    """Between our look at the twin and our look at its job it is synced, and the job ended."""
    world = World([order("e1", email="a@example.com"), order("e2", email="a@example.com")])
    jobs, look = world.source.shop_jobs, {"armed": False}

    def arm(_: str) -> None:
        look["armed"] = True

    def shop_jobs(names: Any) -> Any:
        if look["armed"] and list(names) == ["e2"]:
            settle(world, "e2")
        return jobs(names)

    world.source.before_recheck = arm
    world.source.shop_jobs = shop_jobs  # type: ignore[method-assign]

    world.run(selection=Selection(enrollment_ids=("e1",)))

    assert world.copies() == {key("a"): 1}


def test_a_visit_counts_also_where_its_second_try_is_not_made() -> None:
    world = World([order("e1")])
    world.lms.answers[key("e1")] = refuse("no seat")
    looks = []

    def opened_again(name: str) -> None:
        looks.append(name)
        if len(looks) == 2:
            world.source.documents[name]["stripeEvents"] = [{"processedAt": world.clock.time}]

    world.source.before_recheck = opened_again

    assert world.outcomes() == {"retrying": 1}
    assert world.sync("e1")["retryCount"] == 1
    assert len(world.lms.enroll_calls) == 1
