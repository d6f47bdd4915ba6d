"""kill -9 at every step of a run: one more ordinary run finishes the story, and no promise is broken."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from reconcile.run.ports import Origin
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.storefront.leases import MongoLeases
from tests.crash import points, promises
from tests.crash.crashing import WIRE, Point, steps_of_the_ports
from tests.crash.forks import ForkServer
from tests.crash.world import FORMER_RUN, ORDERS, World, new_world, parsed

VIA = ("confirm_payment", "rest")
CASES = list(product(points.POINTS, VIA))
#: Seconds. The long one is longer than any story.
TTL = HOLD = 1.0
LONG_TTL = 300.0
#: Stories are told side by side, because most of a story is waiting for leases and holds to lapse.
AT_ONCE = 6


@dataclass(frozen=True, kw_only=True)
class Story:
    """What became of a world in which a run was killed and another one followed."""

    killed: int
    finished: int


def tell(world: World, point: Point, forks: ForkServer) -> Story:
    """Kill a run at `point`, wait for its holds to lapse, run once more."""
    dead = Origin(host="here", pid=1, process_started="never")
    MongoLeases(world.database, origin=dead, ttl=TTL, hold=HOLD).take([parsed("interrupted").key], FORMER_RUN)
    if point.step in points.SLOW:
        world.lms.site.switches.race_window = 0.5
    if point.step in points.LOST_WRITE:
        world.lms.faults.add(Fault(kind="cut_before", operation="enroll", member="sam"))
    lapse = point.step in points.SLOW or str(point) in points.LEFT_TO_LAPSE
    mortal = {
        "RECONCILE_LEASE_TTL": f"{TTL if lapse else LONG_TTL}s",
        "RECONCILE_AMBIGUOUS_HOLD": f"{HOLD}s",
        "RECONCILE_CONCURRENCY": "2",
        "CRASH_AT": str(point),
    }
    killed = forks.start(world.environment | mortal, folder=world.folder).wait()
    time.sleep(max(TTL, HOLD) + 0.05)
    finished = forks.start(world.environment, folder=world.folder).wait()
    return Story(killed=killed, finished=finished)


class Stories:
    """Tells the stories a few at a time, a little ahead of the tests that ask for them."""

    def __init__(
        self, mongo: EmbeddedMongo, folder: Path, forks: ForkServer, pool: ThreadPoolExecutor
    ) -> None:
        self._mongo = mongo
        self._folder = folder
        self._forks = forks
        self._pool = pool
        self._told: dict[int, Future[None]] = {}

    def end_well(self, number: int) -> None:
        """Raises what the story's checks raise."""
        for coming in range(number, min(number + AT_ONCE, len(CASES))):
            if coming not in self._told:
                self._told[coming] = self._pool.submit(self._tell, coming)
        self._told[number].result()

    def _tell(self, number: int) -> None:
        point, via = CASES[number]
        folder = self._folder / f"story{number}"
        with new_world(self._mongo, folder, name=f"crash{number}", via=via) as world:
            story = tell(world, point, self._forks)
            log = (folder / "run.log").read_text()
            assert story.killed == -signal.SIGKILL, f"the run never came to {point}\n{log}"
            assert story.finished == 1, log  # one order is malformed: that needs a person
            lost = {promises.pair_of(ORDERS["plain"])} if point.step in points.LOST_WRITE else ()
            promises.all_promises(world, asked_again=lost)
            promises.the_dead_are_buried(world, statuses=[*points.status_of_the_victim(point), "completed"])


@pytest.fixture(scope="module")
def stories(
    mongo: EmbeddedMongo, tmp_path_factory: pytest.TempPathFactory, forks: ForkServer
) -> Iterator[Stories]:
    with ThreadPoolExecutor(AT_ONCE, "story") as pool:
        yield Stories(mongo, tmp_path_factory.mktemp("stories"), forks, pool)
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{point}-{via}" for point, via in CASES])
def test_after_a_crash_the_next_run_finishes_the_story(number: int, stories: Stories) -> None:
    stories.end_well(number)


def test_every_method_of_every_port_has_its_crash_point() -> None:
    known = {step for step in (points.EFFECTS | points.READS) if not step.startswith(f"{WIRE}.")}

    assert known | points.NEVER == steps_of_the_ports()
