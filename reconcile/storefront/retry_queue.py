"""The storefront's own retry queue in MongoDB: who is at which order, and how the queue stands.

The model names the collection `retry_jobs`, an older deployment may have `retryjobs` (STOREFRONT): both are
looked at, or the one that a setting names. Written: `status: completed` of the jobs of synced orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from bson import ObjectId
from pymongo import ASCENDING, DESCENDING, IndexModel, ReadPreference, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from reconcile.base.batched import batched
from reconcile.base.redaction import excerpt
from reconcile.domain.identity import MAX_NAME, normalise_email
from reconcile.domain.shop_queue import ShopJob, ShopQueue
from reconcile.storefront.errors import store_errors
from reconcile.storefront.ids import AT_ONCE, CHUNK, names_in_jobs, order_of_job
from reconcile.storefront.order_times import instant

Document = dict[str, Any]

#: Where the queue may be: by the model's name, and by the name in older deployments.
NAMES = ("retry_jobs", "retryjobs")
#: A job that has been `processing` for longer is stuck, where it does not say itself (STOREFRONT).
STUCK_AFTER = timedelta(minutes=10)
#: Due jobs whose orders are looked at in one run.
_MOST = 2000
#: No job is in work for longer, whatever it says.
LONGEST = timedelta(days=1)
#: The storefront's worker tries a job no more often (STOREFRONT).
MAX_ATTEMPTS = 5
#: A worker leaves no job at 0 attempts, and each update of the storefront's moves `updatedAt`: what was
#: completed otherwise, we have completed. So many of the newest are looked through for one of the worker's.
_NEWEST, _SAME_UPDATE = 200, timedelta(seconds=5)

#: How many names an order may have in jobs: so many orders one query asks for as elsewhere.
_NAMES = 2

#: Completing an order's job, or asking for it, must not read the whole queue.
BY_ORDER = IndexModel([("enrollmentId", ASCENDING), ("status", ASCENDING)], name="reconcile_jobs_by_order")
BY_STATUS = IndexModel(
    [("status", ASCENDING), ("processingStartedAt", ASCENDING)], name="reconcile_jobs_by_status"
)
BY_COMPLETION = IndexModel([("status", ASCENDING), ("completedAt", ASCENDING)], name="reconcile_jobs_by_end")
#: Whom the shop itself has sent: `drift` finds the order of an LMS enrollment by it.
BY_ADDRESS = IndexModel([("payload.user_email", ASCENDING)], name="reconcile_jobs_by_address")
INDEXES = (BY_ORDER, BY_STATUS, BY_COMPLETION, BY_ADDRESS)

#: What tells how the queue stands.
_STANDING = {"status": 1, "attempts": 1, "nextRetryAt": 1, "processingStartedAt": 1, "processingTimeout": 1}
_FIELDS = {
    **_STANDING,
    "enrollmentId": 1,
    "payload.user_email": 1,
    "lastError": 1,
}


@dataclass(frozen=True, kw_only=True)
class RetryJob:
    """One entry of the queue, as far as it can be read."""

    status: str
    attempts: int
    next_at: datetime | None
    error: str
    address: str | None  #: sent to the LMS as the user, as the shop wrote it

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> RetryJob:
        """Read one document; what is not as it should be reads as empty."""
        attempts, error, payload = (document.get(name) for name in ("attempts", "lastError", "payload"))
        address = payload.get("user_email") if isinstance(payload, Mapping) else None
        return cls(
            status=str(document.get("status", "")),
            attempts=attempts if isinstance(attempts, int) else 0,
            next_at=instant(document.get("nextRetryAt")),
            error=excerpt(error) if isinstance(error, str) else "",
            address=address if isinstance(address, str) and address.strip() else None,
        )


def existing(database: Database[Document], name: str | None) -> list[str]:
    """The queue's collections that are there. Raises StoreUnavailable."""
    candidates = (name,) if name else NAMES
    with store_errors("listing collections"):
        there = set(database.list_collection_names(filter={"name": {"$in": list(candidates)}}))
    return [each for each in candidates if each in there]


