"""What should be done about one enrollment (`decide`), and whether it may still be (`obstacle`). Pure, total.

The order of the rules is the policy: never for an unpaid order; not for one that a person has asked to
leave alone; not while somebody else is at it; what the LMS already has is only confirmed; nothing is
written for a key that is held; what waits for somebody outside uses up nothing; then our visits, then
backoff, then enroll. What the storefront itself tried before uses up nothing of ours.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconcile.domain.model import (
    WAITS,
    AnyEnrollment,
    Confirm,
    Decision,
    Defer,
    Enroll,
    Enrolled,
    Enrollment,
    GiveUp,
    History,
    MalformedEnrollment,
    Observation,
    Outcome,
    Reason,
    Skip,
    Unknown,
    Verdict,
    Wait,
)
from reconcile.run.retry import LONGEST_CALL, RetryPolicy
from reconcile.run.shop_errors import was_answered


def shop_at_it(
    item: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime
) -> Skip | Defer | None:
    """Why the order is the storefront's for now; None where nothing says that it may be at it.

    It is busy with it; or its last try was not answered and may still be carried out.
    """
    busy = shop_busy(item, history, policy, now)
    if busy is not None:
        return busy
    held = shop_hold_until(item, history, policy, now)
    return Defer(held, Reason.LEASE_HELD) if held is not None else None


def shop_busy(item: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime) -> Skip | None:
    """Its worker has the order in work, or a sign of a payment or of a try of its own is young.

    An instant may lie as far ahead of our clock as the age is that we leave to the storefront: so far two
    machines' clocks may differ. Further ahead it is a broken date and tells nothing.
    """
    if history.retry_job_active:
        return Skip(Reason.RETRY_JOB_ACTIVE)
    age = timedelta(seconds=policy.young)
    signs = (*item.touched, shop_tried_at(item, history))
    return Skip(Reason.TOO_NEW) if any(abs(now - at) < age for at in signs if at is not None) else None


def shop_tried_at(item: AnyEnrollment, history: History) -> datetime | None:
    """When the storefront itself last tried; None where the order's last try is none or ours.

    Ours is what carries our last verdict's instant (BSON keeps milliseconds). A try that cannot be told
    is the storefront's: then we wait, once, for minutes.
    """
    last, ours = item.sync.last_attempt, history.last_said_at
    if last is None or (ours is not None and abs(last - ours) < timedelta(milliseconds=1)):
        return None
    return last


def shop_tries(item: AnyEnrollment, history: History) -> int:
    """How often the storefront tried, by the count in the order.

    The storefront writes its own count there, whatever stood there; ours is added to what is there.
    """
    if shop_tried_at(item, history) is not None:
        return item.sync.retry_count
    return max(0, item.sync.retry_count - history.added)


def shop_hold_until(
    item: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime
) -> datetime | None:
    """Until when the storefront's own last try may still be carried out by the LMS; None where it is over.

    A time-out cancels nothing (FRAPPE, point 4), whoever gave up.
    """
    tried = shop_tried_at(item, history)
    if tried is None or was_answered(item.sync.error):
        return None
    hold = timedelta(seconds=policy.hold)
    is_over = now >= tried + hold
    # As far as two clocks may differ it is ahead of ours; further ahead it is a broken date.
    is_broken = tried > now + timedelta(seconds=max(policy.min_age, policy.hold))
    return None if is_over or is_broken else tried + hold


def before_looking(
    enrollment: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime
) -> Decision | None:
    """The rules that need no look at the LMS; None where one must look."""
    if not enrollment.paid:
        return Skip(Reason.NOT_PAID)
    if history.ignored_until is not None and history.ignored_until > now:
        return Skip(Reason.IGNORED)
    if isinstance(enrollment, MalformedEnrollment) and enrollment.reason is not Reason.PLACEHOLDER_EMAIL:
        return GiveUp(enrollment.reason)
    busy = shop_busy(enrollment, history, policy, now)
    if busy is not None:
        return busy
    # The storefront has had its time to tell whose a made-up address is.
    return GiveUp(enrollment.reason) if isinstance(enrollment, MalformedEnrollment) else None


def decide(
    enrollment: AnyEnrollment,
    observation: Observation,
    history: History,
    policy: RetryPolicy,
    now: datetime,
) -> Decision:
    """What to do about `enrollment`, given what the LMS shows and what is remembered. Never raises."""
    early = before_looking(enrollment, history, policy, now)
    if early is not None:
        return early
    if isinstance(observation, Enrolled):
        return Confirm(observation.lms_id)
    held = _held_until(enrollment, history, policy, now)
    if held is not None:
        return Defer(held, Reason.LEASE_HELD)
    if type(observation) in WAITS:
        return Wait(WAITS[type(observation)])
    if isinstance(observation, Unknown) and history.last_outcome is Outcome.WAITING:
        # Without a key the only look is a write: as often as the longest backoff, not every run.
        due = policy.probe_at(enrollment.id, last_write=history.last_write_at, now=now)
        return Defer(due, Reason.BACKOFF) if due > now else Enroll()
    return _may_enroll(enrollment, history, policy, now)


def _may_enroll(enrollment: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime) -> Decision:
    """Not there, and nothing outside stands in the way: visits left, and due?"""
    if policy.immediately:
        return Enroll()
    if policy.is_used_up(history.visits):
        # Asked for by a person, who need not wait for a backoff that nobody else would end.
        return Enroll() if policy.include_failed else GiveUp(Reason.EXHAUSTED)
    if history.last_reason is not None and history.last_reason.lms_at_fault:
        return Enroll()
    due = policy.due_at(enrollment.id, visits=history.visits, last_write=history.last_write_at, now=now)
    return Defer(due, Reason.BACKOFF) if due > now else Enroll()


def _held_until(
    enrollment: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime
) -> datetime | None:
    """The later end of the two holds: after a write of ours, after the storefront's own."""
    ours = history.hold_until if history.hold_until is not None and history.hold_until > now else None
    theirs = shop_hold_until(enrollment, history, policy, now)
    return max((at for at in (ours, theirs) if at is not None), default=None)


