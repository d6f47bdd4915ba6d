"""A scheduler's own loop, really running, over a wall clock that is moved by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import time_machine
from apscheduler.events import EVENT_JOB_SUBMITTED

from reconcile.jobs.registry import Job
from reconcile.jobs.runner import Runner
from reconcile.jobs.scheduler import Scheduler
from reconcile.settings import Settings

MINUTE = timedelta(minutes=1)
OFTEN, NIGHTLY = "often", "nightly"


def settings(**changes: str) -> Settings:
    needed = {"MONGODB_URI": "mongodb://x/shop", "FRAPPE_LMS_BASE_URL": "https://lms.example.com"}
    return Settings(**needed | {"RECONCILE_SCHEDULE_DIGEST": "30 1 * * *"} | changes)  # type: ignore[arg-type]


class Recorder(Runner):
    """Notes when it is asked to fire which job, by the simulated clock."""

    def __init__(self) -> None:
        super().__init__(stop=threading.Event())
        self.fired: list[tuple[str, datetime]] = []
        self.work: Callable[[Job], None] = lambda _: None

    def fire(self, job: Job, settings: Settings) -> None:
        self.work(job)
        self.fired.append((job.name, datetime.now(UTC)))

    def times(self, name: str) -> list[datetime]:
        return [when for job, when in self.fired if job == name]


JOBS = (
    Job(name=OFTEN, about="", setting="RECONCILE_SCHEDULE", schedule=lambda s: s.schedule, run=lambda _: 0),
    Job(
        name=NIGHTLY,
        about="",
        setting="RECONCILE_SCHEDULE_DIGEST",
        schedule=lambda s: s.schedule_digest,
        run=lambda _: 0,
    ),
)


class Simulation:
    """A scheduler in a thread, and the wall clock that it lives by."""

    def __init__(self, clock: time_machine.Coordinates, given: Settings) -> None:
        self.clock, self.settings = clock, given
        self.recorder = Recorder()
        self.scheduler = Scheduler(
            lambda: self.settings, jitter=0, jobs=JOBS, runner=self.recorder, beat=3600.0
        )
        self.submitted = 0
        self.scheduler._loop.add_listener(self._note, EVENT_JOB_SUBMITTED)
        self._thread = threading.Thread(target=self.scheduler.serve, daemon=True)

    def _note(self, _: object) -> None:
        self.submitted += 1

    def start(self) -> None:
        self._thread.start()
        until(lambda: self.scheduler.looks)

    def end(self) -> None:
        self.scheduler.drain()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def move_to(self, when: datetime) -> None:
        """It is `when` now; what is due has been done when this returns."""
        self.clock.move_to(when)
        looks = self.scheduler.looks
        self.scheduler.look()
        until(lambda: self.scheduler.looks > looks)
        until(lambda: len(self.recorder.fired) == self.submitted)

    def live(self, start: datetime, end: datetime) -> None:
        """Each minute in between, a second after it has begun."""
        for n in range(1, int((end - start) / MINUTE) + 1):
            self.move_to(start + n * MINUTE + timedelta(seconds=1))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.0001)


@contextmanager
def simulation(start: datetime, given: Settings | None = None) -> Iterator[Simulation]:
    """A scheduler that has begun at `start`; drained at the end."""
    with time_machine.travel(start, tick=False) as clock:
        found = Simulation(clock, given or settings())
        found.start()
        yield found
        found.end()
