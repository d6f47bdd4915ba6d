"""Links and seals: the chain over what happened, and what is there already sealed as it stands.

Revision: 0004. From here on the audit can be proven unchanged; what was there before is proven
unchanged since the upgrade only.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

# Format 1 of the chain: what it hashes how never changes, so that a migration may rely on it.
from reconcile.audit.chain import digests as chain
from reconcile.audit.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ATTEMPTS_AT_ONCE = 1000


def upgrade() -> None:
    """Create the tables, found the chain, and seal every run that is there."""
    links = _create_links()
    seals = _create_seals()
    connection = op.get_bind()
    sealing = _Sealing(connection, seals, at=datetime.now(UTC))
    secret = connection.execute(sa.text("SELECT value FROM meta WHERE key = 'person_secret'")).scalar_one()
    sealing.append("founded", digest=chain.digest_of_secret(bytes.fromhex(secret)))
    runs = _typed("runs", chain.CLOSING)
    for run_id in connection.execute(sa.select(runs.c.run_id).order_by(runs.c.started_at)).scalars().all():
        run = connection.execute(sa.select(runs).where(runs.c.run_id == run_id)).one()._mapping
        # Of a run that is over nobody knows how it began; its seal is never held against it.
        sealing.append("opened", subject=run_id, digest=chain.digest(chain.OPENING, run))
        count, last = _link_attempts(connection, links, run_id)
        if run["status"] != "running":
            digest = chain.digest(chain.CLOSING, run)
            sealing.append("closed", subject=run_id, links=count, last_link=last, digest=digest)
    sealing.note()


def _create_links() -> sa.Table:
    table = op.create_table(
        "links",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("flags", sa.Text(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("link", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_links_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_links")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_links_attempt_id_kind"), "links", ["attempt_id", "kind"])
    return table


def _create_seals() -> sa.Table:
    table = op.create_table(
        "seals",
        sa.Column("seal_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("links", sa.Integer(), nullable=True),
        sa.Column("last_link", sa.String(64), nullable=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("sealed_at", UtcDateTime(), nullable=False),
        sa.Column("seal", sa.String(64), nullable=False),
        sa.Column("pruned_by", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("seal_number", name=op.f("pk_seals")),
    )
    marked = sa.text("pruned_by IS NOT NULL")
    op.create_index(op.f("ix_seals_subject"), "seals", ["subject"])
    op.create_index(
        op.f("ix_seals_pruned_by"), "seals", ["pruned_by"], sqlite_where=marked, postgresql_where=marked
    )
    return table


def _link_attempts(connection: sa.Connection, links: sa.Table, run_id: str) -> tuple[int, str]:
    """A link for each attempt of the run, as if it had just been written; how many, and the last."""
    seq, last = 0, chain.first_link(run_id)
    for rows in _attempts_of(connection, run_id):
        values = []
        for row in rows:
            is_open = row["finished_at"] is None
            kind = chain.Event.BEGAN if is_open else chain.Event.RECORDED
            value = {
                "seq": seq + 1,
                "kind": kind.value,
                "attempt_id": row["attempt_id"],
                "flags": row["flags"] if is_open else None,
                "digest": chain.digest(chain.COVERED[kind], row),
            }
            seq, last = seq + 1, chain.link(last, **value)
            values.append({"run_id": run_id, **value, "link": last})
        connection.execute(sa.insert(links), values)
    return seq, last


def _attempts_of(connection: sa.Connection, run_id: str) -> Iterator[list[Any]]:
    """The attempts of a run, a bounded number at a time."""
    attempts = _typed("attempts", chain.WHOLE)
    after = 0
    while True:
        query = (
            sa.select(attempts)
            .where(attempts.c.run_id == run_id, attempts.c.attempt_id > after)
            .order_by(attempts.c.attempt_id)
            .limit(_ATTEMPTS_AT_ONCE)
        )
        rows = [row._mapping for row in connection.execute(query)]
        if not rows:
            return
        yield rows
        after = rows[-1]["attempt_id"]


def _typed(name: str, columns: tuple[str, ...]) -> sa.TableClause:
    """The table with what is hashed of it; instants as the application reads them."""
    return sa.table(
        name, *(sa.column(column, UtcDateTime() if column.endswith("_at") else None) for column in columns)
    )


class _Sealing:
    """Appends seals to a chain that nobody else sees yet."""

    def __init__(self, connection: sa.Connection, table: sa.Table, *, at: datetime) -> None:
        self._connection, self._table, self._at = connection, table, at
        self._number, self._last = 0, chain.NO_SEAL

    def append(self, kind: str, *, digest: str, **values: Any) -> None:
        """One seal more."""
        self._number += 1
        row = {
            "seal_number": self._number,
            "kind": kind,
            "subject": None,
            "links": None,
            "last_link": None,
            "detail": '{"upgrade": "0004"}',
            **values,
            "digest": digest,
            "sealed_at": self._at,
        }
        self._last = chain.seal(self._last, row)
        self._connection.execute(sa.insert(self._table), {**row, "seal": self._last})

    def note(self) -> None:
        """Note the newest one, so that the last ones cannot be cut off unseen."""
        meta = sa.table("meta", sa.column("key"), sa.column("value"))
        newest = str(chain.Seal(self._number, self._last))
        self._connection.execute(sa.insert(meta).values(key="newest_seal", value=newest))


def downgrade() -> None:
    """Drop the chain; the rows that it proved stay."""
    op.drop_table("seals")
    op.drop_table("links")
    op.execute("DELETE FROM meta WHERE key = 'newest_seal'")
