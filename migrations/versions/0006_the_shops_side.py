"""What the shop has done: its own tries of an order, and how many orders it has never marked as paid.

Revision: 0006.

Both are what MongoDB said at that moment, which the chain does not prove. Rows of earlier versions do not
tell them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns `attempts.shop_tries` and `runs.unmarked`."""
    op.add_column("attempts", sa.Column("shop_tries", sa.Integer(), nullable=True))
    op.add_column("runs", sa.Column("unmarked", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Remove them."""
    op.drop_column("runs", "unmarked")
    op.drop_column("attempts", "shop_tries")
