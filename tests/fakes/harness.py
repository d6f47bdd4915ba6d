"""A whole application over the in-memory world, for tests of the use case."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from reconcile.run.options import Ports, RunOptions, RunResult
from reconcile.run.ports import Origin
from reconcile.run.reconciler import Reconciler
from reconcile.run.retry import RetryPolicy
from tests.fakes.audit import InMemoryAuditLog
from tests.fakes.stepping import step
from tests.fakes.world import FakeClock, FakeLeases, FakeLms, FakeSource, outcomes

ORIGIN = Origin(host="test-host", pid=1, process_started="1")


@dataclass
class World:
    """Everything outside the reconciler, and a way to run it."""

    documents: Iterable[dict[str, Any]] = ()
    lms: FakeLms = field(default_factory=FakeLms)
    clock: FakeClock = field(default_factory=FakeClock)
    audit: InMemoryAuditLog = field(default_factory=InMemoryAuditLog)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.source = FakeSource(self.documents)
        self.leases = FakeLeases(self.clock)

    @property
    def ports(self) -> Ports:
        return Ports(
            source=self.source,
            platform=self.lms,
            audit=self.audit,
            leases=self.leases,
            clock=self.clock,
            origin=ORIGIN,
        )

    def run(self, **options: Any) -> RunResult:
        """One run, its stages one after the other in this thread, the same each time."""
        return Reconciler(self.ports, drive=step()).run(RunOptions(**options), stop=self.stop)

    def outcomes(self, **options: Any) -> dict[str, int]:
        return outcomes(self.run(**options).summary.outcomes)

    def sync(self, enrollment_id: str) -> dict[str, Any]:
        sync: dict[str, Any] = self.source.documents[enrollment_id]["frappeSync"]
        return sync

    def copies(self) -> dict[Any, int]:
        """LMS enrollments for each learner and course."""
        counts: dict[Any, int] = {}
        for _, key in self.lms.rows:
            counts[key] = counts.get(key, 0) + 1
        return counts


def policy(**changes: Any) -> RetryPolicy:
    return RetryPolicy(**changes)
