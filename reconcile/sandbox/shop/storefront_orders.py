"""The storefront's orders: every write to `enrollments`, as its handlers make them.

Like Mongoose each update moves `updatedAt`. Nothing here guards against somebody else's write but what
the storefront guards itself: whether the order is `paid` already.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from reconcile.sandbox.shop.documents import (
    MAX_ATTEMPTS,
    PAYMENT_EVENT,
    Document,
    event,
    new_sync,
    succeeded,
    to_millisecond,
)

Clock = Callable[[], datetime]
#: The one guard of the storefront's: whoever marks an order paid goes on to the LMS, nobody else.
_UNPAID: Document = {"status": {"$ne": "paid"}}


def real_time() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def derived(order_id: str, what: str, length: int = 24) -> str:
    """An identifier that Stripe gave to an order's session, payment or event: always the same one."""
    return blake2b(f"{what}:{order_id}".encode(), digest_size=32).hexdigest()[:length]


def _event(order_id: str) -> str:
    return f"evt_1{derived(order_id, 'event')}"


class Orders:
    """The collection `enrollments`. Thread-safe."""

    def __init__(self, database: Database[Document], clock: Clock) -> None:
        self._collection = database["enrollments"]
        self._clock = clock

    def now(self) -> datetime:
        """The time as BSON keeps it."""
        return to_millisecond(self._clock().astimezone(UTC))

    def insert(self, document: Document) -> None:
        """Enter a new order."""
        self._collection.insert_one(document)

    def find(self, order_id: str | ObjectId) -> Document | None:
        """The order, or None where it was deleted."""
        return self._collection.find_one({"_id": ObjectId(order_id)})

    def session(self, order_id: str, *, partial: bool) -> None:
        """Stripe has made the checkout session: its id takes the place of the first one."""
        part = "PARTIAL_" if partial else ""
        self._update(order_id, {"paymentId": f"STRIPE_{part}cs_test_{derived(order_id, 'session', 58)}"})

    def note_event(self, order_id: str) -> bool:
        """Put the payment's event into `stripeEvents`, as `processing`; False where it is there already."""
        now, name = self.now(), _event(order_id)
        noted = event(name, PAYMENT_EVENT, now, "processing")
        changed = self._collection.update_one(
            {"_id": ObjectId(order_id), "stripeEvents.eventId": {"$ne": name}},
            {"$push": {"stripeEvents": noted}, "$set": {"updatedAt": now}},
        )
        return changed.modified_count == 1

    def pay_by_event(self, order_id: str) -> bool:
        """Mark the order `paid` and its event `processed`; False where it was paid already, or is gone."""
        noted = {"stripeEvents.eventId": _event(order_id)}
        ended: Document = {"stripeEvents.$.status": "processed"}
        changes = self._paid(order_id, "webhook") | {"frappeSync.syncStatus": "pending"}
        if self._update(order_id, changes | ended, _UNPAID | noted):
            return True
        self._update(order_id, ended, noted)
        return False

    def pay_by_page(self, order_id: str) -> bool:
        """Mark the order `paid` and replace its `frappeSync`; False where it was paid already, or is gone."""
        changes = self._paid(order_id, "success_page") | {"frappeSync": new_sync()}
        return self._update(order_id, changes, _UNPAID) == 1

    def synced(self, order_id: str | ObjectId, enrollment_id: str, *, retry_count: int) -> None:
        """The LMS has accepted."""
        sync = succeeded(enrollment_id, retry_count=retry_count, at=self.now())
        self._update(
            order_id,
            {f"frappeSync.{name}": value for name, value in sync.items()},
            gone=("frappeSync.errorMessage", "frappeSync.retryJobId"),
        )

    def failed(
        self, order_id: str | ObjectId, error: str, *, status: str, retry_count: int, job: object = None
    ) -> None:
        """A call came to nothing; `job` is the retry job that was made for it."""
        changes = {
            "frappeSync.syncStatus": status,
            "frappeSync.errorMessage": error,
            "frappeSync.retryCount": min(retry_count, MAX_ATTEMPTS),
            "frappeSync.lastSyncAttempt": self.now(),
        }
        if job is not None:
            changes["frappeSync.retryJobId"] = job
        self._update(order_id, changes)

    def delete_unpaid(self, order_id: str) -> bool:
        """Delete it, unless it is paid."""
        gone = self._collection.delete_one({"_id": ObjectId(order_id)} | _UNPAID)
        return gone.deleted_count == 1

    def _paid(self, order_id: str, source: str) -> Document:
        return {
            "status": "paid",
            "paymentId": f"pi_3{derived(order_id, 'payment')}",
            "verification": {"paymentVerified": True, "verifiedAt": self.now(), "source": source},
        }

    def _update(
        self,
        order_id: str | ObjectId,
        changes: Document,
        only: Document | None = None,
        *,
        gone: tuple[str, ...] = (),
    ) -> int:
        update: dict[str, Any] = {"$set": changes | {"updatedAt": self.now()}}
        if gone:
            update["$unset"] = dict.fromkeys(gone, "")
        query = {"_id": ObjectId(order_id)} | (only or {})
        return self._collection.update_one(query, update).modified_count
