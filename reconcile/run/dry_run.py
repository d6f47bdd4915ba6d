"""A dry run is the same run over ports that refuse to write: no `if dry_run` in the logic.

What only reads is the real port's own method, taken over by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconcile.base.clock import Clock
from reconcile.domain.interventions import Intervention
from reconcile.domain.model import (
    EffectKey,
    Enrolled,
    Enrollment,
    History,
    Observation,
)
from reconcile.run.answers import Created, CreatedMany, EnrollAnswer, ManyAnswer
from reconcile.run.leases import Lease, Leases
from reconcile.run.options import Ports
from reconcile.run.ports import (
    AuditLog,
    End,
    Intent,
    LearningPlatform,
    OpenAttempt,
    Origin,
    RecentRun,
    Record,
)
from reconcile.run.source import EnrollmentSource, WriteBack
from reconcile.run.summary import RunSummary

_WOULD_BE = "dry-run"


def without_writes(ports: Ports) -> Ports:
    """The same ports, reading only."""
    return replace(
        ports,
        source=ReadOnlySource(ports.source),
        platform=ReadOnlyPlatform(ports.platform),
        audit=ReadOnlyAudit(ports.audit),
        leases=ReadOnlyLeases(ports.leases, ports.clock),
    )


class ReadOnlySource:
    """Shows the orders; writes nothing back."""

    def __init__(self, inner: EnrollmentSource) -> None:
        self.scan, self.last_look = inner.scan, inner.last_look
        self.shop_jobs, self.paid_twice = inner.shop_jobs, inner.paid_twice
        self.unmarked, self.shop_queue = inner.unmarked, inner.shop_queue

    def end_settled_jobs(self, now: datetime) -> int:
        """Nothing is written."""
        return 0

    def write_back(self, items: Sequence[WriteBack]) -> frozenset[str]:
        """Pretend that all took."""
        return frozenset(item.enrollment_id for item in items)


class ReadOnlyPlatform:
    """Shows the LMS as it would be; enrolls nobody."""

    def __init__(self, inner: LearningPlatform) -> None:
        self._inner = inner
        self._would_be: dict[EffectKey, str] = {}
        self.ping, self.prove_sight, self.titles = inner.ping, inner.prove_sight, inner.titles

    @property
    def verified(self) -> bool:
        """As the real one."""
        return self._inner.verified

    @property
    def batches(self) -> bool:
        """As the real one."""
        return self._inner.batches

    @property
    def requests(self) -> int:
        """As the real one."""
        return self._inner.requests

    def breather(self) -> float:
        """Nothing is written, nothing is waited for."""
        return 0.0

    def observe(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Observation]:
        """What is there, and what a real run would have put there by now."""
        seen = dict(self._inner.observe([key for key in keys if key not in self._would_be]))
        return seen | {key: Enrolled(self._would_be[key]) for key in keys if key in self._would_be}

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        """Pretend success."""
        self._would_be[enrollment.key] = _WOULD_BE
        return Created(lms_id=_WOULD_BE, http_status=200)

    def enroll_many(self, enrollments: Sequence[Enrollment]) -> ManyAnswer:
        """Pretend success."""
        self._would_be |= dict.fromkeys((enrollment.key for enrollment in enrollments), _WOULD_BE)
        return CreatedMany(lms_ids=[_WOULD_BE] * len(enrollments), http_status=200)


class ReadOnlyLeases:
    """Shows who has what; takes nothing."""

    def __init__(self, inner: Leases, clock: Clock) -> None:
        self.peek = inner.peek
        self._clock = clock

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        """What could be taken."""
        return self.peek(keys)

    def fence_all(self, attempts: Sequence[tuple[Lease, int]]) -> frozenset[EffectKey]:
        """Nothing will be written anyway."""
        return frozenset(lease.key for lease, _ in attempts)

    def hold_all(self, leases: Sequence[Lease]) -> datetime:
        """Nothing was written."""
        return self._clock.now()

    def release(self, leases: Sequence[Lease], *, keep_owners: Collection[EffectKey] = ()) -> None:
        """Nothing was taken."""

    def leave(self, leases: Sequence[Lease]) -> None:
        """Nothing was taken."""

    def renew(self) -> None:
        """Nothing was taken."""

    def take_over(self, run_ids: Sequence[str]) -> None:
        """Leave the dead alone."""


class _NotRecording:
    """What an audit log does, not done."""

    def __init__(self) -> None:
        #: Below zero: no attempt of the real audit has such a number.
        self._numbers = itertools.count(-1, -1)
        self._ended: set[int] = set()

    def open_run(self, summary: RunSummary, origin: Origin) -> None:
        """Record nothing."""

    def heartbeat(self, run_id: str, at: datetime) -> None:
        """Record nothing."""

    def close_run(self, summary: RunSummary) -> str | None:
        """Record nothing."""
        return None

    def close_dead_runs(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        """Close nothing."""
        return ()

    def begin_all(self, intents: Sequence[Intent], *, held_since: datetime) -> Sequence[int | None]:
        """Record nothing; a number for each, as if nobody else were about."""
        return [next(self._numbers) for _ in intents]

    def finish_all(self, ends: Sequence[End], *, run_id: str) -> None:
        """Record nothing; what has its end is open no more."""
        self._ended |= {end.attempt_id for end in ends}

    def record(self, records: Sequence[Record]) -> frozenset[str]:
        """Record nothing, and leave nothing out."""
        return frozenset()

    def intervene(self, intervention: Intervention) -> None:
        """Record nothing."""


class ReadOnlyAudit(_NotRecording):
    """Remembers; records nothing."""

    def __init__(self, inner: AuditLog) -> None:
        super().__init__()
        self._inner = inner
        self.history, self.given_access = inner.history, inner.given_access
        self.recent_runs, self.ignored = inner.recent_runs, inner.ignored

    def open_attempts(self) -> Sequence[OpenAttempt]:
        """What a real run would settle, until this one has."""
        return [each for each in self._inner.open_attempts() if each.attempt_id not in self._ended]


class NoAudit(_NotRecording):
    """Remembers nothing and records nothing: where there is no audit database yet."""

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        """Nothing is remembered."""
        return {}

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Nothing is remembered."""
        return frozenset()

    def recent_runs(self) -> Sequence[RecentRun]:
        """Nothing is remembered."""
        return ()

    def open_attempts(self) -> Sequence[OpenAttempt]:
        """Nothing is remembered."""
        return ()

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        """Nothing is remembered."""
        return ()
