"""Look at one page and decide: leases, history, a bulk look at the LMS, one decision for each order.

Reads and leases only; nothing is written to the LMS, the audit or the orders here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconcile.domain.model import (
    AnyEnrollment,
    Decision,
    EffectKey,
    Enrolled,
    Enrollment,
    History,
    Observation,
    Reason,
    Skip,
)
from reconcile.domain.shop_queue import ShopJob
from reconcile.run.decision import before_looking, decide
from reconcile.run.leases import Lease
from reconcile.run.options import Ports
from reconcile.run.page import Page, Surveyed
from reconcile.run.retry import RetryPolicy
from reconcile.run.twins import Twins, flags_of, with_jobs


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
    ids = [item.id for item in here]
    jobs = ports.source.shop_jobs(ids)
    histories = with_jobs(ids, ports.audit.history(ids), jobs)
    early = _early(here, histories, policy, now)
    to_look = [item for item in here if isinstance(item, Enrollment) and item.id not in early]
    leases = ports.leases.take(list(dict.fromkeys(item.key for item in to_look)), run_id)
    try:
        seen = _look(to_look, leases, jobs, ports)
        gone = _gone(to_look, seen)
        here = [item for item in here if item.id not in gone]
        decisions = early | {
            item.id: _decide_one(item, leases, seen, histories, policy, ports)
            for item in to_look
            if item.id not in gone
        }
        twins = Twins.of(here, decisions, histories, ports=ports)
        decisions = twins.yielding(decisions, policy, ports.clock.now())
    except BaseException:
        ports.leases.release(list(leases.values()))
        raise
    entries = [
        Surveyed(
            enrollment=item,
            decision=decisions[item.id],
            history=histories[item.id],
            lease=leases.get(item.key) if isinstance(item, Enrollment) else None,
            flags=flags_of(item) | twins.flags(item),
        )
        for item in here
    ]
    return Page(entries=entries, leases=leases, postponed=postponed)


def _look(
    items: Sequence[Enrollment],
    leases: Mapping[EffectKey, Lease],
    jobs: Mapping[str, ShopJob],
    ports: Ports,
) -> Mapping[EffectKey, Observation]:
    """What the LMS shows for each leased key, also under the other addresses that the shop itself has sent.

    Whoever is in the course under such an address has the access that was paid for.
    """
    others: dict[EffectKey, list[EffectKey]] = {}
    for item in items:
        if item.key in leases and item.id in jobs:
            sent = (EffectKey(address, item.course) for address in jobs[item.id].addresses)
            others.setdefault(item.key, []).extend(key for key in sent if key != item.key)
    asked = dict.fromkeys((*leases, *(key for keys in others.values() for key in keys)))
    shown = ports.platform.observe(list(asked))
    seen = {key: shown[key] for key in leases}
    for key, keys in others.items():
        there = next((shown[other] for other in keys if isinstance(shown[other], Enrolled)), None)
        if there is not None and not isinstance(seen[key], Enrolled):
            seen[key] = there
    return seen


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
