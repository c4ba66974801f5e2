"""What a person must mend stands beside a task, and which rule chose its answer beside a label."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("label_tasks", sa.Column("problem", sa.Text(), nullable=False, server_default=""))
    op.add_column("labels", sa.Column("rule", sa.String(24), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("labels", "rule")
    op.drop_column("label_tasks", "problem")
