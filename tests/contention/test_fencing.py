"""A process that is paused past its lease, and one that dies on another host: their keys go to others.

P4 rests on the fence: the compare-and-set right before a write, by MongoDB's own clock. The paused
process believes that the leases are its own; the orders are still unsynced when it wakes, because
the run that took over is at work on them. Only the fence tells.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconcile.run.checking import FRESH
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.crash import promises
from tests.crash.forks import ForkServer, Run
from tests.crash.world import ORDERS, TO_ENROLL, Asked, Pair, World, audit_with_a_past, new_world

#: Seconds. As for real, the hold is longer than a check counts and the LMS takes to answer.
TTL, HOLD = 1.0, FRESH + 1.0
PAIRS = {promises.pair_of(ORDERS[name]) for name in TO_ENROLL}
SHORT = {
    "RECONCILE_LEASE_TTL": f"{TTL}s",
    "RECONCILE_AMBIGUOUS_HOLD": f"{HOLD}s",
    "RECONCILE_CONCURRENCY": "1",
    "RECONCILE_BATCH": "1",
}
#: Seconds by which fences and the audit's lock outlast the hold in these runs, and a little.
AFTER_THE_HOLD = 0.4
#: Seconds; longer than one run takes here, on a busy machine too.
LONG_HOLD = 8.0
LONG_TTL = 4.0
#: A run commits the intents of so many learners ahead, and fences them: three round trips.
AHEAD = 3


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


@pytest.fixture(params=["confirm_payment", "rest"])
def world(request: pytest.FixtureRequest, mongo: EmbeddedMongo, tmp_path: Path) -> Iterator[World]:
    name = f"fencing_{request.param}"
    with new_world(mongo, tmp_path / "world", name=name, via=request.param, **SHORT) as world:
        # Today's LMS on the framework that lost its duplicate check: it refuses nothing.
        world.lms.site.switches.variant = "head-oldfw"
        yield world


class Gate:
    """Stops the first run at its first write; holds the second run's first write in the LMS."""

    def __init__(self, world: World) -> None:
        self.first: Run | None = None
        self.paused, self.second_writes, self.open = threading.Event(), threading.Event(), threading.Event()
        self._first_pair: Pair | None = None
        self._ready = threading.Event()
        world.on_enroll = self._strike

    def watch(self, run: Run) -> None:
        self.first = run
        self._ready.set()

    def _strike(self, asked: Asked) -> None:
        self._ready.wait(30)
        if self._first_pair is None:
            self._first_pair = asked.pair
            assert self.first is not None
            self.first.signal(signal.SIGSTOP)
            self.paused.set()
        elif asked.pair != self._first_pair and not self.second_writes.is_set():
            self.second_writes.set()
            self.open.wait(30)


def test_a_run_paused_past_its_leases_writes_no_more(world: World, forks: ForkServer) -> None:
    gate = Gate(world)
    first = forks.start(world.environment, folder=world.folder)
    gate.watch(first)
    assert gate.paused.wait(30)
    time.sleep(max(TTL, HOLD) + AFTER_THE_HOLD)

    # The second run keeps its leases long, and is held in its first write while the first one wakes.
    second = forks.start(world.environment | {"RECONCILE_LEASE_TTL": "1m"}, folder=world.folder)
    assert gate.second_writes.wait(30)
    first.signal(signal.SIGCONT)
    woken = first.wait()
    asked_by_then = world.times_asked()
    gate.open.set()

    assert second.wait() in (0, 1)
    assert woken in (0, 1)
    # One request of the first run before the pause, one of the second; the woken one asked for nothing.
    assert sum(asked_by_then.values()) == 2
    promises.all_promises(world)
    skipped = [(row["outcome"], row["reason"]) for row in world.attempts() if row["action"] == "enroll"]
    assert ("skipped", "lease_held") in skipped


def test_a_run_that_takes_longer_than_its_leases_keeps_them_by_its_heartbeat(
    world: World, forks: ForkServer
) -> None:
    world.lms.site.switches.race_window = 0.5
    near_the_end = threading.Event()
    world.on_enroll = lambda _: near_the_end.set() if len(world.asked) == len(PAIRS) else None
    first = forks.start(world.environment, folder=world.folder)
    assert near_the_end.wait(30)

    second = forks.start(world.environment, folder=world.folder)

    assert first.wait() in (0, 1)
    assert second.wait() in (0, 1)
    assert world.times_asked() == dict.fromkeys(PAIRS, 1)
    ran = [json.loads(run["outcomes"]) for run in world.runs()[1:]]
    assert [outcomes.get("enrolled", 0) for outcomes in ran] == [len(PAIRS), 0]
    promises.all_promises(world)


def test_a_run_paused_between_its_last_look_and_the_fence_writes_nothing(
    world: World, forks: ForkServer
) -> None:
    """The orders were found unsynced, and are synced by somebody else while the run sleeps.

    Its intents stand in the audit: for the hold they keep others from its learners, and no longer.
    """
    world.environment["RECONCILE_AMBIGUOUS_HOLD"] = f"{LONG_HOLD}s"
    paused_at = {"CRASH_AT": "leases.fence_all:before:1", "CRASH_HOW": "SIGSTOP"}
    first = forks.start(world.environment | paused_at, folder=world.folder)
    wait_until_stopped(first)
    paused = time.monotonic()
    time.sleep(TTL + 0.2)

    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert 0 < len(PAIRS - set(world.times_asked())) <= AHEAD
    time.sleep(max(0.0, paused + LONG_HOLD + AFTER_THE_HOLD - time.monotonic()))
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert set(world.times_asked()) == PAIRS
    first.signal(signal.SIGCONT)
    assert first.wait() in (0, 1)
    assert world.times_asked() == dict.fromkeys(PAIRS, 1)

    # What was not to be said while the paused run had a learner open is said by the next one.
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    promises.all_promises(world)


