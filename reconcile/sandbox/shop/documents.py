"""The storefront's documents: what it writes into orders and retry jobs, and how. No I/O.

Both the storefront that runs and the shop that is made up write them this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

Document = dict[str, Any]

PAYMENT_EVENT = "checkout.session.completed"
#: After so many tries of the worker nobody tries again.
MAX_ATTEMPTS = 5
_IN_WORK = timedelta(minutes=10)


def iso(when: datetime) -> str:
    """As JavaScript's `toISOString` writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def milliseconds(when: datetime) -> int:
    """As JavaScript's `Date.now()` counts them."""
    return round(when.timestamp() * 1000)


def to_millisecond(when: datetime) -> datetime:
    """BSON dates know no microseconds."""
    return when.replace(microsecond=when.microsecond // 1000 * 1000)


def event(event_id: str, kind: str, when: datetime, status: str) -> Document:
    """A Stripe event as the webhook notes it."""
    return {"eventId": event_id, "eventType": kind, "processedAt": when, "status": status}


def new_sync() -> Document:
    """`frappeSync` before the first call."""
    return {"synced": False, "syncStatus": "pending", "retryCount": 0}


def succeeded(enrollment_id: str, *, retry_count: int, at: datetime) -> Document:
    """`frappeSync` once the LMS has accepted."""
    return {
        "synced": True,
        "syncStatus": "success",
        "enrollmentId": enrollment_id,
        "retryCount": retry_count,
        "lastSyncAttempt": at,
        "syncCompletedAt": at,
    }


def payload(order: Mapping[str, object]) -> Document:
    """What the shop sends to the LMS for an order, and keeps in the retry job."""
    sent: Document = {
        "user_email": order["email"],
        "course_id": order["courseId"],
        "paid_status": True,
        "payment_id": order["paymentId"],
        "amount": order["amount"],
        "currency": order["currency"],
    }
    match order.get("affiliateData"):
        case {"affiliateEmail": str(address)}:
            sent["referral_code"] = address
    return sent


def new_job(order: Document, error: str, *, made: datetime, due: datetime) -> Document:
    """A retry job for an order whose call to the LMS has failed."""
    return {
        "jobType": "frappe_enrollment",
        "enrollmentId": order["_id"],
        "payload": payload(order),
        "attempts": 0,
        "maxAttempts": MAX_ATTEMPTS,
        "nextRetryAt": due,
        "lastError": error,
        "status": "pending",
        "createdAt": made,
        "updatedAt": made,
        "__v": 0,
    }


def claimed(job: Document, *, worker: str, at: datetime) -> Document:
    """What changes in a job that a worker takes: an attempt more, and ten minutes to do it."""
    return {
        "attempts": job["attempts"] + 1,
        "status": "processing",
        "workerNodeId": worker,
        "processingStartedAt": at,
        "processingTimeout": at + _IN_WORK,
        "updatedAt": at,
    }


def backoff(attempts: int) -> timedelta:
    """How long the queue waits after so many tries of the worker: 2, 4, 8, 16, 32 minutes."""
    return timedelta(minutes=2 * 2**attempts)
