"""Near-duplicates by camera."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_index("ix_frames_camera", "frames", ["camera"])
    op.create_table(
        "near_duplicates",
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
        sa.Column("leader", SEQ, sa.ForeignKey("frames.seq"), nullable=False),
        sa.Column("reach", sa.Float(), nullable=False),
    )
    op.create_table(
        "camera_thresholds",
        sa.Column("camera", sa.String(120), primary_key=True),
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("learned_from", sa.Integer(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("camera_thresholds")
    op.drop_table("near_duplicates")
    op.drop_index("ix_frames_camera", "frames")
