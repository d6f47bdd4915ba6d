"""What the shop has left undone: an order that was paid and never marked, and a queue that nobody works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from tests.acceptance.harness import World


def ago(**length: float) -> datetime:
    """So long ago, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(**length)


def unmarked_order(world: World, email: str, **changes: Any) -> str:
    """The webhook noted the event two hours ago and died before it marked the order; its id."""
    event = {"eventId": "evt_1", "eventType": "checkout.session.completed", "status": "processing"}
    return world.order(
        email,
        status="pending",
        paymentId=f"STRIPE_cs_test_{ObjectId()}",
        stripeEvents=[event | {"processedAt": ago(hours=2)}],
        **changes,
    )


def retry_job(world: World, order: str, email: str, *, due: datetime, **changes: Any) -> str:
    """A job of the shop's own queue that waits for its worker; its id."""
    job = {
        "_id": ObjectId(),
        "jobType": "frappe_enrollment",
        "enrollmentId": ObjectId(order),
        "payload": {"user_email": email, "course_id": "python-basics", "paid_status": True},
        "attempts": 0,
        "maxAttempts": 5,
        "nextRetryAt": due,
        "lastError": "fetch failed",
        "status": "pending",
    }
    world.database.retry_jobs.insert_one(job | changes)
    return str(job["_id"])
