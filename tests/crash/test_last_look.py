"""What changes while a run is at work: orders refunded or synced under its hands, answers that name nobody.

P3: an order is read again right before its write (two seconds at most), and the write-back is guarded.
P2: no `success` without an id that the LMS has for that very learner and course.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile.run.checking import FRESH
from reconcile.sandbox.lms.answers import Answer, dumped
from reconcile.sandbox.lms.calls import describe
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.lms.request import Request
from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.crash import promises
from tests.crash.forks import ForkServer
from tests.crash.world import ORDERS, Asked, Document, World, new_world

VIA = ("confirm_payment", "rest")


@pytest.fixture(params=VIA)
def world(request: pytest.FixtureRequest, mongo: EmbeddedMongo, tmp_path: Path) -> Iterator[World]:
    with new_world(mongo, tmp_path / "world", name=f"last_look_{request.param}", via=request.param) as world:
        world.environment |= {"RECONCILE_CONCURRENCY": "1", "RECONCILE_BATCH": "1"}
        yield world


def change_all_orders_at_the_first_write(world: World, change: Document) -> None:
    """While the first request is in flight, every unsynced order becomes another one.

    The request takes longer than a check counts: those that were checked with it must be read again.
    """

    def strike(asked: Asked) -> None:
        if len(world.asked) == 1:
            world.database["enrollments"].update_many({"frappeSync.synced": False}, {"$set": change})
            world.before = world.documents()
            time.sleep(FRESH + 0.2)

    world.on_enroll = strike


def test_an_order_refunded_meanwhile_is_neither_enrolled_nor_marked(world: World, forks: ForkServer) -> None:
    change_all_orders_at_the_first_write(world, {"status": "refunded"})

    forks.start(world.environment, folder=world.folder).wait()

    assert len(world.asked) == 1
    assert world.documents() == world.before
    ends = [(row["outcome"], row["reason"]) for row in world.attempts() if row["action"] == "enroll"]
    assert ("skipped", "not_paid") in ends


def test_an_order_that_the_storefront_syncs_meanwhile_is_left_to_it(world: World, forks: ForkServer) -> None:
    theirs = {"synced": True, "syncStatus": "success", "enrollmentId": "the-storefront-s-own"}
    change_all_orders_at_the_first_write(world, {"frappeSync": theirs})

    forks.start(world.environment, folder=world.folder).wait()

    assert len(world.asked) == 1
    assert world.documents() == world.before


@pytest.mark.parametrize(
    "kind",
    ["wrong_shape", "garbage", "empty_body", "html_200", "bad_utf8", "success_false", "not_wrapped"],
)
def test_success_needs_a_name_that_the_lms_has(kind: str, world: World, forks: ForkServer) -> None:
    world.lms.faults.add(Fault(kind=kind, operation="enroll", times=None))

    forks.start(world.environment, folder=world.folder).wait()

    promises.nothing_was_written_unannounced(world)
    promises.nobody_unpaid_was_enrolled(world)
    assert world.lms.site.duplicates() == {}
    for document in world.documents().values():
        sync = document["frappeSync"]
        if document["status"] == "paid" and sync["syncStatus"] == "success":
            assert sync["enrollmentId"] in names_of_the_learner(world, document)


def test_a_success_that_names_nobody_is_none(world: World, forks: ForkServer) -> None:
    answer = world.lms.api.answer

    def nameless(request: Request) -> Answer:
        if not describe(request).operation.startswith("enroll"):
            return answer(request)
        return Answer(200, dumped({"message": {"success": True}, "data": {}}))

    world.lms.api.answer = nameless  # type: ignore[method-assign]

    forks.start(world.environment, folder=world.folder).wait()

    there = ORDERS["there"]["_id"]
    for key, document in world.documents().items():
        if document["status"] == "paid" and key not in (there, ORDERS["left over"]["_id"]):
            assert document["frappeSync"]["syncStatus"] != "success"
            assert "enrollmentId" not in document["frappeSync"]


def names_of_the_learner(world: World, document: Document) -> list[str]:
    return [row["name"] for row in world.lms.site.enrollments_of(document["email"])]
