"""Orders for the same learner and course: paid twice, one LMS enrollment, and one fate.

While the storefront is at one of them, none of the others is enrolled: for the LMS they are the same.
Looked for with the page, and again right before each write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from reconcile.domain.model import (
    DUPLICATE_PAYMENT,
    NO_HISTORY,
    ODD_ORDER,
    AnyEnrollment,
    Confirm,
    Decision,
    Defer,
    EffectKey,
    Enroll,
    Enrollment,
    History,
    Skip,
)
from reconcile.domain.payments import is_unpaid_id
from reconcile.domain.shop_queue import NO_JOB, ShopJob
from reconcile.run.decision import twin_obstacle
from reconcile.run.options import Ports
from reconcile.run.retry import RetryPolicy
from reconcile.run.source import Fresh


@dataclass(frozen=True, kw_only=True)
class Twins:
    """All paid orders of the learners and courses that a page is about to move, wherever they stand."""

    orders: Mapping[EffectKey, Sequence[Enrollment]]
    histories: Mapping[str, History]

    @classmethod
    def of(
        cls,
        items: Sequence[AnyEnrollment],
        decisions: Mapping[str, Decision],
        histories: Mapping[str, History],
        *,
        ports: Ports,
    ) -> Twins:
        """Look for them; reads nothing where nobody is to be enrolled or confirmed."""
        here = [item for item in items if isinstance(item, Enrollment)]
        moving = [item for item in here if isinstance(decisions[item.id], (Enroll, Confirm))]
        orders: dict[EffectKey, dict[str, Enrollment]] = {}
        if moving:
            for key, found in ports.source.paid_twice(moving).items():
                orders[key] = {order.id: order for order in found}
            for item in here:
                if item.key in orders:
                    # As it was when the page was read; what has just been read again knows better.
                    orders[item.key].setdefault(item.id, item)
        several = [order for each in orders.values() if len(each) > 1 for order in each.values()]
        elsewhere = {order.id for order in several} - {item.id for item in here}
        return cls(
            orders={key: list(each.values()) for key, each in orders.items()},
            histories={**histories_of(sorted(elsewhere), ports=ports), **histories},
        )

    def yielding(
        self, decisions: Mapping[str, Decision], policy: RetryPolicy, now: datetime
    ) -> dict[str, Decision]:
        """The decisions, but nobody is enrolled whose twin the storefront is at, or has just settled."""
        yielded = dict(decisions)
        for orders in self.orders.values():
            wanted = {order.id for order in orders if isinstance(decisions.get(order.id), Enroll)}
            if not wanted or len(orders) == 1:
                continue
            others = [order for order in orders if order.id not in wanted]
            busy = next(_obstacles(others, self.histories, policy, now), None)
            if busy is not None:
                yielded.update(dict.fromkeys(wanted, busy))
        return yielded

    def flags(self, item: AnyEnrollment) -> frozenset[str]:
        """`duplicate_payment` where this learner and course were paid for more than once."""
        paid_twice = isinstance(item, Enrollment) and len(self.orders.get(item.key, ())) > 1
        return frozenset({DUPLICATE_PAYMENT}) if paid_twice else frozenset()

    def besides(self, item: AnyEnrollment) -> tuple[str, ...]:
        """The ids of the other orders of its learner and course."""
        orders = self.orders.get(item.key, ()) if isinstance(item, Enrollment) else ()
        return tuple(order.id for order in orders if order.id != item.id)


def twin_in_the_way(
    fresh: Fresh, histories: Mapping[str, History], policy: RetryPolicy, now: datetime
) -> Skip | Defer | None:
    """Why a twin, read right before the write, keeps an order from being sent; None where none does.

    `histories`: what the audit remembers of the twins.
    """
    known = with_jobs([each.id for each in fresh.twins], histories, fresh.jobs)
    return next(_obstacles(fresh.twins, known, policy, now), None)


def histories_of(order_ids: Sequence[str], *, ports: Ports) -> dict[str, History]:
    """What the audit remembers of these orders, and whether the storefront's worker is at them now."""
    if not order_ids:
        return {}
    return with_jobs(order_ids, ports.audit.history(order_ids), ports.source.shop_jobs(order_ids))


def with_jobs(
    order_ids: Sequence[str], remembered: Mapping[str, History], jobs: Mapping[str, ShopJob]
) -> dict[str, History]:
    """The history of each of these orders, whether there is one or not."""
    return {name: with_job(remembered.get(name, NO_HISTORY), jobs.get(name, NO_JOB)) for name in order_ids}


def with_job(history: History, job: ShopJob) -> History:
    """The history, and whether the storefront's worker is at the order."""
    return (
        history if history.retry_job_active == job.active else replace(history, retry_job_active=job.active)
    )


def _obstacles(
    twins: Sequence[Enrollment], histories: Mapping[str, History], policy: RetryPolicy, now: datetime
) -> Iterator[Skip | Defer]:
    found = (twin_obstacle(twin, histories.get(twin.id, NO_HISTORY), policy, now) for twin in twins)
    return (each for each in found if each is not None)


def flags_of(item: AnyEnrollment) -> frozenset[str]:
    """What is odd about an order by itself."""
    return frozenset({ODD_ORDER}) if item.paid and is_unpaid_id(item.payment_id) else frozenset()
