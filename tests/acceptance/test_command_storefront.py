"""The shop as it really is, through the command: what it has given up on, is at, has sent, has made up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from reconcile.audit.log import open_audit
from reconcile.domain.model import Outcome, Reason, Verdict
from reconcile.run.ports import Intent, Record
from reconcile.sandbox.lms.faults import Fault
from tests.acceptance.harness import World
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_history import close
from tests.fakes.audit_samples import ELSEWHERE, NOON, enrollment, summary

MADE_UP = "temp_1764300000000@placeholder.com"
ABORTED = "The operation was aborted due to timeout"


def ago(**length: float) -> datetime:
    return datetime.now(UTC) - timedelta(**length)


def tried(at: datetime, error: str = ABORTED, **changes: Any) -> dict[str, Any]:
    """What the shop leaves after a try that came to nothing."""
    return {
        "synced": False,
        "syncStatus": "retrying",
        "retryCount": 2,
        "errorMessage": error,
        "lastSyncAttempt": at,
    } | changes


def given_up() -> dict[str, Any]:
    return tried(ago(days=9), "fetch failed", syncStatus="failed", retryCount=5)


def job(world: World, order: str, status: str = "pending", **changes: Any) -> ObjectId:
    """The shop's retry job for an order, in the collection that its model names."""
    name = ObjectId()
    document = world.document(order)
    world.database.retry_jobs.insert_one(
        {
            "_id": name,
            "jobType": "frappe_enrollment",
            "enrollmentId": ObjectId(order),
            "payload": {"user_email": document["email"], "course_id": document["courseId"]},
            "attempts": 1,
            "maxAttempts": 5,
            "nextRetryAt": ago(hours=2),
            "status": status,
        }
        | changes
    )
    return name


# --- 1. given up by the shop is not given up by us ------------------------------------------------


def test_one_run_lets_in_everybody_whom_the_shop_gave_up_on(world: World) -> None:
    orders = world.orders(3, frappeSync=given_up())
    jobs = [job(world, order, "failed", attempts=5) for order in orders]

    done = world.run("run", code=0)

    assert "3  enrolled" in done.stdout
    assert "3 of them were given up on before (status failed), and tried now." in done.stdout
    for number, order in enumerate(orders):
        assert len(world.enrolled(f"learner{number}@example.com")) == 1
        assert world.sync(order)["synced"] is True
        assert world.sync(order)["retryCount"] == 6
    assert world.database.retry_jobs.count_documents({"_id": {"$in": jobs}, "status": "failed"}) == 3


def test_a_visit_counts_once_and_the_waits_begin_with_two_minutes(world: World) -> None:
    order = world.order("sam@example.com", frappeSync=given_up())
    world.lms.faults.add(Fault(kind="refuse", operation="enroll", times=None))

    world.run("run", code=1)
    done = world.run("run", "--json", code=0)

    assert [row["counted"] for row in world.attempts()] == [1, 1]  # two writes, each a row of its own
    assert [row["shop_tries"] for row in world.attempts()] == [5, 5]
    assert world.sync(order)["retryCount"] == 6
    assert world.sync(order)["syncStatus"] == "retrying"
    assert done.json["reasons"] == {"backoff": 1}


def test_a_backlog_and_an_audit_of_the_version_before_come_back_by_themselves(world: World) -> None:
    """It had counted the shop's five tries, and each write: two visits of ours, and out of attempts."""
    order = world.order("sam@example.com", frappeSync=given_up())
    world.audit_file.unlink()
    refused = Verdict(outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="no", attempts=1)
    exhausted = Verdict(outcome=Outcome.FAILED, reason=Reason.EXHAUSTED)
    item = enrollment(order, member="sam@example.com", email="sam@example.com", course="python-basics")
    with closing(open_audit(f"sqlite:///{world.audit_file}")) as log:
        for name in ("run-1", "run-2"):
            log.open_run(summary(name), ELSEWHERE)
            for number in (1, 2):
                intent = Intent(
                    run_id=name, enrollment=item, number=number, started_at=NOON - timedelta(days=9)
                )
                finish(log, begin(log, intent), refused, run_id=name, at=NOON)
            close(log, name)
        log.open_run(summary("run-3"), ELSEWHERE)
        log.record([Record(run_id="run-3", enrollment=item, action="give_up", verdict=exhausted, at=NOON)])
        close(log, "run-3")
    with closing(sqlite3.connect(world.audit_file)) as connection, connection:
        connection.execute("DROP INDEX ix_attempts_locking")
        for column in ("shop_tries", "lease_token", "never_sent"):
            connection.execute(f"ALTER TABLE attempts DROP COLUMN {column}")
        connection.execute("ALTER TABLE runs DROP COLUMN unmarked")
        connection.execute("UPDATE alembic_version SET version_num = '0005'")

    done = world.run("run", code=0)

    assert "1 of them was given up on before (status failed), and tried now." in done.stdout
    assert len(world.enrolled("sam@example.com")) == 1
    world.run("db", "verify", code=0)
    rows = world.run("report", "--view", "enrollments", "--format", "json", code=0).json["rows"]
    # It had added one for each of four writes to what the order says.
    assert [(row["outcome"], row["visits"], row["shop_tries"]) for row in rows] == [("enrolled", 3, 5)]


