"""Every way in which an audit database can fail: AuditUnavailable with a remedy, and nothing else."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy.exc
from sqlalchemy import event, text

from reconcile.audit.errors import Place, explain, mapped
from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.base.errors import AuditUnavailable, ConfigurationError
from tests.fakes.attempts import begin
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_samples import HERE, intent, record, summary
from tests.privileges import obey_modes


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


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable, match="folder does not exist") as caught:
        open_audit(url(tmp_path / "none" / "audit.db"))

    assert "create the folder" in caught.value.hint


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(AuditUnavailable, match="is not a file"):
        open_audit(url(tmp_path))


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    settings = {"RECONCILE_AUDIT_URL": url(tmp_path / "locked" / "audit.db")}

    # As a process of its own, which can give up what root may.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "reconcile", "db", "upgrade"],
        env=os.environ | settings,
        cwd=tmp_path,
        preexec_fn=obey_modes,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 4
    assert "permission denied" in done.stderr
    assert "right to read and write" in done.stderr


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "audit.db").write_text("order,course\n" * 1000)

    for create in (True, False):
        with pytest.raises(AuditUnavailable, match="is not an SQLite database") as caught:
            open_audit(url(tmp_path / "audit.db"), create=create)
        assert "backup" in caught.value.hint


def test_a_damaged_file(log: SqlAuditLog, path: Path) -> None:
    log.record([record(id=f"order-{n}") for n in range(500)])
    log.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 8192))

    with pytest.raises(AuditUnavailable) as caught, open_audit(url(path)) as damaged:
        damaged.record([record(id=f"order-{n}") for n in range(500)])

    assert "damaged" in str(caught.value)
    assert "backup" in caught.value.hint


def test_a_file_locked_by_another_program(log: SqlAuditLog, path: Path) -> None:
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        open_audit(url(path), busy_timeout=0.05) as impatient,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AuditUnavailable, match="locked by another program") as caught:
            begin(impatient, intent())
        assert impatient.history(["order-1"]) == {}, "readers are not held up"
        other.execute("ROLLBACK")
        assert begin(impatient, intent())

    assert "fuser" in caught.value.hint


def test_a_disk_that_is_full(log: SqlAuditLog) -> None:
    event.listen(
        log.store.engine,
        "checkout",
        lambda connection, *_: connection.execute("PRAGMA max_page_count = 30").close(),
    )

    with pytest.raises(AuditUnavailable, match="disk is full") as caught:
        log.record([record(id=f"order-{n}") for n in range(2000)])

    assert "free some space" in caught.value.hint
    assert log.history(["order-0"]) == {}, "all or none"


def test_a_table_that_is_missing(log: SqlAuditLog) -> None:
    with log.store.writing() as connection:
        connection.execute(text("DROP TABLE attempts"))

    with pytest.raises(AuditUnavailable, match="lacks a table") as caught:
        begin(log, intent())

    assert "db upgrade" in caught.value.hint


def test_a_secret_that_is_lost(log: SqlAuditLog, path: Path) -> None:
    with log.store.writing() as connection:
        connection.execute(text("DELETE FROM meta"))

    with pytest.raises(AuditUnavailable, match="lost the secret"):
        open_audit(url(path))


def test_a_file_deleted_while_in_use(log: SqlAuditLog, path: Path) -> None:
    path.unlink()

    for use in (lambda: begin(log, intent()), lambda: log.history(["order-1"])):
        with pytest.raises(AuditUnavailable, match="deleted while in use") as caught:
            use()
        assert "put the file back" in caught.value.hint
    assert not path.exists(), "and no empty one takes its place"


def test_a_file_replaced_while_in_use(log: SqlAuditLog, path: Path, tmp_path: Path) -> None:
    new_audit(tmp_path, "other.db").close()
    (tmp_path / "other.db").replace(path)

    with pytest.raises(AuditUnavailable, match="replaced by another file while in use"):
        begin(log, intent())


def test_a_file_deleted_during_the_commit(log: SqlAuditLog, path: Path) -> None:
    event.listen(log.store.engine, "commit", lambda _: path.unlink())

    with pytest.raises(AuditUnavailable, match="deleted while in use"):
        begin(log, intent())


def test_readers_and_a_writer_do_not_wait_for_each_other(log: SqlAuditLog) -> None:
    log.record([record(id=f"order-{n}") for n in range(10)])
    started = time.monotonic()
    with log.reading() as connection:
        rows = connection.execute(text("SELECT enrollment_id FROM attempts"))
        first = rows.fetchone()
        writer = threading.Thread(target=begin, args=(log, intent("order-new")))
        writer.start()
        writer.join()
        seen = [first, *rows]

    assert len(seen) == 10, "one moment: what is written meanwhile is not in it"
    assert "order-new" in log.history(["order-new"])
    assert time.monotonic() - started < 5


# --- URLs and messages ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?uri=true"]
)
def test_a_url_without_a_lasting_database_is_a_configuration_error(bad: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_audit(bad)

    assert "RECONCILE_AUDIT_URL" in str(caught.value)
    assert "sqlite:////" in caught.value.hint


def test_other_databases_are_refused_without_telling_the_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_audit("mysql://me:hunter2-hunter2@db/audit")

    assert "mysql is not supported" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_path_with_strange_letters_is_that_path(tmp_path: Path) -> None:
    strange = tmp_path / "a% b?c#d"
    strange.mkdir()

    open_audit(f"sqlite:///{tmp_path}/a%25 b%3Fc#d/audit.db").close()

    assert (strange / "audit.db").stat().st_size


def test_every_failure_of_the_libraries_is_mapped() -> None:
    families = (sqlalchemy.exc.SQLAlchemyError, sqlite3.Error, sqlite3.Warning)
    found = [
        member
        for module in (sqlalchemy.exc, sqlite3)
        for member in vars(module).values()
        if isinstance(member, type)
        and issubclass(member, Exception)
        and not issubclass(member, Warning)
        and member.__module__ in ("sqlalchemy.exc", "sqlite3")
        # The asynchronous drivers' own, which SQLAlchemy wraps.
        and member.__name__ != "EmulatedDBAPIException"
    ]
    assert len(found) > 30
    assert [member for member in found if not issubclass(member, families)] == []


@pytest.mark.parametrize("name", [name for name in dir(sqlite3) if name.startswith("SQLITE_")])
def test_every_result_code_of_sqlite_has_a_remedy(name: str) -> None:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = getattr(sqlite3, name)

    unavailable = explain(error, Place(name="audit.db"))

    assert unavailable.hint
    assert "audit.db" in str(unavailable)


def test_a_password_that_a_driver_repeats_is_removed() -> None:
    place = Place(name="audit on db", secret="hunter2")

    with pytest.raises(AuditUnavailable) as caught, mapped(place):
        raise sqlalchemy.exc.ArgumentError("cannot parse postgresql://me:hunter2@db/audit of bob@example.com")

    assert "hunter2" not in str(caught.value)
    assert "bob@" not in str(caught.value)
