"""A dry run is the same run over ports that refuse to write: no `if dry_run` in the logic."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from reconcile.base.clock import Clock
from reconcile.domain.interventions import Intervention
from reconcile.domain.model import (
    AnyEnrollment,
    EffectKey,
    Enrolled,
    Enrollment,
    History,
    Observation,
    Verdict,
)
from reconcile.domain.shop_queue import ShopJob, ShopQueue
from reconcile.domain.unmarked import Unmarked
from reconcile.run.answers import Created, EnrollAnswer
from reconcile.run.leases import Lease, Leases
from reconcile.run.options import Ports
from reconcile.run.ports import (
    AuditLog,
    Intent,
    LearningPlatform,
    OpenAttempt,
    Origin,
    RecentRun,
    Record,
    Sight,
)
from reconcile.run.source import EnrollmentSource, Selection, WriteBack
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
        self._inner = inner

    def scan(self, selection: Selection) -> Iterator[AnyEnrollment]:
        """As the real one."""
        return self._inner.scan(selection)

    def read_again(self, enrollment_id: str) -> tuple[AnyEnrollment | None, ShopJob]:
        """As the real one."""
        return self._inner.read_again(enrollment_id)

    def shop_jobs(self, enrollment_ids: Sequence[str]) -> Mapping[str, ShopJob]:
        """As the real one."""
        return self._inner.shop_jobs(enrollment_ids)

    def paid_orders(self, keys: Iterable[EffectKey]) -> Mapping[EffectKey, Sequence[Enrollment]]:
        """As the real one."""
        return self._inner.paid_orders(keys)

    def unmarked(self, now: datetime, *, without: Container[str | None] = ()) -> Unmarked:
        """As the real one."""
        return self._inner.unmarked(now, without=without)

    def shop_queue(self, now: datetime) -> ShopQueue:
        """As the real one."""
        return self._inner.shop_queue(now)

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

    @property
    def verified(self) -> bool:
        """As the real one."""
        return self._inner.verified

    @property
    def requests(self) -> int:
        """As the real one."""
        return self._inner.requests

    def ping(self) -> None:
        """As the real one."""
        self._inner.ping()

    def prove_sight(self) -> Sight:
        """As the real one."""
        return self._inner.prove_sight()

    def titles(self, courses: Collection[str]) -> Mapping[str, str]:
        """As the real one."""
        return self._inner.titles(courses)

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


class ReadOnlyLeases:
    """Shows who has what; takes nothing."""

    def __init__(self, inner: Leases, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock

    def take(self, keys: Sequence[EffectKey], run_id: str) -> Mapping[EffectKey, Lease]:
        """What could be taken."""
        return self._inner.peek(keys)

    def peek(self, keys: Sequence[EffectKey]) -> Mapping[EffectKey, Lease]:
        """As the real one."""
        return self._inner.peek(keys)

    def fence(self, lease: Lease) -> bool:
        """Nothing will be written anyway."""
        return True

    def hold(self, lease: Lease) -> datetime:
        """Nothing was written."""
        return self._clock.now() + timedelta()

    def release(self, leases: Sequence[Lease]) -> None:
        """Nothing was taken."""

    def renew(self) -> None:
        """Nothing was taken."""

    def take_over(self, run_ids: Sequence[str]) -> None:
        """Leave the dead alone."""


class NoAudit:
    """An audit that remembers nothing and records nothing: where there is no audit database yet."""

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

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        """Nothing is remembered."""
        return {}

    def begin(self, intent: Intent) -> int:
        """Record nothing."""
        return 0

    def finish(
        self,
        attempt_id: int,
        verdict: Verdict,
        *,
        run_id: str,
        at: datetime,
        http_status: int | None = None,
    ) -> None:
        """Record nothing."""

    def record(self, records: Sequence[Record]) -> None:
        """Record nothing."""

    def recent_runs(self) -> Sequence[RecentRun]:
        """Nothing is remembered."""
        return ()

    def open_attempts(self) -> Sequence[OpenAttempt]:
        """Nothing that this run may settle."""
        return ()

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Nothing is remembered."""
        return frozenset()

    def intervene(self, intervention: Intervention) -> None:
        """Record nothing."""

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        """Nothing is remembered."""
        return ()


class ReadOnlyAudit(NoAudit):
    """Remembers; records nothing."""

    def __init__(self, inner: AuditLog) -> None:
        self._inner = inner

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        """As the real one."""
        return self._inner.history(enrollment_ids)

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """As the real one."""
        return self._inner.given_access(enrollment_ids)

    def recent_runs(self) -> Sequence[RecentRun]:
        """As the real one."""
        return self._inner.recent_runs()

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        """As the real one."""
        return self._inner.ignored(now=now)
