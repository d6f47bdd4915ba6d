"""The storefront's retry queue on the embedded server: under either name, in every state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from reconcile.domain.model import Enrollment
from reconcile.domain.shop_queue import NO_JOB, ShopJob, ShopQueue
from reconcile.run.source import Selection
from reconcile.storefront.retry_queue import NAMES, RetryQueue
from reconcile.storefront.scan import UNMARKED
from reconcile.storefront.setup import create_indexes, indexes
from tests.fakes.mongo_shop import mongo_orders, mongo_source
from tests.fakes.world import order

Shop = Database[dict[str, Any]]
NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
MADE_UP = "temp_1764300000000@placeholder.com"


def job(order_id: object, status: str = "pending", **changes: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "jobType": "frappe_enrollment",
        "enrollmentId": order_id,
        "payload": {"user_email": "sam@example.com", "course_id": "python-basics"},
        "attempts": 1,
        "nextRetryAt": NOW + 4 * MINUTE,
        "status": status,
    } | changes


def insert(database: Shop, **changes: Any) -> str:
    name = ObjectId()
    database.enrollments.insert_one(order(str(name)) | {"_id": name} | changes)
    return str(name)


@pytest.mark.parametrize("collection", [*NAMES, "our_queue"])
def test_who_is_in_work_is_seen_under_every_name(database: Shop, collection: str) -> None:
    active, text, own_time, stuck, waiting, timeless = (str(ObjectId()) for _ in range(6))
    in_work = {"processingStartedAt": NOW - 11 * MINUTE}
    database[collection].insert_many(
        [
            job(ObjectId(active), "processing", processingStartedAt=datetime.now(UTC)),
            job(text, "processing", processingStartedAt=datetime.now(UTC)),
            job(ObjectId(own_time), "processing", **in_work, processingTimeout=NOW + 600 * MINUTE),
            job(ObjectId(stuck), "processing", **in_work, processingTimeout=NOW + 9999 * MINUTE),
            job(ObjectId(stuck), "processing", **in_work),
            job(ObjectId(waiting), "pending"),
            job(ObjectId(timeless), "processing"),
        ]
    )
    name = None if collection in NAMES else collection

    found = RetryQueue(database, name=name).jobs_of([active, text, own_time, stuck, waiting, timeless])

    assert {order_id for order_id, each in found.items() if each.active} == {active, text, own_time}
    assert len(found) == 6
    assert RetryQueue(database, name=name).jobs_of([]) == {}


def test_both_names_are_looked_at_where_both_are_there(database: Shop) -> None:
    one, other = str(ObjectId()), str(ObjectId())
    in_work = {"processingStartedAt": datetime.now(UTC)}
    database.retry_jobs.insert_one(job(ObjectId(one), "processing", **in_work))
    database.retryjobs.insert_one(job(ObjectId(other), "processing", **in_work))
    queue = RetryQueue(database)

    assert {name for name, each in queue.jobs_of([one, other]).items() if each.active} == {one, other}

    queue.complete([one, other], at=NOW)
    assert database.retry_jobs.find_one()["status"] == "completed"  # type: ignore[index]
    assert database.retryjobs.find_one()["status"] == "completed"  # type: ignore[index]
    assert queue.look(NOW).collection == "retry_jobs, retryjobs"


def test_what_the_shop_has_sent_is_told_the_newest_first(database: Shop) -> None:
    name = str(ObjectId())
    database.retry_jobs.insert_many(
        [
            job(ObjectId(name), "failed", payload={"user_email": " Old@Example.com "}),
            job(ObjectId(name), payload={"user_email": "new@example.com"}),
            job(name, payload={"user_email": 7}),
            job(name, payload="none"),
            job(name, payload={"user_email": "x" * 150 + "@example.com"}),
        ]
    )

    assert RetryQueue(database).jobs_of([name]) == {
        name: ShopJob(addresses=("new@example.com", "old@example.com"))
    }


def test_how_the_queue_stands(database: Shop) -> None:
    late, later = NOW - 300 * MINUTE, NOW - 20 * MINUTE
    database.retry_jobs.insert_many(
        [
            job(ObjectId(), nextRetryAt=late),
            job(ObjectId(), nextRetryAt=later),
            job(ObjectId()),
            job(ObjectId(), nextRetryAt="soon"),
            job(
                ObjectId(), nextRetryAt=late - MINUTE, attempts=5
            ),  # died in its last attempt: never taken up
            job(ObjectId(), "processing", nextRetryAt=late, processingStartedAt=NOW - MINUTE),
            job(ObjectId(), "processing", nextRetryAt=late, processingStartedAt=NOW - 50 * MINUTE),
            job(ObjectId(), "failed", nextRetryAt=late),
            job(ObjectId(), "completed", completedAt=NOW - 9 * MINUTE),
            job(ObjectId(), "completed", completedAt=NOW - MINUTE, attempts=0),  # by us
            job(ObjectId(), "completed", completedAt=NOW - MINUTE, updatedAt=NOW - 9 * MINUTE),  # the same
            job(ObjectId(), "completed", completedAt=NOW - 10 * MINUTE, updatedAt=NOW - 10 * MINUTE),
        ]
    )

    assert RetryQueue(database).look(NOW) == ShopQueue(
        collection="retry_jobs",
        open=7,
        in_work=1,
        overdue=2,
        oldest_due_at=late,
        last_completed_at=NOW - 9 * MINUTE,
        worker_seen_at=NOW - MINUTE,
    )


def test_where_there_is_no_queue_nothing_is_told(database: Shop) -> None:
    assert RetryQueue(database).look(NOW) == ShopQueue()
    assert RetryQueue(database, name="elsewhere").look(NOW) == ShopQueue()


def test_the_queue_is_searched_by_indexes_once_it_is_there(database: Shop) -> None:
    database.retryjobs.insert_one(job(ObjectId()))
    create_indexes(database, collection="enrollments", queue=None)

    assert {each.collection for each in indexes(database, collection="enrollments", queue=None)} == {
        "enrollments",
        "retryjobs",
        "reconcile_leases",
    }
    for query in (
        {"enrollmentId": {"$in": [ObjectId(), "x"]}},
        {"status": {"$in": ["pending", "processing"]}},
        {"payload.user_email": {"$in": ["sam@example.com"]}},
        {"status": "completed"},
    ):
        plan = database.retryjobs.find(query).explain()
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), query
    assert "retry_jobs" not in database.list_collection_names()


def test_a_made_up_address_is_replaced_by_what_the_shop_has_sent(database: Shop) -> None:
    known, unknown = insert(database, email=MADE_UP), insert(database, email=MADE_UP)
    database.retry_jobs.insert_one(job(ObjectId(known)))

    found = {item.id: item for item in mongo_source(database).scan(Selection())}

    assert found[known].email == "sam@example.com"
    assert found[unknown].email is None
    order = found[known]
    assert isinstance(order, Enrollment)
    again = mongo_source(database).last_look([order])[known]
    assert again.order == order
    assert again.job == ShopJob(addresses=("sam@example.com",))


def test_an_order_is_found_by_the_address_that_the_shop_has_sent(database: Shop) -> None:
    known, own = insert(database, email=MADE_UP), insert(database, email="sam@example.com")
    database.retry_jobs.insert_many([job(ObjectId(known)), job(ObjectId(own))])

    def scanned(email: str) -> list[str]:
        return sorted(item.id for item in mongo_source(database).scan(Selection(email=email)))

    assert sorted(item.id for item in mongo_orders(database).look_up("Sam@example.com")) == sorted(
        [known, own]
    )
    assert scanned(" SAM@example.com") == sorted([known, own])
    assert scanned(MADE_UP) == [known]
    assert scanned("nobody@example.com") == []


def test_jobs_that_were_left_open_are_ended_once_their_orders_are_synced(database: Shop) -> None:
    synced = {"synced": True, "syncStatus": "success", "enrollmentId": "x"}
    done, waiting, gone = insert(database, frappeSync=synced), insert(database), str(ObjectId())
    late = {"nextRetryAt": NOW - 60 * MINUTE}
    database.retry_jobs.insert_many([job(ObjectId(name), **late) for name in (done, waiting, gone)])
    database.retry_jobs.insert_one(job(ObjectId(done)))  # not due, and of a synced order all the same
    source = mongo_source(database)

    assert source.end_settled_jobs(NOW) == 2
    assert source.end_settled_jobs(NOW) == 0
    assert source.shop_queue(NOW).overdue == 2


def test_an_order_is_found_by_whatever_people_have(database: Shop) -> None:
    paid = insert(database, paymentId="pi_3OzT4kLk9")
    open_ = insert(database, paymentId="STRIPE_cs_test_a1", status="pending")
    partial = insert(database, paymentId="STRIPE_PARTIAL_cs_test_b2")
    queued = insert(database)
    entry = job(ObjectId(queued))
    database.retry_jobs.insert_one(entry)
    orders = mongo_orders(database)

    def found(what: str) -> list[str]:
        return [item.id for item in orders.look_up(what)]

    assert found("pi_3OzT4kLk9") == [paid]
    assert found(" cs_test_a1 ") == [open_]
    assert found("STRIPE_cs_test_a1") == [open_]
    assert found("cs_test_b2") == [partial]
    assert found(str(entry["_id"])) == [queued]
    assert found(queued) == [queued]
    assert found("cs_test_nothing") == []

    def scanned(*names: str) -> set[str]:
        return {item.id for item in mongo_source(database).scan(Selection(enrollment_ids=names))}

    assert scanned("pi_3OzT4kLk9", "cs_test_b2", str(entry["_id"])) == {paid, partial, queued}
    assert scanned("cs_test_a1") == set()  # not paid
    assert scanned("nonsense") == set()


def test_an_order_is_found_by_its_payment_whatever_its_id_is(database: Shop) -> None:
    """An `_id` from the old shell is a double, which no text of it leads back to."""
    database.enrollments.insert_one(order("1") | {"_id": 1.5, "paymentId": "pi_double"})

    assert [item.payment_id for item in mongo_orders(database).look_up("pi_double")] == ["pi_double"]


def test_the_other_direction_knows_whom_the_shop_has_sent(database: Shop) -> None:
    name = insert(database, email="other@example.com", status="paid")
    database.retry_jobs.insert_one(job(ObjectId(name)))
    orders = mongo_orders(database)
    (item,) = orders.look_up(name)
    sent = item.key._replace(member="sam@example.com")  # type: ignore[union-attr]

    assert orders.sent_as([name, str(ObjectId())]) == {name: ("sam@example.com",)}
    assert {key: [each.id for each in found] for key, found in orders.orders_for([sent]).items()} == {
        sent: [name]
    }
    assert NO_JOB.addresses == ()


def test_what_is_unmarked_is_found_by_its_own_index(database: Shop) -> None:
    create_indexes(database, collection="enrollments", queue=None)
    completed = {"eventType": "checkout.session.completed", "processedAt": NOW - 20 * MINUTE}
    expired = {"eventType": "checkout.session.expired", "processedAt": NOW - 20 * MINUTE}
    abandoned = [order(str(n), status="pending") | {"_id": ObjectId()} for n in range(500)]
    database.enrollments.insert_many(abandoned)
    wanted = [
        insert(database, status="pending", stripeEvents=[expired, completed]),
        insert(database, status="failed", stripeEvents=[completed]),
    ]
    insert(database, status="pending", stripeEvents=[expired])
    insert(database, status="paid", stripeEvents=[completed])

    found = mongo_source(database).unmarked(NOW)

    assert sorted(item.id for item in found.samples) == sorted(wanted)
    query = {"find": "enrollments", "filter": UNMARKED}
    plan = database.command("explain", query, verbosity="executionStats")
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["totalDocsExamined"] <= 3
