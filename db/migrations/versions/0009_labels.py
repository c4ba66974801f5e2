"""Labels that can be trusted: guidelines, second answers, suspects and inspected lots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "guidelines",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("shown_at", WHEN, nullable=False),
    )
    op.execute("ALTER TABLE annotations ADD COLUMN guideline INTEGER REFERENCES guidelines (id)")
    op.add_column("annotations", sa.Column("boxes", sa.JSON()))
    op.execute(
        "UPDATE annotations SET boxes = (SELECT labels.boxes FROM labels"
        " WHERE labels.annotation_id = annotations.id)"
    )
    op.add_column("labels", sa.Column("imported", sa.JSON()))
    for column in (
        sa.Column("drawn", sa.JSON()),
        sa.Column("bare", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("slot", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("about", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("stands", sa.Integer()),
        sa.Column("rule", sa.String(24), nullable=False, server_default=""),
    ):
        op.add_column("label_tasks", column)
    of_task = (
        " FROM labels JOIN annotations ON annotations.id = labels.annotation_id"
        " WHERE annotations.task_id = label_tasks.id)"
    )
    op.execute(
        f"UPDATE label_tasks SET stands = (SELECT labels.annotation_id{of_task},"  # noqa: S608
        f" rule = COALESCE((SELECT labels.rule{of_task}, '') WHERE status = 'done'"
    )
    op.create_table(
        "suspect_runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("begun_at", WHEN, nullable=False),
        sa.Column("finished_at", WHEN),
        sa.Column("judges", sa.JSON(), nullable=False),
        sa.Column("calibration", sa.JSON(), nullable=False),
    )
    op.create_table(
        "suspects",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("run_id", sa.Integer(), sa.ForeignKey("suspect_runs.id"), nullable=False),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("box", sa.JSON()),
        sa.Column("fix", sa.JSON()),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("gain", sa.Float(), nullable=False),
        sa.Column("task_id", sa.Integer(), sa.ForeignKey("label_tasks.id")),
        sa.Column("outcome", sa.String(12)),
        sa.Column("decided_at", WHEN),
    )
    op.create_index("ix_suspects_run", "suspects", ["run_id", "gain"])
    op.create_index("ix_suspects_frame", "suspects", ["frame"])
    op.create_index("ix_suspects_task_id", "suspects", ["task_id"])
    op.create_table(
        "lots",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.String(120), nullable=False),
        sa.Column("drawn_at", WHEN, nullable=False),
        sa.Column("decided_at", WHEN),
    )
    op.create_index("ix_lots_status", "lots", ["status"])
    op.create_table(
        "lot_members",
        sa.Column("lot_id", sa.Integer(), sa.ForeignKey("lots.id"), primary_key=True),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("annotation_id", sa.Integer(), sa.ForeignKey("annotations.id")),
        sa.Column("author", sa.String(200), nullable=False),
    )
    op.create_index("ix_lot_members_frame", "lot_members", ["frame"])
    op.create_table(
        "lot_draws",
        sa.Column("lot_id", sa.Integer(), sa.ForeignKey("lots.id"), primary_key=True),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("stage", sa.Integer(), primary_key=True),
        sa.Column("places", sa.JSON(), nullable=False),
        sa.Column("task_id", sa.Integer(), sa.ForeignKey("label_tasks.id")),
        sa.Column("inspected", sa.Integer()),
        sa.Column("wrong", sa.Integer()),
    )
    op.create_index("ix_lot_draws_task_id", "lot_draws", ["task_id"])


def downgrade() -> None:
    for table in ("lot_draws", "lot_members", "lots", "suspects", "suspect_runs"):
        op.drop_table(table)
    for column in ("rule", "stands", "about", "slot", "bare", "drawn"):
        op.drop_column("label_tasks", column)
    op.drop_column("labels", "imported")
    op.drop_column("annotations", "boxes")
    op.execute("ALTER TABLE annotations DROP COLUMN guideline")
    op.drop_table("guidelines")
