"""The last look on the embedded server: jobs before their orders, and few round trips."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from reconcile.domain.model import Enrollment
from reconcile.domain.shop_queue import ShopJob
from reconcile.run.source import Selection
from reconcile.storefront.retry_queue import RetryQueue
from tests.fakes.mongo_commands import noting
from tests.fakes.mongo_shop import mongo_source
from tests.fakes.world import order

Orders = Database[dict[str, Any]]
SYNCED = {"synced": True, "syncStatus": "success", "enrollmentId": "x"}
Step = Callable[[], object]


def scanned(database: Orders) -> list[Enrollment]:
    found = mongo_source(database).scan(Selection())
    return sorted((item for item in found if isinstance(item, Enrollment)), key=lambda item: item.id)


def add(database: Orders, *orders: dict[str, Any]) -> None:
    database.enrollments.insert_many(orders)


def in_work(database: Orders, name: str) -> None:
    started = {"status": "processing", "processingStartedAt": datetime.now(UTC)}
    database.retry_jobs.insert_one({"enrollmentId": name, **started})


def settled(database: Orders, name: str) -> None:
    """As the worker does it: first the order, then the job."""
    database.enrollments.update_one({"_id": name}, {"$set": {"frappeSync": SYNCED}})
    database.retry_jobs.update_one({"enrollmentId": name}, {"$set": {"status": "completed"}})


def before_each_look_at_jobs(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    left, look = list(steps), RetryQueue.jobs_of

    def jobs_of(queue: RetryQueue, names: Iterable[str]) -> dict[str, ShopJob]:
        if left:
            left.pop(0)()
        return look(queue, names)

    monkeypatch.setattr(RetryQueue, "jobs_of", jobs_of)


def after_each_look_at_jobs(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    left, look = list(steps), RetryQueue.jobs_of

    def jobs_of(queue: RetryQueue, names: Iterable[str]) -> dict[str, ShopJob]:
        found = look(queue, names)
        if left:
            left.pop(0)()
        return found

    monkeypatch.setattr(RetryQueue, "jobs_of", jobs_of)


def test_a_worker_that_is_just_through_shows_by_the_order_or_by_its_job(
    database: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, order("a"), order("b"))
    orders = scanned(database)
    for name in ("a", "b"):
        in_work(database, name)
    before_each_look_at_jobs(monkeypatch, lambda: settled(database, "a"))
    after_each_look_at_jobs(monkeypatch, lambda: settled(database, "b"))

    found = mongo_source(database).last_look(orders)

    for fresh in found.values():
        assert fresh.order is not None
        assert fresh.order.sync.is_synced or fresh.job.active


def test_a_known_twin_has_its_job_read_before_its_order(
    database: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, order("a", email="s@example.com"), order("twin", email="s@example.com"))
    in_work(database, "twin")
    (mine, _) = scanned(database)
    after_each_look_at_jobs(monkeypatch, lambda: settled(database, "twin"))

    (fresh,) = mongo_source(database).last_look([mine], twins={"a": ["twin"]}).values()

    (twin,) = fresh.twins
    assert twin.sync.is_synced
    assert fresh.jobs["twin"].active


def test_a_twin_that_shows_up_has_its_job_read_and_then_its_order_again(
    database: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker is through with the twin between our first sight of it and the look at its job."""
    add(database, order("a", email="s@example.com"), order("twin", email="s@example.com"))
    in_work(database, "twin")
    (mine, _) = scanned(database)
    before_each_look_at_jobs(monkeypatch, lambda: None, lambda: settled(database, "twin"))

    (fresh,) = mongo_source(database).last_look([mine]).values()

    (twin,) = fresh.twins
    assert not fresh.jobs["twin"].active
    assert twin.sync.is_synced, "the order as it was before its job was read would show neither"


def test_twins_that_go_on_showing_up_are_looked_at_too(
    database: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, order("a", email="s@example.com"), order("t1", email="s@example.com"), order("z"))
    mine, _, other = scanned(database)

    def comes() -> None:
        add(database, order("t2", email="s@example.com"))
        in_work(database, "t2")

    def goes() -> None:
        database.enrollments.update_one({"_id": "t1"}, {"$set": {"status": "failed"}})
        database.enrollments.update_one({"_id": "a"}, {"$set": {"amount": 5}})

    before_each_look_at_jobs(monkeypatch, lambda: None, comes, goes)

    found = mongo_source(database).last_look([mine, other])

    assert [twin.id for twin in found["a"].twins] == ["t2"]
    assert found["a"].jobs == {"t2": ShopJob(active=True)}
    fresh = found["a"].order
    assert fresh is not None
    assert fresh.amount == 5, "the orders once more: this one too"
    assert found["z"].order == other


def test_an_address_that_the_shop_has_made_up_is_looked_up_by_id(database: Orders) -> None:
    name, twin = ObjectId(), ObjectId()
    made_up = {"email": "temp_1@placeholder.com"}
    add(database, order("x", **made_up) | {"_id": name}, order("y", **made_up) | {"_id": twin})
    for each in (name, twin):
        database.retry_jobs.insert_one({"enrollmentId": each, "payload": {"user_email": "sam@example.com"}})
    mine = next(item for item in scanned(database) if item.id == str(name))

    (fresh,) = mongo_source(database).last_look([mine], twins={mine.id: [str(twin)]}).values()

    assert fresh.order == mine
    assert fresh.job == ShopJob(addresses=("sam@example.com",))
    assert [each.id for each in fresh.twins] == [str(twin)]


def test_two_hundred_orders_cost_three_round_trips(database: Orders) -> None:
    database.create_collection("retry_jobs")
    names = [ObjectId() for _ in range(200)]
    add(database, *(order(str(name)) | {"_id": name} for name in names))
    orders = scanned(database)

    with noting(database) as (same, sent):
        source = mongo_source(same)
        source.shop_jobs(["warm"])
        sent.clear()
        found = source.last_look(orders)
        assert sent == ["find retry_jobs", "find enrollments", "find enrollments"]

    assert {name: fresh.order for name, fresh in found.items()} == {item.id: item for item in orders}


def test_nobody_that_has_paid_once_is_read_in_full(database: Orders) -> None:
    add(database, *(order(f"e{number}") for number in range(50)), order("t", email="e7@example.com"))
    orders = [item for item in scanned(database) if item.id != "t"]

    with noting(database) as (same, sent):
        found = mongo_source(same).paid_twice(orders)
        twice, sent[:] = list(sent), []
        mongo_source(same).paid_twice(orders[:5])
        assert sent == ["find enrollments", "find enrollments"]

    assert [sorted(item.id for item in each) for each in found.values()] == [["e7", "t"]]
    assert twice == ["find enrollments"] * 3
