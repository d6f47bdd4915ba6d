"""The audit database's tables, all of them, as Alembic compares them with the migrations.

Owns names, types and indexes. Knows nothing of what is written when (`log`, `chain`, and the rooms of
alerts and mail), or of how a file comes to have these tables (`schema`). A change here needs a
migration; a test compares both.
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
    and_,
    literal_column,
    or_,
)

from reconcile.audit.chain.digests import plain
from reconcile.domain.instants import as_utc

#: The newest migration. Repeated here because asking Alembic costs every command 0.8 s.
HEAD_REVISION = "0007"

#: Under this key `meta` holds the secret of this database's keyed hashes.
SECRET_KEY = "person_secret"  # noqa: S105  # the name of a row, not a secret

#: Under this key `meta` holds the newest seal as `NUMBER:HEX`: the last seals cannot be cut off unseen.
NEWEST_SEAL_KEY = "newest_seal"

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


def _count(name: str, *, optional: bool = False, **options: Any) -> Column[int]:
    return Column(name, Integer, nullable=optional, **options)


def _hash(name: str, *, length: int = 64, optional: bool = False) -> Column[str]:
    return Column(name, String(length), nullable=optional)


def _where(condition: Any) -> dict[str, Any]:
    """A partial index's condition, for both kinds of databases."""
    return {"sqlite_where": condition, "postgresql_where": condition}


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
    _hash("email_key", length=32, optional=True),
    _hash("member_key", length=32, optional=True),
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
    _text("lease_token", optional=True),
    # 1: proven that no request left for it; it is no news to anybody.
    _count("never_sent", server_default="0"),
    # A number that was given once is never given again, also after `db prune`.
    sqlite_autoincrement=True,
)

#: An attempt that may keep others from writing for its learner and course: without an outcome or an answer.
#: With literals: databases use the index only where a query repeats its condition word for word.
MAY_LOCK = and_(
    attempts.c.number > literal_column("0"),
    attempts.c.never_sent == literal_column("0"),
    or_(
        attempts.c.finished_at.is_(None),
        attempts.c.reason.in_([literal_column("'lms_timeout'"), literal_column("'protocol'")]),
    ),
)

#: One for each event of a run; only ever appended to. `db prune` takes those of whole runs away.
links = Table(
    "links",
    metadata,
    Column("run_id", PlainText, ForeignKey("runs.run_id"), primary_key=True),
    _count("seq", primary_key=True, autoincrement=False),
    # No foreign key: an attempt that a later run has ended may be pruned before that run is.
    Column("attempt_id", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    _text("flags", optional=True),
    _hash("digest"),
    _hash("link"),
    sqlite_with_rowid=False,
)

#: Only ever appended to; `db prune` marks those of the runs that it takes away.
seals = Table(
    "seals",
    metadata,
    _count("seal_number", primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    _text("subject", optional=True),
    _count("links", optional=True),
    _hash("last_link", optional=True),
    _hash("digest"),
    _text("detail", optional=True),
    _instant("sealed_at"),
    _hash("seal"),
    _count("pruned_by", optional=True),
)

#: What people have asked for by hand.
interventions = Table(
    "interventions",
    metadata,
    Column("intervention_id", _RowId, primary_key=True, autoincrement=True),
    _text("kind"),
    _text("who"),
    _instant("at"),
    _text("enrollment_id", optional=True),
    _text("scope", optional=True),
    _instant("until", optional=True),
    _text("because", optional=True),
    # A number that was given once is never given again.
    sqlite_autoincrement=True,
)

#: What was told to people.
alerts = Table(
    "alerts",
    metadata,
    #: The cause: `aborted:blind`, `course_missing:old-course`, …
    _text("alert_key", primary_key=True),
    _instant("first_seen_at"),
    _instant("told_at", optional=True),
    _count("told_count"),
    _instant("gone_since", optional=True),
    _instant("cleared_at", optional=True),
    _count("relapses"),
    #: Who is telling it right now, and until when nobody else may.
    _hash("claimed_by", length=32, optional=True),
    _instant("claimed_until", optional=True),
)

#: The mails that are owed to learners. Like attempts, a row holds no address.
outbox = Table(
    "outbox",
    metadata,
    # One mail for each order, ever ...
    _text("enrollment_id", primary_key=True),
    # ... and one for each LMS enrollment: two orders may both be found to have led to the same one.
    _text("lms_enrollment_id", optional=True),
    _text("payment_id", optional=True),
    _hash("person_key", length=32),
    _hash("member_key", length=32, optional=True),
    _text("course"),
    _text("status"),
    _instant("created_at"),
    _instant("changed_at"),
    _instant("next_try_at"),
    _count("tries"),
    # Who is sending it, and since when: a token, and the process as a run's row names it.
    _hash("claim", length=32, optional=True),
    _instant("claimed_at", optional=True),
    _text("host", optional=True),
    _count("pid", optional=True),
    _text("process_started", optional=True),
    _count("smtp_code", optional=True),
    _text("error", optional=True),
)

Index("ix_runs_status", runs.c.status)
Index("ix_runs_started_at", runs.c.started_at)
Index("ix_attempts_enrollment_id_attempt_id", attempts.c.enrollment_id, attempts.c.attempt_id)
Index("ix_attempts_run_id", attempts.c.run_id)
Index("ix_attempts_started_at", attempts.c.started_at)
Index("ix_attempts_open", attempts.c.attempt_id, **_where(attempts.c.finished_at.is_(None)))
Index("ix_attempts_locking", attempts.c.member_key, attempts.c.course, **_where(MAY_LOCK))
Index("ix_links_attempt_id_kind", links.c.attempt_id, links.c.kind)
Index("ix_seals_subject", seals.c.subject)
Index("ix_seals_pruned_by", seals.c.pruned_by, **_where(seals.c.pruned_by.is_not(None)))
Index(
    "ix_interventions_enrollment_id_intervention_id",
    interventions.c.enrollment_id,
    interventions.c.intervention_id,
)
Index("uq_outbox_lms_enrollment_id", outbox.c.lms_enrollment_id, unique=True)
Index("ix_outbox_status_next_try_at", outbox.c.status, outbox.c.next_try_at)