# --- 2. the queue is `retry_jobs` -----------------------------------------------------------------


@pytest.mark.parametrize("collection", ["retry_jobs", "retryjobs", "shop_queue"])
def test_a_job_in_work_is_left_alone_and_one_of_ours_is_ended(world: World, collection: str) -> None:
    at_work, waiting = world.orders(2, frappeSync=tried(ago(hours=3)))
    job(world, at_work, "processing", processingStartedAt=ago(minutes=2))
    job(world, waiting)
    env = {"MONGODB_RETRY_JOBS_COLLECTION": collection} if collection == "shop_queue" else {}
    if collection != "retry_jobs":
        world.database.retry_jobs.rename(collection)

    done = world.run("run", "--json", env=env, code=0)

    assert done.json["outcomes"]["enrolled"] == 1
    assert done.json["reasons"] == {"retry_job_active": 1}
    found = world.database[collection].find_one({"enrollmentId": ObjectId(waiting)})
    assert found is not None
    assert found["status"] == "completed"
    assert world.enrolled("learner0@example.com") == []


def test_whoever_is_there_under_the_address_that_the_shop_sent_is_not_enrolled_again(world: World) -> None:
    order = world.order("corrected@example.com", frappeSync=tried(ago(hours=3)))
    job(world, order, payload={"user_email": "First@Example.com"})
    world.lms.site.add_user("first@example.com")
    row = world.lms.site.enroll("first@example.com", "python-basics")

    done = world.run("run", "--json", code=0)

    assert done.json["outcomes"]["already_enrolled"] == 1
    assert world.enrolls_asked() == 0
    assert world.sync(order)["enrollmentId"] == row["name"]
    drift = world.run("drift", "--json")
    assert [
        (found["kind"], found["enrollment_id"])
        for found in drift.json["findings"]
        if found["enrollment_id"] == order
    ] == []


# --- 3. how young is a payment? -------------------------------------------------------------------


def test_a_payment_by_the_success_page_is_young_by_updated_at_alone(world: World) -> None:
    opened = ago(hours=5)
    young = world.order(
        "sam@example.com", timestamp=opened.isoformat(), createdAt=opened, updatedAt=ago(seconds=20)
    )
    touched = ago(days=9)
    old = world.order(
        "kim@example.com", timestamp=touched.isoformat(), createdAt=touched, updatedAt=ago(seconds=20)
    )
    ahead = ago(days=-1)
    broken = world.order("ada@example.com", timestamp=ahead.isoformat(), createdAt=ahead, updatedAt=ahead)

    done = world.run("run", "--json", code=0)

    assert done.json["reasons"] == {"too_new": 1}
    assert world.sync(young)["synced"] is False
    assert world.sync(old)["synced"] is True
    assert world.sync(broken)["synced"] is True


def test_the_shops_own_young_try_is_left_to_it(world: World) -> None:
    world.order("sam@example.com", frappeSync=tried(ago(minutes=4), "User not found"))

    assert world.run("run", "--json", code=0).json["reasons"] == {"too_new": 1}
    assert (
        world.run("run", "--json", env={"RECONCILE_MIN_AGE": "3m"}, code=0).json["outcomes"]["enrolled"] == 1
    )


# --- 4. the shop's unanswered try -----------------------------------------------------------------


def test_after_an_unanswered_try_of_the_shops_the_pair_is_on_hold_and_then_written(world: World) -> None:
    silent = world.order("sam@example.com", frappeSync=tried(ago(seconds=60)))
    answered = world.order("kim@example.com", frappeSync=tried(ago(seconds=60), "User not found"))
    env = {"RECONCILE_MIN_AGE": "1s", "RECONCILE_AMBIGUOUS_HOLD": "70s"}

    done = world.run("run", "--json", env=env)

    assert done.json["reasons"] == {"lease_held": 1}
    assert world.sync(answered)["synced"] is True
    assert world.enrolled("sam@example.com") == []
    env["RECONCILE_AMBIGUOUS_HOLD"] = "10s"
    assert world.run("run", "--json", env=env, code=0).json["outcomes"]["enrolled"] == 1
    assert world.sync(silent)["synced"] is True


