"""SqlAuditLog: the audit log in a SQL database. Each method is one transaction, committed on return.

An attempt's row holds no whole address: a masked one for people to read, and keys into `people`,
the only table that forgetting somebody has to touch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal, Self, overload

from sqlalchemy import Connection, case, insert, literal, select, update

from reconcile.audit import interventions as audit_interventions
from reconcile.audit import rows
from reconcile.audit.chain.digests import Event
from reconcile.audit.chain.links import chained, seal_opening, seal_runs
from reconcile.audit.history import given_access, histories
from reconcile.audit.process import is_gone
from reconcile.audit.schema import BUSY_TIMEOUT, open_store, read_secret
from reconcile.audit.store import Store, insert_new
from reconcile.audit.tables import attempts, people, runs
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.interventions import Intervention
from reconcile.domain.model import EffectKey, History, Outcome, Verdict
from reconcile.run.ports import Intent, OpenAttempt, Origin, RecentRun, Record
from reconcile.run.summary import RunStatus, RunSummary

#: Writes what finished attempts, given as rows, owe to others: on the same connection, which it must not end.
OnOutcomes = Callable[[Connection, Sequence[Mapping[Any, Any]]], None]

#: Rows that are appended, with the numbers they were given, in their order.
_NUMBERED = insert(attempts).returning(attempts.c.attempt_id, sort_by_parameter_order=True)
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
        self.on_outcomes: OnOutcomes | None = None

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

    def begin(self, intent: Intent) -> int:
        """Commit the intent; the attempt's id."""
        row = rows.intent_row(intent, self._secret)
        with (
            self.store.writing() as connection,
            chained(connection, intent.run_id, at=intent.started_at) as chain,
        ):
            _remember_people(connection, rows.people_rows(intent.enrollment, self._secret))
            key = connection.execute(insert(attempts), row).inserted_primary_key
            if key is None:
                raise AuditUnavailable("the audit database has given the attempt no number")
            attempt_id = int(key[0])
            chain.append(Event.BEGAN, [{"attempt_id": attempt_id, **row}])
        return attempt_id

    def finish(
        self,
        attempt_id: int,
        verdict: Verdict,
        *,
        run_id: str,
        at: datetime,
        http_status: int | None = None,
    ) -> None:
        """Finish an open attempt; one that has its end keeps it. May be repeated."""
        this = attempts.c.attempt_id == attempt_id
        with self.store.writing() as connection, chained(connection, run_id, at=at) as chain:
            row = connection.execute(select(attempts.c.flags).where(this)).one_or_none()
            if row is None:
                raise AuditUnavailable(f"attempt {attempt_id} is not in the audit database any more")
            values = {**rows.verdict_columns(verdict, at=at), "http_status": http_status}
            values["flags"] = rows.join_flags(verdict.flags | rows.split_flags(row.flags))
            unfinished = attempts.c.finished_at.is_(None)
            if connection.execute(update(attempts).where(this, unfinished).values(values)).rowcount:
                chain.append(Event.ENDED, [{"attempt_id": attempt_id, **values}])
                if self.on_outcomes is not None:
                    self.on_outcomes(
                        connection, connection.execute(select(attempts).where(this)).mappings().all()
                    )

    def record(self, records: Sequence[Record]) -> None:
        """Append verdicts that needed no write: all of them or none."""
        if not records:
            return
        addresses: dict[str, str] = {}
        for record in records:
            addresses.update(rows.people_rows(record.enrollment, self._secret))
        with self.store.writing() as connection:
            for run_id, group in groupby(records, key=attrgetter("run_id")):
                values = [rows.record_row(record, self._secret) for record in group]
                with chained(connection, run_id, at=records[0].at) as chain:
                    _remember_people(connection, addresses)
                    numbers = connection.execute(_NUMBERED, values).scalars().all()
                    chain.append(
                        Event.RECORDED,
                        [{"attempt_id": n, **row} for n, row in zip(numbers, values, strict=True)],
                    )
                if self.on_outcomes is not None:
                    self.on_outcomes(connection, values)

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


def _change_run(connection: Connection, run_id: str, values: dict[str, Any]) -> None:
    changed = connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))
    if changed.rowcount != 1:
        raise AuditUnavailable(f"run {run_id} is not in the audit database any more")


def _remember_people(connection: Connection, addresses: Mapping[str, str]) -> None:
    if not addresses:
        return
    # Sorted: two transactions that add the same people in another order would wait for each other.
    values = [{"person_key": key, "email": email} for key, email in sorted(addresses.items())]
    insert_new(connection, people, values)
