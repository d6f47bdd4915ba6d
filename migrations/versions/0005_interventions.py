"""What people have asked for by hand.

Revision: 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add the table `interventions`."""
    op.create_table(
        "interventions",
        sa.Column(
            "intervention_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("at", _INSTANT, nullable=False),
        sa.Column("enrollment_id", sa.Text(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("until", _INSTANT, nullable=True),
        sa.Column("because", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("intervention_id", name=op.f("pk_interventions")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_interventions_enrollment_id_intervention_id",
        "interventions",
        ["enrollment_id", "intervention_id"],
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("interventions")
