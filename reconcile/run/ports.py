"""What the use case needs from the world, as Protocols, with the values that cross them.

Here the LMS and the audit; the storefront is in `source`, who may write in `leases`, time in `base.clock`.

The rooms of the systems outside implement these; tests do so in memory, and one contract suite runs against
both. Every method may raise what its docstring names and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from reconcile.domain.interventions import Intervention
from reconcile.domain.model import (
    AnyEnrollment,
    EffectKey,
    Enrollment,
    History,
    Observation,
    OpenWrite,
    Outcome,
    Verdict,
)
from reconcile.run.answers import EnrollAnswer, ManyAnswer
from reconcile.run.summary import RunSummary


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
    def batches(self) -> bool:
        """Whether it enrolls many in one request."""
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

    def titles(self, courses: Collection[str]) -> Mapping[str, str]:
        """What these courses are called; absent where the LMS does not tell. One request. Read only."""
        ...

    def breather(self) -> float:
        """Seconds to wait before the next write, as the LMS's last answers advise (X-RateLimit-*); or 0."""
        ...

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        """Ask for one LMS enrollment. NOT to be repeated unless the caller has looked again.

        Raises AmbiguousWrite when it was sent and not answered.
        """
        ...

    def enroll_many(self, enrollments: Sequence[Enrollment]) -> ManyAnswer:
        """Ask for many LMS enrollments, of as many pairs, in one request: all or nothing.

        Only where it `batches`, and LARGEST_BATCH at most, else a ValueError. NOT to be repeated, whole or in
        part, unless the caller has looked again. Raises as `enroll`: one request is one fault. Anything but
        the LMS's own words is an AmbiguousWrite, of every pair.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A write that is about to be made: committed before it is made."""

    run_id: str
    enrollment: Enrollment
    number: int  #: counts our writes for this enrollment, from 1
    started_at: datetime
    flags: frozenset[str] = frozenset()
    shop_tries: int = 0  #: how often the storefront itself had tried by then
    lease_token: str | None = None  #: under which lease it is to be written


@dataclass(frozen=True, kw_only=True)
class End:
    """What came of an attempt whose intent was committed."""

    attempt_id: int
    verdict: Verdict
    at: datetime
    http_status: int | None = None
    never_sent: bool = False  #: proven: no request left for it; the row is no news to history

    def __post_init__(self) -> None:
        """Raises ValueError where the two say different things."""
        if self.never_sent and (self.verdict.outcome is not Outcome.SKIPPED or self.verdict.attempts):
            raise ValueError("what was never sent was skipped, and has used up no attempt")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A verdict that needed no LMS write: begun and finished at once."""

    run_id: str
    enrollment: AnyEnrollment
    action: str
    verdict: Verdict
    at: datetime
    shop_tries: int = 0  #: how often the storefront itself had tried by then
    known: int | None = None  #: the newest attempt that the run knew of when it looked; see History.newest


@dataclass(frozen=True, kw_only=True)
class OpenAttempt:
    """An attempt whose process died before it could say what came of it."""

    attempt_id: int
    enrollment_id: str
    key: EffectKey | None  #: None where the person was forgotten since
    started_at: datetime
    token: str | None = None  #: of the lease under which it was to be written

    @property
    def as_write(self) -> OpenWrite:
        """The same, as an order's history has it."""
        return OpenWrite(attempt_id=self.attempt_id, started_at=self.started_at, token=self.token)


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
    finished_at: datetime | None = None


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

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Of these orders, those whose learner we have given access."""
        ...

    def begin_all(self, intents: Sequence[Intent], *, held_since: datetime) -> Sequence[int | None]:
        """Commit these intents together; each one's attempt id, None where the pair is somebody else's.

        In the same transaction the audit's own lock: none for a learner and course for which another run has
        an attempt that began at or after `held_since` and has no outcome, or was not answered (`lms_timeout`
        or `protocol`). What was closed as never sent does not lock. No LMS write without it.
        """
        ...

    def finish_all(self, ends: Sequence[End], *, run_id: str) -> None:
        """Finish open attempts in one transaction; one that has its end keeps it. May be repeated.

        `run_id` is the run that does it: another one than the attempt's where its process has died.
        """
        ...

    def record(self, records: Sequence[Record]) -> frozenset[str]:
        """Append verdicts that needed no write, in one transaction; the ids of orders left out.

        Left out is what the audit has got another row for since this run looked (`Record.known`): the same
        outcome and reason or, where this verdict gives access, any that does, or another run's open attempt;
        and a verdict that gives access while another run that is under way has the learner and course open.
        Such an order is the other run's to tell.
        """
        ...

    def recent_runs(self) -> Sequence[RecentRun]:
        """The last completed, applied runs over the whole backlog or part of it, the newest first."""
        ...

    def open_attempts(self) -> Sequence[OpenAttempt]:
        """Attempts without an outcome, of runs that are over."""
        ...

    def intervene(self, intervention: Intervention) -> None:
        """Record what a person has asked for by hand; an `ignore` shows in `history` from then on."""
        ...

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        """The orders that are to be left alone at `now`."""
        ...


class Progress(Protocol):
    """Somebody who watches: a progress bar, a log, nobody."""

    def scanned(self, count: int) -> None:
        """So many more orders were looked at."""
        ...

    def settled(self, outcome: Outcome) -> None:
        """One more order has its verdict."""
        ...
