"""The sandbox shop's documents are those of the published storefront: its fields, types, words and habits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from reconcile.sandbox.shop.seed import shop
from reconcile.storefront.documents import instant

NOW = datetime(2026, 3, 18, 10, 30, 12, 345678, tzinfo=UTC)
SHOP = shop(NOW)
Document = dict[str, Any]

#: Documents that no schema let in: from the shop before this one, and what somebody broke.
STRANGE = set(SHOP.expected["imported"]) | set(SHOP.expected["malformed"])
ORDERS = [order for order in SHOP.enrollments if str(order["_id"]) not in STRANGE]

NUMBER = (int, float)
#: Field and BSON type; `name.*` is what the storefront keeps for itself. `__v` is Mongoose's own.
ENROLLMENT: dict[str, Any] = {
    "_id": ObjectId,
    "courseId": str,
    "email": str,
    "paymentId": str,
    "amount": NUMBER,
    "currency": str,
    "status": str,
    "enrollmentType": str,
    "lmsContext.frappeEmail": str,
    "lmsContext.frappeUsername": str,
    "affiliateData.affiliateEmail": str,
    "grantData.*": object,
    "verification.*": object,
    "metadata.*": object,
    "openedxSync.*": object,
    "stripeEvents[].eventId": str,
    "stripeEvents[].eventType": str,
    "stripeEvents[].processedAt": datetime,
    "stripeEvents[].status": str,
    "timestamp": str,
    "createdAt": datetime,
    "updatedAt": datetime,
    "frappeSync.synced": bool,
    "frappeSync.syncStatus": str,
    "frappeSync.enrollmentId": str,
    "frappeSync.errorMessage": str,
    "frappeSync.retryCount": int,
    "frappeSync.lastSyncAttempt": datetime,
    "frappeSync.syncCompletedAt": datetime,
    "frappeSync.retryJobId": ObjectId,
    "frappeSync.manualRetry": bool,
    "__v": int,
}
RETRY_JOB: dict[str, Any] = {
    "_id": ObjectId,
    "jobType": str,
    "enrollmentId": ObjectId,
    "payload.user_email": str,
    "payload.course_id": str,
    "payload.paid_status": bool,
    "payload.payment_id": str,
    "payload.amount": NUMBER,
    "payload.currency": str,
    "payload.referral_code": str,
    "attempts": int,
    "maxAttempts": int,
    "nextRetryAt": datetime,
    "lastError": str,
    "status": str,
    "workerNodeId": str,
    "processingStartedAt": datetime,
    "processingTimeout": datetime,
    "completedAt": datetime,
    # A model with time stamps, as the orders' is.
    "createdAt": datetime,
    "updatedAt": datetime,
    "__v": int,
}
WORDS: dict[str, set[object]] = {
    "status": {"pending", "paid", "failed"},
    "enrollmentType": {"paid_stripe", "free_grant", "partial_grant", "affiliate_referral", "lms_redirect"},
    "stripeEvents[].status": {"processing", "processed", "failed"},
    "frappeSync.syncStatus": {"pending", "success", "failed", "retrying"},
}
JOB_WORDS: dict[str, set[object]] = {
    "jobType": {"frappe_enrollment"},
    "status": {"pending", "processing", "completed", "failed"},
    "maxAttempts": {5},
    "payload.paid_status": {True},
}
#: What the payload has from the order, beside the address.
SENT = {"course_id": "courseId", "payment_id": "paymentId", "amount": "amount", "currency": "currency"}
#: As the shop words its errors: bare, or the LMS's own.
ERROR = re.compile(
    r"The operation was aborted due to timeout|fetch failed"
    r"|FrappeLMS API returned \d{3}: [A-Za-z ]+\. Details: (<!DOCTYPE html>|\{).+"
    r"|User not found|Course not found|User is already enrolled in this course"
    r"|You cannot enroll in an unpublished course\.",
    re.DOTALL,
)
PAID_ID = re.compile(r"pi_\w+")
FREE_ID = re.compile(r"free_\d{13}_[a-z0-9]+")
OPEN_ID = re.compile(r"(PARTIAL_)?PENDING_\d{13}|STRIPE_(PARTIAL_)?cs_test_\w+")


def fields(
    document: Mapping[str, Any], table: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every field with its value, as the table names them."""
    for name, value in document.items():
        path = f"{prefix}{name}"
        if f"{path}.*" in table and isinstance(value, dict):
            continue
        if isinstance(value, dict):
            yield from fields(value, table, f"{path}.")
        elif isinstance(value, list):
            for each in value:
                yield from fields(each, table, f"{path}[].")
        else:
            yield path, value


