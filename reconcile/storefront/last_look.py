"""The last look before writes, for many orders at once: the orders, their twins, and the retry jobs of all.

The shop's worker syncs an order and then ends its job. So jobs are read before the orders they belong to:
an order that the worker is at shows it by one of the two, never by none. A twin that shows up for the first
time was read before its job: then its job is read, and the orders once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from pymongo.collection import Collection

from reconcile.base.batched import batched
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment
from reconcile.domain.shop_queue import NO_JOB, ShopJob
from reconcile.run.source import Fresh
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import AT_ONCE, CHUNK, document_id
from reconcile.storefront.reading import PROJECTION, OrderReader, by_address
from reconcile.storefront.retry_queue import RetryQueue

Document = dict[str, Any]


class LastLook:
    """One look at these orders. Raises StoreUnavailable."""

    def __init__(self, orders: Collection[Document], reader: OrderReader, queue: RetryQueue) -> None:
        self._orders = orders
        self._reader = reader
        self._queue = queue
        self._jobs: dict[str, ShopJob] = {}
        self._asked: set[str] = set()  #: whose jobs were read
        self._found: dict[str, AnyEnrollment] = {}

    def at(self, orders: Sequence[Enrollment], twins: Mapping[str, Sequence[str]]) -> dict[str, Fresh]:
        """Each of these orders as it is now, by id. `twins`: ids of twins already known, by order id."""
        ids: dict[EffectKey, list[str]] = {}
        for order in orders:
            ids.setdefault(order.key, []).extend((order.id, *twins.get(order.id, ())))
        while ids:
            self._read_jobs(name for names in ids.values() for name in names)
            self._read_orders(ids)
            ids = self._late(ids)
        together: dict[EffectKey, list[Enrollment]] = {}
        for item in self._paid({order.key for order in orders}):
            together.setdefault(item.key, []).append(item)
        return {order.id: self._fresh(order, together.get(order.key, ())) for order in orders}

    def _read_jobs(self, names: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self._asked]
        self._jobs |= self._queue.jobs_of(new)
        self._asked.update(new)

    def _read_orders(self, ids: Mapping[EffectKey, Sequence[str]]) -> None:
        """The paid orders for these keys, and by id what is not among them: not paid, gone, another's."""
        names = dict.fromkeys(name for each in ids.values() for name in each)
        read: dict[str, AnyEnrollment] = {}
        with store_errors("reading orders"):
            for item in by_address(self._orders, self._reader, ids.keys(), {"status": "paid"}):
                if item.id in names or (isinstance(item, Enrollment) and item.key in ids):
                    read[item.id] = item
            for chunk in batched((document_id(name) for name in names if name not in read), CHUNK):
                found = self._orders.find({"_id": {"$in": chunk}}, PROJECTION, batch_size=AT_ONCE)
                for item in self._reader.read(found):
                    read[item.id] = item
        # What was read of these keys before is old, also where it is not there any more.
        self._found = {
            name: item
            for name, item in self._found.items()
            if name not in names and not (isinstance(item, Enrollment) and item.key in ids)
        } | read

    def _late(self, looked_at: Mapping[EffectKey, Sequence[str]]) -> dict[EffectKey, list[str]]:
        """The keys of the twins whose jobs were not read yet, with all that is known of them."""
        late: dict[EffectKey, list[str]] = {}
        for item in self._paid(looked_at.keys()):
            if item.id not in self._asked:
                late.setdefault(item.key, list(looked_at[item.key])).append(item.id)
        return late

    def _paid(self, keys: Set[EffectKey]) -> Iterator[Enrollment]:
        for item in self._found.values():
            if isinstance(item, Enrollment) and item.paid and item.key in keys:
                yield item

    def _fresh(self, order: Enrollment, together: Sequence[Enrollment]) -> Fresh:
        twins = sorted((item for item in together if item.id != order.id), key=lambda twin: twin.id)
        return Fresh(
            order=self._found.get(order.id),
            job=self._jobs.get(order.id, NO_JOB),
            twins=twins,
            jobs={twin.id: self._jobs.get(twin.id, NO_JOB) for twin in twins},
        )
