"""The storefront's side as the use case needs it: orders, its retry queue, what is written back. A port."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment, Verdict
from reconcile.domain.shop_queue import ShopJob, ShopQueue
from reconcile.domain.unmarked import Unmarked


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which unsynced orders a run looks at; the default is all of them."""

    enrollment_ids: tuple[str, ...] = ()  #: also payment ids, checkout sessions (`cs_…`), retry jobs' ids
    email: str | None = None
    course: str | None = None
    since: datetime | None = None  #: paid at or after
    limit: int | None = None
    unnamed: bool = False  #: also what a run without a key has synced, to find the document's name

    @property
    def is_everything(self) -> bool:
        """True where the run sees the whole backlog."""
        return replace(self, unnamed=False) == Selection()


@dataclass(frozen=True, kw_only=True)
class WriteBack:
    """What one order's document should say now."""

    enrollment_id: str
    verdict: Verdict
    at: datetime  #: when the verdict was reached, as the audit has it: by it we know our own marks again


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """An order as it is right before a write, its retry job, and the other paid orders for the same.

    Each job was read before the order it belongs to: an order that the storefront's worker is at, or has
    just settled, shows it by one of the two.
    """

    order: AnyEnrollment | None  #: None where it is gone
    job: ShopJob
    twins: Sequence[Enrollment]  #: paid, of the key that was asked for, not itself
    jobs: Mapping[str, ShopJob]  #: of each of the twins, by order id


#: Nothing is known about other orders.
NO_TWINS: Mapping[str, Sequence[str]] = MappingProxyType({})


class EnrollmentSource(Protocol):
    """The storefront's orders (MongoDB). Raises StoreUnavailable."""

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        """Stream the paid, unsynced orders: each once, in constant memory."""
        ...

    def last_look(
        self, orders: Sequence[Enrollment], *, twins: Mapping[str, Sequence[str]] = NO_TWINS
    ) -> Mapping[str, Fresh]:
        """These orders as they are now, right before writes: each of them, by order id.

        `twins`: ids of twins already known, by order id; a twin that is not among them costs three round
        trips more.
        """
        ...

    def shop_jobs(self, enrollment_ids: Sequence[str]) -> Mapping[str, ShopJob]:
        """What the storefront's own retry queue knows of these orders; absent ones have no job."""
        ...

    def paid_twice(self, orders: Sequence[Enrollment]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """The paid orders of those of these learners and courses that have several, these orders counted.

        Absent where an order is alone: as a rule. Reads whole only those that are not.
        """
        ...

    def unmarked(self, now: datetime, *, without: Container[str | None] = ()) -> Unmarked:
        """The orders, but these ids, that are paid and were never marked as paid. One cheap query."""
        ...

    def shop_queue(self, now: datetime) -> ShopQueue:
        """How the storefront's own retry queue stands. A few cheap queries."""
        ...

    def end_settled_jobs(self, now: datetime) -> int:
        """End the overdue retry jobs of orders that are synced already; how many. May be repeated.

        A write-back ends an order's own jobs; these are left from elsewhere: from versions that did not
        know the queue, or from a person who synced the order by hand.
        """
        ...

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """Write verdicts into the documents; the ids that took. May be repeated.

        Guarded by `status: paid` and "not synced meanwhile". A success also completes the order's open
        retry jobs, first, so that a crash between the two is harmless.
        """
        ...
