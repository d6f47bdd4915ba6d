"""A shop's days in memory and on a fake clock: orders come in, people sign up, the LMS has its weather.

The reconciler and the audit database (SQLite) are the real ones; orders, leases and LMS are fakes that
the contract suites hold to the real ones' behaviour. A run follows every five minutes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from sqlalchemy import event, text

from reconcile.audit.log import SqlAuditLog
from reconcile.base.errors import AmbiguousWrite, RateLimited, ReconcileError, ServiceUnavailable
from reconcile.domain.model import EffectKey, Enrollment, Observation
from reconcile.run.answers import EnrollAnswer
from reconcile.run.ports import Sight
from reconcile.run.summary import RunSummary
from tests.fakes.audit_file import new_audit
from tests.fakes.harness import World
from tests.fakes.world import NOON, FakeClock, FakeLms, order

EVERY = timedelta(minutes=5)
RUNS_A_DAY = 288
COURSE = "python-basics"


def key(name: str) -> EffectKey:
    return EffectKey(f"{name}@example.com", COURSE)


# --- the LMS's weather ---------------------------------------------------------------------

#: Everything fails, the ping first: maintenance, refused connections, no DNS, an expired certificate.
DOWN = "down"
#: Reads go well; every write comes to this.
WRITE_ERRORS: dict[str, Callable[[], ReconcileError]] = {
    "read only": lambda: ServiceUnavailable("503", http_status=503),
    "write errors": lambda: ServiceUnavailable("500", certain=False, http_status=500),
    "silence": lambda: AmbiguousWrite("no answer within 10 s"),
    "rate limit": lambda: RateLimited("429", http_status=429, retry_after=1.0),
}
#: The LMS goes away between a run's look and its first write: silence, and no second look either.
GOES_AWAY = "goes away in the middle"
WEATHERS = (DOWN, *WRITE_ERRORS, GOES_AWAY)


@dataclass(frozen=True, kw_only=True)
class Storm:
    """Bad weather from an instant on, for so long."""

    kind: str
    begins: datetime
    lasts: timedelta

    def rages(self, now: datetime) -> bool:
        return self.begins <= now < self.begins + self.lasts


class StormyLms(FakeLms):
    """The LMS under its weather."""

    def __init__(self, clock: FakeClock, storms: Sequence[Storm] = ()) -> None:
        super().__init__()
        self.storms = list(storms)
        self._clock = clock
        self._gone = False
        self._late: list[tuple[datetime, EffectKey]] = []

    def finish_late(self, seconds: float) -> Callable[[EffectKey], EnrollAnswer]:
        """How an LMS answers that gives no answer and does it so much later."""

        def answer(which: EffectKey) -> EnrollAnswer:
            self._late.append((self._clock.now() + timedelta(seconds=seconds), which))
            raise AmbiguousWrite("no answer within 10 s")

        return answer

    def weather(self) -> str | None:
        now = self._clock.now()
        return next((storm.kind for storm in self.storms if storm.rages(now)), None)

    def ping(self) -> None:
        self._gone = False
        self._weather_permitting()
        super().ping()

    def prove_sight(self) -> Sight:
        self._weather_permitting()
        return super().prove_sight()

    def observe(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        self._weather_permitting()
        now = self._clock.now()
        for at, which in [item for item in self._late if item[0] <= now]:
            self._late.remove((at, which))
            self.add(which)
        return super().observe(keys)

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        weather = self.weather()
        if weather == GOES_AWAY:
            self._gone = True
        error = AmbiguousWrite("cut") if weather == GOES_AWAY else None
        if weather in WRITE_ERRORS:
            error = WRITE_ERRORS[weather]()
        if error is None:
            return super().enroll(enrollment)
        with self._lock:
            self.enroll_calls.append(enrollment.key)
            self.requests += 1
        raise error

    def _weather_permitting(self) -> None:
        if self.weather() == DOWN or self._gone:
            self._request()
            raise ServiceUnavailable("cannot connect to the LMS")


# --- the shop ------------------------------------------------------------------------------


def _do_not_wait_for_the_disk(connection: Connection, *_: object) -> None:
    connection.execute("PRAGMA synchronous = OFF").close()


@dataclass
class Shop:
    """The world with a real audit file, run after run."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    #: What happens when: called once, before the first run at or after the instant.
    events: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lms = StormyLms(self.clock)
        self.lms.add(EffectKey("stranger@example.com", COURSE))
        self.audits: list[SqlAuditLog] = []
        self.world = World(lms=self.lms, clock=self.clock)
        self.archive: dict[str, dict[str, Any]] = {}
        self.runs: list[RunSummary] = []
        self.begin_new_audit()

    def close(self) -> None:
        for audit in self.audits:
            audit.close()

    def begin_new_audit(self) -> None:
        """The audit database is lost, and an empty one takes its place."""
        audit = new_audit(self.folder, f"audit{len(self.audits)}.db")
        # A month's commits, without waiting for the disk at each of them: no power is cut here.
        event.listen(audit.store.engine, "checkout", _do_not_wait_for_the_disk)
        self.audits.append(audit)
        self.world.audit = self.audits[-1]  # type: ignore[assignment]  # the real one, not the fake

    def order(self, name: str, **changes: Any) -> None:
        """An order comes in, and the webhook's calls fail."""
        document = order(name, timestamp=self.clock.now().isoformat())
        self.world.source.documents[name] = document | changes

    def later(self, after: timedelta, event: Callable[[], None]) -> None:
        self.events.append((NOON + after, event))

    def work(self, runs: int) -> None:
        """So many runs, one every five minutes."""
        for _ in range(runs):
            began = self.clock.now()
            due = [happen for at, happen in self.events if at <= began]
            self.events = [(at, happen) for at, happen in self.events if at > began]
            for happen in due:
                happen()
            self.runs.append(self.world.run().summary)
            self._archive()
            # What the run itself has slept counts.
            self.clock.advance(max(0.0, (began + EVERY - self.clock.now()).total_seconds()))

    def _archive(self) -> None:
        """Synced orders interest no run any more; the fake source would read them each time."""
        documents = self.world.source.documents
        for name in [name for name, found in documents.items() if found["frappeSync"].get("synced")]:
            self.archive[name] = documents.pop(name)

    # --- what became of it ------------------------------------------------------------------

    def sync(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (self.archive | self.world.source.documents)[name]["frappeSync"]
        return found

    def statuses(self) -> Counter[str]:
        return Counter(
            found["frappeSync"]["syncStatus"]
            for found in (self.archive | self.world.source.documents).values()
        )

    def writes(self, name: str) -> int:
        return self.lms.enroll_calls.count(key(name))

    def copies(self) -> set[int]:
        return set(self.world.copies().values())

    def rows(self, name: str | None = None) -> int:
        """Rows in all audit files together, but of what was never sent: of one order, or of all."""
        return self.query(
            "SELECT count(*) FROM attempts WHERE never_sent = 0 AND (:name IS NULL OR enrollment_id = :name)",
            name=name,
        )

    def left_open(self) -> int:
        return self.query("SELECT count(*) FROM attempts WHERE finished_at IS NULL")

    def query(self, statement: str, **values: Any) -> int:
        total = 0
        for audit in self.audits:
            with audit.reading() as connection:
                total += connection.execute(text(statement), values).scalar_one()
        return total
