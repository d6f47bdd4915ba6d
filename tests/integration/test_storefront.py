"""The sandbox's storefront at its checkout: what each handler leaves in MongoDB, and asks of the LMS."""

from __future__ import annotations

import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.server import FrappeStandIn
from reconcile.sandbox.shop.storefront import Storefront
from tests.integration.storefronts import COURSE, LEARNER, asked, due_in, only_job, order, until

Document = dict[str, Any]
TIMEOUT = "The operation was aborted due to timeout"
API = "FrappeLMS API returned"


@pytest.mark.parametrize("partial", [False, True])
def test_an_open_checkout_is_an_unpaid_order(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn, partial: bool
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)

    found = order(shop_database, storefront.open_checkout(" Sam@Example.com", COURSE, 49.5, partial=partial))

    prefix = "STRIPE_PARTIAL_cs_test_" if partial else "STRIPE_cs_test_"
    assert re.fullmatch(prefix + r"\w{58}", found["paymentId"])
    assert (found["status"], found["email"], found["amount"]) == ("pending", LEARNER, 49.5)
    assert found["enrollmentType"] == ("partial_grant" if partial else "paid_stripe")
    assert found["timestamp"] == found["createdAt"].strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    assert before < found["createdAt"] <= found["updatedAt"]
    assert found["stripeEvents"] == []
    assert found["frappeSync"] == {"synced": False, "syncStatus": "pending", "retryCount": 0}
    assert asked(shop_lms) == 0


