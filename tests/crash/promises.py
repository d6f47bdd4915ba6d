"""The promises, asked of the three systems themselves: the LMS's rows, the orders, the audit file."""

from __future__ import annotations

from collections.abc import Collection

from tests.crash.world import FORMER_RUN, ORDERS, TO_ENROLL, WITH_ACCESS, Document, Pair, World


def pair_of(document: Document) -> Pair:
    return document["email"], document["courseId"]


def nothing_was_written_unannounced(world: World) -> None:
    """P1: at the moment when a request to enroll reached the LMS, its attempt stood in the audit."""
    for asked in world.asked:
        assert asked.recorded & world.orders_of(asked.pair), f"{asked.pair} was sent without an intent"


def success_names_the_lms_row(world: World) -> None:
    """P2: an order says `success` only with an id that the LMS itself has for that very pair."""
    documents = world.documents()
    for name in WITH_ACCESS:
        document = documents[ORDERS[name]["_id"]]
        sync = document["frappeSync"]
        assert (sync["syncStatus"], sync["synced"]) == ("success", True), name
        assert sync["enrollmentId"] in world.lms_names(pair_of(document)), name
    others = [ORDERS[name]["_id"] for name in ("no account", "malformed", "unpaid")]
    for key in others:
        assert documents[key]["frappeSync"]["syncStatus"] != "success"
        assert "enrollmentId" not in documents[key]["frappeSync"]


def nobody_unpaid_was_enrolled(world: World) -> None:
    """P3."""
    unpaid = ORDERS["unpaid"]
    assert world.lms_names(pair_of(unpaid)) == []
    assert world.times_asked()[pair_of(unpaid)] == 0
    assert world.documents()[unpaid["_id"]] == world.before[unpaid["_id"]]


def everybody_is_enrolled_once(world: World, *, asked_again: Collection[Pair] = ()) -> None:
    """P4: one row for each pair, and one request; two where the first is known to have been lost."""
    for name in WITH_ACCESS:
        assert len(world.lms_names(pair_of(ORDERS[name]))) == 1, name
    assert world.lms.site.duplicates() == {}
    to_enroll = {pair_of(ORDERS[name]) for name in TO_ENROLL}
    assert set(world.times_asked()) <= to_enroll
    for pair, times in world.times_asked().items():
        assert times <= (2 if pair in asked_again else 1), pair


def the_story_has_an_end(world: World) -> None:
    """P5, in the audit and the shop: no open attempt, no open run, no open retry job."""
    unfinished = [row for row in world.attempts() if row["finished_at"] is None or row["outcome"] is None]
    assert unfinished == []
    assert [row for row in world.runs() if row["finished_at"] is None or row["status"] == "running"] == []
    assert [job["status"] for job in world.database["retry_jobs"].find()] == ["completed"]
    documents = world.documents()
    assert documents[ORDERS["no account"]["_id"]]["frappeSync"]["syncStatus"] == "retrying"
    assert documents[ORDERS["malformed"]["_id"]]["frappeSync"]["syncStatus"] == "failed"


def the_dead_are_buried(world: World, *, statuses: list[str]) -> None:
    """P5, the runs: the one before our time, then these."""
    runs = world.runs()
    assert (runs[0]["run_id"], runs[0]["status"]) == (FORMER_RUN, "crashed")
    assert [run["status"] for run in runs[1:]] == statuses


def all_promises(world: World, *, asked_again: Collection[Pair] = ()) -> None:
    nothing_was_written_unannounced(world)
    success_names_the_lms_row(world)
    nobody_unpaid_was_enrolled(world)
    everybody_is_enrolled_once(world, asked_again=asked_again)
    the_story_has_an_end(world)
