"""Killed between a request to enroll and its answer: it counts as unanswered.

The next run looks, and does not write for that learner and course before the hold is over, because
the LMS may still be doing it. Both ends of such a request are tried: done late, and never done.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.mongo.server import EmbeddedMongo
from tests.crash import promises
from tests.crash.forks import ForkServer
from tests.crash.world import ORDERS, Asked, World, new_world

#: Seconds; longer than one run takes here.
HOLD = 6.0
#: Learners that are fenced together: three round trips ahead.
AHEAD = 3
SAM = promises.pair_of(ORDERS["plain"])
PLAIN = ORDERS["plain"]["_id"]


class Killer:
    """Kills the run when sam's request comes in; a request that is to be done late waits for `gate`."""

    def __init__(self, world: World, forks: ForkServer, *, late: bool) -> None:
        self.gate = threading.Event()
        self.in_lms = threading.Event()
        self.killed_at = 0.0
        self._late = late
        self._started = threading.Event()
        world.on_enroll = self._strike
        world.environment |= {
            "RECONCILE_AMBIGUOUS_HOLD": f"{HOLD}s",
            "RECONCILE_CONCURRENCY": "1",
            "RECONCILE_BATCH": "1",
        }
        self._victim = forks.start(world.environment, folder=world.folder)
        self._started.set()

    def _strike(self, asked: Asked) -> None:
        if asked.pair != SAM or self.killed_at:
            return
        self._started.wait()
        self.killed_at = time.monotonic()
        self._victim.signal(signal.SIGKILL)
        if self._late:
            self.gate.wait(30)

    def wait(self) -> int:
        return self._victim.wait()

    def outlast_the_hold(self) -> None:
        time.sleep(max(0.0, self.killed_at + HOLD + 0.4 - time.monotonic()))


@contextmanager
def killed_in_flight(
    mongo: EmbeddedMongo, folder: Path, forks: ForkServer, *, via: str, late: bool
) -> Iterator[tuple[World, Killer]]:
    name = f"in_flight_{via}_{late}"
    with new_world(mongo, folder / "world", name=name, via=via) as world:
        if not late:
            world.lms.faults.add(Fault(kind="timeout_before", operation="enroll", member="sam", delay=0.1))
        killer = Killer(world, forks, late=late)
        assert killer.wait() == -signal.SIGKILL
        yield world, killer


def it_is_on_hold(world: World) -> None:
    """Nothing was concluded about sam: not asked again, attempt open, order as it was.

    So it is with the few that were fenced together with sam: their requests may have been sent as well.
    """
    assert world.times_asked()[SAM] == 1
    assert world.documents()[PLAIN] == world.before[PLAIN]
    unfinished = [row["enrollment_id"] for row in world.attempts() if row["finished_at"] is None]
    assert str(PLAIN) in unfinished
    assert len(unfinished) <= AHEAD


@pytest.mark.parametrize("via", ["confirm_payment", "rest"])
def test_a_write_done_late_is_found_and_not_repeated(
    via: str, mongo: EmbeddedMongo, tmp_path: Path, forks: ForkServer
) -> None:
    with killed_in_flight(mongo, tmp_path, forks, via=via, late=True) as (world, killer):
        assert forks.start(world.environment, folder=tmp_path).wait() in (0, 1)
        it_is_on_hold(world)
        killer.gate.set()
        killer.outlast_the_hold()

        assert forks.start(world.environment, folder=tmp_path).wait() in (0, 1)

        promises.all_promises(world)
        ends = [row for row in world.attempts() if row["enrollment_id"] == str(PLAIN)]
        assert [(row["action"], row["outcome"]) for row in ends] == [("enroll", "recovered")]


@pytest.mark.parametrize("via", ["confirm_payment", "rest"])
def test_a_write_never_done_is_repeated_after_the_hold(
    via: str, mongo: EmbeddedMongo, tmp_path: Path, forks: ForkServer
) -> None:
    with killed_in_flight(mongo, tmp_path, forks, via=via, late=False) as (world, killer):
        assert forks.start(world.environment, folder=tmp_path).wait() in (0, 1)
        it_is_on_hold(world)
        killer.outlast_the_hold()

        assert forks.start(world.environment, folder=tmp_path).wait() in (0, 1)

        promises.all_promises(world, asked_again=[SAM])
        ends = [row for row in world.attempts() if row["enrollment_id"] == str(PLAIN)]
        assert [(row["outcome"], row["reason"]) for row in ends] == [
            ("retrying", "lms_timeout"),
            ("enrolled", None),
        ]
