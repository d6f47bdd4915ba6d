"""The last look at an order, right before the write: may it still be sent? Pure.

Between the decision and the write the storefront goes on living: it refunds, it syncs, its worker takes
a job up, somebody opens the success page.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconcile.domain.model import AnyEnrollment, Defer, Enrollment, History, Outcome, Reason, Skip, Verdict
from reconcile.run.decision import shop_at_it
from reconcile.run.retry import LONGEST_CALL, RetryPolicy


def obstacle(
    before: Enrollment, fresh: AnyEnrollment | None, history: History, policy: RetryPolicy, now: datetime
) -> Verdict | None:
    """Why the order that was to be sent must be left alone now; None where it may be sent.

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
