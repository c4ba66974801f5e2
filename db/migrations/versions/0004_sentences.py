"""What sentences mean to an embedder, stored: comparing needs no model then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sentences",
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
        sa.Column("text", sa.Text(), primary_key=True),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("unknown_words", sa.JSON(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("sentences")
