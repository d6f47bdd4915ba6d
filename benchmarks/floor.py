"""The floor: what no program can avoid, done barely and all at once. It promises nothing to anybody.

One look for 200 pairs, one write for each missing learner, with so many requests in flight; and beside it, in
another thread, the write-back of every document that changes, in bulk, by a plain update. That is not
journaled: the next run looks again, and finds what a crash of the server has taken back.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.collection import Collection

from benchmarks.lms import KEY
from reconcile.base.batched import batched

Order = dict[str, Any]

_PAIRS = 200
_BULK = 500
_HEADERS = {"Content-Type": "application/json", "Authorization": f"token {KEY}"}


class Floor:
    """One pass over a backlog."""

    def __init__(
        self, address: str, *, in_flight: int, orders: Collection[Order] | None, batch: int = 0
    ) -> None:
        """`orders` None leaves the write-back out; `batch` enrolls so many with one `insert_many`."""
        self._address, self._in_flight, self._batch = address, in_flight, batch
        self._orders = orders
        self._mine = threading.local()
        self._done: queue.SimpleQueue[tuple[Any, str] | None] = queue.SimpleQueue()

    def run(self, backlog: Sequence[Order]) -> None:
        """Look, write, write back."""
        writer = threading.Thread(target=self._write_back)
        writer.start()
        try:
            with ThreadPoolExecutor(self._in_flight) as pool:
                looks = [pool.submit(self._look, page) for page in batched(backlog, _PAIRS)]
                writes: list[Future[None]] = []
                for look in looks:
                    missing = look.result()
                    if self._batch:
                        writes += [pool.submit(self._insert, some) for some in batched(missing, self._batch)]
                    else:
                        writes += [pool.submit(self._confirm, order) for order in missing]
                for write in writes:
                    write.result()
        finally:
            self._done.put(None)
            writer.join()

    def _look(self, page: Sequence[Order]) -> list[Order]:
        asked = {
            "doctype": "LMS Enrollment",
            "fields": ["name", "member", "course"],
            "filters": [
                ["member", "in", [order["email"] for order in page]],
                ["course", "in", sorted({order["courseId"] for order in page})],
            ],
            "limit_page_length": 0,
        }
        rows = self._post("frappe.client.get_list", asked)
        there = {(row["member"], row["course"]): row["name"] for row in rows}
        missing = []
        for order in page:
            name = there.get((order["email"], order["courseId"]))
            if name is None:
                missing.append(order)
            else:
                self._done.put((order["_id"], name))
        return missing

    def _confirm(self, order: Order) -> None:
        asked = {
            "user_email": order["email"],
            "course_id": order["courseId"],
            "paid_status": True,
            "payment_id": order["paymentId"],
        }
        found = self._post("lms.lms.payment_confirmation.confirm_payment", asked)
        self._done.put((order["_id"], found["enrollment_id"]))

    def _insert(self, some: Sequence[Order]) -> None:
        docs = [
            {"doctype": "LMS Enrollment", "member": order["email"], "course": order["courseId"]}
            for order in some
        ]
        for order, name in zip(some, self._post("frappe.client.insert_many", {"docs": docs}), strict=True):
            self._done.put((order["_id"], name))

    def _post(self, method: str, asked: dict[str, Any]) -> Any:
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = http.client.HTTPConnection(self._address, timeout=30)
        connection.request("POST", f"/api/method/{method}", json.dumps(asked), _HEADERS)
        return json.loads(connection.getresponse().read())["message"]

    def _write_back(self) -> None:
        """Whatever has come meanwhile, until nothing comes any more."""
        while (one := self._done.get()) is not None:
            some, over = [one], False
            while len(some) < _BULK and not over and not self._done.empty():
                more = self._done.get()
                over = more is None
                some += [] if more is None else [more]
            if self._orders is not None:
                now = datetime.now(UTC)
                self._orders.bulk_write([_update(of, name, now) for of, name in some], ordered=False)
            if over:
                return


def _update(order_id: Any, name: str, now: datetime) -> UpdateOne:
    said = {
        "frappeSync.synced": True,
        "frappeSync.syncStatus": "success",
        "frappeSync.enrollmentId": name,
        "frappeSync.lastSyncAttempt": now,
        "frappeSync.syncCompletedAt": now,
    }
    return UpdateOne({"_id": order_id}, {"$set": said, "$unset": {"frappeSync.errorMessage": ""}})