class RetryQueue:
    """The retry queue of one storefront. Raises StoreUnavailable."""

    def __init__(self, database: Database[Document], *, name: str | None = None) -> None:
        """`name`: the collection, where it is another than the usual ones."""
        self._database = database
        self._name = name

    @cached_property
    def _collections(self) -> list[Collection[Document]]:
        # The usual one also where it is not there yet: it may come while a run is going.
        names = dict.fromkeys((self._name or NAMES[0], *existing(self._database, self._name)))
        return [
            self._database.get_collection(
                each,
                read_preference=ReadPreference.PRIMARY,
                write_concern=WriteConcern(w="majority", j=True),
            )
            for each in names
        ]

    def jobs_of(self, order_ids: Iterable[str]) -> dict[str, ShopJob]:
        """What the queue knows of each of these orders (index by order); absent ones have no job."""
        found: dict[str, list[Document]] = {}
        names = [name for each in dict.fromkeys(order_ids) for name in names_in_jobs(each)]
        with store_errors("reading retry jobs"):
            for document in self._find_in("enrollmentId", names, at_once=_NAMES * CHUNK):
                found.setdefault(order_of_job(document), []).append(document)
        now = datetime.now(UTC)
        return {order: _job(documents, now) for order, documents in found.items()}

    def entries(self, order_id: str) -> list[RetryJob]:
        """The jobs for one order, the next one due last."""
        with store_errors("reading retry jobs"):
            found = [RetryJob.of(each) for each in self._find_in("enrollmentId", names_in_jobs(order_id))]
        return sorted(found, key=lambda job: job.next_at.isoformat() if job.next_at else "")

    def orders_of_jobs(self, job_ids: Sequence[str]) -> list[str]:
        """The orders of the jobs with these ids."""
        names = [ObjectId(each) for each in job_ids if ObjectId.is_valid(each)]
        with store_errors("reading retry jobs"):
            return [order_of_job(each) for each in self._find_in("_id", names)]

    def orders_sent_as(self, addresses: Sequence[str]) -> list[str]:
        """The orders that the shop itself has sent to the LMS under one of these addresses."""
        with store_errors("reading retry jobs"):
            return [order_of_job(each) for each in self._find_in("payload.user_email", addresses)]

    def overdue_orders(self, now: datetime) -> list[str]:
        """The orders of the jobs that are due and that nobody has taken up, so many at most."""
        query = {"status": "pending", "nextRetryAt": {"$lte": now}}
        with store_errors("reading retry jobs"):
            jobs = [
                job
                for each in self._collections
                for job in each.find(query, {"enrollmentId": 1}).limit(_MOST)
            ]
        return list(dict.fromkeys(order_of_job(job) for job in jobs))

    def complete(self, order_ids: Sequence[str], *, at: datetime) -> int:
        """End the open jobs of these orders, so that the worker does not enroll again; how many."""
        ended = 0
        names = [name for each in order_ids for name in names_in_jobs(each)]
        with store_errors("completing retry jobs"):
            for collection in self._collections if names else ():
                for chunk in batched(names, CHUNK):
                    ended += collection.update_many(
                        {"enrollmentId": {"$in": chunk}, "status": {"$in": ["pending", "processing"]}},
                        {"$set": {"status": "completed", "completedAt": at}},
                    ).modified_count
        return ended

    def look(self, now: datetime) -> ShopQueue:
        """How the queue stands: streams its open jobs and the newest completed ones, by index."""
        there = existing(self._database, self._name)
        found = _Counted()
        with store_errors("reading retry jobs"):
            for name in there:
                queue = self._database.get_collection(name, read_preference=ReadPreference.PRIMARY)
                for job in queue.find({"status": {"$in": ["pending", "processing"]}}, _STANDING):
                    found.add(job, now)
                found.complete(_completed(queue))
        return ShopQueue(
            collection=", ".join(there) or None,
            open=found.open,
            in_work=found.in_work,
            overdue=found.overdue,
            oldest_due_at=found.oldest_due_at,
            last_completed_at=found.last_completed_at,
            worker_seen_at=_latest(found.last_started_at, found.last_completed_at),
        )

    def _find_in(self, field: str, values: Sequence[object], *, at_once: int = CHUNK) -> Iterator[Document]:
        for chunk in batched(values, at_once):
            for collection in self._collections:
                yield from collection.find({field: {"$in": chunk}}, _FIELDS, batch_size=AT_ONCE)


def _job(documents: list[Document], now: datetime) -> ShopJob:
    newest_first = sorted(documents, key=lambda each: str(each["_id"]), reverse=True)
    sent = [normalise_email(RetryJob.of(each).address or "") for each in newest_first]
    return ShopJob(
        active=any(_is_active(each, now) for each in documents),
        addresses=tuple(dict.fromkeys(address for address in sent if 0 < len(address) <= MAX_NAME)),
    )


def _is_active(job: Mapping[str, Any], now: datetime) -> bool:
    """In work, and not stuck: the worker itself frees a job whose time-out has passed."""
    if job.get("status") != "processing":
        return False
    started, until = instant(job.get("processingStartedAt")), instant(job.get("processingTimeout"))
    if until is None and started is not None:
        until = started + STUCK_AFTER
    # A time-out far ahead is a broken date: the shop's are ten minutes.
    return until is not None and now < until <= now + LONGEST


@dataclass
class _Counted:
    """A fold over the queue: constant memory, however long nobody has worked it."""

    open: int = 0
    in_work: int = 0
    overdue: int = 0
    oldest_due_at: datetime | None = None
    last_started_at: datetime | None = None
    last_completed_at: datetime | None = None

    def add(self, job: Mapping[str, Any], now: datetime) -> None:
        """Count one open job."""
        self.open += 1
        self.in_work += _is_active(job, now)
        self.last_started_at = _latest(self.last_started_at, instant(job.get("processingStartedAt")))
        due = _due(job)
        if due is not None and due <= now:
            self.overdue += 1
            self.oldest_due_at = due if self.oldest_due_at is None else min(due, self.oldest_due_at)

    def complete(self, at: datetime | None) -> None:
        """The worker has completed a job then."""
        self.last_completed_at = _latest(self.last_completed_at, at)


def _latest(*instants: datetime | None) -> datetime | None:
    return max((at for at in instants if at is not None), default=None)


def _due(job: Mapping[str, Any]) -> datetime | None:
    """When a job that nobody is at should have been taken up; one without attempts left never is."""
    attempts = job.get("attempts")
    is_spent = isinstance(attempts, int) and attempts >= MAX_ATTEMPTS
    waits = job.get("status") == "pending" and not is_spent
    return instant(job.get("nextRetryAt")) if waits else None


def _completed(queue: Collection[Document]) -> datetime | None:
    """When the storefront's worker last completed a job; None where none of the newest is its."""
    newest = queue.find({"status": "completed"}, {"completedAt": 1, "attempts": 1, "updatedAt": 1})
    for job in newest.sort("completedAt", DESCENDING).limit(_NEWEST):
        at, touched = instant(job.get("completedAt")), instant(job.get("updatedAt"))
        is_ours = job.get("attempts") == 0 or (at and touched and at - touched > _SAME_UPDATE)
        if at is not None and not is_ours:
            return at
    return None
