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
    Enrollment,
    History,
    OpenWrite,
    Outcome,
    Reason,
)
from reconcile.run.ports import End, Intent, OpenAttempt, Origin, RecentRun, Record
from reconcile.run.summary import RunStatus, RunSummary
from tests.fakes.audit_rows import Attempt, Run


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

    def begin_all(self, intents: Sequence[Intent], *, held_since: datetime) -> Sequence[int | None]:
        with self._lock:
            self._require(all(intent.run_id in self.runs for intent in intents), "no such run")
            return [
                None if self._is_locked(intent, held_since=held_since) else self._begin(intent)
                for intent in intents
            ]

    def _begin(self, intent: Intent) -> int:
        return self._append(
            Attempt(
                attempt_id=next(self._ids),
                run_id=intent.run_id,
                enrollment=intent.enrollment,
                number=intent.number,
                action="enroll",
                started_at=intent.started_at,
                flags=intent.flags,
                lease_token=intent.lease_token,
            )
        )

    def _is_locked(self, intent: Intent, *, held_since: datetime) -> bool:
        return any(
            (row.finished_at is None or row.is_unanswered) and row.started_at >= held_since
            for row in self.attempts.values()
            if row.key == intent.enrollment.key
            and row.run_id != intent.run_id
            and row.number > 0
            and not row.never_sent
        )

    def finish_all(self, ends: Sequence[End], *, run_id: str) -> None:
        with self._lock:
            self._require(not ends or run_id in self.runs, "no such run")
            self._require(all(end.attempt_id in self.attempts for end in ends), "no such attempt")
            for end in ends:
                row = self.attempts[end.attempt_id]
                if row.finished_at is None:
                    row.finished_at, row.verdict, row.http_status = end.at, end.verdict, end.http_status
                    row.flags |= end.verdict.flags
                    row.never_sent = end.never_sent

    def record(self, records: Sequence[Record]) -> frozenset[str]:
        with self._lock:
            self._require(all(record.run_id in self.runs for record in records), "no such run")
            left_out = {record.enrollment.id for record in records if self._was_said(record)}
            for record in records:
                if record.enrollment.id in left_out:
                    continue
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

        return frozenset(left_out)

    def _was_said(self, record: Record) -> bool:
        """Whether another run has said so since, or is about to."""
        verdict, gives_access = record.verdict, record.verdict.outcome.has_access
        key = record.enrollment.key if isinstance(record.enrollment, Enrollment) else None
        for row in self.attempts.values():
            said = row.verdict
            is_newer = row.enrollment.id == record.enrollment.id and row.attempt_id > (record.known or 0)
            if said is None:
                is_running = self.runs[row.run_id].status is RunStatus.RUNNING
                is_at_it = is_newer or (is_running and key is not None and row.key == key)
                if gives_access and is_at_it and row.run_id != record.run_id:
                    return True
                continue
            if row.never_sent or not is_newer:
                continue
            if (said.outcome, said.reason) == (verdict.outcome, verdict.reason):
                return True
            if gives_access and said.outcome.has_access:
                return True
        return False

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
                key=row.key,
                started_at=row.started_at,
                token=row.lease_token,
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

    def _history(self, all_rows: list[Attempt]) -> History:
        rows = [row for row in all_rows if not row.never_sent]
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
            open_attempts=tuple(
                OpenWrite(attempt_id=row.attempt_id, started_at=row.started_at, token=row.lease_token)
                for row in rows
                if self._is_left_open(row)
            ),
            newest=max(row.attempt_id for row in all_rows),
        )
