"""Orders looked up from the other side: by learner and course, by id, by payment, by address.

Reads every status, not the unsynced alone, and changes one thing: `reopen`, for an order that says
synced and is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database

from reconcile.adapters.mongo import JOURNALED, RETRY_JOBS, chunks
from reconcile.adapters.mongo_errors import store_errors
from reconcile.adapters.mongo_ids import document_id, enrollment_id, names_in_jobs
from reconcile.adapters.mongo_scan import PROJECTION
from reconcile.domain.documents import EmailRule, instant, normalise_email, parse_enrollment
from reconcile.domain.model import AnyEnrollment, EffectKey, Enrollment
from reconcile.redaction import excerpt

Document = dict[str, Any]

#: Answered by the index `reconcile_half_synced`, whose first keys these are.
_SYNCED: Document = {"status": "paid", "frappeSync.syncStatus": "success", "frappeSync.synced": True}
_REOPENED = "Access is gone from the LMS; given again because a person asked for it."


@dataclass(frozen=True, kw_only=True)
class RetryJob:
    """One entry of the storefront's retry queue, as far as it can be read."""

    status: str
    attempts: int
    next_at: datetime | None
    error: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> RetryJob:
        """Read one document; what is not as it should be reads as empty."""
        attempts, error = document.get("attempts"), document.get("lastError")
        return cls(
            status=str(document.get("status", "")),
            attempts=attempts if isinstance(attempts, int) else 0,
            next_at=instant(document.get("nextRetryAt")),
            error=excerpt(error) if isinstance(error, str) else "",
        )


class MongoOrders:
    """The orders of one storefront, whatever their status. Raises StoreUnavailable."""

    def __init__(self, database: Database[Document], *, collection: str, email_rule: EmailRule) -> None:
        self._orders: Collection[Document] = database.get_collection(
            collection, read_preference=ReadPreference.PRIMARY, write_concern=JOURNALED
        )
        self._jobs: Collection[Document] = database.get_collection(
            RETRY_JOBS, read_preference=ReadPreference.PRIMARY
        )
        self._email_rule = email_rule

    def synced(self) -> Iterator[Enrollment]:
        """Stream every order that says its learner has access; one that cannot be read is left out."""
        with store_errors("reading orders"), self._orders.find(_SYNCED, PROJECTION) as found:
            for document in found:
                item = self._parse(document)
                if isinstance(item, Enrollment) and item.sync.is_synced:
                    yield item

    def orders_for(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """Every readable order for these learners and courses, whatever its status."""
        wanted = set(keys)
        members = sorted({key.member for key in wanted})
        found: dict[EffectKey, dict[str, Enrollment]] = {}
        # An account may carry another address than the buyer's: both fields, each by its own index.
        for field in ("email", "lmsContext.frappeEmail"):
            for chunk in chunks(members):
                for item in self._find({field: {"$in": chunk}}):
                    if isinstance(item, Enrollment) and item.key in wanted:
                        found.setdefault(item.key, {})[item.id] = item
        return {key: sorted(orders.values(), key=_age) for key, orders in found.items()}

    def look_up(self, what: str) -> list[AnyEnrollment]:
        """The orders with this enrollment id, payment id or e-mail address, oldest first."""
        text = what.strip()
        address = normalise_email(text)
        queries: tuple[Document, ...] = (
            {"_id": document_id(text)},
            {"paymentId": text},
            {"email": address},
            {"lmsContext.frappeEmail": address},
        )
        found = {item.id: item for query in queries for item in self._find(query)}
        return sorted(found.values(), key=_age)

    def retry_jobs(self, order_id: str) -> list[RetryJob]:
        """The storefront's own retry jobs for an order, oldest first."""
        query = {"enrollmentId": {"$in": names_in_jobs(order_id)}}
        with store_errors("reading retry jobs"):
            found = list(
                self._jobs.find(query, {"status": 1, "attempts": 1, "nextRetryAt": 1, "lastError": 1})
            )
        jobs = [RetryJob.of(document) for document in found]
        return sorted(
            jobs, key=lambda job: (job.next_at is not None, job.next_at.isoformat() if job.next_at else "")
        )

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
            yield from map(self._parse, self._orders.find(query, PROJECTION))

    def _parse(self, document: Mapping[str, Any]) -> AnyEnrollment:
        raw = document.get("_id")
        return parse_enrollment(
            document,
            enrollment_id=enrollment_id(raw),
            email_rule=self._email_rule,
            created_at=raw.generation_time if isinstance(raw, ObjectId) else None,
        )


def _age(item: AnyEnrollment) -> tuple[bool, str, str]:
    return item.paid_at is None, item.paid_at.isoformat() if item.paid_at else "", item.id
