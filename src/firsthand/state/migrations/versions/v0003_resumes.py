"""Requests to have a lane send again that has stopped.

The command that asks and the deliver process that does it meet in this table, as they do for replays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "resumes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("integration", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('queued', 'done')", name="resumes_state"),
    )
    op.create_index("resumes_by_state", "resumes", ["state", "id"])
