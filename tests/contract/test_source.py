"""EnrollmentSource: the in-memory fake and MongoDB through one suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from reconcile.domain.model import EffectKey, Enrollment, MalformedEnrollment, Outcome, Reason, Verdict
from reconcile.domain.shop_queue import NO_JOB, ShopJob, ShopQueue
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
    add: Callable[[dict[str, Any]], None]
    #: The storefront's worker takes up the order's retry job.
    work_on: Callable[[str], None]


@pytest.fixture(params=["fake", "mongodb"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    documents = [dict(document) for document in DOCUMENTS]
    if request.param == "fake":
        fake = FakeSource(documents)
        yield Case(
            fake,
            lambda name: fake.documents[name],
            lambda name, new: fake.documents[name].update(new),
            lambda document: fake.documents.update({document["_id"]: document}),
            fake.active_jobs.add,
        )
        return
    orders = request.getfixturevalue("database").enrollments
    orders.insert_many(documents)
    yield Case(
        mongo_source(orders.database),
        lambda name: orders.find_one({"_id": document_id(name)}),
        lambda name, new: orders.update_one({"_id": document_id(name)}, {"$set": new}),
        orders.insert_one,
        lambda name: orders.database.retry_jobs.insert_one(
            {
                "enrollmentId": document_id(name),
                "status": "processing",
                "processingStartedAt": datetime.now(UTC),
            }
        ),
    )


def write(case: Case, name: str, **verdict: Any) -> frozenset[str]:
    return case.source.write_back([WriteBack(enrollment_id=name, verdict=Verdict(**verdict), at=NOON)])


def test_the_scan_shows_what_is_paid_and_unsynced_once(case: Case) -> None:
    assert sorted(item.id for item in case.source.scan(Selection())) == ["e1", "e2", "e5", "e6", "e7"]


def test_a_selection(case: Case) -> None:
    assert [item.id for item in case.source.scan(Selection(enrollment_ids=("e2", "e3")))] == ["e2"]
    assert [item.id for item in case.source.scan(Selection(course="other"))] == ["e7"]
    assert len(list(case.source.scan(Selection(limit=2)))) == 2


def test_nobody_has_a_job_where_there_is_no_queue(case: Case) -> None:
    assert case.source.shop_jobs(["e1", "e2"]) == {}
    assert case.source.shop_queue(NOON) == ShopQueue()


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


# --- many at once, right before their writes -----------------------------------------------------


def seen(case: Case, *names: str) -> list[Enrollment]:
    """The orders as a scan has shown them."""
    found = {item.id: item for item in case.source.scan(Selection()) if isinstance(item, Enrollment)}
    return [found[name] for name in names]


def test_the_last_look_shows_each_order_its_job_and_its_twins(case: Case) -> None:
    orders = seen(case, "e1", "e2", "e7")
    case.work_on("e2")
    case.work_on("e5")

    found = case.source.last_look(orders)

    assert list(found) == ["e1", "e2", "e7"]
    assert [found[item.id].order for item in orders] == orders
    assert [twin.id for twin in found["e1"].twins] == ["e5"]
    assert found["e1"].jobs == {"e5": ShopJob(active=True)}
    assert [found[name].job for name in ("e1", "e2", "e7")] == [NO_JOB, ShopJob(active=True), NO_JOB]
    assert not found["e2"].twins


def test_the_last_look_at_nobody(case: Case) -> None:
    assert case.source.last_look([]) == {}


def test_the_last_look_tells_unpaid_gone_synced_and_another_learner_apart(case: Case) -> None:
    for name in ("unpaid", "synced", "moved"):
        case.add(order(name))
    orders = seen(case, "unpaid", "synced", "moved")
    gone = replace(orders[0], id="gone", member="gone@example.com", email="gone@example.com")
    case.change("unpaid", {"status": "failed"})
    case.change("synced", {"frappeSync": dict(SYNCED)})
    case.change("moved", {"email": "else@example.com"})

    found = case.source.last_look([*orders, gone])

    unpaid, synced, moved = (found[name].order for name in ("unpaid", "synced", "moved"))
    assert unpaid is not None
    assert not unpaid.paid
    assert synced is not None
    assert synced.sync.is_synced
    assert isinstance(moved, Enrollment)
    assert moved.member == "else@example.com"
    assert found["gone"].order is None


def test_the_last_look_finds_an_order_that_cannot_be_read_any_more(case: Case) -> None:
    orders = seen(case, "e1", "e7")
    case.change("e1", {"amount": "much"})
    case.change("e7", {"email": 7})

    found = case.source.last_look(orders)

    assert isinstance(found["e1"].order, MalformedEnrollment)
    assert isinstance(found["e7"].order, MalformedEnrollment)


def test_twins_are_of_the_same_learner_and_course_and_paid(case: Case) -> None:
    case.add(order("t1", email="b@example.com", frappeSync=dict(SYNCED)))
    case.add(order("t2", email="buyer@example.com", lmsContext={"frappeEmail": "b@example.com"}))
    case.add(order("t3", email="b@example.com", status="pending"))
    case.add(order("t4", email="b@example.com", courseId="other"))
    case.add(order("t5", email="b@example.com", lmsContext={"frappeEmail": "x@example.com"}))
    (found,) = case.source.last_look(seen(case, "e2")).values()

    assert [twin.id for twin in found.twins] == ["t1", "t2"]
    assert found.jobs == {"t1": NO_JOB, "t2": NO_JOB}


def test_known_twins_are_as_they_are_now(case: Case) -> None:
    (item,) = seen(case, "e1")
    case.change("e5", {"status": "failed"})

    (found,) = case.source.last_look([item], twins={"e1": ["e5", "e99"]}).values()

    assert found.twins == []


def test_two_orders_of_one_learner_are_twins_of_one_another(case: Case) -> None:
    found = case.source.last_look(seen(case, "e1", "e5"), twins={"e1": ["e5"], "e5": ["e1"]})

    assert {name: [twin.id for twin in fresh.twins] for name, fresh in found.items()} == {
        "e1": ["e5"],
        "e5": ["e1"],
    }


def test_who_has_paid_twice(case: Case) -> None:
    case.add(order("s1", email="c@example.com"))
    case.add(order("s2", email="b@example.com", lmsContext={"frappeEmail": "x@example.com"}))
    orders = seen(case, "e1", "e2", "e7", "s1", "s2")

    found = case.source.paid_twice(orders)

    assert {key: sorted(item.id for item in each) for key, each in found.items()} == {
        EffectKey("a@example.com", "python-basics"): ["e1", "e5"],
        EffectKey("c@example.com", "python-basics"): ["e3", "s1"],
    }
    assert case.source.paid_twice([]) == {}


def test_an_order_that_is_not_found_any_more_counts_beside_another(case: Case) -> None:
    (item,) = seen(case, "e1")
    case.change("e1", {"status": "failed"})

    found = case.source.paid_twice([item])

    assert {key: [other.id for other in each] for key, each in found.items()} == {item.key: ["e5"]}
