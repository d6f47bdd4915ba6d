"""SqlAuditLog: the audit log in a SQL database. Each method is one transaction, committed on return.

An attempt's row holds no whole address: a masked one for people to read, and keys into `people`,
the only table that forgetting somebody has to touch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal, Self, overload

from sqlalchemy import Connection, case, insert, literal, select, update

from reconcile.audit import groups, rows
from reconcile.audit import interventions as audit_interventions
from reconcile.audit.chain.links import seal_opening, seal_runs
from reconcile.audit.history import given_access, histories
from reconcile.audit.process import is_gone
from reconcile.audit.schema import BUSY_TIMEOUT, open_store, read_secret
from reconcile.audit.store import Store
from reconcile.audit.tables import attempts, people, runs
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.interventions import Intervention
from reconcile.domain.model import EffectKey, History, Outcome
from reconcile.run.ports import End, Intent, OpenAttempt, Origin, RecentRun, Record
from reconcile.run.summary import RunStatus, RunSummary

#: How many earlier runs are worth comparing with: a few hours of a five-minute schedule.
RECENT = 50


@overload
def open_audit(url: str, *, busy_timeout: float = ...) -> SqlAuditLog: ...
@overload
def open_audit(url: str, *, create: Literal[True], busy_timeout: float = ...) -> SqlAuditLog: ...
@overload
def open_audit(url: str, *, create: bool, busy_timeout: float = ...) -> SqlAuditLog | None: ...
def open_audit(url: str, *, create: bool = True, busy_timeout: float = BUSY_TIMEOUT) -> SqlAuditLog | None:
    """Open the audit database at `url` with this version's schema.

    `create=True` makes or upgrades it where needed. `create=False` is for reading only: changes
    nothing and returns None where there is no audit yet. Raises AuditUnavailable, and
    ConfigurationError for a URL that cannot be used.
    """
    store = open_store(url, create=create, busy_timeout=busy_timeout)
    if store is None:
        return None
    try:
        return SqlAuditLog(store, secret=read_secret(store))
    except BaseException:
        store.close()
        raise


class SqlAuditLog:
    """AuditLog on SQLite or PostgreSQL. Thread-safe. Every method raises AuditUnavailable only."""

    def __init__(self, store: Store, *, secret: bytes) -> None:
        self.store = store
        self._secret = secret
        #: Is told of each finished attempt's row in the very transaction that commits it: what an outcome
        #: owes to others (a mail to the learner) is written with it or not at all.
        self.on_outcomes: groups.OnOutcomes | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. May be repeated."""
        self.store.close()

    def person_key(self, email: str) -> str:
        """Under which key this database knows the person with that address."""
        return rows.person_key(self._secret, email)

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection for reports, in a transaction that sees one moment; runs may go on writing."""
        return self.store.reading()

    def open_run(self, summary: RunSummary, origin: Origin) -> None:
        """Record that a run has begun, and seal that."""
        row = rows.run_row(summary, origin)
        with self.store.writing() as connection:
            connection.execute(insert(runs), row)
            seal_opening(connection, row, at=summary.started_at)

    def heartbeat(self, run_id: str, at: datetime) -> None:
        """Record that the run is still alive; changes nothing about one that is over."""
        seen = literal(at, runs.c.heartbeat_at.type)
        alive = case((runs.c.status == RunStatus.RUNNING.value, seen), else_=runs.c.heartbeat_at)
        with self.store.writing() as connection:
            _change_run(connection, run_id, {"heartbeat_at": alive})

    def close_run(self, summary: RunSummary) -> str | None:
        """Record how the run ended, and seal it; the newest seal. May be repeated; the last word counts."""
        with self.store.writing() as connection:
            _change_run(connection, summary.run_id, rows.run_progress(summary))
            if summary.status is RunStatus.RUNNING:
                return None
            ended = summary.finished_at or summary.started_at
            return str(seal_runs(connection, [summary.run_id], at=ended))

    def close_dead_runs(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        """Close runs whose process is gone as `crashed`; their ids, oldest first. May be repeated."""
        closed = []
        with self.store.writing() as connection:
            running = runs.c.status == RunStatus.RUNNING.value
            for run in connection.execute(select(runs).where(running).order_by(runs.c.started_at)).all():
                of = Origin(host=run.host, pid=run.pid, process_started=run.process_started)
                if not is_gone(of, seen_from=origin, is_stale=run.heartbeat_at < stale_before):
                    continue
                changed = connection.execute(
                    update(runs)
                    # Not if it has given a sign since: where writers do not exclude each other it may.
                    .where(running, runs.c.run_id == run.run_id, runs.c.heartbeat_at == run.heartbeat_at)
                    .values(status=RunStatus.CRASHED.value, finished_at=at)
                )
                if changed.rowcount == 1:
                    closed.append(run.run_id)
            if closed:
                seal_runs(connection, closed, at=at)
        return closed

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        """What is remembered of these enrollments; absent ones have no history."""
        if not enrollment_ids:
            return {}
        with self.store.reading() as connection:
            return histories(connection, enrollment_ids)

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Of these orders, those whose learner we have given access."""
        with self.store.reading() as connection:
            return given_access(connection, enrollment_ids)

    def intervene(self, intervention: Intervention) -> None:
        """Record what a person has asked for by hand."""
        with self.store.writing() as connection:
            audit_interventions.append(connection, intervention)

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        """The orders that are to be left alone at `now`, and who said so; the soonest to end first."""
        with self.store.reading() as connection:
            return audit_interventions.ignored(connection, now=now)

    def begin_all(self, intents: Sequence[Intent], *, held_since: datetime) -> Sequence[int | None]:
        """Commit these intents together; each one's attempt id, None where the pair is somebody else's.

        See the port for what locks a pair.
        """
        if not intents:
            return []
        begun = [self._begun(intent) for intent in intents]
        with self.store.writing() as connection:
            return groups.begin_all(connection, begun, held_since=held_since)

    def finish_all(self, ends: Sequence[End], *, run_id: str) -> None:
        """Finish open attempts in one transaction; one that has its end keeps it. May be repeated."""
        if not ends:
            return
        with self.store.writing() as connection:
            groups.finish_all(connection, ends, run_id=run_id, on_outcomes=self.on_outcomes)

    def record(self, records: Sequence[Record]) -> frozenset[str]:
        """Append verdicts that needed no write, all of them or none; the ids of orders left out.

        See the port for what is left out.
        """
        if not records:
            return frozenset()
        said = [groups.Said(record, rows.record_row(record, self._secret)) for record in records]
        with self.store.writing() as connection:
            return groups.record(connection, said, on_outcomes=self.on_outcomes)

    def _begun(self, intent: Intent) -> groups.Begun:
        return groups.Begun(intent, rows.intent_row(intent, self._secret))

    def recent_runs(self) -> Sequence[RecentRun]:
        """The last completed, applied runs, the newest first."""
        with self.store.reading() as connection:
            found = connection.execute(
                select(runs.c.outcomes, runs.c.lms_total, runs.c.finished_at)
                .where(runs.c.status == RunStatus.COMPLETED.value, runs.c.mode == "apply")
                .order_by(runs.c.started_at.desc())
                .limit(RECENT)
            ).all()
        return [
            RecentRun(
                enrolled=int(json.loads(row.outcomes).get(Outcome.ENROLLED.value, 0)),
                lms_total=row.lms_total,
                finished_at=row.finished_at,
            )
            for row in found
        ]

    def open_attempts(self) -> Sequence[OpenAttempt]:
        """Attempts without an outcome, of runs that are over; oldest first."""
        query = (
            select(attempts.c.attempt_id, attempts.c.enrollment_id, attempts.c.started_at, attempts.c.course)
            .add_columns(people.c.email, attempts.c.lease_token)
            .join(runs, runs.c.run_id == attempts.c.run_id)
            .outerjoin(people, people.c.person_key == attempts.c.member_key)
            .where(attempts.c.finished_at.is_(None), runs.c.status != RunStatus.RUNNING.value)
            .order_by(attempts.c.attempt_id)
        )
        with self.store.reading() as connection:
            return [
                OpenAttempt(
                    attempt_id=row.attempt_id,
                    enrollment_id=row.enrollment_id,
                    key=EffectKey(row.email, row.course) if row.email and row.course else None,
                    started_at=row.started_at,
                    token=row.lease_token,
                )
                for row in connection.execute(query)
            ]


def _change_run(connection: Connection, run_id: str, values: dict[str, Any]) -> None:
    changed = connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))
    if changed.rowcount != 1:
        raise AuditUnavailable(f"run {run_id} is not in the audit database any more")