def test_a_run_paused_between_the_fence_and_its_write_keeps_others_away_for_the_hold(
    world: World, forks: ForkServer
) -> None:
    """Past the fence a write may be on its way: whoever takes over looks, and leaves the keys alone.

    The woken run sends the one write that it was at. The others were fenced with it, and are not sent:
    their check is old, and their leases are not its own any more. A later run enrolls them.
    """
    world.environment["RECONCILE_AMBIGUOUS_HOLD"] = f"{LONG_HOLD}s"
    paused_at = {"CRASH_AT": "platform.enroll:before:1", "CRASH_HOW": "SIGSTOP"}
    first = forks.start(world.environment | paused_at, folder=world.folder)
    wait_until_stopped(first)
    time.sleep(FRESH + 0.2)

    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    left_alone = PAIRS - set(world.times_asked())
    assert 0 < len(left_alone) <= AHEAD
    asked_by_then = sum(world.times_asked().values())
    first.signal(signal.SIGCONT)
    assert first.wait() in (0, 1)
    assert sum(world.times_asked().values()) == asked_by_then + 1

    time.sleep(LONG_HOLD + AFTER_THE_HOLD)
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert world.times_asked() == dict.fromkeys(PAIRS, 1)
    promises.all_promises(world)


def test_a_pause_between_the_fence_and_the_write_that_outlasts_the_hold_is_left_to_the_lms(
    world: World, forks: ForkServer
) -> None:
    """The limit of P4: nothing of ours can stop a request that sleeps for the whole hold (3 minutes by
    default) between the fence and the socket. Every LMS but the one that lost its check refuses it."""
    world.lms.site.switches.variant = "head"
    paused_at = {"CRASH_AT": "platform.enroll:before:1", "CRASH_HOW": "SIGSTOP"}
    first = forks.start(world.environment | paused_at, folder=world.folder)
    wait_until_stopped(first)
    time.sleep(max(TTL, HOLD) + AFTER_THE_HOLD)

    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert set(world.times_asked()) == PAIRS
    late = world.asked[:]
    first.signal(signal.SIGCONT)
    assert first.wait() in (0, 1)

    (repeated,) = {asked.pair for asked in world.asked[len(late) :]}
    promises.all_promises(world, asked_again=[repeated])


def test_what_died_on_another_host_is_taken_over_when_its_leases_lapse(
    world: World, forks: ForkServer
) -> None:
    """Nobody here can see that the process is gone: only time tells."""
    there = world.folder / "there"
    there.mkdir()
    (there / "audit.db").write_bytes(audit_with_a_past())
    elsewhere = world.environment | {
        "CRASH_HOST": "elsewhere",
        "RECONCILE_AUDIT_URL": f"sqlite:///{there / 'audit.db'}",
        "RECONCILE_LEASE_TTL": f"{LONG_TTL}s",
        "RECONCILE_AMBIGUOUS_HOLD": f"{LONG_HOLD}s",
    }
    lost = die_in_the_second_write(world, forks, elsewhere, there)
    died = time.monotonic()

    # While the leases stand: hands off.
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert sum(world.times_asked().values()) == 2
    # They have lapsed: what was not fenced is done, what was done is found, what may be in flight is on hold.
    time.sleep(max(0.0, died + LONG_TTL + 0.1 - time.monotonic()))
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert set(world.times_asked().values()) == {1}
    held = PAIRS - set(world.times_asked()) | {lost}
    assert len(held) < AHEAD
    assert synced(world) == PAIRS - held | {promises.pair_of(ORDERS["there"])}
    # The hold is over; and the other host is back, and finishes its own audit's story.
    time.sleep(max(0.0, died + LONG_HOLD + AFTER_THE_HOLD - time.monotonic()))
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)
    assert forks.start(elsewhere, folder=there).wait() in (0, 1)

    promises.success_names_the_lms_row(world)
    promises.nobody_unpaid_was_enrolled(world)
    promises.everybody_is_enrolled_once(world, asked_again=[lost])
    promises.the_story_has_an_end(world)
    with closing(sqlite3.connect(there / "audit.db")) as audit:
        unfinished = "SELECT count(*) FROM attempts WHERE finished_at IS NULL"
        assert audit.execute(unfinished).fetchone() == (0,)


def die_in_the_second_write(
    world: World, forks: ForkServer, environment: dict[str, str], folder: Path
) -> Pair:
    """A run is killed while its second request is in the LMS, which drops it; the pair that it was for."""
    started = threading.Event()
    runs: list[Run] = []

    def strike(asked: Asked) -> None:
        started.wait(30)
        if len(world.asked) == 2:
            runs[0].signal(signal.SIGKILL)

    world.on_enroll = strike
    world.lms.faults.add(Fault(kind="timeout_before", operation="enroll", after=1, delay=0.1))
    runs.append(forks.start(environment, folder=folder))
    started.set()
    assert runs[0].wait() == -signal.SIGKILL
    world.on_enroll = lambda _: None
    return world.asked[1].pair


def synced(world: World) -> set[Pair]:
    left_over = ORDERS["left over"]["_id"]
    return {
        promises.pair_of(document)
        for key, document in world.documents().items()
        if document["frappeSync"]["syncStatus"] == "success" and key != left_over
    }


def wait_until_stopped(run: Run) -> None:
    """Until the kernel says so (state T)."""
    status = Path(f"/proc/{run.pid}/stat")
    deadline = time.monotonic() + 30
    while status.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, "the run never stopped"
        time.sleep(0.02)
