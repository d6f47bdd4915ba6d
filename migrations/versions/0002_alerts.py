"""What was told to people, so that restarts and cron runs do not tell it again.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "alerts",
        sa.Column("alert_key", sa.Text(), nullable=False),
        sa.Column("first_seen_at", _INSTANT, nullable=False),
        sa.Column("told_at", _INSTANT, nullable=True),
        sa.Column("told_count", sa.Integer(), nullable=False),
        sa.Column("gone_since", _INSTANT, nullable=True),
        sa.Column("cleared_at", _INSTANT, nullable=True),
        sa.Column("relapses", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(32), nullable=True),
        sa.Column("claimed_until", _INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("alert_key", name=op.f("pk_alerts")),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("alerts")
