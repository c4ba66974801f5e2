"""Which gaps of its batch a task's frame shows: known without comparing again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("label_tasks", sa.Column("shows", sa.JSON(), nullable=False, server_default="[]"))
    chosen_for = "UPDATE label_tasks SET shows = '[' || slice_id || ']' WHERE slice_id IS NOT NULL"
    if op.get_bind().dialect.name == "postgresql":
        chosen_for = chosen_for.replace("'[' || slice_id || ']'", "json_build_array(slice_id)")
    op.execute(chosen_for)


def downgrade() -> None:
    op.drop_column("label_tasks", "shows")
