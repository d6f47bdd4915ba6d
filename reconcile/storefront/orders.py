"""Orders looked up from the other side: by learner and course, by id, by payment, by address.

Reads every status, not the unsynced alone, and changes one thing: `reopen`, for an order that says
synced and is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database

from reconcile.base.batched import batched
from reconcile.base.errors import StoreUnavailable
from reconcile.domain.identity import normalise_email
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import CHUNK, document_id
from reconcile.storefront.order_times import instant, is_unmarked
from reconcile.storefront.reading import PROJECTION, OrderReader, ids_named, orders_for
from reconcile.storefront.retry_queue import RetryJob, RetryQueue
from reconcile.storefront.source import JOURNALED

Document = dict[str, Any]

#: Answered by the index `reconcile_half_synced`, whose first keys these are.
_SYNCED: Document = {"status": "paid", "frappeSync.syncStatus": "success", "frappeSync.synced": True}
_REOPENED = "Access is gone from the LMS; given again because a person asked for it."


class MongoOrders:
    """The orders of one storefront, whatever their status. Raises StoreUnavailable."""

    def __init__(
        self, database: Database[Document], *, collection: str, reader: OrderReader, queue: RetryQueue
    ) -> None:
        self._orders: Collection[Document] = database.get_collection(
            collection, read_preference=ReadPreference.PRIMARY, write_concern=JOURNALED
        )
        self._reader = reader
        self._queue = queue

    def synced(self) -> Iterator[Enrollment]:
        """Stream every order that says its learner has access; one that cannot be read is left out."""
        with store_errors("reading orders"), self._orders.find(_SYNCED, PROJECTION) as found:
            for item in self._reader.read(found):
                if isinstance(item, Enrollment) and item.sync.is_synced:
                    yield item

    def orders_for(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """Every readable order for these learners and courses, whatever its status."""
        wanted = set(keys)
        with store_errors("reading orders"):
            found = orders_for(self._orders, self._reader, wanted, {})
        for key, item in self._sent_as(wanted - found.keys()):
            found.setdefault(key, {})[item.id] = item
        return {key: sorted(orders.values(), key=_age) for key, orders in found.items()}

    def sent_as(self, order_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The addresses under which the shop itself has sent these orders to the LMS, where it kept them."""
        return {order: job.addresses for order, job in self._queue.jobs_of(order_ids).items()}

    def _sent_as(self, keys: Set[EffectKey]) -> Iterator[tuple[EffectKey, Enrollment]]:
        """The orders that the shop itself has sent to the LMS as one of these learners."""
        ids = self._queue.orders_sent_as(sorted({key.member for key in keys})) if keys else []
        sent = self.sent_as(ids) if ids else {}
        for chunk in batched(map(document_id, dict.fromkeys(ids)), CHUNK):
            for item in self._find({"_id": {"$in": chunk}}):
                if isinstance(item, Enrollment):
                    theirs = {EffectKey(address, item.course) for address in sent.get(item.id, ())}
                    yield from ((key, item) for key in theirs & keys)

    def look_up(self, what: str) -> list[AnyEnrollment]:
        """The orders with this id, payment, checkout session, retry job or e-mail address, oldest first."""
        text = what.strip()
        address = normalise_email(text)
        sent = map(document_id, self._queue.orders_sent_as([address]))
        queries: tuple[Document, ...] = (
            {"_id": {"$in": [*ids_named([text], self._orders, self._queue), *sent]}},
            {"email": address},
            {"lmsContext.frappeEmail": address},
        )
        found = {item.id: item for query in queries for item in self._find(query)}
        return sorted(found.values(), key=_age)

    def is_unmarked(self, order_id: str, now: datetime) -> bool:
        """Whether this order was paid and never marked as paid."""
        fields = {"status": 1, "stripeEvents.eventType": 1, "stripeEvents.processedAt": 1}
        with store_errors("reading an order"):
            document = self._orders.find_one({"_id": document_id(order_id)}, fields)
        return document is not None and is_unmarked(document, now)

    def newest_paid_at(self) -> datetime | None:
        """When the newest paid order was paid (index `status, timestamp`); None where there is none.

        Raises StoreUnavailable also where that order does not tell.
        """
        with store_errors("reading the newest order"):
            found = self._orders.find_one(
                {"status": "paid"}, {"timestamp": 1}, sort=[("timestamp", DESCENDING)]
            )
        if found is None:
            return None
        at = instant(found.get("timestamp"))
        if at is None and isinstance(found["_id"], ObjectId):
            at = found["_id"].generation_time
        if at is None:
            raise StoreUnavailable("the newest order does not tell when it was paid")
        return at

    def retry_jobs(self, order_id: str) -> list[RetryJob]:
        """The storefront's own retry jobs for an order, oldest first."""
        return self._queue.entries(order_id)

    def reopen(self, order: Enrollment) -> bool:
        """Let a synced order be unsynced again, so that a run gives access anew; whether it took.

        Guarded: only while it is paid and still names the LMS enrollment that is gone.
        """
        query = _SYNCED | {"_id": document_id(order.id), "frappeSync.enrollmentId": order.sync.lms_id}
        update = {
            "$set": {
                "frappeSync.synced": False,
                "frappeSync.syncStatus": "retrying",
                "frappeSync.errorMessage": _REOPENED,
            },
            "$unset": {"frappeSync.enrollmentId": "", "frappeSync.syncCompletedAt": ""},
        }
        with store_errors("writing an order"):
            return self._orders.update_one(query, update).modified_count == 1

    def _find(self, query: Document) -> Iterator[AnyEnrollment]:
        with store_errors("reading orders"):
            yield from self._reader.read(self._orders.find(query, PROJECTION))


def _age(item: AnyEnrollment) -> tuple[bool, str, str]:
    return item.paid_at is None, item.paid_at.isoformat() if item.paid_at else "", item.id
