"""The audit log in memory: the same contract, no database."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconcile.audit.process import is_gone
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.interventions import Intervention, InterventionKind
from reconcile.domain.model import (
    NO_HISTORY,
    AnyEnrollment,
    EffectKey,
    Enrollment,
    History,
    Outcome,
    Reason,
    Verdict,
)
from reconcile.run.ports import Intent, OpenAttempt, Origin, RecentRun, Record
from reconcile.run.summary import RunStatus, RunSummary


@dataclass
class Run:
    """A run as it is remembered."""

    summary: RunSummary
    origin: Origin
    heartbeat_at: datetime
    status: RunStatus
    finished_at: datetime | None = None


@dataclass
class Attempt:
    """One row."""

    attempt_id: int
    run_id: str
    enrollment: AnyEnrollment
    number: int
    action: str
    started_at: datetime
    finished_at: datetime | None = None
    verdict: Verdict | None = None
    http_status: int | None = None
    flags: frozenset[str] = frozenset()

    @property
    def was_excused(self) -> bool:
        verdict = self.verdict
        return (
            self.number > 0
            and verdict is not None
            and verdict.outcome is Outcome.RETRYING
            and not verdict.attempts
            and verdict.reason in (Reason.LMS_UNAVAILABLE, Reason.LMS_TIMEOUT)
        )


@dataclass
class InMemoryAuditLog:
    """AuditLog without a database. `broken=True`: every call raises, as with a full disk."""

    runs: dict[str, Run] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    interventions: list[Intervention] = field(default_factory=list)
    broken: bool = False
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _seals: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open_run(self, summary: RunSummary, origin: Origin) -> None:
        self._require(summary.run_id not in self.runs, "two runs with one id")
        self.runs[summary.run_id] = Run(
            summary=replace(summary), origin=origin, heartbeat_at=summary.started_at, status=summary.status
        )

    def heartbeat(self, run_id: str, at: datetime) -> None:
        self._require(run_id in self.runs, "no such run")
        if self.runs[run_id].status is RunStatus.RUNNING:
            self.runs[run_id].heartbeat_at = at

    def close_run(self, summary: RunSummary) -> str | None:
        self._require(summary.run_id in self.runs, "no such run")
        run = self.runs[summary.run_id]
        run.summary, run.status, run.finished_at = replace(summary), summary.status, summary.finished_at
        if summary.status is RunStatus.RUNNING:
            return None
        number = next(self._seals)
        return f"{number}:{number:064x}"

    def close_dead_runs(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        self._require()
        closed = []
        for run_id, run in sorted(self.runs.items(), key=lambda item: item[1].summary.started_at):
            if run.status is RunStatus.RUNNING and is_gone(
                run.origin, seen_from=origin, is_stale=run.heartbeat_at < stale_before
            ):
                run.status, run.finished_at = RunStatus.CRASHED, at
                closed.append(run_id)
        return closed

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        self._require()
        wanted = dict.fromkeys(enrollment_ids)
        rows: dict[str, list[Attempt]] = {}
        with self._lock:
            for row in self.attempts.values():
                if row.enrollment.id in wanted:
                    rows.setdefault(row.enrollment.id, []).append(row)
        found = {enrollment_id: self._history(found) for enrollment_id, found in rows.items()}
        for name, said in self._last_words().items():
            if name in wanted:
                found[name] = replace(found.get(name, NO_HISTORY), ignored_until=said.until)
        return found

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        self._require()
        ours = (Outcome.ENROLLED, Outcome.RECOVERED)
        with self._lock:
            given = [row for row in self.attempts.values() if row.verdict and row.verdict.outcome in ours]
        return frozenset(row.enrollment.id for row in given) & frozenset(enrollment_ids)

    def begin(self, intent: Intent) -> int:
        with self._lock:
            return self._append(
                Attempt(
                    attempt_id=next(self._ids),
                    run_id=intent.run_id,
                    enrollment=intent.enrollment,
                    number=intent.number,
                    action="enroll",
                    started_at=intent.started_at,
                    flags=intent.flags,
                )
            )

    def finish(
        self,
        attempt_id: int,
        verdict: Verdict,
        *,
        run_id: str,
        at: datetime,
        http_status: int | None = None,
    ) -> None:
        with self._lock:
            self._require(run_id in self.runs, "no such run")
            self._require(attempt_id in self.attempts, "no such attempt")
            row = self.attempts[attempt_id]
            if row.finished_at is None:
                row.finished_at, row.verdict, row.http_status = at, verdict, http_status
                row.flags |= verdict.flags

    def record(self, records: Sequence[Record]) -> None:
        with self._lock:
            self._require(all(record.run_id in self.runs for record in records), "no such run")
            for record in records:
                self._append(
                    Attempt(
                        attempt_id=next(self._ids),
                        run_id=record.run_id,
                        enrollment=record.enrollment,
                        number=0,
                        action=record.action,
                        started_at=record.at,
                        finished_at=record.at,
                        verdict=record.verdict,
                        flags=record.verdict.flags,
                    )
                )

    def recent_runs(self) -> Sequence[RecentRun]:
        self._require()
        done = [
            run.summary
            for run in self.runs.values()
            if run.status is RunStatus.COMPLETED and run.summary.mode == "apply"
        ]
        done.sort(key=lambda summary: summary.started_at, reverse=True)
        return [
            RecentRun(
                enrolled=summary.outcomes[Outcome.ENROLLED],
                lms_total=summary.lms_total,
                finished_at=summary.finished_at,
            )
            for summary in done[:50]
        ]

    def open_attempts(self) -> Sequence[OpenAttempt]:
        self._require()
        return [
            OpenAttempt(
                attempt_id=row.attempt_id,
                enrollment_id=row.enrollment.id,
                key=_key(row.enrollment),
                started_at=row.started_at,
            )
            for row in self.attempts.values()
            if self._is_left_open(row)
        ]

    def intervene(self, intervention: Intervention) -> None:
        self._require()
        self.interventions.append(intervention)

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        self._require()
        return sorted(
            (said for said in self._last_words().values() if said.until is not None and said.until > now),
            key=lambda said: (said.until, said.at),
        )

    def _last_words(self) -> dict[str, Intervention]:
        """The newest word on each order, where it is to ignore it."""
        words = {
            said.enrollment_id: said
            for said in self.interventions
            if said.enrollment_id is not None
            and said.kind in (InterventionKind.IGNORE, InterventionKind.UNIGNORE)
        }
        return {name: said for name, said in words.items() if said.kind is InterventionKind.IGNORE}

    def _last_success(self) -> int:
        """The newest attempt that enrolled somebody; 0 where there is none."""
        for attempt_id in sorted(self.attempts, reverse=True):
            verdict = self.attempts[attempt_id].verdict
            if verdict is not None and verdict.outcome is Outcome.ENROLLED:
                return attempt_id
        return 0

    def _append(self, row: Attempt) -> int:
        self._require(row.run_id in self.runs, "no such run")
        self.attempts[row.attempt_id] = row
        return row.attempt_id

    def _require(self, condition: object = True, problem: str = "") -> None:
        if self.broken:
            raise AuditUnavailable("the audit database cannot grow: the disk is full")
        if not condition:
            raise AuditUnavailable(problem)

    def _is_left_open(self, row: Attempt) -> bool:
        return row.finished_at is None and self.runs[row.run_id].status is not RunStatus.RUNNING

    def _history(self, rows: list[Attempt]) -> History:
        verdicts = [row.verdict for row in rows if row.verdict is not None]
        said = [
            row
            for row in rows
            if row.verdict
            and row.verdict.outcome is not Outcome.SKIPPED
            and row.verdict.reason is not Reason.EXHAUSTED
        ]
        used = [row for row in rows if self._is_left_open(row) or (row.verdict and row.verdict.attempts)]
        return History(
            visits=len({row.run_id for row in used}),
            added=len({row.run_id for row in rows if row.verdict and row.verdict.attempts}),
            writes=sum(row.number > 0 for row in rows),
            excused=sum(row.was_excused for row in rows),
            disproved=sum(row.was_excused and row.attempt_id < self._last_success() for row in rows),
            last_outcome=verdicts[-1].outcome if verdicts else None,
            last_reason=verdicts[-1].reason if verdicts else None,
            last_said_at=max((row.finished_at for row in said if row.finished_at), default=None),
            last_write_at=max((row.started_at for row in rows if row.number > 0), default=None),
            open_attempt=max((row.attempt_id for row in rows if self._is_left_open(row)), default=None),
        )


def _key(enrollment: AnyEnrollment) -> EffectKey | None:
    return enrollment.key if isinstance(enrollment, Enrollment) else None
