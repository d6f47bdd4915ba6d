"""EnrollmentSource on PyMongo: the storefront's orders and retry jobs, and what is written back.

The collections are the storefront's. Read: the fields of `_PROJECTION`. Written: `frappeSync` of
paid, unsynced orders, and `status: completed` of their retry jobs. Nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReadPreference, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from reconcile import log
from reconcile.adapters.mongo_errors import store_errors
from reconcile.adapters.mongo_ids import document_id, enrollment_id, names_in_jobs, order_of_job
from reconcile.adapters.mongo_scan import PROJECTION, Scan
from reconcile.adapters.mongo_update import sync_update
from reconcile.domain.documents import EmailRule, normalise_course, normalise_email, parse_enrollment
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment, Reason
from reconcile.ports import Selection, WriteBack

_log = log.get_logger(__name__)

Document = dict[str, Any]

#: A retry job that has been `processing` for longer is stuck (STOREFRONT: collection `retryjobs`).
STUCK_AFTER = timedelta(minutes=10)
RETRY_JOBS = "retryjobs"

#: `$in` lists are cut to this: long ones are slow on small servers and gain nothing on large ones.
CHUNK = 200

#: Server codes that one document's content causes: a validator (121), a wrong type on the way (28, 14, 2),
#: too large (17419, 10334), not storable (52, 57). Anything else is the server's own trouble.
_DOCUMENTS_OWN = frozenset({2, 14, 28, 52, 57, 121, 10334, 17419})

#: Survives a crash of the server: nothing that matters is written without it.
JOURNALED = WriteConcern(w="majority", j=True)


class MongoSource:
    """The orders of one storefront."""

    def __init__(
        self,
        database: Database[Document],
        *,
        collection: str,
        email_rule: EmailRule,
        page_size: int = CHUNK,
    ) -> None:
        #: The primary, always: a stale secondary would show as unsynced what was just written.
        self._orders: Collection[Document] = database.get_collection(
            collection, read_preference=ReadPreference.PRIMARY, write_concern=JOURNALED
        )
        self._jobs: Collection[Document] = database.get_collection(
            RETRY_JOBS, read_preference=ReadPreference.PRIMARY, write_concern=JOURNALED
        )
        self._email_rule = email_rule
        self._scan = Scan(self._orders, page_size=page_size)

    def _parse(self, document: Mapping[str, Any]) -> AnyEnrollment:
        raw = document.get("_id")
        created = raw.generation_time if isinstance(raw, ObjectId) else None
        return parse_enrollment(
            document,
            enrollment_id=enrollment_id(raw),
            email_rule=self._email_rule,
            created_at=created,
        )

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        """Stream the paid, unsynced orders; what this run itself has just touched is not shown twice."""
        started = datetime.now(UTC)
        found = 0
        for document in self._scan.documents(selection):
            item = self._parse(document)
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

    def still_unsynced(self, enrollment_id: str) -> Reason | bool:
        """Read one order and its retry job again, right before a write."""
        with store_errors("reading an order"):
            document = self._orders.find_one(
                {"_id": document_id(enrollment_id)}, {"status": 1, "frappeSync": 1}
            )
        if document is None or document.get("status") != "paid":
            return Reason.NOT_PAID
        if self._parse(document).sync.is_synced:
            return False
        return Reason.RETRY_JOB_ACTIVE if self.retry_jobs_active([enrollment_id]) else True

    def retry_jobs_active(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Orders whose retry job is `processing` and not stuck."""
        wanted = set(enrollment_ids)
        if not wanted:
            return frozenset()
        since = datetime.now(UTC) - STUCK_AFTER
        active = {"status": "processing", "processingStartedAt": {"$gt": since}}
        with store_errors("reading retry jobs"):
            # Few jobs are in work at any time: fewer than there are orders on a page.
            jobs = self._jobs.find(active, {"enrollmentId": 1})
            return frozenset(order_of_job(job) for job in jobs) & wanted

    def paid_orders(self, keys: Iterable[EffectKey]) -> Mapping[EffectKey, int]:
        """Paid orders for each key, synced ones included (index `email, courseId, status`)."""
        wanted = set(keys)
        counts: Counter[EffectKey] = Counter()
        members = sorted({key.member for key in wanted})
        with store_errors("reading orders"):
            for chunk in chunks(members):
                query = {"email": {"$in": chunk}, "status": "paid"}
                for document in self._orders.find(query, PROJECTION):
                    item = self._parse(document)
                    if isinstance(item, Enrollment) and item.key in wanted:
                        counts[item.key] += 1
        return counts

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """One unordered, guarded, journaled bulk write; retry jobs of the synced orders first."""
        if not items:
            return frozenset()
        done = [item.enrollment_id for item in items if item.verdict.outcome.has_access]
        with store_errors("writing orders"):
            self._complete_jobs(done, at=max(item.at for item in items))
            operations = [
                UpdateOne({"_id": document_id(item.enrollment_id), "status": "paid"}, sync_update(item))
                for item in items
            ]
            changed = self._bulk_write(operations, items)
        if changed == len(items):
            return frozenset(item.enrollment_id for item in items)
        return self._that_took(items)

    def _bulk_write(self, operations: list[UpdateOne], items: Sequence[WriteBack]) -> int:
        """How many documents changed. A document that refuses its own update stops nobody else's."""
        try:
            return self._orders.bulk_write(operations, ordered=False).modified_count
        except BulkWriteError as error:
            details = error.details or {}
            failures = details.get("writeErrors", [])
            if details.get("writeConcernErrors") or not all(
                failure.get("code") in _DOCUMENTS_OWN for failure in failures
            ):
                raise
            for failure in failures:
                _log.error(
                    "An order refuses to be updated; its document or a validator must be corrected",
                    enrollment_id=items[failure["index"]].enrollment_id,
                    code=failure.get("code"),
                )
            return int(details.get("nModified", 0))

    def _complete_jobs(self, enrollment_ids: Sequence[str], *, at: datetime) -> None:
        names = [name for each in enrollment_ids for name in names_in_jobs(each)]
        for chunk in chunks(names):
            self._jobs.update_many(
                {"enrollmentId": {"$in": chunk}, "status": {"$in": ["pending", "processing"]}},
                {"$set": {"status": "completed", "completedAt": at}},
            )

    def _that_took(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """A bulk result counts and does not name: read which documents say what was written."""
        ids = [document_id(item.enrollment_id) for item in items]
        at = {item.enrollment_id: _as_stored(item.at) for item in items}
        took = set()
        with store_errors("reading orders"):
            for chunk in chunks(ids):
                for document in self._orders.find({"_id": {"$in": chunk}}, {"frappeSync": 1}):
                    item = self._parse(document)
                    if item.sync.last_attempt == at[item.id]:
                        took.add(item.id)
        return frozenset(took)


def _as_stored(at: datetime) -> datetime:
    """BSON keeps milliseconds."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _selected(item: AnyEnrollment, selection: Selection) -> bool:
    if not item.paid:
        return False
    if selection.course is not None and item.course != normalise_course(selection.course):
        return False
    if selection.email is not None:
        addresses = {item.email, item.member if isinstance(item, Enrollment) else item.email}
        if normalise_email(selection.email) not in addresses:
            return False
    if selection.since is not None:
        return item.paid_at is not None and item.paid_at >= selection.since
    return True


def chunks(values: Sequence[Any]) -> Iterator[list[Any]]:
    """Slices of at most CHUNK values."""
    for start in range(0, len(values), CHUNK):
        yield list(values[start : start + CHUNK])
