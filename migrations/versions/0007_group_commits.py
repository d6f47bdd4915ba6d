"""Under which lease an attempt was to be written, and which attempts were never sent.

Revision: 0007.

Attempts of earlier versions tell no lease; none of them counts as never sent. Links of new kinds prove both
columns: a downgrade loses them, and then `db verify` of the earlier version names these links.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add `attempts.lease_token` and `attempts.never_sent`, and the index of what may lock a pair."""
    op.add_column("attempts", sa.Column("lease_token", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("never_sent", sa.Integer(), server_default="0", nullable=False))
    may_lock = sa.text(
        "number > 0 AND never_sent = 0 AND (finished_at IS NULL OR reason IN ('lms_timeout', 'protocol'))"
    )
    op.create_index(
        op.f("ix_attempts_locking"),
        "attempts",
        ["member_key", "course"],
        sqlite_where=may_lock,
        postgresql_where=may_lock,
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_index(op.f("ix_attempts_locking"), "attempts")
    op.drop_column("attempts", "never_sent")
    op.drop_column("attempts", "lease_token")