def test_what_the_shop_was_not_told_and_was_done_is_only_confirmed(world: World) -> None:
    world.order("sam@example.com", frappeSync=tried(ago(seconds=60)))
    world.lms.site.enroll("sam@example.com", "python-basics")

    done = world.run("run", "--json", env={"RECONCILE_MIN_AGE": "1s"}, code=0)

    assert done.json["outcomes"]["already_enrolled"] == 1
    assert len(world.enrolled("sam@example.com")) == 1


# --- 5. addresses that are nobody's ---------------------------------------------------------------


def test_an_address_that_the_shop_made_up_needs_a_person_unless_it_knows_another(world: World) -> None:
    nobody = world.order(MADE_UP, account=False)
    by_account = world.order(MADE_UP, account=False, lmsContext={"frappeEmail": "sam@example.com"})
    by_job = world.order(MADE_UP, account=False)
    job(world, by_job, payload={"user_email": "kim@example.com"})
    for name in ("sam@example.com", "kim@example.com"):
        world.lms.site.add_user(name)

    done = world.run("run", "--json", code=1)

    assert done.json["outcomes"]["enrolled"] == 2
    assert done.json["reasons"] == {"placeholder_email": 1}
    assert world.sync(nobody)["syncStatus"] == "failed"
    assert world.sync(by_account)["synced"] is True
    assert len(world.enrolled("sam@example.com")) == len(world.enrolled("kim@example.com")) == 1
    rows = world.run("report", "--view", "enrollments", "--reason", "placeholder_email", "--format", "json")
    assert [(row["enrollment_id"], float(row["amount"])) for row in rows.json["rows"]] == [(nobody, 49.0)]
    story = world.run("explain", by_job, code=0)
    assert "the shop's retry job" in story.stdout


def test_which_addresses_are_made_up_can_be_said(world: World) -> None:
    world.order("guest-7@shop.example.com")

    env = {"RECONCILE_PLACEHOLDER_EMAILS": "temp_*@placeholder.com, guest-*@shop.example.com"}
    assert world.run("run", "--json", env=env, code=1).json["reasons"] == {"placeholder_email": 1}
    refused = world.run("run", env={"RECONCILE_PLACEHOLDER_EMAILS": "*@*"}, code=2)
    assert "RECONCILE_PLACEHOLDER_EMAILS" in refused.said


def test_nobody_is_mailed_at_an_address_that_was_made_up(world: World) -> None:
    world.order(MADE_UP, account=False, lmsContext={"frappeEmail": "sam@example.com"})
    world.lms.site.add_user("sam@example.com")
    env = {"RECONCILE_SMTP_URL": "smtp://127.0.0.1:9", "RECONCILE_MAIL_FROM": "shop@example.com"}

    world.run("run", env=env, code=0)

    assert [row["email"] for row in world.audit("SELECT email FROM people")] == ["sam@example.com"]
    assert len(world.audit("SELECT * FROM outbox")) == 1


# --- 6. paid, and never marked --------------------------------------------------------------------


def test_what_is_paid_and_was_never_marked_is_told_and_never_enrolled(world: World) -> None:
    event = {"eventId": "evt_1", "eventType": "checkout.session.completed", "status": "processing"}
    lost = world.order(
        "sam@example.com",
        status="pending",
        paymentId="STRIPE_cs_test_a1",
        stripeEvents=[event | {"processedAt": ago(minutes=20)}],
    )
    world.order(
        "kim@example.com",
        status="pending",
        paymentId="STRIPE_cs_test_b2",
        stripeEvents=[event | {"processedAt": ago(minutes=5)}],
    )

    done = world.run("run", code=0)

    assert "1 more order is paid at Stripe and never marked as paid in the shop" in done.stdout
    assert world.enrolls_asked() == 0
    assert world.document(lost)["status"] == "pending"
    assert [row["unmarked"] for row in world.audit("SELECT unmarked FROM runs")] == [1]


# --- and -------------------------------------------------------------------------------------------


def test_an_order_is_found_by_its_payment_its_session_and_its_retry_job(world: World) -> None:
    paid = world.order("sam@example.com", paymentId="pi_3OzT4kLk9")
    session = world.order("kim@example.com", paymentId="STRIPE_cs_test_a1")
    queued = world.order("ada@example.com")
    entry = job(world, queued)

    for what, order in (("pi_3OzT4kLk9", paid), ("cs_test_a1", session), (str(entry), queued)):
        found = world.run("explain", what, "--json", code=0)
        assert [each["enrollment_id"] for each in found.json["orders"]] == [order]
        done = world.run("run", "--enrollment", what, "--json", code=0)
        assert done.json["outcomes"]["enrolled"] == 1, what
        assert world.sync(order)["synced"] is True
    assert [row["flags"] for row in world.attempts()] == ["", "odd_order", ""]
