"""decide() by tables: each rule, and each rule against its neighbours."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.domain.decision import attempts_used, decide
from reconcile.domain.model import (
    NO_HISTORY,
    Confirm,
    CourseMissing,
    CourseUnpublished,
    Defer,
    Enroll,
    Enrolled,
    Enrollment,
    GiveUp,
    History,
    MalformedEnrollment,
    MemberDisabled,
    MemberMissing,
    NotEnrolled,
    Observation,
    Outcome,
    Reason,
    Skip,
    SyncState,
    Unknown,
    Wait,
    action_of,
)
from reconcile.domain.retry import RetryPolicy
from tests.fakes.world import NOON

POLICY = RetryPolicy()


def enrollment(**changes: Any) -> Enrollment:
    base = Enrollment(
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
    return replace(base, **changes)


MALFORMED = MalformedEnrollment(id="e2", problems=("email is missing",), reason=Reason.MALFORMED)
IGNORED = History(ignored_until=NOON + timedelta(seconds=1))
NO_LONGER_IGNORED = History(ignored_until=NOON)


@pytest.mark.parametrize(
    ("order", "seen", "history", "policy", "expected"),
    [
        (enrollment(), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (enrollment(), Unknown("no key"), NO_HISTORY, POLICY, Enroll()),
        (enrollment(), Enrolled("x1"), NO_HISTORY, POLICY, Confirm("x1")),
        (enrollment(paid=False), Enrolled("x1"), NO_HISTORY, POLICY, Skip(Reason.NOT_PAID)),
        (enrollment(paid=False), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.NOT_PAID)),
        (MALFORMED, NotEnrolled(), NO_HISTORY, POLICY, GiveUp(Reason.MALFORMED)),
        (MALFORMED, NotEnrolled(), IGNORED, POLICY, Skip(Reason.IGNORED)),
        (enrollment(), Enrolled("x1"), IGNORED, POLICY, Skip(Reason.IGNORED)),
        (enrollment(paid=False), NotEnrolled(), IGNORED, POLICY, Skip(Reason.NOT_PAID)),
        (enrollment(), NotEnrolled(), NO_LONGER_IGNORED, POLICY, Enroll()),
        (replace(MALFORMED, paid=False), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.NOT_PAID)),
        (enrollment(), CourseMissing(), NO_HISTORY, POLICY, Wait(Reason.COURSE_MISSING)),
        (enrollment(), CourseUnpublished(), NO_HISTORY, POLICY, Wait(Reason.COURSE_UNPUBLISHED)),
        (enrollment(), MemberMissing(), NO_HISTORY, POLICY, Wait(Reason.MEMBER_MISSING)),
        (enrollment(), MemberDisabled(), NO_HISTORY, POLICY, Wait(Reason.MEMBER_DISABLED)),
        # waiting needs no attempts left
        (
            enrollment(sync=SyncState(retry_count=9)),
            MemberMissing(),
            NO_HISTORY,
            POLICY,
            Wait(Reason.MEMBER_MISSING),
        ),
        # the storefront is at it: not even confirmed
        (
            enrollment(),
            Enrolled("x1"),
            History(retry_job_active=True),
            POLICY,
            Skip(Reason.RETRY_JOB_ACTIVE),
        ),
        (
            enrollment(paid_at=NOON - timedelta(minutes=4)),
            Enrolled("x1"),
            NO_HISTORY,
            POLICY,
            Skip(Reason.TOO_NEW),
        ),
        (enrollment(paid_at=NOON - timedelta(minutes=6)), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        # an old order paid just now is new
        (
            enrollment(settled_at=NOON - timedelta(minutes=1)),
            NotEnrolled(),
            NO_HISTORY,
            POLICY,
            Skip(Reason.TOO_NEW),
        ),
        # of a machine whose clock is ahead of ours: the webhook may be at it right now
        (
            enrollment(paid_at=NOON + timedelta(minutes=10)),
            NotEnrolled(),
            NO_HISTORY,
            POLICY,
            Skip(Reason.TOO_NEW),
        ),
        (enrollment(paid_at=NOON + timedelta(hours=2)), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        # a date in the year 2100 is a broken date, not a new order
        (enrollment(paid_at=NOON + timedelta(days=30000)), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (enrollment(paid_at=None), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (
            enrollment(paid_at=NOON),
            NotEnrolled(),
            NO_HISTORY,
            replace(POLICY, immediately=True),
            Enroll(),
        ),
        # on hold: look, but do not write
        (
            enrollment(),
            NotEnrolled(),
            History(hold_until=NOON + timedelta(seconds=1)),
            POLICY,
            Defer(NOON + timedelta(seconds=1), Reason.LEASE_HELD),
        ),
        (
            enrollment(),
            NotEnrolled(),
            History(hold_until=NOON + timedelta(seconds=1)),
            replace(POLICY, immediately=True),
            Defer(NOON + timedelta(seconds=1), Reason.LEASE_HELD),
        ),
        (enrollment(), Enrolled("x"), History(hold_until=NOON + timedelta(1)), POLICY, Confirm("x")),
        (enrollment(), NotEnrolled(), History(hold_until=NOON), POLICY, Enroll()),
        # attempts
        (
            enrollment(sync=SyncState(retry_count=5)),
            NotEnrolled(),
            NO_HISTORY,
            POLICY,
            GiveUp(Reason.EXHAUSTED),
        ),
        (enrollment(), NotEnrolled(), History(attempts=5), POLICY, GiveUp(Reason.EXHAUSTED)),
        (
            enrollment(sync=SyncState(retry_count=5)),
            NotEnrolled(),
            NO_HISTORY,
            replace(POLICY, include_failed=True),
            Enroll(),
        ),
        (
            enrollment(sync=SyncState(retry_count=5, last_attempt=NOON)),
            NotEnrolled(),
            NO_HISTORY,
            replace(POLICY, immediately=True),
            Enroll(),
        ),
        (enrollment(sync=SyncState(retry_count=5)), Enrolled("x"), NO_HISTORY, POLICY, Confirm("x")),
        # an administrator's manual retry starts anew, whatever the audit remembers
        (enrollment(sync=SyncState(manual_retry=True)), NotEnrolled(), History(attempts=9), POLICY, Enroll()),
        # backoff
        (
            enrollment(sync=SyncState(retry_count=1, last_attempt=NOON - timedelta(minutes=3))),
            NotEnrolled(),
            NO_HISTORY,
            POLICY,
            Enroll(),
        ),
        (
            enrollment(sync=SyncState(retry_count=0, last_attempt=NOON)),
            NotEnrolled(),
            NO_HISTORY,
            POLICY,
            Enroll(),
        ),
        # the LMS's own fault needs no backoff
        (
            enrollment(sync=SyncState(retry_count=2, last_attempt=NOON)),
            NotEnrolled(),
            History(last_outcome=Outcome.RETRYING, last_reason=Reason.LMS_UNAVAILABLE),
            POLICY,
            Enroll(),
        ),
    ],
)
def test_the_rules(
    order: Any, seen: Observation, history: History, policy: RetryPolicy, expected: object
) -> None:
    assert decide(order, seen, history, policy, NOON) == expected


def test_without_a_key_who_waits_is_asked_about_as_rarely_as_the_longest_backoff() -> None:
    history = History(last_outcome=Outcome.WAITING, last_reason=Reason.MEMBER_MISSING)

    def decision(last_attempt: Any) -> object:
        order = enrollment(sync=SyncState(status="retrying", last_attempt=last_attempt))
        return decide(order, Unknown("no key"), history, POLICY, NOON)

    assert decision(None) == Enroll()
    assert isinstance(decision(NOON - timedelta(minutes=20)), Defer)
    assert decision(NOON - timedelta(minutes=40)) == Enroll()
    assert decision(NOON + timedelta(days=99)) == Enroll()


def test_backoff_defers_until_the_policy_says() -> None:
    order = enrollment(sync=SyncState(retry_count=1, last_attempt=NOON - timedelta(seconds=30)))

    decision = decide(order, NotEnrolled(), NO_HISTORY, POLICY, NOON)

    assert isinstance(decision, Defer)
    assert decision.reason is Reason.BACKOFF
    assert timedelta(seconds=78) <= decision.until - NOON <= timedelta(seconds=102)


def test_the_higher_count_of_attempts_counts() -> None:
    assert attempts_used(enrollment(sync=SyncState(retry_count=2)), History(attempts=3)) == 3
    assert attempts_used(enrollment(sync=SyncState(retry_count=4)), History(attempts=3)) == 4


observations = st.one_of(
    st.builds(Enrolled, st.text(min_size=1, max_size=5)),
    st.sampled_from(
        [NotEnrolled(), MemberMissing(), MemberDisabled(), CourseMissing(), CourseUnpublished(), Unknown("x")]
    ),
)
instants = st.datetimes(timezones=st.just(NOON.tzinfo))
syncs = st.builds(
    SyncState,
    synced=st.booleans(),
    status=st.sampled_from([None, "pending", "success", "failed", "retrying", "odd"]),
    lms_id=st.none() | st.text(max_size=3),
    retry_count=st.integers(0, 10**6),
    last_attempt=st.none() | instants,
    manual_retry=st.booleans(),
)
orders = st.builds(
    lambda sync, paid, paid_at, settled: enrollment(
        sync=sync, paid=paid, paid_at=paid_at, settled_at=settled
    ),
    syncs,
    st.booleans(),
    st.none() | instants,
    st.none() | instants,
) | st.builds(
    lambda sync, paid: replace(MALFORMED, sync=sync, paid=paid),
    syncs,
    st.booleans(),
)
histories = st.builds(
    History,
    attempts=st.integers(0, 100),
    last_outcome=st.none() | st.sampled_from(Outcome),
    last_reason=st.none() | st.sampled_from(Reason),
    open_attempt=st.none() | st.integers(1),
    hold_until=st.none() | instants,
    retry_job_active=st.booleans(),
)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 20),
    backoff_base=st.floats(0, 1e6),
    backoff_max=st.floats(0, 1e6),
    min_age=st.floats(0, 1e6),
    include_failed=st.booleans(),
    immediately=st.booleans(),
)


@given(orders, observations, histories, policies, instants)
def test_decide_is_total_deterministic_and_never_enrolls_the_unpaid(
    order: Any, seen: Observation, history: History, policy: RetryPolicy, now: Any
) -> None:
    decision = decide(order, seen, history, policy, now)

    assert decision == decide(order, seen, history, policy, now)
    assert action_of(decision)
    if isinstance(decision, Enroll):
        assert order.paid
        assert isinstance(order, Enrollment)
        assert not isinstance(seen, Enrolled)
        assert history.hold_until is None or history.hold_until <= now
    if isinstance(decision, Confirm):
        assert order.paid
        assert isinstance(seen, Enrolled)
        assert decision.lms_id == seen.lms_id
