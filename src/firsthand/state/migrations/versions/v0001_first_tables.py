"""The first tables.

Why they look as they do:

- Configuration is kept as canonical JSON text, whole. It is read and written whole, its shape is checked by the
  program that reads it, and two versions are compared as text. A JSON column type would reorder or reformat it.
- Times are ISO 8601 text in UTC. They sort as text, and they read the same on SQLite and PostgreSQL.
- Nothing that was ever named in a delivery is deleted: a source or an integration that leaves the configuration
  gets `removed_at`, so a trace from last month still finds it, and one that comes back goes on counting revisions.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # What belongs to the gateway as a whole, one row a subject. So far there is one, `gateway`.
    op.create_table(
        "documents",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )
    op.create_table(
        "sources",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("removed_at", sa.Text),
    )
    # The vendor stands here and not only in the revisions because it never changes: a delivery that waits to be
    # tried again belongs to the vendor it was built for. There is no foreign key to the live revision: each table
    # would need the other's row first.
    op.create_table(
        "integrations",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("vendor", sa.Text, nullable=False),
        sa.Column("live_revision", sa.Integer, nullable=False),
        sa.Column("removed_at", sa.Text),
    )
    # Rows are inserted and never updated: an exact replay reads the revision its delivery was built with. The
    # version of the vendor's module is kept too, since the same settings and another module make other requests.
    op.create_table(
        "revisions",
        sa.Column("integration", sa.Text, sa.ForeignKey("integrations.key"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("config", sa.Text, nullable=False),
        sa.Column("vendor_version", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
    )
    # A command that asks for a replay and the process that runs it meet in this table. Ids are UUIDv7, so the order
    # of ids is the order of asking.
    op.create_table(
        "replays",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("integration", sa.Text, sa.ForeignKey("integrations.key"), nullable=False),
        sa.Column("filter", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="replays_state"),
    )
    op.create_index("replays_by_state", "replays", ["state", "id"])
