"""What a decision, or another order's fate, means for an order; and what of it is worth writing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconcile.domain.messages import sentence
from reconcile.domain.model import (
    NO_HISTORY,
    Confirm,
    Decision,
    Defer,
    Enroll,
    Enrollment,
    GiveUp,
    History,
    MalformedEnrollment,
    OpenWrite,
    Outcome,
    Reason,
    Skip,
    SyncState,
    Verdict,
    Wait,
)
from reconcile.run.page import Surveyed
from reconcile.run.verdicts import (
    changes_order,
    is_news,
    shared_verdict,
    turn,
    verdict_without_write,
    would_write,
)
from tests.fakes.world import NOON

ODD = frozenset({"odd_order"})
ORDER = Enrollment(
    id="e1",
    payment_id="pi_1",
    member="a@example.com",
    email="a@example.com",
    course="python-basics",
    amount=Decimal(199),
    currency="usd",
    paid=True,
    paid_at=NOON - timedelta(hours=1),
)
MALFORMED = MalformedEnrollment(
    id="e1", problems=("email is missing", "amount is not a price"), reason=Reason.MALFORMED
)
WAITS = Verdict(outcome=Outcome.WAITING, reason=Reason.MEMBER_MISSING)
SKIPPED = Verdict(outcome=Outcome.SKIPPED, reason=Reason.BACKOFF)
FAILED = Verdict(outcome=Outcome.FAILED, reason=Reason.EXHAUSTED)
LEFT_OPEN = History(open_attempts=(OpenWrite(attempt_id=7, started_at=NOON),))


def entry(decision: Decision, history: History = NO_HISTORY, **changes: Any) -> Surveyed:
    return Surveyed(enrollment=replace(ORDER, **changes), decision=decision, history=history, flags=ODD)


@pytest.mark.parametrize(
    ("decision", "history", "outcome", "reason"),
    [
        (Confirm("x"), NO_HISTORY, Outcome.ALREADY_ENROLLED, None),
        (Confirm("x"), LEFT_OPEN, Outcome.RECOVERED, None),
        (Confirm("x"), History(last_reason=Reason.LMS_TIMEOUT), Outcome.RECOVERED, None),
        (Wait(Reason.MEMBER_MISSING), NO_HISTORY, Outcome.WAITING, Reason.MEMBER_MISSING),
        (GiveUp(Reason.EXHAUSTED), NO_HISTORY, Outcome.FAILED, Reason.EXHAUSTED),
        (Skip(Reason.NOT_PAID), NO_HISTORY, Outcome.SKIPPED, Reason.NOT_PAID),
        (Defer(NOON, Reason.BACKOFF), NO_HISTORY, Outcome.SKIPPED, Reason.BACKOFF),
    ],
)
def test_a_decision_without_a_write_is_a_verdict(
    decision: Decision, history: History, outcome: Outcome, reason: Reason | None
) -> None:
    verdict = verdict_without_write(entry(decision, history))

    assert verdict is not None
    assert (verdict.outcome, verdict.reason, verdict.flags, verdict.attempts) == (outcome, reason, ODD, 0)
    assert verdict.lms_id == ("x" if outcome.has_access else None)


def test_who_was_to_be_enrolled_and_was_not_has_no_verdict() -> None:
    assert verdict_without_write(entry(Enroll())) is None
    assert would_write(entry(Enroll()))


def test_what_is_wrong_with_an_order_is_told() -> None:
    verdict = verdict_without_write(Surveyed(enrollment=MALFORMED, decision=GiveUp(Reason.MALFORMED)))

    assert verdict is not None
    assert verdict.error == "email is missing; amount is not a price"


def test_the_least_tried_come_first_then_scattered() -> None:
    tried = entry(Enroll(), History(visits=1))
    excused = entry(Enroll(), History(excused=2))
    fresh = [entry(Enroll(), id=f"e{number}") for number in range(20)]

    ordered = sorted([excused, tried, *fresh], key=turn)
    assert ordered[-2:] == [tried, excused]
    assert ordered[:-2] != fresh, "not in the order in which they came"


def test_two_orders_share_the_access_of_one() -> None:
    fate = Verdict(outcome=Outcome.ENROLLED, lms_id="x", attempts=1)

    assert shared_verdict(entry(Enroll()), fate) == Verdict(
        outcome=Outcome.ALREADY_ENROLLED, lms_id="x", flags=ODD
    )


@pytest.mark.parametrize(
    ("fate", "outcome"), [("FAILED", "RETRYING"), ("RETRYING", "RETRYING"), ("WAITING", "WAITING")]
)
def test_a_failure_of_one_uses_up_nothing_of_the_other(fate: str, outcome: str) -> None:
    failed = Verdict(outcome=Outcome[fate], reason=Reason.LMS_REJECTED, error="no", attempts=1)

    assert shared_verdict(entry(Enroll()), failed) == Verdict(
        outcome=Outcome[outcome], reason=Reason.LMS_REJECTED, error="no", attempts=0, flags=ODD
    )


def test_who_was_not_to_be_enrolled_keeps_the_own_verdict() -> None:
    assert shared_verdict(entry(Skip(Reason.TOO_NEW)), WAITS) == Verdict(
        outcome=Outcome.SKIPPED, reason=Reason.TOO_NEW, flags=ODD
    )


SAID = History(last_outcome=WAITS.outcome, last_reason=WAITS.reason, last_said_at=NOON)


@pytest.mark.parametrize(
    ("history", "last_attempt", "verdict", "news"),
    [
        (NO_HISTORY, None, SKIPPED, False),
        (NO_HISTORY, None, WAITS, True),
        (SAID, None, WAITS, False),
        (replace(SAID, last_reason=Reason.MEMBER_DISABLED), None, WAITS, True),
        # The storefront has tried since: by our row we know our own words again.
        (SAID, NOON + timedelta(minutes=1), WAITS, True),
        (SAID, NOON - timedelta(minutes=1), WAITS, False),
        (NO_HISTORY, None, Verdict(outcome=Outcome.RECOVERED, lms_id="x"), True),
        # The open attempt's own row has it already; a success that was said needs only its write-back.
        (LEFT_OPEN, None, Verdict(outcome=Outcome.RECOVERED, lms_id="x"), False),
        (
            History(last_outcome=Outcome.RECOVERED),
            None,
            Verdict(outcome=Outcome.RECOVERED, lms_id="x"),
            False,
        ),
    ],
)
def test_only_news_goes_to_the_audit(
    history: History, last_attempt: Any, verdict: Verdict, news: bool
) -> None:
    sync = SyncState(status="retrying", last_attempt=last_attempt, error="fetch failed")

    assert is_news(entry(Wait(Reason.MEMBER_MISSING), history, sync=sync), verdict) is news


@pytest.mark.parametrize(
    ("sync", "verdict", "changes"),
    [
        (SyncState(), SKIPPED, False),
        (SyncState(), Verdict(outcome=Outcome.ENROLLED, lms_id="x"), True),
        (SyncState(), replace(WAITS, attempts=1), True),
        (SyncState(), WAITS, True),
        (SyncState(status="retrying", error=sentence(WAITS.reason, None)), WAITS, False),
        (SyncState(status="retrying", error="other words"), WAITS, True),
        (SyncState(status="failed", error="the last refusal"), FAILED, False),
        (SyncState(status="retrying", error="the last refusal"), FAILED, True),
    ],
)
def test_an_order_that_says_so_already_is_left_alone(
    sync: SyncState, verdict: Verdict, changes: bool
) -> None:
    assert changes_order(entry(Skip(Reason.TOO_NEW), sync=sync), verdict) is changes


def test_what_would_be_written_is_what_a_plan_counts() -> None:
    assert would_write(entry(Confirm("x")))
    assert not would_write(entry(Skip(Reason.TOO_NEW)))
