"""The audit database as a file: how it comes to be, what it holds, and whose process is whose."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.process import current_origin, is_alive
from reconcile.audit.rows import person_key
from reconcile.audit.schema import current, migrations_folder, upgrade
from reconcile.audit.tables import HEAD_REVISION
from reconcile.base.errors import AuditUnavailable
from reconcile.domain.model import Outcome, Verdict
from tests.fakes.attempts import begin, finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import HERE, NOON, intent, summary


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) as log:
        log.open_run(summary(), HERE)
        yield log


@pytest.fixture
def path(log: SqlAuditLog, tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def ask(log: SqlAuditLog, statement: str) -> object:
    with log.reading() as connection:
        return connection.execute(text(statement)).scalar()


# --- coming to be --------------------------------------------------------------------------


def test_a_new_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_audit(url(tmp_path / "new.db")) as log:
            log.open_run(summary(), HERE)
            modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_every_connection_is_safe_and_shared(log: SqlAuditLog) -> None:
    with log.reading(), log.reading():  # two connections: the second one is set up as well
        settings = {
            name: ask(log, f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")
        }
        patience = ask(log, "PRAGMA busy_timeout")

    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert patience == 30_000


def test_eight_processes_at_once_on_a_new_file(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from reconcile.audit.log import open_audit\n"
        "sys.stdin.readline()\n"
        "with open_audit(sys.argv[1]) as log:\n"
        "    print(log.person_key('a@example.com'))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, url(tmp_path / "new.db")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0] * 8, results
    assert len({out for out, _ in results}) == 1, "one secret for all of them"


def test_alembic_is_not_imported_for_a_database_that_is_ready(path: Path) -> None:
    program = (
        "import sys\n"
        "from reconcile.audit.log import open_audit\n"
        "open_audit(sys.argv[1]).close()\n"
        "print('alembic' in sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, url(path)], capture_output=True, text=True, check=True
    )

    assert result.stdout == "False\n"


def test_looking_creates_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "audit.db"

    assert open_audit(url(missing), create=False) is None
    assert current(url(missing)) is None
    assert not missing.parent.exists()


def test_an_empty_file_is_no_audit_yet(tmp_path: Path) -> None:
    empty = tmp_path / "empty.db"
    empty.touch()

    assert open_audit(url(empty), create=False) is None
    assert current(url(empty)) is None
    assert empty.stat().st_size == 0


def test_what_was_opened_for_looking_cannot_write(log: SqlAuditLog, path: Path) -> None:
    reader = open_audit(url(path), create=False)
    assert reader is not None
    with reader:
        assert reader.history(["order-1"]) == {}
        with pytest.raises(AuditUnavailable, match="read-only") as caught:
            begin(reader, intent())

    assert "right to read and write" in caught.value.hint


def test_upgrading_says_from_where_to_where(tmp_path: Path) -> None:
    file = url(tmp_path / "new.db")

    assert upgrade(file) == (None, HEAD_REVISION)
    assert upgrade(file) == (HEAD_REVISION, HEAD_REVISION)
    assert current(file) == HEAD_REVISION


def test_an_older_schema_is_not_upgraded_by_looking(
    log: SqlAuditLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconcile.audit.schema.HEAD_REVISION", "0998")

    said = f"has schema {HEAD_REVISION}, this version needs 0998"
    with pytest.raises(AuditUnavailable, match=said) as caught:
        open_audit(url(path), create=False)

    assert caught.value.hint == "run `reconcile db upgrade`"


@pytest.mark.parametrize("create", [True, False])
def test_a_newer_schema_is_refused(log: SqlAuditLog, path: Path, *, create: bool) -> None:
    log.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")

    with pytest.raises(
        AuditUnavailable, match=rf"newer reconcile \(schema 0999; this one knows {HEAD_REVISION}\)"
    ) as caught:
        open_audit(url(path), create=create)

    assert "upgrade reconcile" in caught.value.hint


def test_the_migrations_are_found_in_a_folder_with_a_strange_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = tmp_path / "100% sure %(here)s"
    strange.symlink_to(migrations_folder())
    monkeypatch.setattr("reconcile.audit.schema.migrations_folder", lambda: strange)

    assert upgrade(url(tmp_path / "new.db")) == (None, HEAD_REVISION)


# --- what it holds -------------------------------------------------------------------------


def test_no_row_of_an_attempt_holds_a_whole_address(log: SqlAuditLog) -> None:
    attempt_id = begin(log, intent())
    said = "no user learner@example.com, nor buyer%40example.com \ud800\x00"
    finish(log, attempt_id, Verdict(outcome=Outcome.FAILED, error=said, attempts=1), run_id="run-1", at=NOON)

    with log.reading() as connection:
        row = connection.execute(text("SELECT * FROM attempts")).one()._asdict()
        people = connection.execute(text("SELECT person_key, email FROM people")).all()

    assert "learner@" not in str(row)
    assert "buyer" not in str(row)
    assert row["email_masked"] == "b***@example.com"
    assert row["amount_e4"] == 1_995_000
    assert row["paid_at"] == "2026-11-24 11:00:00.000000"
    assert dict(people) == {
        row["email_key"]: "buyer@example.com",
        row["member_key"]: "learner@example.com",
    }
    assert row["email_key"] == log.person_key(" Buyer@Example.com ")


def test_a_person_who_was_forgotten_leaves_an_attempt_without_a_name(log: SqlAuditLog) -> None:
    begin(log, intent())
    log.close_dead_runs(origin=HERE, stale_before=NOON, at=NOON)
    over = summary()
    over.close(over.status.ABORTED, at=NOON)
    log.close_run(over)
    with log.store.writing() as connection:
        connection.execute(text("DELETE FROM people WHERE email = 'learner@example.com'"))

    (left,) = log.open_attempts()

    assert left.key is None


def test_another_database_has_other_keys(log: SqlAuditLog, tmp_path: Path) -> None:
    with open_audit(url(tmp_path / "other.db")) as other:
        assert other.person_key("a@example.com") != log.person_key("a@example.com")
    assert len(person_key(b"secret", "a@example.com")) == 32


def test_instants_come_back_as_utc_and_naive_ones_are_refused(log: SqlAuditLog) -> None:
    local = datetime(2026, 11, 24, 17, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    log.open_run(summary("run-2", started_at=local), HERE)

    assert ask(log, "SELECT started_at FROM runs WHERE run_id = 'run-2'") == "2026-11-24 12:00:00.123456"
    with pytest.raises(AuditUnavailable, match="without a time zone"):
        log.heartbeat("run-2", datetime(2026, 11, 24))  # noqa: DTZ001  # that is the point


# --- processes -----------------------------------------------------------------------------


def test_this_process_is_alive_under_its_own_name_only() -> None:
    origin = current_origin()

    assert origin.pid == os.getpid()
    assert is_alive(origin.pid, origin.process_started)
    assert not is_alive(origin.pid, "1")
    assert not is_alive(2**22 + 1, "")
    assert not is_alive(2**70, "")
    assert not is_alive(0, "")


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

        assert not is_alive(process.pid, "")


def test_without_proc_the_kernel_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconcile.audit.process._PROC", tmp_path)

    origin = current_origin()

    assert origin.host
    assert origin.process_started == ""
    assert is_alive(os.getpid(), "")
    assert not is_alive(2**22 + 1, "")
