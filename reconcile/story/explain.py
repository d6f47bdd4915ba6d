"""The whole story of one order, gathered from all three systems. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from sqlalchemy import Connection

from reconcile.base.errors import ReconcileError
from reconcile.base.redaction import redact
from reconcile.domain.model import NO_HISTORY, AnyEnrollment, Decision, History
from reconcile.run.decision import shop_tried_at, shop_tries
from reconcile.run.options import Ports
from reconcile.run.page import Page
from reconcile.run.source import Selection
from reconcile.storefront.orders import MongoOrders
from reconcile.storefront.retry_queue import RetryJob
from reconcile.story.events import audit_events
from reconcile.story.look import Look, look
from reconcile.story.shop_texts import PAID, paid_word
from reconcile.story.story import Event, Outlook, concluded
from reconcile.story.words import plural


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What a story is gathered from."""

    orders: MongoOrders
    ports: Ports
    #: What a run would do with these orders: its own look, over ports that write nothing.
    plan: Callable[[Selection], Iterator[Page]]
    #: The audit database; None where there is none yet.
    reading: Callable[[], AbstractContextManager[Connection | None]]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One order with all that is known about it."""

    item: AnyEnrollment
    seen: Look
    history: History
    unmarked: bool  #: somebody has paid, and the order does not say so
    verdict: Outlook
    timeline: list[Event]

    @property
    def shop_tries(self) -> int:
        """How often the shop itself has tried."""
        return shop_tries(self.item, self.history)


def explain(item: AnyEnrollment, sources: Sources) -> Explained:
    """The story of one order. Raises StoreUnavailable and AuditUnavailable."""
    seen = look(sources.ports.platform, item, sent_as=sources.orders.sent_as([item.id]).get(item.id, ()))
    history = sources.ports.audit.history([item.id]).get(item.id, NO_HISTORY)
    unmarked = not item.paid and sources.orders.is_unmarked(item.id, sources.ports.clock.now())
    decision, failure = None, seen.failure
    if failure is None and item.paid and not item.sync.is_synced:
        decision, failure = _decide(item, sources)
    with sources.reading() as connection:
        ours = list(audit_events(connection, item.id)) if connection is not None else []
    return Explained(
        item=item,
        seen=seen,
        history=history,
        unmarked=unmarked,
        verdict=concluded(item, decision, seen.observation, failure=failure, unmarked=unmarked),
        timeline=sorted([*_shop_events(item, history, sources.orders.retry_jobs(item.id)), *ours]),
    )


def _decide(item: AnyEnrollment, sources: Sources) -> tuple[Decision | None, str | None]:
    """What a run would decide now, or why that cannot be said."""
    try:
        for page in sources.plan(Selection(enrollment_ids=(item.id,))):
            for entry in page.entries:
                return entry.decision, None
    except ReconcileError as error:
        return None, redact(str(error))
    return None, None


def _shop_events(item: AnyEnrollment, history: History, jobs: list[RetryJob]) -> Iterator[Event]:
    sync = item.sync
    if item.ordered_at is not None:
        price = f"{item.amount} {item.currency}" if item.amount is not None else "amount unknown"
        yield Event(at=item.ordered_at, who="shop", what=f"ordered {item.course or '?'}, {price}")
    if item.paid_at is not None and paid_word(item) == PAID:
        yield Event(at=item.paid_at, who="shop", what="paid, by Stripe's event")
    if sync.last_attempt is not None:
        who = "shop" if shop_tried_at(item, history) is not None else "reconcile"
        words = [sync.status, f"retryCount {sync.retry_count}", redact(sync.error or "")]
        yield Event(at=sync.last_attempt, who=who, what=f"last synced: {', '.join(filter(None, words))}")
    for job in jobs:
        if job.next_at:
            yield Event(at=job.next_at, who="shop", what=_job(job))


def _job(job: RetryJob) -> str:
    error = f", {job.error}" if job.error else ""
    due = "is due" if job.status == "pending" else "was due last"
    tries = f"{job.attempts} {plural(job.attempts, 'attempt')}"
    return f"the shop's own retry job {due}: {job.status}, {tries}{error}"
