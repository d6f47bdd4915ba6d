"""EnrollmentSource: the in-memory fake and MongoDB through one suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from reconcile.adapters.email_rule import email_problem
from reconcile.adapters.mongo import MongoSource
from reconcile.adapters.mongo_ids import document_id
from reconcile.domain.model import EffectKey, Outcome, Reason, Verdict
from reconcile.ports import EnrollmentSource, Selection, WriteBack
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
        MongoSource(orders.database, collection="enrollments", email_rule=email_problem),
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
    assert case.source.still_unsynced("e1") is True
    assert case.source.still_unsynced("e3") is False
    assert case.source.still_unsynced("e4") is Reason.NOT_PAID
    assert case.source.still_unsynced("e99") is Reason.NOT_PAID


def test_paid_orders(case: Case) -> None:
    twice = EffectKey("a@example.com", "python-basics")
    once = EffectKey("c@example.com", "python-basics")

    counts = case.source.paid_orders([twice, once])

    assert (counts[twice], counts[once]) == (2, 1)


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
