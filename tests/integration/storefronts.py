"""What the tests of the sandbox's storefront look at."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from reconcile.sandbox.lms.server import FrappeStandIn

Document = dict[str, Any]
LEARNER, OTHER, COURSE = "sam@example.com", "kim@example.com", "web-dev"


def order(database: Database[Document], order_id: str) -> Document:
    """The order as it stands."""
    found = database["enrollments"].find_one({"_id": ObjectId(order_id)})
    assert found is not None
    return found


def only_job(database: Database[Document]) -> Document:
    """The one retry job that there is."""
    (job,) = database["retry_jobs"].find()
    return job


def due_in(job: Document) -> float:
    """Seconds between the making of a job and its time."""
    return float((job["nextRetryAt"] - job["createdAt"]).total_seconds())


def asked(lms: FrappeStandIn) -> int:
    """How often the LMS was asked to enroll."""
    return sum(count for name, count in lms.counters.items() if name.startswith("enroll"))


def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
