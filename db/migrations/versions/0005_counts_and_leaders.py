"""What grows with the project is looked up: frames in no cluster yet, leaders of a camera, counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNPLACED = "camera = 'unknown' OR captured_at IS NULL"


def upgrade() -> None:
    op.drop_index("ix_frames_group_id", "frames")
    op.create_index("ix_frames_group", "frames", ["group_id", "origin"])
    # Both databases spell it alike.
    op.execute(f"CREATE INDEX ix_frames_unplaced ON frames (origin, seq) WHERE {UNPLACED}")
    op.add_column("camera_thresholds", sa.Column("center", sa.LargeBinary()))
    op.add_column("camera_thresholds", sa.Column("coordinates", sa.LargeBinary()))
    op.create_table(
        "camera_leaders",
        sa.Column("camera", sa.String(120), primary_key=True),
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("frames", sa.LargeBinary(), nullable=False),
        sa.Column("groups", sa.LargeBinary(), nullable=False),
        sa.Column("reaches", sa.LargeBinary(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "unclustered",
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
        sa.Column("camera", sa.String(120), primary_key=True),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO unclustered (producer, camera, frame)"
        " SELECT embeddings.producer, frames.camera, frames.seq FROM embeddings"
        " JOIN frames ON frames.seq = embeddings.frame WHERE NOT EXISTS (SELECT 1 FROM near_duplicates"
        " WHERE near_duplicates.frame = embeddings.frame AND near_duplicates.producer = embeddings.producer)"
    )


def downgrade() -> None:
    op.drop_table("unclustered")
    op.drop_table("camera_leaders")
    op.execute("ALTER TABLE camera_thresholds DROP COLUMN coordinates")
    op.execute("ALTER TABLE camera_thresholds DROP COLUMN center")
    op.drop_index("ix_frames_unplaced", "frames")
    op.drop_index("ix_frames_group", "frames")
    op.create_index("ix_frames_group_id", "frames", ["group_id"])
