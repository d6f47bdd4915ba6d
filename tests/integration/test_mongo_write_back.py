"""Many orders updated at once on the embedded server: each as by itself, whatever shape it is in."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from reconcile.domain.model import Outcome, Verdict
from reconcile.run.source import WriteBack
from reconcile.storefront.documents import sync_state
from reconcile.storefront.write_back import sync_update
from tests.fakes.mongo_commands import noting
from tests.fakes.mongo_shop import mongo_source
from tests.fakes.world import order

Orders = Database[dict[str, Any]]
AT = datetime(2026, 11, 24, 10, 0, 0, 123_000, tzinfo=UTC)
REGULAR = {"synced": False, "syncStatus": "failed", "retryCount": 2, "errorMessage": "x", "retryJobId": 1}
SYNCED = {"synced": True, "syncStatus": "success", "enrollmentId": "theirs"}
SHAPES: list[Any] = [
    REGULAR,
    {"syncStatus": "pending"},
    {"syncStatus": "retrying", "retryCount": 1.5},
    *[{**REGULAR, "retryCount": odd} for odd in (None, "3", [1], {}, True, AT, 2**31 - 1, 2**40, -1)],
    *[{**REGULAR, "syncStatus": odd} for odd in (None, "odd", "success", 3, ["failed"], {})],
    *[{**REGULAR, "errorMessage": {"a": 1}, "enrollmentId": [1]}],
    *[[REGULAR], [], None, "failed", 3, {}, {"frappeSync": REGULAR}],
    SYNCED,
    {**SYNCED, "enrollmentId": "already-enrolled"},
    {**SYNCED, "enrollmentId": ""},
    {**SYNCED, "syncStatus": "failed"},
]
VERDICTS = [
    Verdict(outcome=Outcome.ENROLLED, lms_id="$ours", attempts=1),
    Verdict(outcome=Outcome.ALREADY_ENROLLED, lms_id="ours"),
    Verdict(outcome=Outcome.FAILED, error="$no", attempts=1),
    Verdict(outcome=Outcome.WAITING, error=None),
]


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: str(verdict.outcome))
def test_every_shape_becomes_what_an_update_of_its_own_makes_of_it(
    database: Orders, verdict: Verdict
) -> None:
    documents = [order(f"e{number}", frappeSync=shape) for number, shape in enumerate(SHAPES)]
    database.enrollments.insert_many(documents)
    database.as_it_should_be.insert_many(documents)
    items = []
    for document in documents:
        item = WriteBack(enrollment_id=document["_id"], verdict=verdict, at=AT)
        items.append(item)
        database.as_it_should_be.update_one(
            {"_id": document["_id"], "status": "paid"}, sync_update(item), upsert=False
        )

    took = mongo_source(database).write_back(items)

    wanted = {each["_id"]: each for each in database.as_it_should_be.find()}
    for document in database.enrollments.find():
        assert document == wanted[document["_id"]], document["_id"]
    is_ours = {name for name, each in wanted.items() if sync_state(each["frappeSync"]).last_attempt == AT}
    assert took == is_ours
    assert len(took) == len(SHAPES) - 1, "all but the one that is synced"


def test_two_hundred_orders_are_written_in_one_round_trip_each_with_its_own_verdict(database: Orders) -> None:
    names = [f"e{number}" for number in range(200)]
    shapes = itertools.cycle([REGULAR, None])
    database.enrollments.insert_many([order(name, frappeSync=next(shapes)) for name in names])
    items = [
        WriteBack(
            enrollment_id=name,
            verdict=replace(VERDICTS[number % 4], lms_id=f"lms-{name}", error=f"$error {name}"),
            at=AT + timedelta(seconds=number),
        )
        for number, name in enumerate(names)
    ]

    with noting(database) as (same, sent):
        assert mongo_source(same).write_back(items) == set(names)
        assert [each for each in sent if "enrollments" in each] == ["update enrollments"]

    for item in items:
        written = sync_state((database.enrollments.find_one({"_id": item.enrollment_id}) or {})["frappeSync"])
        assert written.last_attempt == item.at
        if item.verdict.outcome.has_access:
            assert (written.lms_id, written.error) == (item.verdict.lms_id, None)
        else:
            assert written.error == item.verdict.error


def test_an_order_that_refuses_its_update_stops_nobody_elses(database: Orders) -> None:
    names = [f"e{number}" for number in range(10)]
    database.enrollments.insert_many([order(name, amount=0 if name == "e4" else 5) for name in names])
    validator = {"$jsonSchema": {"properties": {"amount": {"minimum": 1}}}}
    database.command("collMod", "enrollments", validator=validator, validationLevel="strict")
    verdict = Verdict(outcome=Outcome.FAILED, error="no", attempts=1)

    took = mongo_source(database).write_back(
        [WriteBack(enrollment_id=name, verdict=verdict, at=AT) for name in names]
    )

    assert took == set(names) - {"e4"}
    counted = [sync_state(each["frappeSync"]).retry_count for each in database.enrollments.find().sort("_id")]
    assert counted == [1, 1, 1, 1, 0, 1, 1, 1, 1, 1], "nobody is counted twice"
