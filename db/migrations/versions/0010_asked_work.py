"""Work that people asked for once, kept until it is done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "asked_work",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("who", sa.String(120), nullable=False),
        sa.Column("via", sa.String(12), nullable=False),
        sa.Column("asked_at", WHEN, nullable=False),
        sa.Column("begun_at", WHEN),
        sa.Column("times_begun", sa.Integer(), nullable=False),
        sa.Column("ended_at", WHEN),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_index("ix_asked_work_ended_at", "asked_work", ["ended_at"])


def downgrade() -> None:
    op.drop_table("asked_work")
