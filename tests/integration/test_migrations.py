"""The migrations and the tables say the same, on SQLite and (as far as can be told) PostgreSQL."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from reconcile.audit.log import SqlAuditLog
from reconcile.audit.schema import migrations_folder
from reconcile.audit.tables import HEAD_REVISION, attempts, metadata
from tests.fakes.audit_file import new_audit


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlAuditLog]:
    with new_audit(tmp_path) as log:
        yield log


def test_the_newest_migration_is_the_one_that_the_tables_name() -> None:
    assert ScriptDirectory(str(migrations_folder())).get_heads() == [HEAD_REVISION]


def test_migrations_and_tables_agree(log: SqlAuditLog) -> None:
    with log.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, metadata) == []


def test_constraints_have_the_names_that_later_migrations_will_use(log: SqlAuditLog) -> None:
    with log.reading() as connection:
        found = inspect(connection)
        names = {found.get_pk_constraint(table.name)["name"] for table in metadata.sorted_tables}
        (foreign,) = found.get_foreign_keys("attempts")

    # SQLite has no name for a key that numbers itself.
    assert names == {
        "pk_meta",
        "pk_people",
        "pk_runs",
        "pk_alerts",
        "pk_outbox",
        "pk_links",
        "pk_seals",
        None,
    }
    assert foreign["name"] == "fk_attempts_run_id_runs"


def test_numbers_of_deleted_attempts_are_not_given_again(log: SqlAuditLog) -> None:
    with log.reading() as connection:
        statement = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'attempts'")).scalar()

    assert "AUTOINCREMENT" in str(statement)


def test_a_history_and_the_open_attempts_are_found_by_index(log: SqlAuditLog) -> None:
    def plan(condition: str) -> str:
        query = f"EXPLAIN QUERY PLAN SELECT * FROM attempts WHERE {condition}"
        with log.reading() as connection:
            return str(connection.execute(text(query)).all())

    assert "ix_attempts_enrollment_id_attempt_id" in plan("enrollment_id IN ('a', 'b')")
    assert "ix_attempts_open" in plan("finished_at IS NULL")
    assert "ix_attempts_run_id" in plan("run_id = 'a'")
    assert "ix_attempts_started_at" in plan("started_at >= 'a'")


def test_alembics_own_command_is_sent_to_ours() -> None:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(migrations_folder()))

    with pytest.raises(SystemExit, match="reconcile db upgrade"):
        command.upgrade(config, "head")


def test_the_tables_compile_for_postgresql() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    ddl = "\n".join(
        [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
        + [str(CreateIndex(index).compile(dialect=dialect)) for index in attempts.indexes]
    )

    assert "attempt_id BIGSERIAL" in ddl
    assert "started_at TIMESTAMP WITH TIME ZONE NOT NULL" in ddl
    assert "amount_e4 BIGINT" in ddl
    assert "WHERE finished_at IS NULL" in ddl