def check(document: Document, table: Mapping[str, Any], words: Mapping[str, set[object]]) -> None:
    for path, value in fields(document, table):
        assert path in table, path
        kinds = table[path] if isinstance(table[path], tuple) else (table[path],)
        assert type(value) in kinds, (path, value)
        assert value in words.get(path, {value}), (path, value)


def payment(order: Document) -> datetime | None:
    """When the webhook noted the payment."""
    for event in order["stripeEvents"]:
        if event["eventType"] == "checkout.session.completed":
            at: datetime = event["processedAt"]
            return at
    return None


def kind(order: Document) -> str:
    return SHOP.kind_of(str(order["_id"]))


def test_every_field_of_an_order_is_the_storefronts() -> None:
    for order in ORDERS:
        check(order, ENROLLMENT, WORDS)
        assert order["email"] == order["email"].strip().lower()
        assert order["amount"] >= 0
        sync = order["frappeSync"]
        assert 0 <= sync["retryCount"] <= 5
        assert ERROR.fullmatch(sync.get("errorMessage", "fetch failed")), sync


def test_every_field_of_a_retry_job_is_the_storefronts() -> None:
    in_work = {"workerNodeId", "processingStartedAt", "processingTimeout"}
    for job in SHOP.retry_jobs:
        check(job, RETRY_JOB, JOB_WORDS)
        assert (in_work <= set(job)) is (job["status"] == "processing") is bool(in_work & set(job))
        assert ("completedAt" in job) is (job["status"] == "completed")
        assert 0 <= job["attempts"] <= 5
        assert ERROR.fullmatch(job["lastError"])
        order = next(order for order in SHOP.enrollments if order["_id"] == job["enrollmentId"])
        for sent, field in SENT.items():
            assert job["payload"][sent] == order[field]


def test_a_synced_order_is_all_that_the_storefront_calls_synced() -> None:
    """The storefront's own query finds all the other paid orders, and none of these."""
    for order in SHOP.enrollments:
        sync = order.get("frappeSync") or {}
        found = order["status"] == "paid" and (
            sync.get("syncStatus") in ("pending", "retrying", "failed")
            or sync.get("synced") is False
            or "enrollmentId" not in sync
        )
        synced = sync.get("synced") is True
        assert found is (order["status"] == "paid" and not synced)
        if synced:
            assert (order["status"], sync["syncStatus"]) == ("paid", "success")
            assert sync["enrollmentId"]
            assert sync["syncCompletedAt"] <= NOW
            assert "retryJobId" not in sync


def test_payment_ids_tell_how_far_an_order_has_come() -> None:
    for order in ORDERS:
        free = order["enrollmentType"] == "free_grant"
        paid = order["status"] == "paid" and kind(order) != "odd_id"
        pattern = OPEN_ID if not paid else FREE_ID if free else PAID_ID
        assert pattern.fullmatch(order["paymentId"]), order["paymentId"]
        assert ("PARTIAL" in order["paymentId"]) is (not paid and order["enrollmentType"] == "partial_grant")
    open_ids = {
        re.split(r"\d|cs_test_", order["paymentId"])[0] for order in ORDERS if order["status"] != "paid"
    }
    assert open_ids == {"PENDING_", "PARTIAL_PENDING_", "STRIPE_", "STRIPE_PARTIAL_"}


def test_a_checkout_is_opened_before_it_is_paid_and_now_and_then_hours_before() -> None:
    hours = 0
    by_webhook = by_page = 0
    for order in ORDERS:
        opened, changed = order["createdAt"], order["updatedAt"]
        assert instant(order["timestamp"]) == opened
        assert opened <= changed <= NOW
        paid = payment(order)
        if paid is not None:
            assert opened < paid <= changed
            hours += paid - opened > timedelta(hours=1)
        if order["status"] == "paid" and order["enrollmentType"] != "free_grant":
            by_webhook += paid is not None
            by_page += paid is None
    assert hours > 10
    assert by_page > 40
    assert by_webhook > by_page


def test_the_success_page_leaves_a_job_due_at_once_and_the_webhook_one_in_two_minutes() -> None:
    waits = set()
    for job in SHOP.retry_jobs:
        order = next(order for order in SHOP.enrollments if order["_id"] == job["enrollmentId"])
        if job["attempts"] == 0:
            wait = job["nextRetryAt"] - job["createdAt"]
            by_webhook = payment(order) is not None
            assert wait == (timedelta(minutes=2) if by_webhook else timedelta(seconds=5))
            page = not by_webhook and order["enrollmentType"] != "free_grant"
            assert order["frappeSync"]["syncStatus"] == ("pending" if page else "retrying")
            waits.add(wait)
        elif job["status"] == "pending":
            wait = job["nextRetryAt"] - order["frappeSync"]["lastSyncAttempt"]
            planned = timedelta(minutes=2 * 2 ** job["attempts"])
            assert 0.88 < wait / planned < 1.12
    assert len(waits) == 2
