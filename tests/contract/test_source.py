"""EnrollmentSource: the in-memory fake and MongoDB through one suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconcile.domain.model import EffectKey, Outcome, Reason, Verdict
from reconcile.domain.shop_queue import NO_JOB, ShopQueue
from reconcile.run.source import EnrollmentSource, Selection, WriteBack
from reconcile.storefront.ids import document_id
from tests.fakes.mongo_shop import mongo_source
from tests.fakes.world import NOON, FakeSource, order

SYNCED = {"synced": True, "syncStatus": "success", "enrollmentId": "theirs"}
DOCUMENTS = [
    order("e1", email="a@example.com"),
    order("e2", email="b@example.com", frappeSync=None),
    order("e3", email="c@example.com", frappeSync=dict(SYNCED)),
    order("e4", email="d@example.com", status="pending"),
    order("e5", email="a@example.com"),
    order("e6", email=None),
    order("e7", email="g@example.com", courseId="other"),
]


@dataclass
class Case:
    source: EnrollmentSource
    read: Callable[[str], dict[str, Any]]
    change: Callable[[str, dict[str, Any]], None]


@pytest.fixture(params=["fake", "mongodb"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    documents = [dict(document) for document in DOCUMENTS]
    if request.param == "fake":
        fake = FakeSource(documents)
        yield Case(
            fake, lambda name: fake.documents[name], lambda name, new: fake.documents[name].update(new)
        )
        return
    orders = request.getfixturevalue("database").enrollments
    orders.insert_many(documents)
    yield Case(
        mongo_source(orders.database),
        lambda name: orders.find_one({"_id": document_id(name)}),
        lambda name, new: orders.update_one({"_id": document_id(name)}, {"$set": new}),
    )


def write(case: Case, name: str, **verdict: Any) -> frozenset[str]:
    return case.source.write_back([WriteBack(enrollment_id=name, verdict=Verdict(**verdict), at=NOON)])


def test_the_scan_shows_what_is_paid_and_unsynced_once(case: Case) -> None:
    assert sorted(item.id for item in case.source.scan(Selection())) == ["e1", "e2", "e5", "e6", "e7"]


def test_a_selection(case: Case) -> None:
    assert [item.id for item in case.source.scan(Selection(enrollment_ids=("e2", "e3")))] == ["e2"]
    assert [item.id for item in case.source.scan(Selection(course="other"))] == ["e7"]
    assert len(list(case.source.scan(Selection(limit=2)))) == 2


def test_reading_again(case: Case) -> None:
    there, job = case.source.read_again("e1")
    assert there is not None
    assert (there.paid, there.sync.is_synced, job) == (True, False, NO_JOB)
    synced, _ = case.source.read_again("e3")
    assert synced is not None
    assert synced.sync.is_synced
    pending, _ = case.source.read_again("e4")
    assert pending is not None
    assert not pending.paid
    assert case.source.read_again("e99") == (None, NO_JOB)


def test_nobody_has_a_job_where_there_is_no_queue(case: Case) -> None:
    assert case.source.shop_jobs(["e1", "e2"]) == {}
    assert case.source.shop_queue(NOON) == ShopQueue()


def test_paid_orders(case: Case) -> None:
    twice = EffectKey("a@example.com", "python-basics")
    once = EffectKey("c@example.com", "python-basics")
    never = EffectKey("d@example.com", "python-basics")

    found = case.source.paid_orders([twice, once, never])

    assert {key: sorted(order.id for order in orders) for key, orders in found.items()} == {
        twice: ["e1", "e5"],
        once: ["e3"],
    }


def test_what_is_paid_and_was_never_marked(case: Case) -> None:
    completed = {"eventType": "checkout.session.completed", "processedAt": NOON - timedelta(hours=2)}
    case.change("e4", {"stripeEvents": [completed]})
    case.change("e1", {"stripeEvents": [completed]})  # paid, and marked

    found = case.source.unmarked(NOON)

    assert (found.count, found.amounts) == (1, (("usd", Decimal(199)),))
    assert found.oldest_paid_at == NOON - timedelta(hours=2)
    assert [order.id for order in found.samples] == ["e4"]
    assert case.source.unmarked(NOON - timedelta(hours=2) + timedelta(minutes=14)).count == 0


def test_a_success_is_written_and_the_order_leaves_the_backlog(case: Case) -> None:
    assert write(case, "e2", outcome=Outcome.ENROLLED, lms_id="ours", attempts=1) == {"e2"}

    sync = case.read("e2")["frappeSync"]
    assert sync["synced"] is True
    assert (sync["syncStatus"], sync["enrollmentId"], sync["retryCount"]) == ("success", "ours", 1)
    assert "e2" not in [item.id for item in case.source.scan(Selection())]


def test_a_failure_says_why_and_counts(case: Case) -> None:
    write(case, "e1", outcome=Outcome.RETRYING, reason=Reason.LMS_REJECTED, error="no", attempts=1)
    write(case, "e1", outcome=Outcome.FAILED, reason=Reason.LMS_REJECTED, error="no", attempts=2)

    sync = case.read("e1")["frappeSync"]
    assert (sync["syncStatus"], sync["retryCount"], sync["errorMessage"]) == ("failed", 3, "no")
    assert sync["lastSyncAttempt"] == NOON


def test_what_was_synced_or_refunded_meanwhile_is_left_alone(case: Case) -> None:
    case.change("e1", {"frappeSync": dict(SYNCED)})
    case.change("e2", {"status": "failed"})

    assert write(case, "e1", outcome=Outcome.ENROLLED, lms_id="ours") == frozenset()
    assert write(case, "e2", outcome=Outcome.ENROLLED, lms_id="ours") == frozenset()
    assert case.read("e1")["frappeSync"] == SYNCED


def test_an_order_paid_since(case: Case) -> None:
    later = (NOON + timedelta(hours=1)).isoformat()
    case.change("e7", {"timestamp": later})

    assert [item.id for item in case.source.scan(Selection(since=NOON))] == ["e7"]
