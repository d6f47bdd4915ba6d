"""MongoSource on the embedded server: what is found, what is written, what is left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import DatetimeMS, ObjectId
from pymongo.database import Database

from reconcile.domain.model import (
    Enrollment,
    MalformedEnrollment,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.source import Selection, WriteBack
from reconcile.storefront.documents import parse_enrollment
from reconcile.storefront.email_rule import email_problem
from reconcile.storefront.ids import document_id, enrollment_id
from reconcile.storefront.scan import CLAUSES
from reconcile.storefront.setup import create_indexes, indexes
from reconcile.storefront.source import MongoSource
from tests.fakes.mongo_shop import mongo_source
from tests.fakes.world import order

Orders = Database[dict[str, Any]]
SYNCED = {"synced": True, "syncStatus": "success", "enrollmentId": "x1", "syncCompletedAt": datetime.now(UTC)}
LATELY = datetime(2026, 11, 24, 10, 0, 0, 123_000, tzinfo=UTC)


def source(database: Orders, **options: Any) -> MongoSource:
    return mongo_source(database, **options)


def insert(database: Orders, sync: Any = ..., **changes: Any) -> str:
    name = ObjectId()
    document = order(str(name), **changes) | {"_id": name}
    if sync is ...:
        pass
    elif sync is None or sync:
        document["frappeSync"] = sync
    else:
        del document["frappeSync"]
    database.enrollments.insert_one(document)
    return str(name)


UNSYNCED = [
    {"synced": False, "syncStatus": "pending"},
    {"synced": False, "syncStatus": "retrying"},
    {"synced": False, "syncStatus": "failed", "retryCount": 5},
    {"synced": True, "syncStatus": "failed", "enrollmentId": "x"},
    {"synced": False, "syncStatus": "success", "enrollmentId": "x"},
    {"syncStatus": "success", "enrollmentId": "x"},
    {"synced": None, "syncStatus": "success", "enrollmentId": "x"},
    {"synced": True, "syncStatus": "success"},
    {"synced": True, "syncStatus": "success", "enrollmentId": None},
    {"synced": True, "syncStatus": "success", "enrollmentId": ""},
    {"synced": False},
    {"synced": False, "syncStatus": None},
    {"synced": False, "syncStatus": "odd"},
    {"synced": False, "syncStatus": ""},
    {"synced": False, "syncStatus": "zzz"},
    None,
    {},
    "text",
]


@pytest.mark.parametrize("indexed", [True, False])
def test_every_kind_of_unsynced_is_found_once_and_nothing_else(database: Orders, indexed: bool) -> None:
    wanted = [insert(database, sync) for sync in UNSYNCED]
    insert(database, SYNCED)
    insert(database, status="pending")
    insert(database, status="failed")
    if indexed:
        create_indexes(database, collection="enrollments", queue=None)

    found = [item.id for item in source(database).scan(Selection())]

    assert sorted(found) == sorted(wanted)


def test_the_scan_examines_the_unsynced_and_not_the_collection(database: Orders) -> None:
    create_indexes(database, collection="enrollments", queue=None)
    database.enrollments.insert_many(
        [order(str(number), frappeSync=dict(SYNCED)) | {"_id": ObjectId()} for number in range(2000)]
    )
    for sync in UNSYNCED:
        insert(database, sync)

    examined = 0
    for query, ordered in CLAUSES:
        find: dict[str, Any] = {"find": "enrollments", "filter": query}
        if ordered:
            find["sort"] = {"_id": 1}
        plan = database.command("explain", find, verbosity="executionStats")
        assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"]), query
        examined += plan["executionStats"]["totalDocsExamined"]

    assert examined == len(UNSYNCED)


def test_indexes_are_made_once(database: Orders) -> None:
    assert not any(index.present for index in indexes(database, collection="enrollments", queue=None))

    made = create_indexes(database, collection="enrollments", queue=None)

    # The storefront makes its own queue; none is made for it.
    assert {index.collection for index in made} == {"enrollments", "reconcile_leases"}
    assert create_indexes(database, collection="enrollments", queue=None) == []
    assert all(index.present for index in indexes(database, collection="enrollments", queue=None))
    for spec in database.enrollments.index_information().values():
        # What real MongoDB allows in a partial filter that must also find what is missing.
        assert all(isinstance(value, str) for value in spec.get("partialFilterExpression", {}).values())
    assert database.reconcile_leases.index_information()["reconcile_leases_ttl"]["expireAfterSeconds"] == 0


@pytest.mark.parametrize(
    "sync",
    [
        {"synced": False, "syncStatus": "pending", "retryCount": 2, "errorMessage": "x", "retryJobId": 1},
        *[None, {}, "text", [1], {"retryCount": "3"}, {"synced": True, "syncStatus": "success"}],
    ],
)
def test_a_success_is_written_as_the_storefront_wants_it(database: Orders, sync: Any) -> None:
    name = insert(database, sync, other="untouched", grantData={"a": 1})
    before = database.enrollments.find_one({"_id": ObjectId(name)})
    verdict = Verdict(outcome=Outcome.ENROLLED, lms_id="$abc", attempts=1)

    took = source(database).write_back([WriteBack(enrollment_id=name, verdict=verdict, at=LATELY)])

    after = database.enrollments.find_one({"_id": ObjectId(name)})
    assert took == {name}
    assert before is not None
    assert after is not None
    written = after.pop("frappeSync")
    before.pop("frappeSync", None)
    assert after == before
    assert written["synced"] is True
    assert written["syncStatus"] == "success"
    assert written["enrollmentId"] == "$abc"
    assert written["syncCompletedAt"] == written["lastSyncAttempt"] == LATELY
    assert written["retryCount"] == (3 if isinstance(sync, dict) and sync.get("retryCount") == 2 else 1)
    assert "errorMessage" not in written
    assert "retryJobId" not in written


def test_what_took_no_attempt_counts_none(database: Orders) -> None:
    name = insert(database, {"syncStatus": "failed", "errorMessage": "x"})
    verdict = Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id="abc")

    source(database).write_back([WriteBack(enrollment_id=name, verdict=verdict, at=LATELY)])

    document = database.enrollments.find_one({"_id": ObjectId(name)})
    assert document is not None
    assert document["frappeSync"] == {
        "synced": True,
        "syncStatus": "success",
        "enrollmentId": "abc",
        "syncCompletedAt": LATELY,
        "lastSyncAttempt": LATELY,
    }


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.RETRYING, "retrying"), (Outcome.WAITING, "retrying"), (Outcome.FAILED, "failed")],
)
def test_other_verdicts_say_why_and_keep_the_retry_job(
    database: Orders, outcome: Outcome, status: str
) -> None:
    name = insert(database, {"synced": False, "syncStatus": "pending", "retryJobId": 7, "retryCount": 1})
    verdict = Verdict(outcome=outcome, error="$1 not found", attempts=1)

    source(database).write_back([WriteBack(enrollment_id=name, verdict=verdict, at=LATELY)])

    document = database.enrollments.find_one({"_id": ObjectId(name)})
    assert document is not None
    assert document["frappeSync"] == {
        "synced": False,
        "syncStatus": status,
        "retryJobId": 7,
        "retryCount": 2,
        "lastSyncAttempt": LATELY,
        "errorMessage": "$1 not found",
    }


def test_what_is_unpaid_or_synced_by_now_is_not_overwritten(database: Orders) -> None:
    unpaid = insert(database, status="failed")
    synced = insert(database, SYNCED | {"errorMessage": "keep"})
    sound = insert(database)
    verdict = Verdict(outcome=Outcome.ENROLLED, lms_id="ours", attempts=1)

    took = source(database).write_back(
        [WriteBack(enrollment_id=name, verdict=verdict, at=LATELY) for name in (unpaid, synced, sound)]
    )

    assert took == {sound}
    theirs = database.enrollments.find_one({"_id": ObjectId(synced)})
    assert theirs is not None
    assert theirs["frappeSync"]["enrollmentId"] == "x1"
    assert theirs["frappeSync"]["errorMessage"] == "keep"


def test_a_success_completes_the_open_retry_jobs(database: Orders) -> None:
    done, failed = insert(database), insert(database)
    database.retry_jobs.insert_many(
        [
            {"enrollmentId": ObjectId(done), "status": "pending"},
            {"enrollmentId": done, "status": "processing"},
            {"enrollmentId": ObjectId(done), "status": "failed"},
            {"enrollmentId": ObjectId(failed), "status": "pending"},
        ]
    )

    source(database).write_back(
        [
            WriteBack(enrollment_id=done, verdict=Verdict(outcome=Outcome.ENROLLED, lms_id="a"), at=LATELY),
            WriteBack(enrollment_id=failed, verdict=Verdict(outcome=Outcome.FAILED, error="x"), at=LATELY),
        ]
    )

    statuses = [job["status"] for job in database.retry_jobs.find().sort("_id")]
    assert statuses == ["completed", "completed", "failed", "pending"]


def test_a_selection(database: Orders) -> None:
    one = insert(database, email="a@example.com", courseId="one")
    two = insert(database, email="b@example.com", courseId="two", timestamp="2026-11-20T00:00:00Z")
    three = insert(database, email="c@example.com", lmsContext={"frappeEmail": "b@example.com"})
    insert(database, SYNCED, email="a@example.com", courseId="one")
    orders = source(database)

    def found(**selection: Any) -> set[str]:
        return {item.id for item in orders.scan(Selection(**selection))}

    assert found(enrollment_ids=(one,)) == {one}
    assert found(enrollment_ids=("nonsense",)) == set()
    assert found(email=" B@example.com ") == {two, three}
    assert found(course="TWO") == {two}
    assert found(since=datetime(2026, 11, 22, tzinfo=UTC)) == {one, three}
    assert len(found(limit=2)) == 2


def test_unusable_documents_are_values_and_stop_nothing(database: Orders) -> None:
    insert(database, email=None)
    database.enrollments.insert_one(order("text-id"))
    database.enrollments.insert_one(order("n") | {"_id": 5})

    items = list(source(database).scan(Selection()))

    assert len(items) == 3
    kinds = {item.id: type(item) for item in items}
    assert kinds["text-id"] is Enrollment
    assert kinds["int:5"] is Enrollment
    assert MalformedEnrollment in kinds.values()


@pytest.mark.parametrize(
    "raw",
    [ObjectId("6ad8d38d38b4e652f2134fdc"), "plain", "6ad8d38d38b4e652f2134fdc", "str:x", "int:5", 5, -7, ""],
)
def test_ids_are_reversible(raw: object) -> None:
    assert document_id(enrollment_id(raw)) == raw
    assert type(document_id(enrollment_id(raw))) is type(raw)


def test_what_this_run_has_touched_is_not_shown_twice(database: Orders) -> None:
    names = [insert(database, {"synced": False, "syncStatus": "failed"}) for _ in range(3)]
    orders = source(database, page_size=1)
    seen = []
    for item in orders.scan(Selection()):
        seen.append(item.id)
        verdict = Verdict(outcome=Outcome.RETRYING, error="x", attempts=1)
        orders.write_back([WriteBack(enrollment_id=item.id, verdict=verdict, at=datetime.now(UTC))])

    assert sorted(seen) == sorted(names)


def test_broken_text_and_impossible_dates_are_read_not_refused(database: Orders) -> None:
    # The embedded server refuses invalid UTF-8; a real one may hold it, so the codec is tried alone.
    raw = bson.encode(order("e1", email="x?@example.com", createdAt=DatetimeMS(2**62)))
    document = bson.decode(raw.replace(b"x?@", b"x\xff@"), codec_options=database.codec_options)

    item = parse_enrollment(document, enrollment_id="e1", email_rule=email_problem)

    assert isinstance(item, MalformedEnrollment)
    assert item.reason is Reason.INVALID_EMAIL
