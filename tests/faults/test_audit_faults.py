"""P8: the audit database is full, locked, read-only, deleted or replaced while a run writes.

No request to enroll without a committed row in the file that the run began with; exit 4 with the
remedy; the next run, with a sound file, finishes.
"""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from reconcile.audit.log import SqlAuditLog
from reconcile.base.errors import AuditUnavailable
from reconcile.run import leases
from reconcile.run.answers import EnrollAnswer
from reconcile.run.ports import Enrollment, LearningPlatform
from tests.fakes.audit_file import new_audit
from tests.faults.bench import Bench

ABORTED = 4
ORDERS = 8
#: The enroll during which the audit breaks.
AT = 3


class Breaks:
    """A platform during whose n-th enroll something happens to the audit.

    The other threads wait at their enroll until it has happened: breaking takes a moment, in which
    they could otherwise go through many more.
    """

    def __init__(self, real: LearningPlatform, at: int, what: Callable[[], None]) -> None:
        self._real, self._left, self._what = real, at, what
        self._breaking = threading.Lock()

    def enroll(self, enrollment: Enrollment) -> EnrollAnswer:
        with self._breaking:
            self._left -= 1
            if self._left == 0:
                self._what()
        return self._real.enroll(enrollment)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@dataclass
class Trouble:
    """One way to break the audit database under a run, and to mend it afterwards."""

    bench: Bench
    remedy: str = ""
    #: Where the rows of the run are, once it has been broken.
    kept: Path = field(init=False)
    pragmas: list[str] = field(default_factory=list)
    mend: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.kept = self.bench.audit_file

    def watch(self, audit: SqlAuditLog) -> None:
        """Have `pragmas` on each connection that the run takes from the pool."""
        event.listen(audit.store.engine, "checkout", self._spoil)

    def _spoil(self, connection: sqlite3.Connection, *_: object) -> None:
        for pragma in self.pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    # --- the ways --------------------------------------------------------------------------

    def full(self) -> None:
        # As many pages as there are: nothing can be added.
        self.remedy = "free some space"
        self.pragmas.append("max_page_count = 1")

    def read_only(self) -> None:
        self.remedy = "right to read and write"
        self.pragmas.append("query_only = ON")

    def locked(self) -> None:
        self.remedy = "fuser"
        other = sqlite3.connect(self.bench.audit_file, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN EXCLUSIVE")
        self.mend = other.close

    def deleted(self) -> None:
        # A name of our own for the same file: what the run still holds open stays readable.
        self.remedy = "put the file back"
        self.kept = self._hard_link()
        self.bench.audit_file.unlink()
        self.mend = self._put_back

    def replaced(self) -> None:
        self.remedy = "put the file back"
        self.kept = self._hard_link()
        new_audit(self.bench.folder, "other.db").close()
        (self.bench.folder / "other.db").replace(self.bench.audit_file)
        self.mend = self._put_back

    def _hard_link(self) -> Path:
        kept = self.bench.folder / "kept.db"
        kept.hardlink_to(self.bench.audit_file)
        # What is not yet in the file itself stands in its log, under the name that SQLite looks for.
        (self.bench.folder / "kept.db-wal").hardlink_to(self.bench.folder / "audit.db-wal")
        return kept

    def _put_back(self) -> None:
        for stale in ("audit.db", "audit.db-wal", "audit.db-shm"):
            (self.bench.folder / stale).unlink(missing_ok=True)
        for suffix in ("", "-wal"):
            kept = self.bench.folder / f"kept.db{suffix}"
            if kept.exists():
                kept.rename(self.bench.folder / f"audit.db{suffix}")
        (self.bench.folder / "kept.db-shm").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fences and the audit's lock outlast the hold by ten seconds: too long for a test."""
    monkeypatch.setattr(leases, "IN_FLIGHT", 0.2)


@pytest.fixture
def trouble(bench: Bench) -> Trouble:
    # In the smallest pages each row needs a new one, so that a full database is full at once.
    with closing(sqlite3.connect(bench.audit_file, isolation_level=None)) as connection:
        for statement in ("journal_mode = DELETE", "page_size = 512"):
            connection.execute(f"PRAGMA {statement}").close()
        connection.execute("VACUUM").close()
        connection.execute("PRAGMA journal_mode = WAL").close()
    return Trouble(bench)


def every_request_has_its_row(bench: Bench, file: Path) -> None:
    """The file that the run began with knows every learner whom the LMS was asked for."""
    rows = {row["payment_id"] for row in bench.attempts(file)}
    asked = [f"pi_{entry.member}" for entry in bench.lms.log if entry.operation.startswith("enroll")]
    assert set(asked) <= rows, set(asked) - rows
    assert len(asked) <= len(bench.attempts(file))


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("way", ["full", "read_only", "locked", "deleted", "replaced"])
def test_the_audit_breaks_in_the_middle_of_a_run(
    bench: Bench, trouble: Trouble, way: str, concurrency: int
) -> None:
    learners = bench.orders(ORDERS)

    result = bench.run(
        platform=lambda real: Breaks(real, AT, getattr(trouble, way)),
        broken=trouble.watch,
        busy_timeout=0.1,
        RECONCILE_CONCURRENCY=str(concurrency),
        RECONCILE_AMBIGUOUS_HOLD="0s",
    )

    assert (result.summary.exit_code, result.summary.reason) == (ABORTED, "audit_unavailable")
    assert isinstance(result.failure, AuditUnavailable)
    assert trouble.remedy in result.failure.hint
    # What was in flight, and what had its intent already: three round trips ahead, and one that waits.
    assert AT <= bench.asked() < AT + 5 * concurrency
    if way == "locked":
        trouble.mend()
    every_request_has_its_row(bench, trouble.kept)
    if way != "locked":
        trouble.mend()

    last = _again(bench)

    assert last == 0
    assert {bench.copies(email) for email in learners} == {1}
    assert bench.asked() == ORDERS, "the next run asks for nobody again"
    assert bench.unsynced() == 0
    bench.is_whole()


def _again(bench: Bench) -> int:
    """Runs until leases in doubt (1 s) have lapsed and every story has its end; the last one's exit code.

    This process lives on, so that its broken run counts as dead only when its heartbeat is old too.
    """
    deadline, code = time.monotonic() + 30, 0
    while (bench.unsynced() or bench.open_attempts()) and time.monotonic() < deadline:
        options = {"RECONCILE_BACKOFF_BASE": "0s", "RECONCILE_AMBIGUOUS_HOLD": "0s"}
        code = bench.run(**options).summary.exit_code
        time.sleep(0.1)
    return code


@pytest.mark.parametrize("way", ["full", "read_only", "locked"])
def test_the_audit_is_broken_before_the_run(bench: Bench, trouble: Trouble, way: str) -> None:
    bench.orders(1)
    assert bench.run().summary.exit_code == 0
    bench.orders(ORDERS)
    getattr(trouble, way)()

    result = bench.run(broken=trouble.watch, busy_timeout=0.1)

    assert result.summary.exit_code == ABORTED
    assert isinstance(result.failure, AuditUnavailable)
    assert trouble.remedy in result.failure.hint
    trouble.mend()
    assert bench.asked() == 1
    assert len(bench.attempts()) == 1


# --- as a process --------------------------------------------------------------------------


def _command(bench: Bench, **options: Any) -> subprocess.Popen[str]:
    script = Path(sys.executable).with_name("reconcile")
    return subprocess.Popen(
        [str(script), "run", "--quiet"],
        env={
            **bench.environment,
            "PATH": "/usr/bin:/bin",
            "RECONCILE_TIMEOUT": "10s",
            "RECONCILE_AMBIGUOUS_HOLD": "0s",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=bench.folder,
        **options,
    )


def test_a_process_whose_files_may_not_grow(bench: Bench) -> None:
    learners = bench.orders(30)
    limit = 200_000  # the log of the database, in the middle of the run

    process = _command(
        bench, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    )
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == ABORTED, stderr
    assert "→" in stderr, "the remedy"
    assert 0 < bench.asked() < 30
    every_request_has_its_row(bench, bench.audit_file)
    assert _again(bench) == 0
    assert {bench.copies(email) for email in learners} == {1}
    assert bench.asked() == 30
    bench.is_whole()


@pytest.mark.parametrize("way", ["deleted", "replaced"])
def test_a_process_whose_file_goes_away(bench: Bench, trouble: Trouble, way: str) -> None:
    learners = bench.orders(12)
    bench.fault("latency", operation="enroll", times=None, delay=0.1)

    process = _command(bench)
    while bench.asked() < AT:
        assert process.poll() is None, process.communicate()
    getattr(trouble, way)()
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == ABORTED, stderr
    assert "put the file back" in stderr
    assert bench.asked() < 12
    every_request_has_its_row(bench, trouble.kept)
    trouble.mend()
    bench.lms.faults.clear()
    assert _again(bench) == 0
    assert {bench.copies(email) for email in learners} == {1}
    assert bench.asked() == 12


def test_the_file_of_the_tests_is_readable_while_it_is_used(bench: Bench) -> None:
    """A guard for the guards: the rows that the assertions above count are really there."""
    bench.orders(2)
    bench.run()
    with closing(sqlite3.connect(bench.audit_file)) as connection:
        assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (2,)
