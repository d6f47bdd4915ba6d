"""kill -9 at every step of a run: one more ordinary run finishes the story, and no promise is broken.

And SIGTERM at every step: the run leaves nothing behind that anybody must wait for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconcile.run.ports import Origin
from reconcile.sandbox.lms.faults import Fault
from reconcile.sandbox.mongo.server import EmbeddedMongo
from reconcile.storefront.leases import MongoLeases
from tests.crash import points, promises
from tests.crash.crashing import BEFORE, WIRE, Point, steps_of_the_ports
from tests.crash.forks import ForkServer
from tests.crash.world import FORMER_RUN, ORDERS, TO_ENROLL, World, new_world, parsed


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a run enrolls."""

    name: str
    via: str
    batch: int = 1

    @property
    def settings(self) -> dict[str, str]:
        return {"RECONCILE_CONCURRENCY": "2", "RECONCILE_BATCH": str(self.batch)}


CONFIRM, REST = Way(name="confirm_payment", via="confirm_payment"), Way(name="rest", via="rest")
BATCHES = Way(name="batches", via="rest", batch=4)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run of this kind gets this signal at this point."""

    point: Point
    way: Way
    number: signal.Signals = signal.SIGKILL

    def __str__(self) -> str:
        return f"{self.point}-{self.way.name}-{self.number.name}"


KILLED = [Case(point=point, way=way) for point in points.POINTS for way in (CONFIRM, REST)]
KILLED += [Case(point=point, way=BATCHES) for point in points.BATCH_POINTS]
#: The first call of each step that every run takes, whichever way.
STOPPED = [
    Case(point=Point(step=step, when=BEFORE), way=BATCHES, number=signal.SIGTERM)
    for step in {**points.EFFECTS, **points.READS, **points.BATCH_EFFECTS}
    if step not in points.SLOW
]
CASES = KILLED + STOPPED
#: Seconds. The long one is longer than any story.
TTL = HOLD = 1.0
LONG_TTL = 300.0
#: Seconds by which fences and the audit's lock outlast the hold in `run_crashing`, and a little.
AFTER_THE_HOLD = 0.3
#: Stories are told side by side, because most of a story is waiting for leases and holds to lapse.
AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Story:
    """What became of a world in which a run was killed and another one followed."""

    ended: int
    finished: int


def tell(world: World, case: Case, forks: ForkServer, look: Callable[[World], None]) -> Story:
    """End a run at the case's point and `look`; wait for its holds to lapse, and run once more."""
    point = case.point
    dead = Origin(host="here", pid=1, process_started="never")
    MongoLeases(world.database, origin=dead, ttl=TTL, hold=HOLD).take([parsed("interrupted").key], FORMER_RUN)
    if point.step in points.SLOW:
        world.lms.site.switches.race_window = 0.5
    if point.step in points.LOST_WRITE:
        operation = "enroll" if case.way.batch == 1 else "insert_many"
        world.lms.faults.add(Fault(kind="cut_before", operation=operation, member="sam"))
    lapse = point.step in points.SLOW or str(point) in points.LEFT_TO_LAPSE
    world.environment |= {"RECONCILE_AMBIGUOUS_HOLD": f"{HOLD}s", **case.way.settings}
    mortal = {
        "RECONCILE_LEASE_TTL": f"{TTL if lapse else LONG_TTL}s",
        "CRASH_AT": str(point),
        "CRASH_HOW": case.number.name,
    }
    ended = forks.start(world.environment | mortal, folder=world.folder).wait()
    look(world)
    if case.number is signal.SIGKILL or point.step in points.LOST_WRITE:
        time.sleep(max(TTL, HOLD) + AFTER_THE_HOLD)
    finished = forks.start(world.environment, folder=world.folder).wait()
    return Story(ended=ended, finished=finished)


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
        case = CASES[number]
        folder = self._folder / f"story{number}"
        with new_world(self._mongo, folder, name=f"crash{number}", via=case.way.via) as world:
            killed = case.number is signal.SIGKILL
            story = tell(world, case, self._forks, (lambda _: None) if killed else nothing_is_left)
            log = (folder / "run.log").read_text()
            codes = (-signal.SIGKILL,) if killed else (0, 1, 130)
            assert story.ended in codes, f"{story.ended}: the run never came to {case}\n{log}"
            assert story.finished == 1, log  # one order is malformed: that needs a person
            promises.all_promises(world, asked_again=asked_again(case))
            promises.the_dead_are_buried(world, statuses=[*statuses(case, world), "completed"])


def asked_again(case: Case) -> Sequence[tuple[str, str]]:
    """The learners whose first request was lost."""
    if case.point.step not in points.LOST_WRITE:
        return ()
    return [promises.pair_of(ORDERS[name]) for name in (TO_ENROLL if case.way.batch > 1 else ("plain",))]


def statuses(case: Case, world: World) -> list[str]:
    """How the run that got the signal must stand in the audit in the end."""
    if case.number is signal.SIGKILL:
        return points.status_of_the_victim(case.point)
    (status,) = [run["status"] for run in world.runs()[1:-1]]
    assert status in ("interrupted", "completed")
    return [status]


def nothing_is_left(world: World) -> None:
    """P7 and P8: no attempt without its end, and no lease; only what an unanswered write has put on hold."""
    ours = [run["run_id"] for run in world.runs()[1:]]
    assert [row for row in world.attempts() if row["run_id"] in ours and row["finished_at"] is None] == []
    for lease in world.database["reconcile_leases"].find({"run_id": {"$ne": FORMER_RUN}}):
        assert lease["token"] is None, lease


@pytest.fixture(scope="module")
def stories(
    mongo: EmbeddedMongo, tmp_path_factory: pytest.TempPathFactory, forks: ForkServer
) -> Iterator[Stories]:
    with ThreadPoolExecutor(AT_ONCE, "story") as pool:
        yield Stories(mongo, tmp_path_factory.mktemp("stories"), forks, pool)
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("number", range(len(KILLED)), ids=map(str, KILLED))
def test_after_a_crash_the_next_run_finishes_the_story(number: int, stories: Stories) -> None:
    stories.end_well(number)


@pytest.mark.parametrize("number", range(len(KILLED), len(CASES)), ids=map(str, STOPPED))
def test_a_run_that_is_asked_to_end_leaves_nothing_open(number: int, stories: Stories) -> None:
    stories.end_well(number)


def test_every_method_of_every_port_has_its_crash_point() -> None:
    effects = points.EFFECTS | points.BATCH_EFFECTS
    known = {step for step in (effects | points.READS) if not step.startswith(f"{WIRE}.")}

    assert known | points.NEVER == steps_of_the_ports()
