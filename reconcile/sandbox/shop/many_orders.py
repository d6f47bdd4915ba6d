"""Any number of plain unsynced orders for volume tests: cheap, streamed, deterministic. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bson import ObjectId

from reconcile.sandbox.shop.documents import Document, iso, new_sync
from reconcile.sandbox.shop.lms_errors import TIMEOUT
from reconcile.sandbox.shop.people import OPEN_COURSES, offered, price

#: The storefront courses that the orders are for; the LMS must offer them.
VOLUME_COURSES = OPEN_COURSES[:5]
_SPREAD = timedelta(days=30)
_YOUNGEST = timedelta(hours=2)


def many_orders(
    count: int, *, now: datetime, in_lms_share: float = 0.9, seed: int = 1
) -> Iterator[tuple[dict[str, Any], bool]]:
    """`count` unsynced paid orders, oldest first, each with: does the LMS have it already?

    Order n is of the n-th of `many_users`: no learner orders twice.
    """
    random = Random(seed)  # noqa: S311  dice, not a secret
    machine = random.randbytes(5)
    start = now.astimezone(UTC).replace(microsecond=0) - _YOUNGEST - _SPREAD
    for number in range(count):
        when = start + timedelta(seconds=int(_SPREAD.total_seconds() * number / count))
        course = VOLUME_COURSES[random.randrange(len(VOLUME_COURSES))]
        stamp = int(when.timestamp()).to_bytes(4, "big")
        sync = new_sync()
        if number % 4 == 3:
            sync |= {"syncStatus": "retrying", "retryCount": 1, "errorMessage": TIMEOUT}
            sync["lastSyncAttempt"] = when + timedelta(minutes=2)
        order = {
            "_id": ObjectId(stamp + machine + (number & 0xFFFFFF).to_bytes(3, "big")),
            "courseId": course.slug,
            "email": _address(number),
            "paymentId": f"pi_volume_{seed}_{number:08d}",
            "amount": price(course),
            "currency": "usd",
            "status": "paid",
            "enrollmentType": "paid_stripe",
            "timestamp": iso(when),
            "frappeSync": sync,
            "createdAt": when,
            "updatedAt": when,
        }
        yield order, random.random() < in_lms_share


def many_users(count: int) -> Iterator[dict[str, Any]]:
    """The LMS accounts of the learners of as many orders."""
    for number in range(count):
        yield {"email": _address(number), "full_name": f"Learner {number}", "enabled": 1}


def many_courses() -> list[Document]:
    """The LMS's courses for `many_orders`."""
    return [offered(course) for course in VOLUME_COURSES]


def _address(number: int) -> str:
    return f"learner{number:07d}@example.com"
