"""The sandbox's storefront: its retry queue, worked by hand or not at all."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.shop.storefront import Storefront
from tests.integration.storefronts import COURSE, LEARNER, asked, only_job, order

Document = dict[str, Any]


@pytest.fixture
def failed(storefront: Storefront, shop_lms: FrappeStandIn) -> str:
    """An order whose first call has failed; its job is due in five seconds. The LMS is well again."""
    shop_lms.faults.add(Fault(kind="503_maintenance", operation="enroll"))
    name = storefront.open_checkout(LEARNER, COURSE, 49)
    storefront.success_page(name)
    return name


def later(minutes: float = 1) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def test_what_is_not_due_waits(
    storefront: Storefront, shop_database: Database[Document], failed: str
) -> None:
    assert storefront.work_queue() == 0
    assert only_job(shop_database)["status"] == "pending"


def test_the_worker_enrolls_and_completes(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    assert storefront.work_queue(now=later()) == 1

    sync, job = order(shop_database, failed)["frappeSync"], only_job(shop_database)
    assert sync["enrollmentId"] == shop_lms.site.enrollments_of(LEARNER, COURSE)[0]["name"]
    assert (sync["synced"], sync["syncStatus"], sync["retryCount"]) == (True, "success", 1)
    assert not {"errorMessage", "retryJobId"} & set(sync)
    assert (job["status"], job["attempts"]) == ("completed", 1)
    assert job["completedAt"] == job["updatedAt"]
    assert not {"workerNodeId", "processingStartedAt", "processingTimeout"} & set(job)
    assert storefront.work_queue(now=later(10_000)) == 0


def test_it_waits_longer_each_time_and_gives_up_after_the_fifth(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    shop_lms.site.switches.maintenance = "on"
    now = later()
    for attempts, minutes in enumerate((4, 8, 16, 32), start=1):
        assert storefront.work_queue(now=now) == 1
        sync, job = order(shop_database, failed)["frappeSync"], only_job(shop_database)
        assert (sync["syncStatus"], sync["retryCount"]) == ("retrying", attempts)
        assert (job["status"], job["attempts"]) == ("pending", attempts)
        wait = (job["nextRetryAt"] - now) / timedelta(minutes=minutes)
        assert 0.89 < wait < 1.11
        assert storefront.work_queue(now=job["nextRetryAt"] - timedelta(seconds=1)) == 0
        now = job["nextRetryAt"]

    assert storefront.work_queue(now=now) == 1

    sync, job = order(shop_database, failed)["frappeSync"], only_job(shop_database)
    assert (sync["syncStatus"], sync["retryCount"], sync["synced"]) == ("failed", 5, False)
    assert (job["status"], job["attempts"]) == ("failed", 5)
    assert job["lastError"] == sync["errorMessage"]
    shop_lms.site.switches.maintenance = "off"
    assert storefront.work_queue(now=later(10_000)) == 0, "nobody tries again, although the LMS is well"


def test_an_enrollment_that_the_lms_has_already_is_one_more_error(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    shop_lms.site.enroll(LEARNER, COURSE)

    storefront.work_queue(now=later())

    sync = order(shop_database, failed)["frappeSync"]
    assert (sync["syncStatus"], sync["retryCount"]) == ("retrying", 1)
    assert sync["errorMessage"] == "User is already enrolled in this course"


def test_an_order_with_an_enrollment_id_needs_no_call(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    shop_database["enrollments"].update_one({}, {"$set": {"frappeSync.enrollmentId": "by-somebody-else"}})
    before = order(shop_database, failed)

    storefront.work_queue(now=later())

    assert only_job(shop_database)["status"] == "completed"
    assert order(shop_database, failed) == before
    assert asked(shop_lms) == 1


def test_a_deleted_order_ends_its_job(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    shop_database["enrollments"].delete_one({"_id": ObjectId(failed)})

    storefront.work_queue(now=later())

    assert only_job(shop_database)["status"] == "failed"
    assert asked(shop_lms) == 1


def test_a_job_in_work_is_left_alone_until_its_time_is_past(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    started = datetime.now(UTC)
    stuck = {
        "status": "processing",
        "attempts": 1,
        "workerNodeId": "worker-dead",
        "processingStartedAt": started,
        "processingTimeout": started + timedelta(minutes=10),
    }
    shop_database["retry_jobs"].update_one({}, {"$set": stuck})

    assert storefront.work_queue(now=started + timedelta(minutes=9)) == 0
    assert only_job(shop_database)["status"] == "processing"

    assert storefront.work_queue(now=started + timedelta(minutes=11)) == 1
    assert (only_job(shop_database)["status"], only_job(shop_database)["attempts"]) == ("completed", 2)
    assert order(shop_database, failed)["frappeSync"]["synced"] is True


def test_a_job_that_died_in_its_fifth_attempt_stays_for_ever(
    storefront: Storefront, shop_database: Database[Document], failed: str
) -> None:
    past = datetime.now(UTC) - timedelta(minutes=1)
    shop_database["retry_jobs"].update_one(
        {}, {"$set": {"status": "processing", "attempts": 5, "processingTimeout": past}}
    )

    assert storefront.work_queue(now=later()) == 0

    assert (only_job(shop_database)["status"], only_job(shop_database)["attempts"]) == ("pending", 5)
    assert order(shop_database, failed)["frappeSync"]["syncStatus"] == "pending"


def test_the_job_is_in_work_while_the_lms_is_asked(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, failed: str
) -> None:
    seen: list[Document] = []
    shop_lms.faults.add(Fault(kind="latency", operation="enroll", delay=0.5))
    worker = threading.Thread(target=storefront.work_queue, kwargs={"now": later()})

    worker.start()
    while worker.is_alive():
        seen += shop_database["retry_jobs"].find({"status": "processing"})
    worker.join()

    assert seen
    job = seen[0]
    assert job["attempts"] == 1
    assert job["workerNodeId"]
    assert job["processingTimeout"] - job["processingStartedAt"] == timedelta(minutes=10)


def test_workers_share_the_queue_and_keep_to_their_limit(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    shop_lms.site.switches.maintenance = "on"
    for number in range(6):
        shop_lms.site.add_user(f"learner{number}@example.com")
        storefront.free_grant(f"learner{number}@example.com", COURSE)
    shop_lms.site.switches.maintenance = "off"
    before, now = asked(shop_lms), later()
    assert storefront.work_queue(limit=2, now=now) == 2
    workers = [threading.Thread(target=storefront.work_queue, kwargs={"now": now}) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert shop_database["retry_jobs"].count_documents({"status": "completed", "attempts": 1}) == 6
    assert asked(shop_lms) - before == 6
    assert shop_lms.site.duplicates() == {}
