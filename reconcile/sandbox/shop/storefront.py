"""The published storefront as a program: its handlers write to MongoDB and call the LMS over HTTP.

What it does wrong is its own: it looks at the order and never at the LMS, takes "already enrolled" for an
error, and tells nobody when it gives up.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Literal

from bson import ObjectId
from pymongo.database import Database

from reconcile.sandbox.shop.documents import Document, backoff, iso, milliseconds, new_sync, payload
from reconcile.sandbox.shop.storefront_lms import LmsClient, Told
from reconcile.sandbox.shop.storefront_orders import Clock, Orders, derived, real_time
from reconcile.sandbox.shop.storefront_queue import Queue

_SOON = timedelta(seconds=5)


class Storefront:
    """One shop. Thread-safe: its handlers may run in any number of threads, for the same order too."""

    def __init__(
        self,
        database: Database[Document],
        *,
        lms_url: str,
        api_key: str | None = None,
        timeout: float = 15.0,
        retry_delay: float = 2.0,
        clock: Clock = real_time,
    ) -> None:
        """`timeout` and `retry_delay` are seconds; without `api_key` the LMS is called as a guest."""
        self._lms = LmsClient(lms_url, api_key=api_key, timeout=timeout)
        self._orders = Orders(database, clock)
        self._queue = Queue(database, self._orders, self._lms)
        self._retry_delay = retry_delay
        self._lock = threading.Lock()
        self._last_number = 0

    def open_checkout(self, email: str, course: str, amount: float, *, partial: bool = False) -> str:
        """A buyer goes to Stripe: the order is `pending`; its id.

        `paymentId` is `PENDING_<ms>` (`PARTIAL_PENDING_<ms>` with a coupon for a part), and once Stripe has
        made the session, `STRIPE_cs_…`. `timestamp` and `createdAt` stay what they are now.
        """
        part = "PARTIAL_" if partial else ""
        document = self._new_order(email, course, amount)
        document["paymentId"] = f"{part}PENDING_{self._number()}"
        document["enrollmentType"] = "partial_grant" if partial else "paid_stripe"
        self._orders.insert(document)
        order_id = str(document["_id"])
        self._orders.session(order_id, partial=partial)
        return order_id

    def webhook(self, order_id: str, *, dies_after: Literal["event", "paid"] | None = None) -> bool:
        """`checkout.session.completed` arrives; True where it ran to its end.

        First it notes the event, as `processing`; where that stands there already ("already processing")
        it does nothing. In a second update it marks the order paid, unless somebody has. Then it calls the
        LMS, after a failure once more, and leaves the rest to the queue, due in 2 minutes.
        `dies_after` is the update after which the function is killed: after "event" the order stays
        `pending` for ever, after "paid" nobody calls the LMS.
        """
        if not self._orders.note_event(order_id) or dies_after == "event":
            return False
        paid = self._orders.pay_by_event(order_id)
        if dies_after == "paid":
            return False
        order = self._orders.find(order_id)
        if not paid or order is None:
            return True
        told, calls = self._lms.confirm(payload(order)), 1
        if told.enrollment_id is None:
            time.sleep(self._retry_delay)
            told, calls = self._lms.confirm(payload(order)), 2
        failures = calls - (told.enrollment_id is not None)
        self._write(order, told, status="retrying", retry_count=failures, wait=backoff(0))
        return True

    def success_page(self, order_id: str) -> bool:
        """The buyer comes back from Stripe (`complete-enrollment`); True where this marks the order paid.

        Where the webhook was first it does nothing. Else it marks the order paid, replaces the whole
        `frappeSync` and calls the LMS once. There is no event; a failure leaves `pending`, and a job due
        in 5 seconds.
        """
        if not self._orders.pay_by_page(order_id):
            return False
        order = self._orders.find(order_id)
        if order is not None:
            told = self._lms.confirm(payload(order))
            self._write(order, told, status="pending", retry_count=0, wait=_SOON)
        return True

    def free_grant(self, email: str, course: str) -> str:
        """A coupon of 100 %: `paid` at once, and the checkout calls the LMS itself; the order's id.

        A failure leaves `retrying`, and a job due in 5 seconds.
        """
        order = self._new_order(email, course, 0)
        number = self._number()
        order |= {
            "paymentId": f"free_{number}_{derived(str(number), 'grant', 9)}",
            "status": "paid",
            "enrollmentType": "free_grant",
        }
        order["verification"] = {
            "paymentVerified": True,
            "verifiedAt": order["createdAt"],
            "source": "grant",
        }
        self._orders.insert(order)
        told = self._lms.confirm(payload(order))
        failures = int(told.enrollment_id is None)
        self._write(order, told, status="retrying", retry_count=failures, wait=_SOON)
        return str(order["_id"])

    def cancel(self, order_id: str) -> bool:
        """The buyer leaves the checkout by "cancel": the order is deleted, unless it is paid.

        The session can be paid all the same.
        """
        return self._orders.delete_unpaid(order_id)

    def work_queue(self, *, limit: int = 50, now: datetime | None = None) -> int:
        """Somebody posts to the queue's worker; how many jobs it worked on, at most `limit`.

        It frees stuck jobs, then claims one due job at a time: `processing`, an attempt more, ten minutes
        to do it. An order that has an `enrollmentId` is done; the LMS is not asked. After a failure it
        waits 4, 8, 16, 32 minutes ± 10 %; the fifth is the last: job and order `failed`, `retryCount` 5.
        """
        return self._queue.work(limit=limit, now=now)

    def _write(self, order: Document, told: Told, *, status: str, retry_count: int, wait: timedelta) -> None:
        """What came of the first call; whatever somebody else has written meanwhile."""
        if told.enrollment_id is not None:
            self._orders.synced(order["_id"], told.enrollment_id, retry_count=retry_count)
            return
        job = self._queue.add(order, told.error, wait=wait)
        self._orders.failed(order["_id"], told.error, status=status, retry_count=retry_count, job=job)

    def _new_order(self, email: str, course: str, amount: float) -> Document:
        now = self._orders.now()
        return {
            # An id of now by the shop's clock, which need not be the real time.
            "_id": ObjectId(int(now.timestamp()).to_bytes(4, "big") + ObjectId().binary[4:]),
            "courseId": course,
            "email": email.strip().lower(),
            "amount": amount,
            "currency": "usd",
            "status": "pending",
            "timestamp": iso(now),
            "stripeEvents": [],
            "verification": {"paymentVerified": False},
            "frappeSync": new_sync(),
            "createdAt": now,
            "updatedAt": now,
            "__v": 0,
        }

    def _number(self) -> int:
        """The milliseconds of now, and never the same twice: `paymentId` is unique."""
        with self._lock:
            self._last_number = max(milliseconds(self._orders.now()), self._last_number + 1)
            return self._last_number
