"""Erasures of visitors.

A command that asks for one, and the processes that carry it out, meet in this table. What names the visitor is only
there while it is carried out: rows stay as a record of when something was erased and how much, not of whom.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("wanted", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("log_done", sa.Boolean, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="erasures_state"),
    )
    op.create_index("erasures_by_state", "erasures", ["state", "id"])
