"""The audit database's tables, as Alembic compares them with the migrations.

Owns names, types and indexes. Knows nothing of what is written when (`audit`) or of how a file comes
to have these tables (`audit_schema`). A change here needs a migration; a test compares both.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

from reconcile.adapters.audit_chain import plain
from reconcile.domain.instants import as_utc

#: The newest migration. Repeated here because asking Alembic costs every command 0.8 s.
HEAD_REVISION = "0006"

#: Under this key `meta` holds the secret of this database's keyed hashes.
SECRET_KEY = "person_secret"  # noqa: S105  # the name of a row, not a secret

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An instant with microseconds: aware in, aware UTC out; a naive one is refused with ValueError.

    SQLite has no time zones, so that what it holds is UTC by this type alone.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, without the zone where the database cannot hold one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"an instant without a time zone: {value.isoformat()}")
        instant = value.astimezone(UTC)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Aware UTC, whatever the session's time zone is."""
        if value is None:
            return None
        return as_utc(value)


class PlainText(TypeDecorator[str]):
    """Text that every database takes: NUL and lone surrogates, which JSON may carry, become `\\ufffd`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Replace what PostgreSQL (NUL) or UTF-8 (surrogates) cannot hold."""
        return None if value is None else plain(value)


metadata = MetaData(naming_convention=NAMING)

#: SQLite numbers rows by itself only in a column that is exactly INTEGER.
_RowId = BigInteger().with_variant(Integer(), "sqlite")


def _text(name: str, *, optional: bool = False, **options: Any) -> Column[str]:
    return Column(name, PlainText, nullable=optional, **options)


def _instant(name: str, *, optional: bool = False) -> Column[datetime]:
    return Column(name, UtcDateTime, nullable=optional)


def _count(name: str, *, optional: bool = False) -> Column[int]:
    return Column(name, Integer, nullable=optional)


meta = Table("meta", metadata, Column("key", String(64), primary_key=True), _text("value"))

#: The only place that holds a whole address: forgetting somebody is deleting one row.
people = Table("people", metadata, Column("person_key", String(32), primary_key=True), _text("email"))

runs = Table(
    "runs",
    metadata,
    _text("run_id", primary_key=True),
    _text("mode"),
    _text("status"),
    _text("reason", optional=True),
    _instant("started_at"),
    _instant("finished_at", optional=True),
    _instant("heartbeat_at"),
    _text("host"),
    _count("pid"),
    _text("process_started"),
    _text("version"),
    _count("scanned"),
    _count("lms_requests"),
    _count("lms_total", optional=True),
    _count("exit_code", optional=True),
    _text("outcomes"),
    _text("reasons"),
    _count("unmarked", optional=True),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", _RowId, primary_key=True, autoincrement=True),
    Column("run_id", PlainText, ForeignKey("runs.run_id"), nullable=False),
    _text("enrollment_id"),
    _text("payment_id", optional=True),
    _text("email_masked", optional=True),
    # No foreign keys into `people`: what remains of a forgotten person points nowhere, by intent.
    Column("email_key", String(32), nullable=True),
    Column("member_key", String(32), nullable=True),
    _text("course", optional=True),
    _count("number"),
    _text("action"),
    _instant("started_at"),
    _instant("finished_at", optional=True),
    _text("outcome", optional=True),
    _text("reason", optional=True),
    _count("http_status", optional=True),
    _text("lms_enrollment_id", optional=True),
    _text("error", optional=True),
    _text("flags"),
    _count("counted"),
    Column("amount_e4", BigInteger, nullable=True),
    _text("currency", optional=True),
    _instant("paid_at", optional=True),
    _count("shop_tries", optional=True),
    # A number that was given once is never given again, also after `db prune`.
    sqlite_autoincrement=True,
)

Index("ix_runs_status", runs.c.status)
Index("ix_runs_started_at", runs.c.started_at)
Index("ix_attempts_enrollment_id_attempt_id", attempts.c.enrollment_id, attempts.c.attempt_id)
Index("ix_attempts_run_id", attempts.c.run_id)
Index("ix_attempts_started_at", attempts.c.started_at)
Index(
    "ix_attempts_open",
    attempts.c.attempt_id,
    sqlite_where=attempts.c.finished_at.is_(None),
    postgresql_where=attempts.c.finished_at.is_(None),
)
