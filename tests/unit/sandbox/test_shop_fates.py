"""What became of the orders of the sandbox shop that its own checkout and queue left behind."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconcile.sandbox.shop.seed import shop

NOW = datetime(2026, 3, 18, 10, 30, 12, 345678, tzinfo=UTC)
SHOP = shop(NOW)
Document = dict[str, Any]


def kind(order: Document) -> str:
    return SHOP.kind_of(str(order["_id"]))


def of_kind(name: str) -> list[Document]:
    return [order for order in SHOP.enrollments if kind(order) == name]


def job_of(order: Document) -> Document:
    (job,) = [job for job in SHOP.retry_jobs if job["enrollmentId"] == order["_id"]]
    return job


def test_what_the_shop_gave_up_was_tried_five_times() -> None:
    orders = of_kind("given_up_by_shop")

    assert len(orders) >= 6
    for order in orders:
        sync, job = order["frappeSync"], job_of(order)
        assert (sync["syncStatus"], sync["retryCount"]) == ("failed", 5)
        assert (job["status"], job["attempts"]) == ("failed", 5)


def test_what_was_sent_as_another_is_in_the_lms_under_the_address_that_was_sent() -> None:
    given = {(row["member"], row["course"]) for row in SHOP.lms_enrollments}
    accounts = {user["email"] for user in SHOP.lms_users}

    assert len(of_kind("sent_as_another")) == 3
    for order in of_kind("sent_as_another"):
        sent = job_of(order)["payload"]["user_email"]
        assert {sent, order["email"]} <= accounts
        assert (sent, order["courseId"]) in given
        assert (order["email"], order["courseId"]) not in given


def test_what_is_just_paid_only_its_last_change_tells() -> None:
    assert len(of_kind("just_paid")) == 2
    for order in of_kind("just_paid"):
        assert NOW - order["createdAt"] > timedelta(hours=4)
        assert order["stripeEvents"] == []
        assert timedelta(minutes=1) <= NOW - order["updatedAt"] <= timedelta(minutes=4)
        assert order["frappeSync"]["syncStatus"] == "pending"


def test_an_unanswered_try_is_a_minute_old_and_its_job_due_soon() -> None:
    assert len(of_kind("unanswered_try")) == 2
    for order in of_kind("unanswered_try"):
        sync, paid = order["frappeSync"], order["verification"]["verifiedAt"]
        assert NOW - paid > timedelta(hours=1)
        assert NOW - sync["lastSyncAttempt"] < timedelta(minutes=2)
        assert sync["errorMessage"] == "The operation was aborted due to timeout"
        assert NOW < job_of(order)["nextRetryAt"] < NOW + timedelta(minutes=10)


def test_placeholders_are_nobodys_unless_the_order_or_its_job_knows_better() -> None:
    made_up = re.compile(r"temp_\d{13}@placeholder\.com")
    accounts = {user["email"] for user in SHOP.lms_users}
    known = []
    for order in of_kind("placeholder_email") + of_kind("placeholder_known"):
        assert made_up.fullmatch(order["email"])
        assert order["email"] not in accounts
        if kind(order) == "placeholder_known":
            known.append("lmsContext" in order)
            context = order.get("lmsContext") or {"frappeEmail": job_of(order)["payload"]["user_email"]}
            assert context["frappeEmail"] in accounts
        else:
            assert made_up.fullmatch(job_of(order)["payload"]["user_email"])
    assert sorted(known) == [False, True, True]


@pytest.mark.parametrize(("name", "count"), [("unmarked", 3), ("being_marked", 1)])
def test_a_webhook_that_died_leaves_an_event_in_work_on_an_unpaid_order(name: str, count: int) -> None:
    orders = of_kind(name)

    assert len(orders) == count
    for order in orders:
        (event,) = order["stripeEvents"]
        assert (order["status"], event["status"]) == ("pending", "processing")
        assert order["paymentId"].startswith("STRIPE_cs_test_")
        assert (NOW - event["processedAt"] > timedelta(hours=1)) is (name == "unmarked")


def test_overdue_jobs_were_due_days_ago() -> None:
    assert len(of_kind("overdue")) == 4
    for order in of_kind("overdue"):
        assert order["frappeSync"]["syncStatus"] == "retrying"
        assert job_of(order)["status"] == "pending"
        assert NOW - job_of(order)["nextRetryAt"] > timedelta(days=1)
