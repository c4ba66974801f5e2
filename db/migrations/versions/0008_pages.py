"""What pages need: an audit log, answers kept by key, dated views, reports of people, and pinned tasks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("label_tasks", sa.Column("pinned", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_label_tasks_recent", "label_tasks", ["status", "changed_at"])
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(120), nullable=False),
        sa.Column("via", sa.String(12), nullable=False),
        sa.Column("what", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
    )
    op.create_index("ix_changes_what", "changes", ["what"])
    op.create_index("ix_changes_subject", "changes", ["subject"])
    op.create_table(
        "idempotent_requests",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("body", sa.Text()),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_idempotent_requests_asked_at", "idempotent_requests", ["asked_at"])
    op.create_table(
        "page_facts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
    )
    op.create_index("ix_page_facts_kind", "page_facts", ["kind", "made_at"])
    op.create_table(
        "reports",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), nullable=False),
        sa.Column("model_id", sa.Integer(), sa.ForeignKey("models.id")),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("class_name", sa.String(200)),
        sa.Column("box", sa.JSON()),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("who", sa.String(120), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_reports_frame", "reports", ["frame"])


def downgrade() -> None:
    for table in ("reports", "page_facts", "idempotent_requests", "changes"):
        op.drop_table(table)
    op.drop_index("ix_label_tasks_recent", "label_tasks")
    op.drop_column("label_tasks", "pinned")
