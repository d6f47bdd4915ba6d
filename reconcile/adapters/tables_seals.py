"""The tables that make the audit provable: `links`, one for each event of a run, and `seals`.

What is hashed how is `audit_chain`'s; what is written when, `audit_links`'s. Both tables are only
ever appended to; `db prune` takes the links of whole runs away and marks the seals of these runs.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from reconcile.adapters.tables import PlainText, UtcDateTime, metadata

#: Under this key `meta` holds the newest seal as `NUMBER:HEX`: the last seals cannot be cut off unseen.
NEWEST_SEAL_KEY = "newest_seal"

links = Table(
    "links",
    metadata,
    Column("run_id", PlainText, ForeignKey("runs.run_id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    # No foreign key: an attempt that a later run has ended may be pruned before that run is.
    Column("attempt_id", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("flags", PlainText, nullable=True),
    Column("digest", String(64), nullable=False),
    Column("link", String(64), nullable=False),
    sqlite_with_rowid=False,
)

seals = Table(
    "seals",
    metadata,
    Column("seal_number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("subject", PlainText, nullable=True),
    Column("links", Integer, nullable=True),
    Column("last_link", String(64), nullable=True),
    Column("digest", String(64), nullable=False),
    Column("detail", PlainText, nullable=True),
    Column("sealed_at", UtcDateTime, nullable=False),
    Column("seal", String(64), nullable=False),
    Column("pruned_by", Integer, nullable=True),
)

Index("ix_links_attempt_id_kind", links.c.attempt_id, links.c.kind)
Index("ix_seals_subject", seals.c.subject)
Index(
    "ix_seals_pruned_by",
    seals.c.pruned_by,
    sqlite_where=seals.c.pruned_by.is_not(None),
    postgresql_where=seals.c.pruned_by.is_not(None),
)
