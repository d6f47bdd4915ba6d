"""decide(): what should be done about one enrollment. Pure, total and deterministic.

The order of the rules is the policy: never for an unpaid order; not for one that a person has asked
to leave alone; not while somebody else is at it;
what the LMS already has is only confirmed; nothing is written for a key that is held; what waits
for somebody outside uses up nothing; then attempts, then backoff, then enroll.
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
    Wait,
)
from reconcile.domain.retry import RetryPolicy


def attempts_used(enrollment: AnyEnrollment, history: History) -> int:
    """Attempts used up so far: the storefront's count or ours, whichever is higher.

    `retryCount` survives the loss of the audit database; the audit survives a write-back that did
    not get through. An administrator's manual retry (`manualRetry`) starts the count anew in the
    document, and then the document is believed.
    """
    if enrollment.sync.manual_retry:
        return enrollment.sync.retry_count
    return max(enrollment.sync.retry_count, history.attempts)


#: Seconds that an order may lie ahead of our clock: so far two machines' clocks may differ. An instant
#: further ahead is a broken document, not a new order.
_CLOCKS_DIFFER = 3600.0


def is_too_new(enrollment: Enrollment, *, policy: RetryPolicy, now: datetime) -> bool:
    """True while the webhook may still be at it: the order, or its payment, is younger than `min_age`."""
    youngest = [instant for instant in (enrollment.paid_at, enrollment.settled_at) if instant is not None]
    if not youngest:
        return False
    age = now - max(youngest)
    return timedelta(seconds=-_CLOCKS_DIFFER) < age < timedelta(seconds=policy.min_age)


def before_looking(
    enrollment: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime
) -> Decision | None:
    """The rules that need no look at the LMS; None where one must look."""
    if not enrollment.paid:
        return Skip(Reason.NOT_PAID)
    if history.ignored_until is not None and history.ignored_until > now:
        return Skip(Reason.IGNORED)
    if isinstance(enrollment, MalformedEnrollment):
        return GiveUp(enrollment.reason)
    if history.retry_job_active:
        return Skip(Reason.RETRY_JOB_ACTIVE)
    if not policy.immediately and is_too_new(enrollment, policy=policy, now=now):
        return Skip(Reason.TOO_NEW)
    return None


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
    if history.hold_until is not None and history.hold_until > now:
        return Defer(history.hold_until, Reason.LEASE_HELD)
    if type(observation) in WAITS:
        return Wait(WAITS[type(observation)])
    if isinstance(observation, Unknown) and history.last_outcome is Outcome.WAITING:
        # Without a key the only look is a write: as often as the longest backoff, not every run.
        due = policy.probe_at(enrollment.id, last_attempt=enrollment.sync.last_attempt, now=now)
        return Defer(due, Reason.BACKOFF) if due > now else Enroll()
    return _may_enroll(enrollment, history, policy, now)


def _may_enroll(enrollment: AnyEnrollment, history: History, policy: RetryPolicy, now: datetime) -> Decision:
    """Not there, and nothing outside stands in the way: attempts left, and due?"""
    if policy.immediately:
        return Enroll()
    attempts = attempts_used(enrollment, history)
    if attempts >= policy.max_attempts:
        # Asked for by a person, who need not wait for a backoff that nobody else would end.
        return Enroll() if policy.include_failed else GiveUp(Reason.EXHAUSTED)
    if history.last_reason is not None and history.last_reason.lms_at_fault:
        return Enroll()
    due = policy.due_at(enrollment.id, attempts=attempts, last_attempt=enrollment.sync.last_attempt, now=now)
    return Defer(due, Reason.BACKOFF) if due > now else Enroll()
