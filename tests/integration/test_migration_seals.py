"""Migration 0004 seals what is there as it stands, and what happens afterwards goes on from there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from reconcile.audit.log import SqlAuditLog, open_audit
from reconcile.audit.schema import current, upgrade
from reconcile.audit.tables import HEAD_REVISION
from reconcile.base.errors import AuditUnavailable
from tests.fakes.attempts import finish
from tests.fakes.audit_file import new_audit
from tests.fakes.audit_history import DAY, close, tampered, verified, write
from tests.fakes.audit_samples import ELSEWHERE, ENROLLED, HERE, NOON, REFUSED, record, summary


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An audit of before: a crashed run with an open attempt, a large one, one under way."""
    with new_audit(tmp_path) as log:
        log.open_run(summary("crashed"), ELSEWHERE)
        write(log, "crashed", "left-open")
        finish(log, write(log, "crashed", "refused"), REFUSED, run_id="crashed", at=NOON)
        log.close_dead_runs(origin=HERE, stale_before=NOON + DAY, at=NOON)
        log.open_run(summary("large"), HERE)
        log.record([record(id=f"order-{number}", run_id="large") for number in range(2100)])
        close(log, "large")
        log.open_run(summary("running"), HERE)
        write(log, "running", "under-way")
    path = tmp_path / "audit.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in (
            *(f"DROP TABLE {later}" for later in ("alerts", "outbox", "interventions")),
            "DROP INDEX ix_attempts_locking",
            *(
                f"ALTER TABLE attempts DROP COLUMN {later}"
                for later in ("shop_tries", "lease_token", "never_sent")
            ),
            "ALTER TABLE runs DROP COLUMN unmarked",
            "DROP TABLE links",
            "DROP TABLE seals",
            "DELETE FROM meta WHERE key = 'newest_seal'",
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            connection.execute(statement)
    return path


def _opened(path: Path) -> SqlAuditLog:
    return open_audit(f"sqlite:///{path}")


def test_what_is_there_is_sealed_and_goes_on(old: Path) -> None:
    with pytest.raises(AuditUnavailable, match="has schema 0001"):
        open_audit(f"sqlite:///{old}", create=False)

    assert upgrade(f"sqlite:///{old}") == ("0001", HEAD_REVISION)

    with _opened(old) as log:
        result = verified(log)
        assert result.findings == []
        assert (result.runs, result.running, result.attempts, result.links) == (3, 1, 2103, 2103)
        (left,) = log.open_attempts()
        finish(log, left.attempt_id, ENROLLED, run_id="running", at=NOON)
        close(log, "running")
        assert verified(log).is_intact


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE attempts SET course = 'x' WHERE enrollment_id = 'order-1500'", "attempts"),
        ("UPDATE attempts SET outcome = 'failed' WHERE enrollment_id = 'refused'", "attempts"),
        ("DELETE FROM attempts WHERE enrollment_id = 'left-open'", "attempts"),
        ("UPDATE runs SET scanned = 9 WHERE run_id = 'large'", "runs"),
        ("DELETE FROM links WHERE seq > 2000", "links"),
    ],
)
def test_what_is_changed_after_the_upgrade_is_found(
    old: Path, change: str, named: str, tmp_path: Path
) -> None:
    _opened(old).close()

    with tampered(old.read_bytes(), tmp_path, change) as log:
        assert named in {finding.table for finding in verified(log).findings}


def test_what_was_changed_before_is_sealed_as_it_stood(old: Path) -> None:
    """The limit, said in docs/adr/0015: nothing can prove what nothing had covered."""
    with closing(sqlite3.connect(old)) as connection, connection:
        connection.execute("UPDATE attempts SET course = 'x'")

    with _opened(old) as log:
        assert verified(log).is_intact


def test_an_empty_audit_is_founded(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    upgrade(f"sqlite:///{path}")

    assert current(f"sqlite:///{path}") == HEAD_REVISION
    with _opened(path) as log:
        result = verified(log)
    assert (result.is_intact, result.seals) == (True, 1)
