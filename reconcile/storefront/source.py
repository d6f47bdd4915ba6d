"""EnrollmentSource on PyMongo: the storefront's orders and retry jobs, and what is written back.

The collections are the storefront's. Read: the fields of `PROJECTION`. Written: `frappeSync` of
paid, unsynced orders, and `status: completed` of their retry jobs. Nothing else.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pymongo import ReadPreference, UpdateMany, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from reconcile.base import log
from reconcile.base.batched import batched
from reconcile.domain.identity import normalise_course, normalise_email
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment
from reconcile.domain.shop_queue import ShopJob, ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.source import NO_TWINS, Fresh, Selection, WriteBack
from reconcile.storefront.documents import sync_state
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import AT_ONCE, CHUNK, document_id, enrollment_id
from reconcile.storefront.last_look import LastLook
from reconcile.storefront.order_times import is_unmarked
from reconcile.storefront.reading import PROJECTION, OrderReader, ids_named, paid_ids
from reconcile.storefront.retry_queue import RetryQueue
from reconcile.storefront.scan import UNMARKED, Scan
from reconcile.storefront.write_back import same_way, sync_update, sync_updates

_log = log.get_logger(__name__)

Document = dict[str, Any]

#: Server codes that one document's content causes: a validator (121), a wrong type on the way (28, 14, 2),
#: too large (17419, 10334), not storable (52, 57). Anything else is the server's own trouble.
_DOCUMENTS_OWN = frozenset({2, 14, 28, 52, 57, 121, 10334, 17419})

#: By what we know again what we have written.
_OUR_MARK = {"frappeSync.lastSyncAttempt": 1}

#: Orders in one update, which looks up each one's values in a list: with more it looks for longer.
_TOGETHER = 25

#: Survives a crash of the server: nothing that matters is written without it.
JOURNALED = WriteConcern(w="majority", j=True)


class MongoSource:
    """The orders of one storefront."""

    def __init__(
        self,
        database: Database[Document],
        *,
        collection: str,
        reader: OrderReader,
        queue: RetryQueue,
        page_size: int = CHUNK,
    ) -> None:
        #: The primary, always: a stale secondary would show as unsynced what was just written.
        self._orders: Collection[Document] = database.get_collection(
            collection, read_preference=ReadPreference.PRIMARY, write_concern=JOURNALED
        )
        self._reader = reader
        self._queue = queue
        self._page_size = page_size
        self._scan = Scan(self._orders, page_size=page_size)

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        """Stream the paid, unsynced orders; what this run itself has just touched is not shown twice."""
        started = datetime.now(UTC)
        found = 0
        if selection.enrollment_ids:
            named = map(enrollment_id, ids_named(selection.enrollment_ids, self._orders, self._queue))
            both = dict.fromkeys((*selection.enrollment_ids, *named))
            selection = replace(selection, enrollment_ids=tuple(both))
        documents = self._scan.documents(selection, sent_as=self._sent_as(selection))
        for item in self._reader.read(documents, at_once=self._page_size):
            if item.sync.is_synced and not (selection.unnamed and item.sync.is_unnamed):
                continue
            if not _selected(item, selection):
                continue
            touched = item.sync.last_attempt
            if touched is not None and started <= touched <= datetime.now(UTC):
                continue
            if selection.limit is not None and found >= selection.limit:
                return
            found += 1
            yield item

    def _sent_as(self, selection: Selection) -> tuple[str, ...]:
        """The orders that the shop itself has sent to the LMS under the address that is asked for."""
        if selection.email is None or selection.enrollment_ids:
            return ()
        return tuple(dict.fromkeys(self._queue.orders_sent_as([normalise_email(selection.email)])))

    def last_look(
        self, orders: Sequence[Enrollment], *, twins: Mapping[str, Sequence[str]] = NO_TWINS
    ) -> Mapping[str, Fresh]:
        """Read these orders, their twins and their retry jobs again, right before writes.

        Three round trips for 200 orders; one more where an order is not among its learner's paid ones.
        """
        return LastLook(self._orders, self._reader, self._queue).at(orders, twins)

    def shop_jobs(self, enrollment_ids: Sequence[str]) -> Mapping[str, ShopJob]:
        """What the storefront's retry queue knows of these orders."""
        return self._queue.jobs_of(enrollment_ids)

    def paid_twice(self, orders: Sequence[Enrollment]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """The paid orders where these learners and courses have several. Two round trips where none has."""
        given: dict[EffectKey, set[str]] = {}
        for order in orders:
            given.setdefault(order.key, set()).add(order.id)
        together: dict[EffectKey, list[Enrollment]] = {}
        with store_errors("reading orders"):
            paid = paid_ids(self._orders, given.keys())
            several = [ids | given[key] for key, ids in paid.items() if len(ids | given[key]) > 1]
            for chunk in batched(map(document_id, frozenset().union(*several)), CHUNK):
                query = {"_id": {"$in": chunk}, "status": "paid"}
                for item in self._reader.read(self._orders.find(query, PROJECTION, batch_size=AT_ONCE)):
                    if isinstance(item, Enrollment) and item.key in given:
                        together.setdefault(item.key, []).append(item)
        return {
            key: found
            for key, found in together.items()
            if len(given[key].union(each.id for each in found)) > 1
        }

    def unmarked(self, now: datetime, *, without: Container[str | None] = ()) -> Unmarked:
        """The orders, but these ids, that are paid and were never marked as paid. One cheap query."""
        found = Unmarked()
        with store_errors("looking for paid orders that are not marked"):
            candidates = (each for each in self._orders.find(UNMARKED, PROJECTION) if is_unmarked(each, now))
            for item in self._reader.read(candidates):
                if item.id not in without:
                    found.add(item)
        return found

    def shop_queue(self, now: datetime) -> ShopQueue:
        """How the storefront's own retry queue stands. A few cheap queries."""
        return self._queue.look(now)

    def end_settled_jobs(self, now: datetime) -> int:
        """End the overdue retry jobs of orders that are synced already; how many."""
        ended = 0
        for chunk in batched(self._queue.overdue_orders(now), CHUNK):
            names = [document_id(each) for each in chunk]
            with store_errors("reading orders"):
                found = list(self._orders.find({"_id": {"$in": names}}, {"status": 1, "frappeSync": 1}))
            settled = [
                enrollment_id(each["_id"])
                for each in found
                if each.get("status") == "paid" and sync_state(each.get("frappeSync")).is_synced
            ]
            ended += self._queue.complete(settled, at=now)
        return ended

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """Guarded, journaled updates of many orders at once; retry jobs of the synced orders first.

        One round trip for 200. Where it does not reach all, two or three more: who was reached, the rest
        one by one, and who of these.
        """
        if not items:
            return frozenset()
        done = [item.enrollment_id for item in items if item.verdict.outcome.has_access]
        with store_errors("writing orders"):
            self._queue.complete(done, at=max(item.at for item in items))
            took: frozenset[str] = frozenset()
            for chunk in batched(items, CHUNK):
                took |= self._write(chunk)
        return took

    def _write(self, items: Sequence[WriteBack]) -> frozenset[str]:
        alike: dict[tuple[bool, bool], list[tuple[object, WriteBack]]] = {}
        for item in items:
            alike.setdefault(same_way(item), []).append((document_id(item.enrollment_id), item))
        together = [
            UpdateMany({"_id": {"$in": [raw for raw, _ in each]}, "status": "paid"}, sync_updates(each))
            for those in alike.values()
            for each in batched(those, _TOGETHER)
        ]
        took = self._bulk_write(together, items)
        rest = [item for item in items if item.enrollment_id not in took]
        singly = [
            UpdateOne({"_id": document_id(item.enrollment_id), "status": "paid"}, sync_update(item))
            for item in rest
        ]
        return took | self._bulk_write(singly, rest) if rest else took

    def _bulk_write(
        self, operations: Sequence[UpdateOne | UpdateMany], items: Sequence[WriteBack]
    ) -> frozenset[str]:
        """Who was written. A document that refuses its own update ends no other operation."""
        try:
            changed = self._orders.bulk_write(operations, ordered=False).modified_count
        except BulkWriteError as error:
            details = error.details or {}
            failures = details.get("writeErrors", [])
            if details.get("writeConcernErrors") or not all(
                failure.get("code") in _DOCUMENTS_OWN for failure in failures
            ):
                raise
            for failure in failures:
                # Of many at once it is not told which one: it will be found one by one.
                if isinstance(operations[failure["index"]], UpdateOne):
                    _log.error(
                        "An order refuses to be updated; its document or a validator must be corrected",
                        enrollment_id=items[failure["index"]].enrollment_id,
                        code=failure.get("code"),
                    )
            changed = int(details.get("nModified", 0))
        if changed == len(items):
            return frozenset(item.enrollment_id for item in items)
        return self._that_took(items)

    def _that_took(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """A bulk result counts and does not name: read which documents say what was written."""
        ids = [document_id(item.enrollment_id) for item in items]
        at = {item.enrollment_id: _as_stored(item.at) for item in items}
        took = set()
        for chunk in batched(ids, CHUNK):
            for document in self._orders.find({"_id": {"$in": chunk}}, _OUR_MARK, batch_size=AT_ONCE):
                name = enrollment_id(document["_id"])
                if sync_state(document.get("frappeSync")).last_attempt == at[name]:
                    took.add(name)
        return frozenset(took)


def _as_stored(at: datetime) -> datetime:
    """BSON keeps milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _selected(item: AnyEnrollment, selection: Selection) -> bool:
    if not item.paid:
        return False
    if selection.course is not None and item.course != normalise_course(selection.course):
        return False
    if selection.email is not None and selection.enrollment_ids:
        addresses = {item.email, item.member if isinstance(item, Enrollment) else item.email}
        if normalise_email(selection.email) not in addresses:
            return False
    if selection.since is not None:
        return item.paid_at is not None and item.paid_at >= selection.since
    return True
