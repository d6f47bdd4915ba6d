"""SqlAuditLog: the audit log in a SQL database. Each method is one transaction, committed on return.

An attempt's row holds no whole address: a masked one for people to read, and keys into `people`,
the only table that forgetting somebody has to touch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Self, TypeVar, overload

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from reconcile.adapters import audit_interventions
from reconcile.adapters import audit_rows as rows
from reconcile.adapters.audit_history import given_access, histories
from reconcile.adapters.audit_schema import BUSY_TIMEOUT, open_store, read_secret
from reconcile.adapters.audit_store import Store
from reconcile.adapters.outbox import post
from reconcile.adapters.process import is_alive
from reconcile.adapters.tables import attempts, people, runs
from reconcile.domain.interventions import Intervention
from reconcile.domain.model import NO_HISTORY, EffectKey, History, Outcome, Verdict
from reconcile.domain.summary import RunStatus, RunSummary
from reconcile.errors import AuditUnavailable
from reconcile.ports import Intent, OpenAttempt, Origin, RecentRun, Record

#: Ids in one query: well below every database's limit of parameters.
CHUNK = 500
#: How many earlier runs are worth comparing with: a few hours of a five-minute schedule.
RECENT = 50

T = TypeVar("T")


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
        #: True: an outcome that gave access also owes the learner a mail, in the same transaction.
        self.owes_mail = False

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
        """Record that a run has begun."""
        with self.store.writing() as connection:
            connection.execute(insert(runs), rows.run_row(summary, origin))

    def heartbeat(self, run_id: str, at: datetime) -> None:
        """Record that the run is still alive."""
        self._change_run(run_id, {"heartbeat_at": at})

    def close_run(self, summary: RunSummary) -> None:
        """Record how the run ended. May be repeated; the last word counts."""
        self._change_run(summary.run_id, rows.run_progress(summary))

    def close_dead_runs(self, *, origin: Origin, stale_before: datetime, at: datetime) -> Sequence[str]:
        """Close runs whose process is gone as `crashed`; their ids, oldest first. May be repeated."""
        closed = []
        with self.store.writing() as connection:
            running = runs.c.status == RunStatus.RUNNING.value
            for run in connection.execute(select(runs).where(running).order_by(runs.c.started_at)).all():
                if not _is_gone(run, origin, stale_before):
                    continue
                changed = connection.execute(
                    update(runs)
                    # Not if it has given a sign since: where writers do not exclude each other it may.
                    .where(running, runs.c.run_id == run.run_id, runs.c.heartbeat_at == run.heartbeat_at)
                    .values(status=RunStatus.CRASHED.value, finished_at=at)
                )
                if changed.rowcount == 1:
                    closed.append(run.run_id)
        return closed

    def history(self, enrollment_ids: Sequence[str]) -> Mapping[str, History]:
        """What is remembered of these enrollments; absent ones have no history."""
        found: dict[str, History] = {}
        if not enrollment_ids:
            return found
        with self.store.reading() as connection:
            for chunk in _chunks(list(dict.fromkeys(enrollment_ids)), CHUNK):
                found.update(histories(connection, chunk))
                for name, until in audit_interventions.ignored_until(connection, chunk).items():
                    found[name] = replace(found.get(name, NO_HISTORY), ignored_until=until)
        return found

    def given_access(self, enrollment_ids: Sequence[str]) -> frozenset[str]:
        """Of these orders, those whose learner we have given access."""
        found: set[str] = set()
        with self.store.reading() as connection:
            for chunk in _chunks(list(enrollment_ids), CHUNK):
                found |= given_access(connection, chunk)
        return frozenset(found)

    def intervene(self, intervention: Intervention) -> None:
        """Record what a person has asked for by hand."""
        with self.store.writing() as connection:
            audit_interventions.append(connection, intervention)

    def ignored(self, *, now: datetime) -> Sequence[Intervention]:
        """The orders that are to be left alone at `now`, and who said so; the soonest to end first."""
        with self.store.reading() as connection:
            return audit_interventions.ignored(connection, now=now)

    def begin(self, intent: Intent) -> int:
        """Commit the intent; the attempt's id."""
        with self.store.writing() as connection:
            _remember_people(connection, rows.people_rows(intent.enrollment, self._secret))
            result = connection.execute(insert(attempts), rows.intent_row(intent, self._secret))
            key = result.inserted_primary_key
        if key is None:
            raise AuditUnavailable("the audit database has given the attempt no number")
        return int(key[0])

    def finish(
        self, attempt_id: int, verdict: Verdict, *, at: datetime, http_status: int | None = None
    ) -> None:
        """Finish an open attempt; one that has its end keeps it. May be repeated."""
        this = attempts.c.attempt_id == attempt_id
        with self.store.writing() as connection:
            row = connection.execute(select(attempts.c.flags).where(this)).one_or_none()
            if row is None:
                raise AuditUnavailable(f"attempt {attempt_id} is not in the audit database any more")
            values = rows.verdict_columns(verdict, at=at)
            values["flags"] = rows.join_flags(verdict.flags | rows.split_flags(row.flags))
            changed = connection.execute(
                update(attempts)
                .where(this, attempts.c.finished_at.is_(None))
                .values(**values, http_status=http_status)
            )
            if self.owes_mail and changed.rowcount == 1:
                post(connection, connection.execute(select(attempts).where(this)).mappings().all())

    def record(self, records: Sequence[Record]) -> None:
        """Append verdicts that needed no write: all of them or none."""
        if not records:
            return
        addresses: dict[str, str] = {}
        for record in records:
            addresses.update(rows.people_rows(record.enrollment, self._secret))
        with self.store.writing() as connection:
            _remember_people(connection, addresses)
            recorded = [rows.record_row(record, self._secret) for record in records]
            connection.execute(insert(attempts), recorded)
            if self.owes_mail:
                post(connection, recorded)

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
            .add_columns(people.c.email)
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
                )
                for row in connection.execute(query)
            ]

    def _change_run(self, run_id: str, values: dict[str, Any]) -> None:
        with self.store.writing() as connection:
            changed = connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))
            if changed.rowcount != 1:
                raise AuditUnavailable(f"run {run_id} is not in the audit database any more")


def _is_gone(run: Any, origin: Origin, stale_before: datetime) -> bool:
    own = run.pid == origin.pid and run.process_started == origin.process_started
    if run.host != origin.host or own:
        # Of this very process: an earlier run whose end could not be recorded, in a scheduler.
        return bool(run.heartbeat_at < stale_before)
    return not is_alive(run.pid, run.process_started)


def _remember_people(connection: Connection, addresses: Mapping[str, str]) -> None:
    if not addresses:
        return
    # Sorted: two transactions that add the same people in another order would wait for each other.
    values = [{"person_key": key, "email": email} for key, email in sorted(addresses.items())]
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(people).on_conflict_do_nothing(), values)
    else:
        connection.execute(sqlite.insert(people).on_conflict_do_nothing(), values)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
