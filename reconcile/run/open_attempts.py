"""Attempts of runs that are over and that have no end: each gets one once somebody has looked.

Such an intent was sent, or it was not. *Never sent* needs proof: the lease's document still shows that
intent's token as an earlier owner's, and does not name the attempt among those that were fenced under it.
No document, another token: it may have been sent, and its learner is on hold until it cannot be on its way
any more, by the lease and by the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from reconcile.domain.model import (
    Confirm,
    Decision,
    Defer,
    EffectKey,
    Enroll,
    Enrolled,
    Outcome,
    Reason,
    Skip,
    Verdict,
)
from reconcile.run import leases as leasing
from reconcile.run.leases import Lease
from reconcile.run.options import Ports
from reconcile.run.ports import End, OpenAttempt
from reconcile.run.retry import RetryPolicy

_NEVER_DONE = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_TIMEOUT, attempts=1)
_NEVER_SENT = Verdict(outcome=Outcome.SKIPPED)


def by_key(attempts: Iterable[OpenAttempt]) -> dict[EffectKey, list[OpenAttempt]]:
    """The attempts of each learner and course, in their order; without those of forgotten people. Pure."""
    found: dict[EffectKey, list[OpenAttempt]] = {}
    for attempt in attempts:
        if attempt.key is not None:
            found.setdefault(attempt.key, []).append(attempt)
    return found


def was_never_sent(attempt: OpenAttempt, lease: Lease) -> bool:
    """Whether the lease proves it. Pure."""
    return any(
        owner.token == attempt.token and attempt.attempt_id not in owner.attempts for owner in lease.owners
    )


def unsent_end(attempt: OpenAttempt, now: datetime) -> End:
    """The end of one that was never sent. Pure."""
    return End(attempt_id=attempt.attempt_id, verdict=_NEVER_SENT, at=now, never_sent=True)


def held_until(
    attempts: Sequence[OpenAttempt], lease: Lease, policy: RetryPolicy, now: datetime
) -> datetime | None:
    """Until when nobody writes for the learner: the later of the lease's hold and the audit's. Pure."""
    hold = timedelta(seconds=policy.hold + leasing.IN_FLIGHT)
    ours = [attempt.started_at + hold for attempt in attempts]
    return max((at for at in (lease.hold_until, *ours) if at is not None and at > now), default=None)


def ends_of(attempts: Sequence[OpenAttempt], decision: Decision, now: datetime) -> list[End]:
    """The ends of a learner's open attempts, after the look under the lease. Pure.

    There: it was ours, recovered. Not there and the hold is over: it never was done. Still on hold, or
    not looked at: stays open.
    """
    match decision:
        case Skip() | Defer(_, Reason.LEASE_HELD):
            return []
        case Confirm(lms_id):
            done: str | None = lms_id
        case _:
            done = None
    newest = {attempt.enrollment_id: attempt.attempt_id for attempt in attempts}
    return [
        # Where a second try was made for an order, the first was not done.
        _end(attempt, done if attempt.attempt_id == newest[attempt.enrollment_id] else None, now)
        for attempt in attempts
    ]


def _end(attempt: OpenAttempt, lms_id: str | None, now: datetime) -> End:
    verdict = _NEVER_DONE if lms_id is None else Verdict(outcome=Outcome.RECOVERED, lms_id=lms_id)
    return End(attempt_id=attempt.attempt_id, verdict=verdict, at=now)


def settle_leftovers(ports: Ports, run_id: str, policy: RetryPolicy) -> None:
    """Those whose order is no candidate any more: look, and record the same. Raises what the ports raise.

    Where somebody else is at it, too, it is left for a later run. May be repeated.
    """
    attempts = ports.audit.open_attempts()
    left = by_key(attempts)
    leases = ports.leases.take(list(left), "settle") if left else {}
    still_open = set(leases)
    try:
        seen = ports.platform.observe(list(leases))
        now = ports.clock.now()
        # Nobody knows any more whom to look for.
        ends = [_end(attempt, None, now) for attempt in attempts if attempt.key is None]
        for key, lease in leases.items():
            unsent = [attempt for attempt in left[key] if was_never_sent(attempt, lease)]
            sent = [attempt for attempt in left[key] if attempt not in unsent]
            ends += [unsent_end(attempt, now) for attempt in unsent]
            there = seen[key]
            held = held_until(sent, lease, policy, now)
            if isinstance(there, Enrolled):
                ends += ends_of(sent, Confirm(there.lms_id), now)
            elif held is None:
                ends += ends_of(sent, Enroll(), now)
            if isinstance(there, Enrolled) or held is None or not sent:
                still_open.discard(key)
        if ends:
            ports.audit.finish_all(ends, run_id=run_id)
    except BaseException:
        still_open = set(leases)
        raise
    finally:
        ports.leases.release(list(leases.values()), keep_owners=still_open)
