"""The table of what people have asked for by hand; part of the audit database's metadata."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from reconcile.adapters.tables import PlainText, UtcDateTime, metadata

interventions = Table(
    "interventions",
    metadata,
    Column(
        "intervention_id",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("kind", PlainText, nullable=False),
    Column("who", PlainText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("enrollment_id", PlainText, nullable=True),
    Column("scope", PlainText, nullable=True),
    Column("until", UtcDateTime, nullable=True),
    Column("because", PlainText, nullable=True),
    # A number that was given once is never given again.
    sqlite_autoincrement=True,
)

Index(
    "ix_interventions_enrollment_id_intervention_id",
    interventions.c.enrollment_id,
    interventions.c.intervention_id,
)
