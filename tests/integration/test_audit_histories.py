"""Random histories verify: runs side by side, crashes, recoveries, the dead who go on, prunings.

And whatever single thing is changed in the end is found.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconcile.audit.forget import forget
from reconcile.audit.log import SqlAuditLog
from reconcile.audit.prune import prune
from reconcile.audit.schema import read_secret
from reconcile.run.ports import End, Intent
from reconcile.run.summary import RunStatus
from tests.fakes.attempts import finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import DAY, tampered, verified, write
from tests.fakes.audit_samples import (
    ELSEWHERE,
    ENROLLED,
    HERE,
    NOON,
    REFUSED,
    SKIPPED,
    enrollment,
    record,
    summary,
)

_PEOPLE = ("a@example.com", "b@example.com", "c@example.com")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "open",
                "begin",
                "begin",
                "finish",
                "finish",
                "begin_group",
                "finish_group",
                "record",
                "close",
                "bury",
                "recover",
                "zombie",
                "prune",
                "forget",
                "heartbeat",
            ]
        ),
        st.integers(0, 1000),
    ),
    max_size=40,
)


@dataclass
class History:
    """Lets things happen that may happen, one after the other."""

    log: SqlAuditLog
    now: datetime = NOON
    running: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    open_attempts: dict[int, str] = field(default_factory=dict)
    opened: int = 0

    def take(self, step: str, choice: int) -> None:
        """One step; what cannot happen now does not."""
        self.now += timedelta(hours=choice % 30)
        getattr(self, step)(choice)

    def open(self, _choice: int) -> None:
        self.opened += 1
        run_id = f"run-{self.opened}"
        self.log.open_run(summary(run_id, started_at=self.now), ELSEWHERE)
        self.running.append(run_id)

    def begin(self, choice: int) -> None:
        if self.running:
            run_id = self.running[choice % len(self.running)]
            attempt = write(self.log, run_id, f"order-{choice % 5}", person=_PEOPLE[choice % 3])
            self.open_attempts[attempt] = run_id

    def record(self, choice: int) -> None:
        if self.running:
            run_id = self.running[choice % len(self.running)]
            self.log.record([record(id=f"order-{number}", run_id=run_id) for number in range(choice % 4)])

    def finish(self, choice: int) -> None:
        """By its own run, also where that was given up for dead."""
        if self.open_attempts:
            attempt = sorted(self.open_attempts)[choice % len(self.open_attempts)]
            run_id = self.open_attempts.pop(attempt)
            finish(self.log, attempt, ENROLLED if choice % 2 else REFUSED, run_id=run_id, at=self.now)

    def begin_group(self, choice: int) -> None:
        """Under leases or not; others' pairs are left to them."""
        if self.running:
            run_id = self.running[choice % len(self.running)]
            intents = [
                Intent(
                    run_id=run_id,
                    enrollment=enrollment(f"order-{number}", member=_PEOPLE[(choice + number) % 3]),
                    number=1,
                    started_at=self.now,
                    lease_token=f"token-{number}" if choice % 2 else None,
                )
                for number in range(choice % 4)
            ]
            for attempt in self.log.begin_all(intents, held_since=self.now - DAY):
                if attempt is not None:
                    self.open_attempts[attempt] = run_id

    def finish_group(self, choice: int) -> None:
        """Some of them never sent."""
        by_run: dict[str, list[int]] = {}
        for attempt, run_id in self.open_attempts.items():
            by_run.setdefault(run_id, []).append(attempt)
        if by_run:
            run_id = sorted(by_run)[choice % len(by_run)]
            ends = [
                End(attempt_id=attempt, verdict=SKIPPED, at=self.now, never_sent=True)
                if (attempt + choice) % 2
                else End(attempt_id=attempt, verdict=ENROLLED, at=self.now, http_status=200)
                for attempt in by_run[run_id]
            ]
            self.log.finish_all(ends, run_id=run_id)
            for attempt in by_run[run_id]:
                del self.open_attempts[attempt]

    def close(self, choice: int) -> None:
        if self.running:
            self._end(self.running.pop(choice % len(self.running)))

    def bury(self, _choice: int) -> None:
        """All that run are given up for dead."""
        closed = self.log.close_dead_runs(origin=HERE, stale_before=self.now + 9999 * DAY, at=self.now)
        assert sorted(closed) == sorted(self.running)
        self.over += self.running
        self.running = []

    def recover(self, _choice: int) -> None:
        """A run settles what the dead have left open."""
        if self.running:
            for left in self.log.open_attempts():
                finish(self.log, left.attempt_id, ENROLLED, run_id=self.running[0], at=self.now)
                del self.open_attempts[left.attempt_id]

    def zombie(self, choice: int) -> None:
        """A run that was over has one more verdict, or gives its end once more."""
        if self.over:
            run_id = self.over[choice % len(self.over)]
            if choice % 2:
                self.log.record([record(id="late", run_id=run_id)])
            else:
                self._end(run_id)

    def heartbeat(self, choice: int) -> None:
        everybody = self.running + self.over
        if everybody:
            self.log.heartbeat(everybody[choice % len(everybody)], self.now)

    def prune(self, choice: int) -> None:
        before = self.now - timedelta(hours=choice % 100)
        prune(self.log.store, before=before, by="the test", at=self.now)
        with self.log.reading() as connection:
            there = set(connection.exec_driver_sql("SELECT run_id FROM runs").scalars())
        assert there >= set(self.open_attempts.values())
        self.over = [run_id for run_id in self.over if run_id in there]

    def forget(self, choice: int) -> None:
        secret = read_secret(self.log.store)
        forget(self.log.store, secret=secret, email=_PEOPLE[choice % 3], by="the test", at=self.now)

    def _end(self, run_id: str) -> None:
        ended = summary(run_id)
        ended.close(RunStatus.COMPLETED, at=self.now)
        self.log.close_run(ended)
        if run_id not in self.over:
            self.over.append(run_id)


