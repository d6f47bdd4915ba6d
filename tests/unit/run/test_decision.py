"""decide() by tables: each rule, and each rule against its neighbours."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    OpenWrite,
    Outcome,
    Reason,
    Skip,
    SyncState,
    Unknown,
    Wait,
    action_of,
)
from reconcile.run.decision import decide, shop_hold_until, shop_tried_at, shop_tries
from reconcile.run.retry import RetryPolicy
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


class Touched(Enrollment):
    """An order with one more sign of the storefront, so many minutes ago."""

    def but(self, *, minutes: float) -> Touched:
        return replace(self, touched=(*self.touched, NOON - timedelta(minutes=minutes)))


def touched(*, minutes: float) -> Touched:
    values = {field.name: getattr(enrollment(), field.name) for field in fields(Enrollment)}
    return Touched(**values).but(minutes=minutes)


def tried(*, minutes: float, error: str = "fetch failed") -> Enrollment:
    """The storefront itself has tried so many minutes ago."""
    at = NOON - timedelta(minutes=minutes)
    return enrollment(sync=SyncState(status="retrying", retry_count=2, last_attempt=at, error=error))


def given_up_by_the_shop() -> Enrollment:
    long_ago = NOON - timedelta(days=9)
    return enrollment(
        sync=SyncState(status="failed", retry_count=5, last_attempt=long_ago, error="fetch failed")
    )


def visited(visits: int, *, minutes: float) -> History:
    return History(
        visits=visits,
        last_write_at=NOON - timedelta(minutes=minutes),
        last_outcome=Outcome.RETRYING,
        last_reason=Reason.LMS_REJECTED,
    )


AT_ANY_AGE = replace(POLICY, min_age=0.0)
NOW_AT_ONCE = replace(POLICY, immediately=True)
HELD_A_MINUTE = Defer(NOON + timedelta(minutes=1), Reason.LEASE_HELD)
OURS_4_MINUTES_AGO = History(
    # BSON keeps milliseconds: our mark in the order is a little older than the audit's instant.
    last_said_at=NOON - timedelta(minutes=4) + timedelta(microseconds=999)
)
MALFORMED = MalformedEnrollment(id="e2", problems=("email is missing",), reason=Reason.MALFORMED)
NOBODY = MalformedEnrollment(id="e3", problems=("made up",), reason=Reason.PLACEHOLDER_EMAIL)
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
        # any young sign of a payment or of the storefront's own try, and nothing else
        (touched(minutes=4), Enrolled("x1"), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (touched(minutes=6), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (touched(minutes=600).but(minutes=1), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (tried(minutes=4, error="User not found"), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (tried(minutes=4), Enrolled("x1"), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (tried(minutes=4), NotEnrolled(), OURS_4_MINUTES_AGO, POLICY, Enroll()),
        # of a machine whose clock is a little ahead of ours: the storefront may be at it right now
        (touched(minutes=-4), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        # further ahead it is a broken date, not a new order, and hides none that is not broken
        (touched(minutes=-6), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (touched(minutes=-60 * 24 * 30000), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (touched(minutes=-600).but(minutes=1), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (tried(minutes=-600), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (enrollment(paid_at=None), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        # asked for by hand: but for the first minute, in which the storefront's own call is on its way
        (touched(minutes=0), NotEnrolled(), NO_HISTORY, NOW_AT_ONCE, Skip(Reason.TOO_NEW)),
        (touched(minutes=1), NotEnrolled(), NO_HISTORY, NOW_AT_ONCE, Enroll()),
        # the storefront's own unanswered try may still be carried out: look, but do not write
        (tried(minutes=2), NotEnrolled(), NO_HISTORY, AT_ANY_AGE, HELD_A_MINUTE),
        (tried(minutes=2), NotEnrolled(), NO_HISTORY, NOW_AT_ONCE, HELD_A_MINUTE),
        (tried(minutes=2), MemberMissing(), NO_HISTORY, AT_ANY_AGE, HELD_A_MINUTE),
        (tried(minutes=2), Enrolled("x1"), NO_HISTORY, AT_ANY_AGE, Confirm("x1")),
        (tried(minutes=2, error="User not found"), NotEnrolled(), NO_HISTORY, AT_ANY_AGE, Enroll()),
        (tried(minutes=3), NotEnrolled(), NO_HISTORY, AT_ANY_AGE, Enroll()),
        (
            tried(minutes=-1),  # by a clock that is a little ahead
            NotEnrolled(),
            NO_HISTORY,
            AT_ANY_AGE,
            Defer(NOON + timedelta(minutes=4), Reason.LEASE_HELD),
        ),
        (tried(minutes=-4), NotEnrolled(), NO_HISTORY, AT_ANY_AGE, Enroll()),
        # a made-up address is the storefront's to tell of, for a while
        (NOBODY, NotEnrolled(), NO_HISTORY, POLICY, GiveUp(Reason.PLACEHOLDER_EMAIL)),
        (replace(NOBODY, touched=(NOON,)), NotEnrolled(), NO_HISTORY, POLICY, Skip(Reason.TOO_NEW)),
        (NOBODY, NotEnrolled(), History(retry_job_active=True), POLICY, Skip(Reason.RETRY_JOB_ACTIVE)),
        (MALFORMED, NotEnrolled(), History(retry_job_active=True), POLICY, GiveUp(Reason.MALFORMED)),
        (
            tried(minutes=2),
            NotEnrolled(),
            History(hold_until=NOON + timedelta(minutes=2)),
            AT_ANY_AGE,
            Defer(NOON + timedelta(minutes=2), Reason.LEASE_HELD),
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
        # our visits: the first one, and five more; what the storefront tried is its own
        (given_up_by_the_shop(), NotEnrolled(), NO_HISTORY, POLICY, Enroll()),
        (given_up_by_the_shop(), NotEnrolled(), History(visits=5), POLICY, Enroll()),
        (given_up_by_the_shop(), Enrolled("x"), History(visits=9), POLICY, Confirm("x")),
        (enrollment(), NotEnrolled(), History(visits=6), POLICY, GiveUp(Reason.EXHAUSTED)),
        (enrollment(), MemberMissing(), History(visits=6), POLICY, Wait(Reason.MEMBER_MISSING)),
        (enrollment(), NotEnrolled(), History(visits=6), replace(POLICY, include_failed=True), Enroll()),
        (enrollment(), NotEnrolled(), visited(6, minutes=0), NOW_AT_ONCE, Enroll()),
        # backoff, from our own last write
        (enrollment(), NotEnrolled(), visited(1, minutes=3), POLICY, Enroll()),
        (enrollment(), NotEnrolled(), visited(0, minutes=0), POLICY, Enroll()),
        (enrollment(), NotEnrolled(), visited(5, minutes=36), POLICY, Enroll()),
        # the LMS's own fault needs no backoff
        (
            enrollment(),
            NotEnrolled(),
            replace(visited(2, minutes=0), last_reason=Reason.LMS_UNAVAILABLE),
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

    def decision(last_write: Any) -> object:
        return decide(
            enrollment(), Unknown("no key"), replace(history, last_write_at=last_write), POLICY, NOON
        )

    assert decision(None) == Enroll()
    assert isinstance(decision(NOON - timedelta(minutes=20)), Defer)
    assert decision(NOON - timedelta(minutes=40)) == Enroll()
    assert decision(NOON + timedelta(days=99)) == Enroll()


def test_backoff_defers_until_the_policy_says() -> None:
    decision = decide(enrollment(), NotEnrolled(), visited(1, minutes=0.5), POLICY, NOON)

    assert isinstance(decision, Defer)
    assert decision.reason is Reason.BACKOFF
    assert timedelta(seconds=78) <= decision.until - NOON <= timedelta(seconds=102)


@pytest.mark.parametrize(("visits", "minutes"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32)])
def test_the_waits_after_each_visit(visits: int, minutes: int) -> None:
    decision = decide(enrollment(), NotEnrolled(), visited(visits, minutes=0), POLICY, NOON)

    assert isinstance(decision, Defer)
    assert 0.9 * minutes <= (decision.until - NOON).total_seconds() / 60 <= 1.1 * minutes


def test_the_shops_tries_are_those_that_are_not_ours() -> None:
    order = enrollment(sync=SyncState(retry_count=7, last_attempt=NOON))
    ours = History(last_said_at=NOON)

    # The last word is the shop's: it writes its own count, whatever stood there.
    assert shop_tries(order, NO_HISTORY) == 7
    assert shop_tries(order, History(added=2)) == 7
    # The last word is ours: what we have added to what stood there is not the shop's.
    assert shop_tries(order, ours) == 7
    assert shop_tries(order, replace(ours, added=2)) == 5
    assert shop_tries(order, replace(ours, added=9)) == 0


def test_our_own_mark_is_no_try_of_the_shops() -> None:
    order = tried(minutes=4)

    assert shop_tried_at(order, NO_HISTORY) == NOON - timedelta(minutes=4)
    assert shop_tried_at(order, OURS_4_MINUTES_AGO) is None
    assert shop_tried_at(order, History(last_said_at=NOON - timedelta(minutes=5))) is not None
    assert shop_tried_at(enrollment(), NO_HISTORY) is None
    assert shop_hold_until(order, OURS_4_MINUTES_AGO, replace(POLICY, hold=600), NOON) is None


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
    error=st.sampled_from([None, "fetch failed", "User not found"]),
)
orders = st.builds(
    lambda sync, paid, paid_at, at: enrollment(sync=sync, paid=paid, paid_at=paid_at, touched=tuple(at)),
    syncs,
    st.booleans(),
    st.none() | instants,
    st.lists(instants, max_size=3),
) | st.builds(
    lambda sync, paid: replace(MALFORMED, sync=sync, paid=paid),
    syncs,
    st.booleans(),
)
histories = st.builds(
    History,
    visits=st.integers(0, 100),
    added=st.integers(0, 100),
    last_said_at=st.none() | instants,
    last_write_at=st.none() | instants,
    last_outcome=st.none() | st.sampled_from(Outcome),
    last_reason=st.none() | st.sampled_from(Reason),
    open_attempts=st.tuples()
    | st.tuples(st.builds(OpenWrite, attempt_id=st.integers(1), started_at=instants)),
    hold_until=st.none() | instants,
    retry_job_active=st.booleans(),
)
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 20),
    backoff_base=st.floats(0, 1e6),
    backoff_max=st.floats(0, 1e6),
    min_age=st.floats(0, 1e6),
    hold=st.floats(0, 1e6),
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
        assert shop_hold_until(order, history, policy, now) is None
    if isinstance(decision, Confirm):
        assert order.paid
        assert isinstance(seen, Enrolled)
        assert decision.lms_id == seen.lms_id
