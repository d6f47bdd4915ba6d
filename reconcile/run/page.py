"""What goes from one stage of a run to the next about an order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconcile.domain.model import (
    NO_HISTORY,
    AnyEnrollment,
    Decision,
    EffectKey,
    Enrollment,
    History,
    Observation,
    Outcome,
    Verdict,
)
from reconcile.run.answers import Conclusion
from reconcile.run.batching import Halving
from reconcile.run.leases import Lease
from reconcile.run.ports import End


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """One order with everything known about it and what should be done."""

    enrollment: AnyEnrollment
    decision: Decision
    history: History = NO_HISTORY
    flags: frozenset[str] = frozenset()
    seen: Observation | None = None  #: what the LMS showed; None where nobody had to look
    twins: tuple[str, ...] = ()  #: the other paid orders of its learner and course

    @property
    def key(self) -> EffectKey | None:
        """Its learner and course; None for a malformed order."""
        return self.enrollment.key if isinstance(self.enrollment, Enrollment) else None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page of decisions."""

    entries: Sequence[Surveyed]


_UNSENT = Verdict(outcome=Outcome.SKIPPED)


@dataclass(kw_only=True)
class Task:
    """One learner to enroll, leased, on the way through a run."""

    entry: Surveyed
    lease: Lease
    looked_at: float  #: when the look under the lease was sent (monotonic seconds)
    tried: int = 0  #: writes that were made in this run
    attempt_id: int | None = None  #: the intent of the write that is to come
    begun_at: float = 0.0  #: when that intent was committed (monotonic seconds)
    sent: bool = False  #: a request for it has left already, and was refused together with others

    @property
    def enrollment(self) -> Enrollment:
        """The order; only what can be sent gets this far."""
        if not isinstance(self.entry.enrollment, Enrollment):
            raise TypeError("only an order that can be sent can be a task")
        return self.entry.enrollment

    def unsent(self, at: datetime, verdict: Verdict = _UNSENT) -> End | None:
        """The end of the attempt that is not made, and is the task's no more; None where none has begun.

        Never sent, unless a request for it had left before, together with others.
        """
        if self.attempt_id is None:
            return None
        end = End(attempt_id=self.attempt_id, verdict=verdict, at=at, never_sent=not self.sent)
        self.attempt_id, self.sent = None, False
        return end

    @property
    def goes_alone(self) -> bool:
        """Whether it is not sent together with others: an earlier write for it has failed."""
        return self.tried > 0 or self.entry.history.writes > 0


@dataclass(kw_only=True)
class Batch:
    """What was sent together and refused together: its parts go one after another."""

    plan: Halving[Task]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tasks that are to be checked; those of a batch's part stay together."""

    tasks: Sequence[Task]
    batch: Batch | None = None


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """Tasks that go to the LMS in one request, checked and fenced together."""

    tasks: Sequence[Task]
    checked_at: float  #: when the check was sent, whose last part is the fence (monotonic seconds)
    batch: Batch | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What one write came to, and the audit row that waits for its outcome."""

    attempt_id: int
    conclusion: Conclusion
    request: str  #: names the request: the first order in it, of one or of many
    http_status: int | None = None
    retry_after: float | None = None  #: seconds


@dataclass(frozen=True, kw_only=True)
class Try:
    """What one try for a learner came to."""

    task: Task
    attempt: Attempt | None = None  #: None: nothing was sent
    left_alone: Verdict | None = None  #: why nothing was sent; None: the run is ending
    end: End | None = None  #: of its attempt, where that is known at once
    in_doubt: bool = False  #: what came of it cannot be told: its lease is left to lapse, on hold


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What came of a portion of tasks."""

    ready: Sequence[Task] = ()
    checked_at: float = 0.0  #: when the check was sent (monotonic seconds)
    left_alone: Sequence[Try] = ()  #: not to be sent, and why


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is to be recorded of an order, and then told to the storefront."""

    entry: Surveyed
    at: datetime
    verdict: Verdict | None = None  #: None: an attempt gets its end, the order's verdict comes later
    ends: tuple[End, ...] = ()
    written: bool = False  #: it took a write to the LMS to find out: the attempt's row says it already
    leads: bool = False  #: it is the learner's own task: other orders of theirs share its fate
    lease: Lease | None = None  #: to be given back when all of this is told
    keeps_owners: bool = False  #: earlier attempts under this lease still have no end
    in_doubt: bool = False  #: what came of a write cannot be told: the lease is left to lapse, on hold


@dataclass(frozen=True, kw_only=True)
class Returned:
    """A lease that is done with."""

    lease: Lease
    keeps_owners: bool = False  #: earlier attempts under it still have no end
    in_doubt: bool = False  #: it is not given back but left to lapse, on hold