@contextmanager
def _told(steps: list[tuple[str, int]]) -> Iterator[SqlAuditLog]:
    folder = Path(tempfile.mkdtemp())
    try:
        with new_audit(folder) as log:
            history = History(log)
            history.open(0)
            for step, choice in steps:
                history.take(step, choice)
            yield log
    finally:
        shutil.rmtree(folder)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whatever_may_happen_verifies(steps: list[tuple[str, int]]) -> None:
    with _told(steps) as log:
        assert verified(log).findings == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from(("attempts", "runs", "links", "seals")), st.integers(0, 10**6), st.booleans())
def test_whatever_is_changed_is_found(
    steps: list[tuple[str, int]], table: str, choice: int, removed: bool
) -> None:
    with _told(steps) as log:
        path = log.store.file
        assert path is not None
        log.close()
        content = path.read_bytes()
        change = _a_change(path, table, choice, removed=removed)
        if change is None:
            return

        with tampered(content, path.parent, change) as copy:
            assert not verified(copy).is_intact, change


def _a_change(path: Path, table: str, choice: int, *, removed: bool) -> str | None:
    """SQL that removes one row, or changes one value of it; None where there is nothing to change."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
    if not rows:
        return None
    row = rows[choice % len(rows)]
    this = " AND ".join(
        f"{name} IS {value!r}" if value is not None else f"{name} IS NULL" for name, value in row.items()
    )
    if removed:
        return f"DELETE FROM {table} WHERE {this}"
    column = list(row)[choice // 1000 % len(row)]
    if table == "runs" and column == "heartbeat_at" and row["status"] == "running":
        return None  # nothing proves it until the run has ended
    value = row[column]
    other = value + 1000 if isinstance(value, int) else "'2020-02-02 00:00:00.000000'"
    return f"UPDATE {table} SET {column} = {other} WHERE {this}"
