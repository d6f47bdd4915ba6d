"""What one run is told and given: its options, its ports and its stop sign."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from reconcile.base.clock import Clock
from reconcile.base.errors import ReconcileError
from reconcile.run.leases import Leases
from reconcile.run.ports import AuditLog, LearningPlatform, Origin
from reconcile.run.retry import RetryPolicy
from reconcile.run.source import EnrollmentSource, Selection
from reconcile.run.summary import RunSummary

#: A run's modes, as `run --json` and the audit say them.
APPLY, DRY_RUN = "apply", "dry-run"
#: Learners whom the LMS is asked about in one request, at most.
LOOK_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How one run behaves. Durations in seconds."""

    selection: Selection = field(default_factory=Selection)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    mode: str = APPLY
    page_size: int = 200  #: orders that are looked at together
    concurrency: int | None = 4  #: writes in flight; None finds out by the LMS's answers
    batch: int | None = None  #: learners in one request where the LMS can; None finds out, 1 is one by one
    rate: float = 0.0  #: enrollments per second at most; 0 is no limit
    retry_delay: float = 2.0  #: before the immediate second try
    lease_ttl: float = 120.0  #: the heartbeat comes three times as often
    max_enrolls: int | None = None
    known_trouble: str | None = None  #: a reason to abort that has been told already: not as a warning again


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything outside, as the reconciler sees it."""

    source: EnrollmentSource
    platform: LearningPlatform
    audit: AuditLog
    leases: Leases
    clock: Clock
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a run ended, and the error that ended it early, if one did."""

    summary: RunSummary
    failure: ReconcileError | None = None
    saw_all: bool = False  #: every unsynced order got a verdict: onlookers know of everybody who is left


class Halt:
    """The run's stop sign: raised once, by a signal or by the first thing that ends the run.

    Worker threads look at it before each write; the first cause is kept.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        #: Set from outside (SIGTERM, Ctrl-C): no new work, finish what is in flight.
        self.stop = stop or threading.Event()
        self._lock = threading.Lock()
        self.cause: ReconcileError | None = None
        self._broken_off = False

    def break_off(self) -> None:
        """End the run because of a bug, which its finder will raise."""
        self._broken_off = True

    def fail(self, cause: ReconcileError) -> None:
        """End the run because of `cause`; later causes are consequences."""
        with self._lock:
            if self.cause is None:
                self.cause = cause

    @property
    def is_set(self) -> bool:
        """True when no new work may begin."""
        return self.cause is not None or self._broken_off or self.stop.is_set()
