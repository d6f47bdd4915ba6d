"""Look at a page of orders and decide about each: no lease, nothing written. Most orders end here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from reconcile.base import log
from reconcile.base.errors import RateLimited
from reconcile.domain.model import (
    AnyEnrollment,
    Decision,
    EffectKey,
    Enrolled,
    Enrollment,
    History,
    Observation,
)
from reconcile.domain.shop_queue import ShopJob
from reconcile.run.decision import before_looking, decide
from reconcile.run.options import Ports
from reconcile.run.pacing import LONGEST_PAUSE
from reconcile.run.page import Surveyed
from reconcile.run.retry import RetryPolicy
from reconcile.run.twins import Twins, flags_of, with_jobs

_log = log.get_logger(__name__)

Seen = TypeVar("Seen")


def look(enrollments: Sequence[AnyEnrollment], *, ports: Ports, policy: RetryPolicy) -> list[Surveyed]:
    """Decide about these. Reads only; raises what the ports raise. May be repeated.

    Who is to be enrolled must be looked at again under a lease: somebody else may be at it.
    """
    now = ports.clock.now()
    ids = [item.id for item in enrollments]
    jobs = ports.source.shop_jobs(ids)
    histories = with_jobs(ids, ports.audit.history(ids), jobs)
    decisions = _early(enrollments, histories, policy, now)
    to_look = [item for item in enrollments if isinstance(item, Enrollment) and item.id not in decisions]
    seen = observe(to_look, jobs, ports)
    gone = _gone(to_look, seen)
    here = [item for item in enrollments if item.id not in gone]
    # The wall clock is read again: looking may have taken a while.
    now = ports.clock.now()
    for item in to_look:
        if item.id not in gone:
            decisions[item.id] = decide(item, seen[item.key], histories[item.id], policy, now)
    twins = Twins.of(here, decisions, histories, ports=ports)
    decisions = twins.yielding(decisions, policy, ports.clock.now())
    return [
        Surveyed(
            enrollment=item,
            decision=decisions[item.id],
            history=histories[item.id],
            flags=flags_of(item) | twins.flags(item),
            seen=seen.get(item.key) if isinstance(item, Enrollment) else None,
            twins=twins.besides(item),
        )
        for item in here
    ]


def patiently(ask: Callable[[], Seen], ports: Ports) -> Seen:
    """Ask the LMS; a rate limit that names a short time is waited out once. Raises what the ports raise."""
    try:
        return ask()
    except RateLimited as error:
        if error.retry_after is None or error.retry_after > LONGEST_PAUSE:
            raise
        _log.info("The LMS asks for a pause", seconds=error.retry_after)
        ports.clock.sleep(error.retry_after)
        return ask()


def observe(
    items: Sequence[Enrollment], jobs: Mapping[str, ShopJob], ports: Ports
) -> Mapping[EffectKey, Observation]:
    """What the LMS shows for each key, also under the other addresses that the shop itself has sent.

    Whoever is in the course under such an address has the access that was paid for.
    """
    keys = dict.fromkeys(item.key for item in items)
    others: dict[EffectKey, list[EffectKey]] = {}
    for item in items:
        if item.id in jobs:
            sent = (EffectKey(address, item.course) for address in jobs[item.id].addresses)
            others.setdefault(item.key, []).extend(key for key in sent if key != item.key)
    asked = dict.fromkeys((*keys, *(key for each in others.values() for key in each)))
    shown = patiently(lambda: ports.platform.observe(list(asked)), ports) if asked else {}
    seen = {key: shown[key] for key in keys}
    for key, each in others.items():
        there = next((shown[other] for other in each if isinstance(shown[other], Enrolled)), None)
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
