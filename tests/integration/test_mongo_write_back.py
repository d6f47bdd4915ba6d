"""Plain and pipeline update of an order on the embedded server: one meaning, whatever shape it is in."""

from __future__ import annotations

from datetime import UTC, datetime
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
@pytest.mark.parametrize("told", [True, False])
def test_every_shape_becomes_what_the_pipeline_makes_of_it(
    database: Orders, verdict: Verdict, told: bool
) -> None:
    documents = [order(f"e{number}", frappeSync=shape) for number, shape in enumerate(SHAPES)]
    database.enrollments.insert_many(documents)
    database.as_it_should_be.insert_many(documents)
    items = []
    for document in documents:
        sync = sync_state(document["frappeSync"]) if told else None
        item = WriteBack(enrollment_id=document["_id"], verdict=verdict, at=AT, sync=sync)
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


def test_orders_that_are_regular_are_written_in_one_round_trip(database: Orders) -> None:
    database.enrollments.insert_many(
        [order(f"e{number}", frappeSync=dict(REGULAR)) for number in range(30)]
        + [order(f"o{number}", frappeSync=None) for number in range(3)]
    )
    names = [*(f"e{number}" for number in range(30)), *(f"o{number}" for number in range(3))]
    verdict = Verdict(outcome=Outcome.RETRYING, error="no", attempts=1)
    items = [
        WriteBack(
            enrollment_id=name,
            verdict=verdict,
            at=AT,
            sync=sync_state(REGULAR if name.startswith("e") else None),
        )
        for name in names
    ]

    with noting(database) as (same, sent):
        assert mongo_source(same).write_back(items) == set(names)
    assert [each for each in sent if "enrollments" in each] == ["update enrollments"]
