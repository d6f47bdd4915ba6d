"""The storefront's retry queue, `retry_jobs`, and the worker that somebody must post to.

As published nobody does: the hosting platform's cron sends GET, which only answers statistics.
"""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from random import Random

from pymongo.database import Database

from reconcile.sandbox.shop.documents import MAX_ATTEMPTS, Document, backoff, claimed, new_job, to_millisecond
from reconcile.sandbox.shop.storefront_lms import LmsClient
from reconcile.sandbox.shop.storefront_orders import Orders

_OPEN = {"workerNodeId": "", "processingStartedAt": "", "processingTimeout": ""}


class Queue:
    """The queue and its worker. Thread-safe; any number of workers share it."""

    def __init__(self, database: Database[Document], orders: Orders, lms: LmsClient) -> None:
        self._jobs = database["retry_jobs"]
        self._orders, self._lms = orders, lms
        self._random = Random()  # noqa: S311  jitter, not a secret

    def add(self, order: Document, error: str, *, wait: timedelta) -> object:
        """A job for an order whose call has failed, due after `wait`; its id."""
        now = self._orders.now()
        job = new_job(order, error, made=now, due=now + wait)
        return self._jobs.insert_one(job).inserted_id

    def work(self, *, limit: int, now: datetime | None) -> int:
        """Free what is stuck, then one due job after the other; how many were worked on.

        What is due is judged by `now`; what is written bears the storefront's own clock.
        """
        self._free_stuck(now)
        for done in range(limit):
            job = self._claim(now)
            if job is None:
                return done
            self._work(job, now)
        return limit

    def _free_stuck(self, now: datetime | None) -> None:
        """Jobs whose `processingTimeout` is past are `pending` again. Their attempt counts as made.

        A job that dies in its fifth attempt is therefore never claimed again, and never `failed`.
        """
        at = now or self._orders.now()
        self._jobs.update_many(
            {"status": "processing", "processingTimeout": {"$lt": at}},
            {"$set": {"status": "pending", "updatedAt": at}, "$unset": _OPEN},
        )

    def _claim(self, now: datetime | None) -> Document | None:
        """Take the job that is due for longest; the guarded update lets one worker have it."""
        at = now or self._orders.now()
        due = {"status": "pending", "nextRetryAt": {"$lte": at}, "attempts": {"$lt": MAX_ATTEMPTS}}
        while (job := self._jobs.find_one(due, sort=[("nextRetryAt", 1)])) is not None:
            taken = claimed(job, worker=f"worker-{os.getpid()}-{threading.get_ident():x}", at=at)
            same = {"_id": job["_id"], "status": "pending", "attempts": job["attempts"]}
            if self._jobs.update_one(same, {"$set": taken}).modified_count:
                return job | taken
        return None

    def _work(self, job: Document, now: datetime | None) -> None:
        """Look at the order, and not at the LMS; then call."""
        order = self._orders.find(job["enrollmentId"])
        if order is None:
            self._end(job, "failed", now, error="Enrollment not found")
            return
        if (order.get("frappeSync") or {}).get("enrollmentId"):
            self._end(job, "completed", now)
            return
        told = self._lms.confirm(job["payload"])
        attempts: int = job["attempts"]
        if told.enrollment_id is not None:
            self._orders.synced(order["_id"], told.enrollment_id, retry_count=attempts)
            self._end(job, "completed", now)
            return
        given_up = attempts >= MAX_ATTEMPTS
        status = "failed" if given_up else "retrying"
        self._orders.failed(order["_id"], told.error, status=status, retry_count=attempts)
        self._end(job, "failed" if given_up else "pending", now, error=told.error)

    def _end(self, job: Document, status: str, now: datetime | None, *, error: str | None = None) -> None:
        """Put the job away: for good, or until `2^attempts × 2 min ± 10 %` from now."""
        at = now or self._orders.now()
        changes: Document = {"status": status, "updatedAt": at}
        if error is not None:
            changes["lastError"] = error
        if status == "completed":
            changes["completedAt"] = at
        if status == "pending":
            wait = backoff(job["attempts"]) * self._random.uniform(0.9, 1.1)
            changes["nextRetryAt"] = to_millisecond(at + wait)
        self._jobs.update_one({"_id": job["_id"]}, {"$set": changes, "$unset": _OPEN})
