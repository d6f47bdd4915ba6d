"""What the use case needs from the world, as Protocols, with the values that cross them.

Adapters implement these; tests implement them in memory, and one contract suite runs against both.
Every method may raise what its docstring names and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from reconcile.domain.answers import AlreadyThere, Created, EnrollAnswer, Refused
from reconcile.domain.model import (
    AnyEnrollment,
    EffectKey,
    Enrollment,
    History,
    Observation,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.domain.summary import RunSummary

__all__ = [
    "AlreadyThere",
    "AuditLog",
    "Clock",
    "Created",
    "EnrollAnswer",
    "EnrollmentSource",
    "Intent",
    "LearningPlatform",
    "Lease",
    "Leases",
    "OpenAttempt",
    "Origin",
    "Progress",
    "RecentRun",
    "Record",
    "Refused",
    "Selection",
    "Sight",
    "WriteBack",
]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which unsynced orders a run looks at; the default is all of them."""

    enrollment_ids: tuple[str, ...] = ()
    email: str | None = None
    course: str | None = None
    since: datetime | None = None  #: paid at or after
    limit: int | None = None
    unnamed: bool = False  #: also what a run without a key has synced, to find the document's name

    @property
    def is_everything(self) -> bool:
        """True where the run sees the whole backlog."""
        return replace(self, unnamed=False) == Selection()


@dataclass(frozen=True, kw_only=True)
class WriteBack:
    """What one order's document should say now. `at` is the run's own clock."""

    enrollment_id: str
    verdict: Verdict
    at: datetime