def test_the_webhook_notes_marks_and_enrolls(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    name = storefront.open_checkout(LEARNER, COURSE, 49)
    opened = order(shop_database, name)
    time.sleep(0.01)

    assert storefront.webhook(name)

    found = order(shop_database, name)
    (row,) = shop_lms.site.enrollments_of(LEARNER, COURSE)
    (event,) = found["stripeEvents"]
    assert (event["eventType"], event["status"]) == ("checkout.session.completed", "processed")
    assert found["createdAt"] < event["processedAt"] <= found["updatedAt"]
    assert (found["timestamp"], found["createdAt"]) == (opened["timestamp"], opened["createdAt"])
    assert found["status"] == "paid"
    assert found["paymentId"].startswith("pi_")
    assert found["frappeSync"] == {
        "synced": True,
        "syncStatus": "success",
        "enrollmentId": row["name"],
        "retryCount": 0,
        "lastSyncAttempt": found["frappeSync"]["syncCompletedAt"],
        "syncCompletedAt": found["updatedAt"],
    }
    assert shop_database["retry_jobs"].count_documents({}) == 0

    assert not storefront.webhook(name), "already processing"
    assert (asked(shop_lms), order(shop_database, name)) == (1, found)


def test_the_webhook_calls_a_second_time(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    shop_lms.faults.add(Fault(kind="503_maintenance", operation="enroll"))
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    storefront.webhook(name)

    sync = order(shop_database, name)["frappeSync"]
    assert (sync["synced"], sync["retryCount"], asked(shop_lms)) == (True, 1, 2)


def test_a_webhook_in_vain_leaves_a_job_due_in_two_minutes(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    shop_lms.faults.add(Fault(kind="503_maintenance", operation="enroll", times=2))
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    storefront.webhook(name)

    found, job = order(shop_database, name), only_job(shop_database)
    sync = found["frappeSync"]
    assert (sync["synced"], sync["syncStatus"], sync["retryCount"]) == (False, "retrying", 2)
    assert sync["errorMessage"].startswith(f"{API} 503: SERVICE UNAVAILABLE. Details: {{")
    assert sync["lastSyncAttempt"] == found["updatedAt"]
    assert "enrollmentId" not in sync
    assert job["_id"] == sync["retryJobId"]
    assert job["enrollmentId"] == found["_id"]
    assert (job["status"], job["attempts"], job["maxAttempts"]) == ("pending", 0, 5)
    assert job["lastError"] == sync["errorMessage"]
    assert due_in(job) == 120
    assert job["payload"] == {
        "user_email": LEARNER,
        "course_id": COURSE,
        "paid_status": True,
        "payment_id": found["paymentId"],
        "amount": 49,
        "currency": "usd",
    }


def test_a_late_answer_is_an_error_although_the_learner_is_enrolled(
    hasty: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    """And the second call is told so, and takes that for an error too."""
    shop_lms.faults.add(Fault(kind="timeout_after_write", operation="enroll", delay=30.0))
    name = hasty.open_checkout(LEARNER, COURSE, 49)

    hasty.webhook(name)

    sync = order(shop_database, name)["frappeSync"]
    assert sync["errorMessage"] == "User is already enrolled in this course"
    assert sync["syncStatus"] == "retrying"
    assert len(shop_lms.site.enrollments_of(LEARNER, COURSE)) == 1


def test_an_lms_that_commits_after_the_time_out(
    hasty: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    shop_lms.faults.add(Fault(kind="late_write", operation="enroll", delay=2.5))
    name = hasty.open_checkout(LEARNER, COURSE, 49)

    hasty.success_page(name)

    found = order(shop_database, name)
    assert found["frappeSync"]["errorMessage"] == TIMEOUT
    assert shop_lms.site.enrollments_of(LEARNER, COURSE) == []
    until(lambda: shop_lms.site.enrollments_of(LEARNER, COURSE))
    assert order(shop_database, name) == found


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "cut_before"}, "fetch failed"),
        ({"kind": "timeout_before", "delay": 5.0}, TIMEOUT),
        ({"kind": "refuse"}, f"{API} 417: EXPECTATION FAILED. Details: {{"),
        ({"kind": "502_html"}, f"{API} 502: BAD GATEWAY. Details: <html>"),
        ({"kind": "success_false", "text": "Not today"}, "Not today"),
        ({"kind": "garbage"}, "Unexpected token '{'"),
        ({"kind": "wrong_shape"}, "Unknown error"),
    ],
)
def test_errors_are_stored_as_bare_as_they_are(
    hasty: Storefront,
    shop_database: Database[Document],
    shop_lms: FrappeStandIn,
    fault: Document,
    error: str,
) -> None:
    shop_lms.faults.add(Fault(operation="enroll", **fault))
    name = hasty.open_checkout(LEARNER, COURSE, 49)

    hasty.success_page(name)

    assert order(shop_database, name)["frappeSync"]["errorMessage"].startswith(error)


def test_an_answer_without_a_wrapper_is_one(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    shop_lms.faults.add(Fault(kind="not_wrapped", operation="enroll"))
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    storefront.success_page(name)

    assert order(shop_database, name)["frappeSync"]["synced"] is True


def test_a_key_is_sent_as_bearer(shop_database: Database[Document], shop_lms: FrappeStandIn) -> None:
    storefront = Storefront(shop_database, lms_url=shop_lms.url, api_key="no-key-of-this-lms", retry_delay=0)
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    storefront.success_page(name)

    error = order(shop_database, name)["frappeSync"]["errorMessage"]
    assert error.startswith(f"{API} 401: UNAUTHORIZED. Details: ")


def test_a_webhook_that_dies_between_its_updates_leaves_the_order_pending_for_ever(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    assert not storefront.webhook(name, dies_after="event")
    assert not storefront.webhook(name)

    found = order(shop_database, name)
    (event,) = found["stripeEvents"]
    assert (found["status"], event["status"]) == ("pending", "processing")
    assert found["paymentId"].startswith("STRIPE_cs_test_")
    assert asked(shop_lms) == 0


def test_a_webhook_that_dies_before_its_call_leaves_no_job(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    assert not storefront.webhook(name, dies_after="paid")
    assert not storefront.webhook(name)
    assert not storefront.success_page(name)

    found = order(shop_database, name)
    assert found["status"] == "paid"
    assert [event["status"] for event in found["stripeEvents"]] == ["processed"]
    assert found["frappeSync"] == {"synced": False, "syncStatus": "pending", "retryCount": 0}
    assert (asked(shop_lms), shop_database["retry_jobs"].count_documents({})) == (0, 0)


def test_the_success_page_leaves_no_event(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    assert storefront.success_page(name)

    found = order(shop_database, name)
    assert (found["status"], found["stripeEvents"]) == ("paid", [])
    assert found["frappeSync"]["synced"] is True
    assert asked(shop_lms) == 1

    assert storefront.webhook(name), "the webhook is late, and finds it paid"
    found = order(shop_database, name)
    assert [event["status"] for event in found["stripeEvents"]] == ["processed"]
    assert (found["frappeSync"]["synced"], asked(shop_lms)) == (True, 1)


def test_a_success_page_in_vain_leaves_pending_and_a_job_due_at_once(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    shop_lms.faults.add(Fault(kind="503_maintenance", operation="enroll"))
    name = storefront.open_checkout(LEARNER, COURSE, 49)

    storefront.success_page(name)

    sync, job = order(shop_database, name)["frappeSync"], only_job(shop_database)
    assert (sync["syncStatus"], sync["retryCount"], asked(shop_lms)) == ("pending", 0, 1)
    assert sync["errorMessage"].startswith(f"{API} 503")
    assert sync["retryJobId"] == job["_id"]
    assert due_in(job) == 5


def test_both_payment_paths_at_once_are_one_call(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    names = [storefront.open_checkout(LEARNER, COURSE, 49)]
    names += [storefront.open_checkout("kim@example.com", COURSE, 49)]
    shop_lms.site.switches.race_window = 0.1
    handlers = [
        threading.Thread(target=handler, args=(name,))
        for name in names
        for handler in (
            storefront.webhook,
            storefront.success_page,
            storefront.webhook,
            storefront.success_page,
        )
    ]

    for handler in handlers:
        handler.start()
    for handler in handlers:
        handler.join()

    assert asked(shop_lms) == 2
    assert shop_lms.site.duplicates() == {}
    for name in names:
        found = order(shop_database, name)
        assert (found["status"], found["frappeSync"]["synced"]) == ("paid", True)
        assert [event["status"] for event in found["stripeEvents"]] == ["processed"]


def test_a_free_grant_is_paid_and_sent_at_once(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    found = order(shop_database, storefront.free_grant(LEARNER, COURSE))

    assert re.fullmatch(r"free_\d{13}_\w{9}", found["paymentId"])
    assert (found["status"], found["amount"], found["enrollmentType"]) == ("paid", 0, "free_grant")
    assert found["frappeSync"]["enrollmentId"] == shop_lms.site.enrollments_of(LEARNER, COURSE)[0]["name"]

    found = order(shop_database, storefront.free_grant("nobody@example.com", COURSE))
    assert found["frappeSync"]["errorMessage"] == "User not found"
    assert found["frappeSync"]["syncStatus"] == "retrying"
    assert due_in(only_job(shop_database)) == 5


def test_a_cancelled_checkout_is_gone_and_a_paid_order_is_not(
    storefront: Storefront, shop_database: Database[Document], shop_lms: FrappeStandIn
) -> None:
    name, paid = (
        storefront.open_checkout(LEARNER, COURSE, 49),
        storefront.free_grant("kim@example.com", COURSE),
    )

    assert storefront.cancel(name)
    assert not storefront.cancel(paid)

    assert not storefront.webhook(name)
    assert not storefront.success_page(name)
    assert [str(found["_id"]) for found in shop_database["enrollments"].find()] == [paid]
    assert shop_lms.site.enrollments_of(LEARNER) == []


def test_checkouts_opened_at_once_have_different_payment_ids(
    storefront: Storefront, shop_database: Database[Document]
) -> None:
    threads = [
        threading.Thread(target=storefront.open_checkout, args=(LEARNER, COURSE, number))
        for number in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert shop_database["enrollments"].count_documents({}) == 8
