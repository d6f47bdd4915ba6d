"""Look at one page and decide: leases, history, a bulk look at the LMS, one decision for each order.

Reads and leases only; nothing is written to the LMS, the audit or the orders here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconcile.domain.decision import before_looking, decide
from reconcile.domain.model import (
    DUPLICATE_PAYMENT,
    NO_HISTORY,
    AnyEnrollment,
    Confirm,
    Decision,
    EffectKey,
    Enroll,
    Enrolled,
    Enrollment,
    History,
    Observation,
    Reason,
    Skip,
)
from reconcile.domain.retry import RetryPolicy
from reconcile.ports import Lease
from reconcile.reconciler.options import Ports

#: While the storefront is at one order, no other order for the same learner and course is enrolled.
_STOREFRONT_BUSY = (Reason.TOO_NEW, Reason.RETRY_JOB_ACTIVE)


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """One order with everything known about it and what should be done."""

    enrollment: AnyEnrollment
    decision: Decision
    history: History = NO_HISTORY
    lease: Lease | None = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of decisions, the leases taken for it, and what another page must look at later."""

    entries: Sequence[Surveyed]
    leases: Mapping[EffectKey, Lease] = field(default_factory=dict)
    postponed: Sequence[AnyEnrollment] = ()

    @property
    def keys(self) -> frozenset[EffectKey]:
        """The effect keys this page works on."""
        return frozenset(self.leases)


def survey(
    enrollments: Sequence[AnyEnrollment],
    *,
    ports: Ports,
    policy: RetryPolicy,
    run_id: str,
    busy: frozenset[EffectKey] = frozenset(),
) -> Page:
    """Decide about a page. `busy` are the keys that the page before is still working on.

    Raises what the ports raise; leases already taken are given back first.
    """
    now = ports.clock.now()
    sendable = [item for item in enrollments if isinstance(item, Enrollment)]
    # Two orders for one learner and course on neighbouring pages: the later one waits for the
    # earlier one's end, or the look at the LMS would come before the write.
    postponed = [item for item in sendable if item.key in busy]
    later = {item.id for item in postponed}
    here = [item for item in enrollments if item.id not in later]
    histories = _histories(here, ports=ports)
    early = _early(here, histories, policy, now)
    to_look = [item for item in here if isinstance(item, Enrollment) and item.id not in early]
    leases = ports.leases.take(list(dict.fromkeys(item.key for item in to_look)), run_id)
    try:
        seen = ports.platform.observe(list(leases))
        gone = _gone(to_look, seen)
        here = [item for item in here if item.id not in gone]
        decisions = early | {
            item.id: _decide_one(item, leases, seen, histories, policy, ports)
            for item in to_look
            if item.id not in gone
        }
        decisions = _yield_to_storefront(here, decisions)
        flags = _duplicate_payments(here, decisions, ports)
    except BaseException:
        ports.leases.release(list(leases.values()))
        raise
    entries = [
        Surveyed(
            enrollment=item,
            decision=decisions[item.id],
            history=histories[item.id],
            lease=leases.get(item.key) if isinstance(item, Enrollment) else None,
            flags=flags.get(item.id, frozenset()),
        )
        for item in here
    ]
    return Page(entries=entries, leases=leases, postponed=postponed)


def _histories(items: Sequence[AnyEnrollment], *, ports: Ports) -> dict[str, History]:
    ids = [item.id for item in items]
    remembered = ports.audit.history(ids)
    active = ports.source.retry_jobs_active([item.id for item in items if isinstance(item, Enrollment)])
    histories = {}
    for enrollment_id in ids:
        history = remembered.get(enrollment_id, NO_HISTORY)
        # A write that a dead process left open may have been made: it counts.
        histories[enrollment_id] = replace(
            history,
            attempts=history.attempts + (history.open_attempt is not None),
            retry_job_active=enrollment_id in active,
        )
    return histories


def _early(
    items: Iterable[AnyEnrollment], histories: Mapping[str, History], policy: RetryPolicy, now: datetime
) -> dict[str, Decision]:
    """What needs no look at the LMS."""
    decisions = {item.id: before_looking(item, histories[item.id], policy, now) for item in items}
    return {name: decision for name, decision in decisions.items() if decision is not None}


def _gone(items: Iterable[Enrollment], seen: Mapping[EffectKey, Observation]) -> frozenset[str]:
    """Synced without a name, which alone was wanted, and not in the LMS: never enrolled again by itself."""
    return frozenset(
        item.id for item in items if item.sync.is_unnamed and not isinstance(seen.get(item.key), Enrolled)
    )


def _decide_one(
    item: Enrollment,
    leases: Mapping[EffectKey, Lease],
    seen: Mapping[EffectKey, Observation],
    histories: Mapping[str, History],
    policy: RetryPolicy,
    ports: Ports,
) -> Decision:
    lease = leases.get(item.key)
    if lease is None:
        return Skip(Reason.LEASE_HELD)
    history = replace(histories[item.id], hold_until=lease.hold_until)
    # The wall clock is read again: taking leases and looking may have taken a while.
    return decide(item, seen[item.key], history, policy, ports.clock.now())


def _yield_to_storefront(
    items: Iterable[AnyEnrollment], decisions: dict[str, Decision]
) -> dict[str, Decision]:
    busy: dict[EffectKey, Reason] = {}
    for item in items:
        decision = decisions[item.id]
        if not isinstance(item, Enrollment) or not isinstance(decision, Skip):
            continue
        if decision.reason in _STOREFRONT_BUSY:
            busy[item.key] = decision.reason
    return {
        item.id: Skip(busy[item.key])
        if isinstance(item, Enrollment) and isinstance(decisions[item.id], Enroll) and item.key in busy
        else decisions[item.id]
        for item in items
    }


def _duplicate_payments(
    items: Sequence[AnyEnrollment], decisions: Mapping[str, Decision], ports: Ports
) -> dict[str, frozenset[str]]:
    """Flag the orders whose learner and course were paid for more than once."""
    sendable = [item for item in items if isinstance(item, Enrollment)]
    here = Counter(item.key for item in sendable)
    moving = {item.key for item in sendable if isinstance(decisions[item.id], (Enroll, Confirm))}
    if not moving:
        return {}
    paid = ports.source.paid_orders(moving)
    return {
        item.id: frozenset({DUPLICATE_PAYMENT})
        for item in sendable
        if item.key in moving and max(paid.get(item.key, 0), here[item.key]) > 1
    }
