"""Killed between an intent and its request: what was never sent costs its learner nothing.

The proof is the lease's document, read under the lease after taking it over: it shows the intent's token
as an earlier owner's and does not name the attempt. Everything else may have been sent, and is on hold.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.crash import promises
from tests.crash.forks import ForkServer
from tests.crash.world import ORDERS, TO_ENROLL, World, new_world

#: Seconds. So long that nothing of a story is waited for; and so short that it is.
LONG, SHORT = 600.0, 1.0
PAIRS = {promises.pair_of(ORDERS[name]) for name in TO_ENROLL}
#: Its open attempt is an earlier run's, of a version that noted no token.
OLD = promises.pair_of(ORDERS["interrupted"])
UNSENT = ("audit.begin_all:after:1", "source.last_look:after:1", "leases.fence_all:before:1")
PERHAPS = ("leases.fence_all:after:1", "platform.enroll:before:1")


@pytest.fixture
def world(mongo: EmbeddedMongo, tmp_path: Path) -> Iterator[World]:
    with new_world(mongo, tmp_path / "world", name="never_sent") as world:
        world.environment |= {"RECONCILE_CONCURRENCY": "2", "RECONCILE_LEASE_TTL": "5m"}
        yield world


def kill(world: World, forks: ForkServer, at: str, *, hold: float = LONG) -> None:
    world.environment["RECONCILE_AMBIGUOUS_HOLD"] = f"{hold}s"
    killed = forks.start(world.environment | {"CRASH_AT": at}, folder=world.folder)
    assert killed.wait() == -signal.SIGKILL
    assert set(world.times_asked()) == set()


def run(world: World, forks: ForkServer) -> None:
    assert forks.start(world.environment, folder=world.folder).wait() in (0, 1)


def ends(world: World) -> set[tuple[Any, ...]]:
    """How the killed run's attempts ended."""
    killed = world.runs()[1]["run_id"]
    return {
        (row["outcome"], row["reason"])
        for row in world.attempts()
        if row["run_id"] == killed and row["action"] == "enroll"
    }


@pytest.mark.parametrize("at", UNSENT)
def test_what_was_never_sent_is_enrolled_by_the_next_run(at: str, world: World, forks: ForkServer) -> None:
    kill(world, forks, at)

    run(world, forks)

    assert world.times_asked() == dict.fromkeys(PAIRS, 1)
    assert ends(world) == {("skipped", None)}
    promises.all_promises(world)


@pytest.mark.parametrize("at", PERHAPS)
def test_what_may_have_been_sent_is_on_hold_and_then_enrolled(
    at: str, world: World, forks: ForkServer
) -> None:
    kill(world, forks, at, hold=4 * SHORT)
    fenced = time.monotonic()

    run(world, forks)
    held = PAIRS - set(world.times_asked())
    assert held

    time.sleep(max(0.0, fenced + 4 * SHORT + 0.5 - time.monotonic()))
    run(world, forks)
    assert world.times_asked() == dict.fromkeys(PAIRS, 1)
    assert ("retrying", "lms_timeout") in ends(world)
    promises.all_promises(world)


def drop(world: World) -> None:
    world.database["reconcile_leases"].drop()


def restore(world: World) -> None:
    """A backup of an earlier hour: the same learners, other owners."""
    world.database["reconcile_leases"].update_many(
        {}, {"$set": {"token": "another", "attempts": [], "owners": []}}
    )


@pytest.mark.parametrize("at", [UNSENT[0], PERHAPS[0]])
@pytest.mark.parametrize("lose", [drop, restore])
def test_without_its_document_it_may_have_been_sent(
    at: str, lose: Callable[[World], None], world: World, forks: ForkServer
) -> None:
    """The audit alone keeps everybody away for the hold."""
    kill(world, forks, at, hold=3 * SHORT)
    began = time.monotonic()
    lose(world)

    run(world, forks)
    assert set(world.times_asked()) <= {OLD}, "on hold by the audit"

    time.sleep(max(0.0, began + 3 * SHORT + 0.5 - time.monotonic()))
    run(world, forks)
    assert world.times_asked() == dict.fromkeys(PAIRS, 1)
    promises.all_promises(world)


@pytest.mark.parametrize("at", [UNSENT[0], UNSENT[2]])
def test_who_takes_over_and_dies_too_leaves_the_proof_as_it_was(
    at: str, world: World, forks: ForkServer
) -> None:
    kill(world, forks, at)
    kill(world, forks, "leases.take:after:1")

    run(world, forks)

    assert world.times_asked() == dict.fromkeys(PAIRS, 1)
    promises.all_promises(world)


def test_a_mark_survives_a_second_take_over(world: World, forks: ForkServer) -> None:
    kill(world, forks, PERHAPS[0])
    kill(world, forks, "leases.take:after:1")

    run(world, forks)

    assert set(world.times_asked()) <= {OLD}
