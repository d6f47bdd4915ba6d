"""The audit database's table of what was told to people; part of `tables`, which imports this."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String, Table

from reconcile.adapters.tables import PlainText, UtcDateTime, metadata

alerts = Table(
    "alerts",
    metadata,
    #: The cause: `aborted:blind`, `course_missing:old-course`, …
    Column("alert_key", PlainText, primary_key=True),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Column("told_at", UtcDateTime, nullable=True),
    Column("told_count", Integer, nullable=False),
    Column("gone_since", UtcDateTime, nullable=True),
    Column("cleared_at", UtcDateTime, nullable=True),
    Column("relapses", Integer, nullable=False),
    #: Who is telling it right now, and until when nobody else may.
    Column("claimed_by", String(32), nullable=True),
    Column("claimed_until", UtcDateTime, nullable=True),
)
