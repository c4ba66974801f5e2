"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UTC = sa.DateTime(timezone=True)
SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OPEN_TASK = sa.text("status IN ('pending', 'sent', 'confirmed', 'quarantined')")
OPEN_ROUND = sa.text("status IN ('freezing', 'training', 'judging', 'awaiting_approval')")
TABLES = (
    *("facts", "groups", "frames", "sightings", "rejects"),
    *("producers", "embeddings", "detections", "measurements"),
    *("models", "deployments", "batches", "label_tasks", "annotations", "labels"),
    *("datasets", "dataset_members", "rounds", "runs", "leases"),
)


def upgrade() -> None:
    _frames()
    _derived()
    _models()
    _tasks()
    _labels()
    _rounds()
    _service()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _frames() -> None:
    op.create_table(
        "facts",
        sa.Column("key", sa.String(80), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(400), nullable=False, unique=True),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("first_seen", UTC, nullable=False),
    )
    op.create_table(
        "frames",
        sa.Column("seq", SEQ, primary_key=True),
        sa.Column("content_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(12), nullable=False),
        sa.Column("split", sa.String(8)),
        sa.Column("group_id", sa.Integer(), sa.ForeignKey("groups.id"), nullable=False, index=True),
        sa.Column("camera", sa.String(120), nullable=False),
        sa.Column("site", sa.String(120), nullable=False),
        sa.Column("sequence", sa.String(200)),
        sa.Column("captured_at", UTC),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("ingested_at", UTC, nullable=False),
        sa.Column("embedded_by", sa.Integer(), nullable=False, index=True),
        sa.Column("detected_by", sa.Integer(), nullable=False, index=True),
        sa.Column("measured_by", sa.Integer(), nullable=False, index=True),
    )
    op.create_table(
        "sightings",
        sa.Column("source_key", sa.Text(), primary_key=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "rejects",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("source_key", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("code", sa.String(24), nullable=False, index=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("seen_at", UTC, nullable=False),
        sa.UniqueConstraint("source_key", "content_hash"),
    )


def _derived() -> None:
    op.create_table(
        "producers",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.UniqueConstraint("kind", "name"),
    )
    op.create_table(
        "embeddings", *_frame_and_producer(), sa.Column("vector", sa.LargeBinary(), nullable=False)
    )
    op.create_table(
        "detections",
        *_frame_and_producer(),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("xyxy", sa.LargeBinary(), nullable=False),
        sa.Column("confidence", sa.LargeBinary(), nullable=False),
        sa.Column("class_id", sa.LargeBinary(), nullable=False),
        sa.Column("class_scores", sa.LargeBinary()),
        sa.Column("forward_ms", sa.Float(), nullable=False),
    )
    op.create_table("measurements", *_frame_and_producer(), sa.Column("values", sa.JSON(), nullable=False))


def _frame_and_producer() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
    )


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("classes", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("parent_id", sa.Integer(), sa.ForeignKey("models.id")),
        sa.Column("created_at", UTC, nullable=False),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("model_id", sa.Integer(), sa.ForeignKey("models.id"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UTC, nullable=False),
    )


def _tasks() -> None:
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("status", sa.String(12), nullable=False, index=True),
        sa.Column("strategy", sa.String(40), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("budget", sa.Integer(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
    )
    op.create_table(
        "label_tasks",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), nullable=False, index=True),
        sa.Column("batch_id", sa.Integer(), sa.ForeignKey("batches.id"), nullable=False, index=True),
        sa.Column("purpose", sa.String(12), nullable=False),
        sa.Column("status", sa.String(12), nullable=False, index=True),
        sa.Column("key", sa.String(80), nullable=False, unique=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("arm", sa.String(24), nullable=False),
        sa.Column("stratum", sa.String(200)),
        sa.Column("inclusion_probability", sa.Float()),
        sa.Column("detector", sa.Integer(), sa.ForeignKey("producers.id")),
        sa.Column("external_project", sa.Integer()),
        sa.Column("external_id", sa.Integer()),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
        sa.UniqueConstraint("frame", "batch_id", "purpose"),
    )
    op.create_index(
        "one_open_task_per_frame_and_purpose",
        "label_tasks",
        ["frame", "purpose"],
        unique=True,
        sqlite_where=OPEN_TASK,
        postgresql_where=OPEN_TASK,
    )


def _labels() -> None:
    op.create_table(
        "annotations",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("task_id", sa.Integer(), sa.ForeignKey("label_tasks.id"), nullable=False, index=True),
        sa.Column("external_project", sa.Integer(), nullable=False),
        sa.Column("external_id", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(200), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("updated_at", UTC, nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("lead_time_s", sa.Float()),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.UniqueConstraint("external_project", "external_id", "updated_at"),
    )
    op.create_table(
        "labels",
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("purpose", sa.String(12), nullable=False),
        sa.Column("source", sa.String(12), nullable=False),
        sa.Column("annotation_id", sa.Integer(), sa.ForeignKey("annotations.id")),
        sa.Column("updated_at", UTC, nullable=False),
    )


def _rounds() -> None:
    op.create_table(
        "datasets",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("manifest_sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("created_at", UTC, nullable=False),
    )
    op.create_table(
        "dataset_members",
        sa.Column("dataset_id", sa.Integer(), sa.ForeignKey("datasets.id"), primary_key=True),
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("split", sa.String(8), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
    )
    op.create_table(
        "rounds",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("status", sa.String(20), nullable=False, index=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("base_model_id", sa.Integer(), sa.ForeignKey("models.id"), nullable=False),
        sa.Column("dataset_id", sa.Integer(), sa.ForeignKey("datasets.id")),
        sa.Column("candidate_id", sa.Integer(), sa.ForeignKey("models.id")),
        sa.Column("verdict", sa.JSON()),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", UTC, nullable=False),
        sa.Column("changed_at", UTC, nullable=False),
    )
    op.create_index(
        "one_open_round",
        "rounds",
        [sa.text("(1)")],
        unique=True,
        sqlite_where=OPEN_ROUND,
        postgresql_where=OPEN_ROUND,
    )


def _service() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job", sa.String(24), nullable=False, index=True),
        sa.Column("started_at", UTC, nullable=False),
        sa.Column("finished_at", UTC),
        sa.Column("outcome", sa.String(12)),
        sa.Column("detail", sa.Text()),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(24), primary_key=True),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("expires_at", UTC, nullable=False),
    )
