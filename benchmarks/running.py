"""One measured run of reconcile in this process, over a database or over memory, with the real LMS client.

A run is timed from `Reconciler.run` to its result, so that Python's start, imports and connecting are not in
it. What is the same however small the backlog is (opening and sealing the run, ping, the proof of sight, the
last look at the shop) is: an empty run, timed in the same way, tells how much that is.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pymongo.database import Database

from benchmarks.floor import Floor
from benchmarks.lms import KEY, Asked, Lms
from benchmarks.memory import MemorySource, memory_leases
from benchmarks.shop import COURSES, Backlog, Storefront, storefront
from benchmarks.table import timed
from reconcile.app.build import build
from reconcile.audit.log import open_audit
from reconcile.run.options import RunResult
from reconcile.settings import Settings

Via = Literal["confirm_payment", "rest"]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one run took (seconds) and asked."""

    seconds: float
    result: RunResult
    asked: Asked


@dataclass(frozen=True, kw_only=True)
class Course:
    """What is run through: a backlog, the LMS's latency (seconds), and how many requests at once."""

    backlog: Backlog
    latency: float
    in_flight: int
    via: Via = "confirm_payment"

    def prepare(self, lms: Lms) -> None:
        """The LMS as it was before anybody was enrolled."""
        lms.load(courses=COURSES, enrollments=self.backlog.there, latency=self.latency)


class Bench:
    """The servers and an empty audit, ready for one run after another."""

    def __init__(self, lms: Lms, shop: Storefront, folder: Path) -> None:
        self.lms, self.shop = lms, shop
        self._folder = folder
        self._empty = folder / "empty.db"

    def settings(self, database: Database[Any], **more: str) -> Settings:
        """A user's settings, with a new audit database."""
        return Settings.load(self.environment(database, **more), env_file=None)

    def environment(self, database: Database[Any], **more: str) -> dict[str, str]:
        """The same as variables."""
        audit = Path(tempfile.mkdtemp(dir=self._folder)) / "audit.db"
        if not self._empty.exists():
            open_audit(f"sqlite:///{self._empty}").close()
        shutil.copy(self._empty, audit)
        return {
            "MONGODB_URI": self.shop.uri(database),
            "FRAPPE_LMS_BASE_URL": self.lms.url,
            "FRAPPE_LMS_API_KEY": KEY,
            "RECONCILE_AUDIT_URL": f"sqlite:///{audit}",
            **more,
        }

    def embedded(self, course: Course) -> Ran:
        """A run over the embedded database."""
        with self.shop.database(course.backlog.orders) as database:
            return self._run(course, self.settings(database, **_told(course)))

    def floor(self, course: Course, *, written_back: bool, batch: int = 0) -> float:
        """The floor under such a run, in seconds."""
        documents = list(course.backlog.documents())
        with self.shop.database(course.backlog.orders if written_back else ()) as database:
            course.prepare(self.lms)
            orders = database["enrollments"] if written_back else None
            floor = Floor(self.lms.address, in_flight=course.in_flight, orders=orders, batch=batch)
            took = timed(lambda: floor.run(documents))
        if self.lms.asked().learners != course.backlog.missing:
            raise AssertionError(f"the floor has not enrolled {course.backlog.missing}: {self.lms.asked()}")
        return took

    def in_memory(self, course: Course) -> Ran:
        """A run over orders and leases in memory."""
        source = MemorySource(course.backlog.documents())
        with self.shop.database() as database:
            return self._run(
                course, self.settings(database, **_told(course)), source=source, leases=memory_leases()
            )

    def _run(self, course: Course, settings: Settings, **ports: Any) -> Ran:
        course.prepare(self.lms)
        with build(settings, **ports) as app:
            reconciler, options = app.reconciler(), app.options()
            began = time.perf_counter()
            result = reconciler.run(options)
            seconds = time.perf_counter() - began
        asked = self.lms.asked()
        if result.failure is not None:
            raise result.failure
        if asked.learners != course.backlog.missing or asked.duplicates:
            raise AssertionError(f"{course.backlog.missing} were to be enrolled: {asked}")
        return Ran(seconds=seconds, result=result, asked=asked)


def _told(course: Course) -> dict[str, str]:
    return {"RECONCILE_CONCURRENCY": str(course.in_flight), "RECONCILE_ENROLL_VIA": course.via}


@contextmanager
def bench() -> Iterator[Bench]:
    """Start the servers; stop them and remove everything afterwards."""
    # Lines for each run would cost what nobody asked for.
    logging.disable(logging.CRITICAL)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="reconcile-bench-")))
        shop = opened.enter_context(storefront())
        lms = opened.enter_context(Lms())
        yield Bench(lms, shop, folder)