def obstacle(
    before: Enrollment, fresh: AnyEnrollment | None, history: History, policy: RetryPolicy, now: datetime
) -> Verdict | None:
    """Why the order that was to be sent must be left alone now; None where it may be sent.

    The last look, right before the write: since the decision the storefront has gone on living. It refunds,
    it syncs, its worker takes a job up, somebody opens the success page.

    `fresh` is the order as it is now, None where it is gone; `history` knows whether its job is in work.
    """
    if fresh is None or not fresh.paid:
        return _skipped(Reason.NOT_PAID)
    if fresh.sync.is_synced:
        return _skipped(error="synced by the storefront meanwhile")
    if not isinstance(fresh, Enrollment) or fresh.key != before.key:
        return _skipped(error="the order names another learner or course by now; the next run looks")
    busy = shop_at_it(fresh, history, policy, now)
    return _skipped(busy.reason) if busy is not None else None


def twin_obstacle(
    twin: Enrollment, history: History, policy: RetryPolicy, now: datetime
) -> Skip | Defer | None:
    """Why another paid order for the same learner and course keeps this one from being sent now.

    The storefront is at it; or it was synced so lately that our look may have come before.
    """
    if not twin.sync.is_synced:
        return shop_at_it(twin, history, policy, now)
    signs = (*twin.touched, twin.sync.last_attempt)
    just_now = timedelta(seconds=max(policy.young, LONGEST_CALL))
    is_fresh = any(abs(now - at) < just_now for at in signs if at is not None)
    return Skip(Reason.TOO_NEW) if is_fresh else None


def _skipped(reason: Reason | None = None, error: str | None = None) -> Verdict:
    return Verdict(outcome=Outcome.SKIPPED, reason=reason, error=error)
