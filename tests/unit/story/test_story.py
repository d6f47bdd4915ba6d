"""What `explain` says follows from what is known, for every reason there is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconcile.domain.model import (
    Confirm,
    CourseMissing,
    Decision,
    Defer,
    Enroll,
    Enrolled,
    Enrollment,
    GiveUp,
    MalformedEnrollment,
    MemberMissing,
    NotEnrolled,
    Observation,
    Reason,
    Skip,
    SyncState,
    Unknown,
    Wait,
)
from reconcile.story.remedies import REMEDIES
from reconcile.story.shop_texts import UNMARKED_REMEDY
from reconcile.story.story import concluded, observed

LATER = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
ORDER = Enrollment(
    id="e1",
    payment_id="pi_1",
    member="sam@example.com",
    email="sam@example.com",
    course="python-basics",
    amount=None,
    currency="usd",
    paid=True,
    paid_at=None,
    sync=SyncState(status="failed", error="LMS said: payment missing"),
)
SYNCED = replace(ORDER, sync=SyncState(synced=True, status="success", lms_id="E1"))


@pytest.mark.parametrize(
    ("decision", "next_step", "to_do"),
    [
        (Enroll(), "gives access", "retry ID"),
        (Confirm("E1"), "writes the LMS's word", "nothing"),
        (Wait(Reason.MEMBER_MISSING), "every run looks again", "signs up"),
        (Defer(LATER, Reason.BACKOFF), "2026-11-25 10:30 UTC", "retry ID"),
        (
            Defer(LATER, Reason.LEASE_HELD),
            "on hold after an unanswered write, the shop's or ours, until 2026-11-25",
            "nothing",
        ),
        (GiveUp(Reason.EXHAUSTED), "LMS said: payment missing", "find out why"),
        (Skip(Reason.IGNORED), "a person asked for it", "ignore --list"),
        (Skip(Reason.TOO_NEW), "so lately", "nothing"),
    ],
)
def test_each_decision_says_what_happens_and_what_to_do(
    decision: Decision, next_step: str, to_do: str
) -> None:
    told = concluded(ORDER, decision, NotEnrolled())

    assert next_step in told.next_step
    assert to_do in told.to_do
    assert told.until == getattr(decision, "until", None)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_remedy_and_a_verdict(reason: Reason) -> None:
    for decision in (Wait(reason), GiveUp(reason), Skip(reason)):
        told = concluded(ORDER, decision, None)
        assert (told.reason, told.to_do) == (reason, REMEDIES[reason])


def test_a_malformed_order_names_its_fields() -> None:
    broken = MalformedEnrollment(id="e1", problems=("amount: is no number",), reason=Reason.MALFORMED)

    assert "amount: is no number" in concluded(broken, GiveUp(Reason.MALFORMED), None).next_step


@pytest.mark.parametrize(
    ("seen", "to_do"),
    [
        (Enrolled("E1"), "nothing"),
        (Unknown("no key"), "nothing"),
        (None, "nothing"),
        (NotEnrolled(), "drift"),
    ],
)
def test_a_synced_order_is_only_compared(seen: Observation | None, to_do: str) -> None:
    told = concluded(SYNCED, None, seen)

    assert told.action == "none"
    assert to_do in told.to_do


def test_an_order_that_is_not_paid_is_nobodys_business_unless_the_learner_is_in() -> None:
    unpaid = replace(ORDER, paid=False)

    assert concluded(unpaid, None, NotEnrolled()).to_do == "nothing"
    assert "remove the learner" in concluded(unpaid, None, Enrolled("E1")).to_do


@pytest.mark.parametrize("seen", [None, NotEnrolled(), Enrolled("E1")])
def test_an_order_that_was_paid_and_never_marked_says_so_and_what_to_do(seen: Observation | None) -> None:
    told = concluded(replace(ORDER, paid=False), None, seen, failure="down", unmarked=True)

    assert "somebody has paid at Stripe" in told.next_step
    assert told.to_do == UNMARKED_REMEDY.removesuffix(".")
    assert (told.action, told.reason) == ("skip", Reason.NOT_PAID)


def test_a_look_that_failed_says_so() -> None:
    told = concluded(ORDER, None, None, failure="connection refused")

    assert "diagnose" in told.to_do
    assert observed(None, failure="connection refused") == "could not be looked up: connection refused"


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Enrolled("E1", 2), "is enrolled, 2 times (E1)"),
        (MemberMissing(), "no LMS account"),
        (CourseMissing(), "no course of this name"),
        (None, "was not looked up"),
    ],
)
def test_what_the_lms_says_now(seen: Observation | None, words: str) -> None:
    assert words in observed(seen)
