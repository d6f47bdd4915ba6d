"""The outbox: mail that is owed to learners.

Revision: 0003, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the outbox, empty: whoever has access already is not mailed."""
    op.create_table(
        "outbox",
        sa.Column("enrollment_id", sa.Text(), nullable=False),
        sa.Column("lms_enrollment_id", sa.Text(), nullable=True),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("person_key", sa.String(32), nullable=False),
        sa.Column("member_key", sa.String(32), nullable=True),
        sa.Column("course", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("changed_at", _INSTANT, nullable=False),
        sa.Column("next_try_at", _INSTANT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claim", sa.String(32), nullable=True),
        sa.Column("claimed_at", _INSTANT, nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("process_started", sa.Text(), nullable=True),
        sa.Column("smtp_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("enrollment_id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("uq_outbox_lms_enrollment_id"), "outbox", ["lms_enrollment_id"], unique=True)
    op.create_index(op.f("ix_outbox_status_next_try_at"), "outbox", ["status", "next_try_at"])


def downgrade() -> None:
    """Drop the outbox: what is pending is never sent."""
    op.drop_table("outbox")
