"""Slices that last: conditions, classes and regions by id, instead of by the words that described
them.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ORDINARY = "ordinary frames"
METADATA = ("camera", "site", "daypart")
MEASURED = ("brightness", "contrast", "sharpness", "blockiness")
CHECK = "no fall: "


def upgrade() -> None:
    op.create_table(
        "slices",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("key", sa.String(400), nullable=False, unique=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("parent_id", sa.Integer(), sa.ForeignKey("slices.id")),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("given_name", sa.String(200)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "slice_members",
        sa.Column("frame", SEQ, sa.ForeignKey("frames.seq"), primary_key=True),
        sa.Column("producer", sa.Integer(), sa.ForeignKey("producers.id"), primary_key=True),
        sa.Column("slice_id", sa.Integer(), sa.ForeignKey("slices.id"), primary_key=True),
        sa.Column("strength", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_slice_members_slice", "slice_members", ["slice_id", "producer", "frame"])
    op.create_table(
        "slice_counts",
        sa.Column("slice_id", sa.Integer(), sa.ForeignKey("slices.id"), primary_key=True),
        sa.Column("group_id", sa.Integer(), sa.ForeignKey("groups.id"), primary_key=True),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("inside", sa.Integer(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("expected_loss", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    # Both databases spell these alike, and neither has to copy the table for them.
    op.execute("ALTER TABLE label_tasks ADD COLUMN slice_id INTEGER REFERENCES slices (id)")
    op.execute("ALTER TABLE label_tasks RENAME COLUMN arm TO component")
    connection = op.get_bind()
    made = _tasks(connection)
    _batches(connection, made)
    _verdicts(connection, made)
    op.execute("ALTER TABLE label_tasks DROP COLUMN stratum")
    op.create_index("ix_label_tasks_slice_id", "label_tasks", ["slice_id"])


def downgrade() -> None:
    op.execute("ALTER TABLE label_tasks ADD COLUMN stratum VARCHAR(200)")
    named = "SELECT coalesce(given_name, name) FROM slices WHERE slices.id = label_tasks.slice_id"
    op.execute(f"UPDATE label_tasks SET stratum = ({named})")  # noqa: S608
    op.execute(
        f"UPDATE label_tasks SET stratum = '{ORDINARY}' WHERE purpose = 'evaluation' AND slice_id IS NULL"  # noqa: S608
    )
    op.drop_index("ix_label_tasks_slice_id", "label_tasks")
    op.execute("ALTER TABLE label_tasks DROP COLUMN slice_id")
    op.execute("ALTER TABLE label_tasks RENAME COLUMN component TO arm")
    op.drop_table("slice_counts")
    op.drop_index("ix_slice_members_slice", "slice_members")
    op.drop_table("slice_members")
    op.drop_table("slices")


def described(name: str, batch: int) -> tuple[str, str] | None:
    """(key, kind) of a slice that a batch called so; None for frames of no slice.

    Regions were numbered by size at every build, so the same name in two batches need not be the
    same region.
    """
    if name == ORDINARY:
        return None
    if number := re.match(r"region (\d+)(?: \(|$)", name):
        return f"region/batch-{batch}-{number[1]}", "region"
    facet, _, option = name.partition(": ")
    kinds = {**dict.fromkeys(METADATA, "metadata"), **dict.fromkeys(MEASURED, "measured"), "class": "class"}
    return f"{_escaped(facet)}/{_escaped(option)}", kinds.get(facet, "prompt")


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")


def _tasks(connection: sa.Connection) -> dict[tuple[int, str], int]:
    """Gives every task the slice it was chosen for; slices by batch and name."""
    rows = connection.execute(
        sa.text("SELECT DISTINCT batch_id, stratum FROM label_tasks WHERE stratum IS NOT NULL ORDER BY 1, 2")
    ).all()
    made: dict[tuple[int, str], int] = {}
    for batch, name in rows:
        number = _slice(connection, name, batch)
        if number is None:
            continue
        made[batch, name] = number
        connection.execute(
            sa.text("UPDATE label_tasks SET slice_id = :slice WHERE batch_id = :batch AND stratum = :name"),
            {"slice": number, "batch": batch, "name": name},
        )
    return made


def _batches(connection: sa.Connection, made: dict[tuple[int, str], int]) -> None:
    """The gaps that a batch was chosen by refer to slices."""
    for batch, settings in _trees(connection, "batches", "settings"):
        for gap in settings.get("gaps", []):
            number = _slice(connection, gap["name"], batch)
            if number is not None:
                gap["slice_id"] = made[batch, gap["name"]] = number
        _store(connection, "batches", "settings", batch, settings)


def _verdicts(connection: sa.Connection, made: dict[tuple[int, str], int]) -> None:
    """Checks refer to the slice that the newest batch called so."""
    newest = {name: number for (_, name), number in sorted(made.items())}
    for row, verdict in _trees(connection, "rounds", "verdict"):
        for check in verdict.get("checks", []):
            what, _, name = check["name"].removeprefix(CHECK).partition(" ")
            called = {"condition": name, "class": f"class: {name}"}.get(what, "")
            check["slice_id"] = newest.get(called) if check["name"].startswith(CHECK) else None
        _store(connection, "rounds", "verdict", row, verdict)


def _slice(connection: sa.Connection, name: str, batch: int) -> int | None:
    found = described(name, batch)
    if found is None:
        return None
    key, kind = found
    looked = sa.text("SELECT id FROM slices WHERE key = :key")
    known = connection.execute(looked, {"key": key}).scalar()
    if known is not None:
        return int(known)
    table = sa.table(
        "slices",
        sa.column("key", sa.String()),
        sa.column("kind", sa.String()),
        sa.column("definition", sa.JSON()),
        sa.column("name", sa.String()),
        sa.column("created_at", sa.DateTime(timezone=True)),
    )
    called = f"{name} (batch {batch})" if kind == "region" else name
    row = {"key": key, "kind": kind, "definition": {}, "name": called[:200], "created_at": datetime.now(UTC)}
    connection.execute(table.insert(), [row])
    return int(connection.execute(looked, {"key": key}).scalar_one())


def _trees(connection: sa.Connection, table: str, column: str) -> list[tuple[int, dict[str, Any]]]:
    rows = connection.execute(sa.text(f"SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL")).all()  # noqa: S608
    read = [(number, json.loads(tree) if isinstance(tree, str) else tree) for number, tree in rows]
    return [(number, tree) for number, tree in read if tree]


def _store(connection: sa.Connection, table: str, column: str, row: int, tree: dict[str, Any]) -> None:
    changed = sa.table(table, sa.column("id", sa.Integer()), sa.column(column, sa.JSON()))
    connection.execute(changed.update().where(changed.c.id == row).values({column: tree}))