class EnrollmentSource(Protocol):
    """The storefront's orders (MongoDB). Raises StoreUnavailable."""

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        """Stream the paid, unsynced orders: each once, in constant memory."""
        ...

    def still_unsynced(self, enrollment_id: str) -> Reason | bool:
        """Read one order again: True (paid, unsynced), False (synced meanwhile) or Reason.NOT_PAID."""
        ...

    def retry_jobs_active(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Of these, the orders that the storefront's own retry worker is processing right now."""
        ...

    def paid_orders(self, keys: Iterable[EffectKey]) -> Mapping[EffectKey, int]:
        """How many paid orders there are for each learner and course, synced ones included."""
        ...

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """Write verdicts into the documents; the ids that took.

        Guarded by `status: paid` and "not synced meanwhile"; may be repeated. A success also
        completes the order's open retry jobs, first, so that a crash between the two is harmless.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a key was shown to see: `proven`, other people's enrollments; `total`, how many there are."""

    proven: bool
    total: int | None = None  #: None where the LMS does not tell


class LearningPlatform(Protocol):
    """The LMS. Raises TransientError and TerminalError kinds."""

    @property
    def verified(self) -> bool:
        """False without a key: nothing can be looked up, the LMS's own duplicate answer is all there is."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        ...

    def ping(self) -> None:
        """Return if the LMS answers. Read only."""
        ...

    def prove_sight(self) -> Sight:
        """Whether this key sees other people's enrollments; unproven where there are none yet.

        Raises AuthenticationFailed(reason="blind") where some are hidden. Read only.
        """
        ...

    def observe(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        """What the LMS shows for each key: a few requests for the whole page. Read only."""
        ...

    def breather(self) -> float:
        """Seconds to wait before the next write, as the LMS's last answers advise (X-RateLimit-*); or 0."""
        ...

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        """Ask for one LMS enrollment. NOT to be repeated unless the caller has looked again.

        Raises AmbiguousWrite when it was sent and not answered.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A write that is about to be made: committed before it is made."""

    run_id: str
    enrollment: Enrollment
    number: int  #: counts the writes for this enrollment, from 1
    started_at: datetime
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Record:
    """A verdict that needed no LMS write: begun and finished at once."""

    run_id: str
    enrollment: AnyEnrollment
    action: str
    verdict: Verdict
    at: datetime


@dataclass(frozen=True, kw_only=True)
class OpenAttempt:
    """An attempt whose process died before it could say what came of it."""

    attempt_id: int
    enrollment_id: str
    key: EffectKey | None  #: None where the person was forgotten since
    started_at: datetime


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which process a run is: enough to tell later whether it is still there."""

    host: str  #: host name, boot and pid namespace: a pid means something only inside these
    pid: int
    process_started: str  #: tells a process from a later one with the same pid


@dataclass(frozen=True, kw_only=True)
class RecentRun:
    """What an earlier run did, for comparing."""

    enrolled: int  #: learners newly enrolled
    lms_total: int | None  #: LMS enrollments there were, where the LMS told


class AuditLog(Protocol):
    """The audit database. Each method is one committed transaction. Raises AuditUnavailable."""

    def open_run(self, summary: RunSummary, origin: Origin) -> None:
        """Record that a run has begun."""
        ...

    def heartbeat(self, run_id: str, at: datetime) -> None:
        """Record that the run is still alive; changes nothing about one that is over."""
        ...

    def close_run(self, summary: RunSummary) -> str | None:
        """Record how the run ended, and seal it; the newest seal, None where nothing is sealed.

        Kept elsewhere, it proves later that the audit up to this run is as it was.
        """
        ...

    def close_dead_runs(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        """Close runs whose process is gone as `crashed`; their ids.

        Gone: same host and no such process, or another host and no heartbeat since `stale_before`.
        """
        ...

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        """What is remembered of these enrollments; absent ones have no history."""
        ...

    def begin(self, intent: Intent) -> int:
        """Commit the intent; the attempt's id. No LMS write without it."""
        ...

    def finish(
        self,
        attempt_id: int,
        verdict: Verdict,
        *,
        run_id: str,
        at: datetime,
        http_status: int | None = None,
    ) -> None:
        """Finish an open attempt. The only change ever made to an attempt's row.

        `run_id` is the run that does it: another one than the attempt's where its process has died.
        """
        ...

    def record(self, records: Sequence[Record]) -> None:
        """Append verdicts that needed no write, in one transaction."""
        ...

    def recent_runs(self) -> Sequence[RecentRun]:
        """The last completed, applied runs over the whole backlog or part of it, the newest first."""
        ...

    def open_attempts(self) -> Sequence[OpenAttempt]:
        """Attempts without an outcome, of runs that are over."""
        ...


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write for one effect key, until it expires or is taken over."""

    key: EffectKey
    token: str
    hold_until: datetime | None = None  #: an earlier write was not answered: look, but do not write before


class Leases(Protocol):
    """Who may write for which learner and course, over all processes and hosts. Raises StoreUnavailable.

    Times are the server's. A key that is not returned is held by somebody else.
    """

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        """Take what is free or expired."""
        ...

    def peek(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Lease]:
        """What `take` would give, taking nothing. Read only."""
        ...

    def fence(self, lease: Lease) -> bool:
        """Right before a write: still ours? Marks that a write may be in flight from now on."""
        ...

    def hold(self, lease: Lease) -> datetime:
        """After an unanswered write: nobody writes for this key before the returned instant."""
        ...

    def release(self, leases: Sequence[Lease]) -> None:
        """Give back; those on hold stay on hold."""
        ...

    def renew(self) -> None:
        """Prolong all that this process has taken and not given back."""
        ...

    def take_over(self, run_ids: Sequence[str]) -> None:
        """Expire the leases of runs known to be dead; what they had in flight stays on hold."""
        ...


class Clock(Protocol):
    """Time. `now` is aware UTC; `monotonic` and `sleep` are in seconds."""

    def now(self) -> datetime:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """A clock that never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait; returns early when the run is asked to stop."""
        ...


class Progress(Protocol):
    """Somebody who watches: a progress bar, a log, nobody."""

    def scanned(self, count: int) -> None:
        """So many more orders were looked at."""
        ...

    def settled(self, outcome: Outcome) -> None:
        """One more order has its verdict."""
        ...
