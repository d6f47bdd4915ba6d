"""SIGTERM and SIGINT while the LMS is slow, or does not answer at all: drained in time, nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile.cli.context import DRAIN_SECONDS
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.crash import promises
from tests.crash.forks import ForkServer
from tests.crash.world import World, new_world

#: Seconds that the LMS takes for an enrollment, and how many it gets at once.
SLOW, AT_ONCE = 1.0, 2
HOLD = 1.0
SETTINGS = {"RECONCILE_CONCURRENCY": str(AT_ONCE), "RECONCILE_AMBIGUOUS_HOLD": f"{HOLD}s"}


@pytest.fixture(scope="module")
def forks() -> Iterator[ForkServer]:
    with ForkServer() as server:
        yield server


@pytest.fixture
def world(mongo: EmbeddedMongo, tmp_path: Path) -> Iterator[World]:
    with new_world(mongo, tmp_path / "world", name="signals", **SETTINGS) as world:
        yield world


def in_flight(world: World) -> threading.Event:
    """Set when as many requests are in the LMS as may be at once."""
    full = threading.Event()
    world.on_enroll = lambda _: full.set() if len(world.asked) == AT_ONCE else None
    return full


def slow_down(world: World, kind: str, seconds: float) -> None:
    world.lms.faults.add(Fault(kind=kind, operation="enroll", times=None, delay=seconds))


def recover(world: World, forks: ForkServer) -> None:
    """One more ordinary run, when what was in flight is not on hold any more."""
    world.lms.faults.clear()
    time.sleep(HOLD + 0.1)
    assert forks.start(world.environment, folder=world.folder).wait() == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_run(number: signal.Signals, world: World, forks: ForkServer) -> None:
    slow_down(world, "latency", SLOW)
    full = in_flight(world)
    command = [sys.executable, "-m", "reconcile", "run", "--quiet"]
    environment = {**os.environ, **world.environment}
    with subprocess.Popen(command, env=environment, cwd=world.folder, stderr=subprocess.PIPE) as run:
        assert full.wait(30)
        asked_at = time.monotonic()
        run.send_signal(number)
        run.communicate(timeout=60)

    assert run.returncode == 130
    assert time.monotonic() - asked_at < DRAIN_SECONDS == 15.0
    assert len(world.asked) == AT_ONCE
    assert [row["status"] for row in world.runs()] == ["crashed", "interrupted"]
    assert list(world.database["reconcile_leases"].find()) == []
    # What was in flight is recorded, and the orders say so.
    enrolled = [row for row in world.attempts() if row["outcome"] == "enrolled"]
    assert len(enrolled) == AT_ONCE
    documents = {str(key): document for key, document in world.documents().items()}
    for row in enrolled:
        assert documents[row["enrollment_id"]]["frappeSync"]["enrollmentId"] == row["lms_enrollment_id"]

    recover(world, forks)
    promises.all_promises(world)
    promises.the_dead_are_buried(world, statuses=["interrupted", "completed"])


def test_a_drain_waits_for_no_answer_longer_than_for_any_request(world: World, forks: ForkServer) -> None:
    slow_down(world, "timeout_before", 60.0)
    full = in_flight(world)
    run = forks.start(world.environment | {"RECONCILE_TIMEOUT": "2s"}, folder=world.folder)
    assert full.wait(30)
    run.signal(signal.SIGTERM)

    assert run.wait() == 130
    assert len(world.asked) == AT_ONCE
    outcomes = [(row["outcome"], row["reason"]) for row in world.attempts() if row["finished_at"]]
    assert outcomes.count(("retrying", "lms_timeout")) >= AT_ONCE
    # Released, but on hold: the LMS may still be doing it.
    leases = list(world.database["reconcile_leases"].find())
    assert {(lease["member"], lease["course"]) for lease in leases} == set(world.times_asked())
    assert all(lease["token"] is None for lease in leases)

    lost = set(world.times_asked())
    recover(world, forks)
    promises.all_promises(world, asked_again=lost)
    promises.the_dead_are_buried(world, statuses=["interrupted", "completed"])


def test_a_drain_that_takes_too_long_ends_as_a_crash_would(world: World, forks: ForkServer) -> None:
    slow_down(world, "timeout_before", 60.0)
    full = in_flight(world)
    run = forks.start(
        world.environment | {"RECONCILE_TIMEOUT": "60s", "CRASH_DRAIN": "1"}, folder=world.folder
    )
    assert full.wait(30)
    run.signal(signal.SIGTERM)

    assert run.wait(timeout=10) == 130
    lost = set(world.times_asked())
    recover(world, forks)
    promises.all_promises(world, asked_again=lost)
    promises.the_dead_are_buried(world, statuses=["crashed", "completed"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(number: signal.Signals, world: World, forks: ForkServer) -> None:
    slow_down(world, "timeout_before", 60.0)
    full = in_flight(world)
    run = forks.start(world.environment | {"RECONCILE_TIMEOUT": "60s"}, folder=world.folder)
    assert full.wait(30)
    run.signal(number)
    wait_for(world.folder / "run.log", "once more ends at once")
    run.signal(number)

    assert run.wait(timeout=5) == -number
    lost = set(world.times_asked())
    recover(world, forks)
    promises.all_promises(world, asked_again=lost)
    promises.the_dead_are_buried(world, statuses=["crashed", "completed"])


def wait_for(log: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
