"""A whole application that is watched: real MongoDB, LMS, audit file and receivers, a fake clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from reconcile.alerts.memory import MemoryAlertBook
from reconcile.app.app import App
from reconcile.app.build import build
from reconcile.run.options import RunResult
from reconcile.settings import Settings
from tests.fakes.receiver import Receiver
from tests.fakes.world import FakeClock
from tests.faults.bench import Bench

COURSE = "old-course"
MINUTES = timedelta(minutes=1)


@dataclass
class Watched:
    """A shop whose runs are watched. Each run is a new application, as from cron."""

    bench: Bench
    alerts: Receiver
    pings: Receiver
    clock: FakeClock

    def settings(self, **environment: str) -> Settings:
        addresses = {
            "RECONCILE_ALERT_URLS": f"json://127.0.0.1:{self.alerts.port}/t0ken-of-the-alerts",
            "RECONCILE_PING_URL": f"http://127.0.0.1:{self.pings.port}/uuid?x=y",
        }
        return Settings.load(self.bench.environment | addresses | environment, env_file=None)

    def app(self, *, memory: MemoryAlertBook | None = None, **environment: str) -> App:
        return build(self.settings(**environment), clock=self.clock, alert_memory=memory)

    def run(self, *, after: float = 5.0, memory: MemoryAlertBook | None = None, **options: Any) -> RunResult:
        """One run, so many minutes later."""
        self.clock.advance(after * 60)
        with self.app(memory=memory) as app:
            return app.reconcile(app.options(**options))

    def orders(self, count: int, *, course: str = COURSE, published: int = 1, **changes: Any) -> list[str]:
        if self.bench.lms.site.course(course) is None:
            self.bench.lms.site.add_course(course, published=published)
        return self.bench.orders(count, courseId=course, **changes)

    def publish(self, course: str = COURSE) -> None:
        row = self.bench.lms.site.course(course)
        assert row is not None
        row["published"] = 1

    def lms_is(self, *, down: bool) -> None:
        self.bench.lms.site.switches.maintenance = "on" if down else "off"

    @property
    def titles(self) -> list[str]:
        return [title.removeprefix("reconcile: ") for title in self.alerts.titles]
