"""The outbox's table: one row for each mail that is owed to a learner. Part of the audit's schema.

A row holds no address, only keys into `people`: forgetting somebody takes it out of here as well.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Table

from reconcile.adapters.tables import PlainText, UtcDateTime, metadata

outbox = Table(
    "outbox",
    metadata,
    # One mail for each order, ever ...
    Column("enrollment_id", PlainText, primary_key=True),
    # ... and one for each LMS enrollment: two orders may both be found to have led to the same one.
    Column("lms_enrollment_id", PlainText, nullable=True),
    Column("payment_id", PlainText, nullable=True),
    Column("person_key", String(32), nullable=False),
    Column("member_key", String(32), nullable=True),
    Column("course", PlainText, nullable=False),
    Column("status", PlainText, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("tries", Integer, nullable=False),
    # Who is sending it, and since when: a token, and the process as a run's row names it.
    Column("claim", String(32), nullable=True),
    Column("claimed_at", UtcDateTime, nullable=True),
    Column("host", PlainText, nullable=True),
    Column("pid", Integer, nullable=True),
    Column("process_started", PlainText, nullable=True),
    Column("smtp_code", Integer, nullable=True),
    Column("error", PlainText, nullable=True),
)

Index("uq_outbox_lms_enrollment_id", outbox.c.lms_enrollment_id, unique=True)
Index("ix_outbox_status_next_try_at", outbox.c.status, outbox.c.next_try_at)
