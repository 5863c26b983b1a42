"""The tables of the state, as queries see them. How they came to be, and why, stands in `migrations/versions`."""

import sqlalchemy as sa

metadata = sa.MetaData()

# `gateway` is what belongs to the gateway as a whole, `applied` what was applied last.
documents = sa.Table(
    "documents",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
)

sources = sa.Table(
    "sources",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.Column("removed_at", sa.Text),
)

integrations = sa.Table(
    "integrations",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("vendor", sa.Text, nullable=False),
    sa.Column("live_revision", sa.Integer, nullable=False),
    sa.Column("removed_at", sa.Text),
    sa.Column("added_again_at", sa.Text),
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("integration", sa.Text, sa.ForeignKey("integrations.key"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("vendor_version", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
)

replays = sa.Table(
    "replays",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("integration", sa.Text, sa.ForeignKey("integrations.key"), nullable=False),
    sa.Column("filter", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("progress", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="replays_state"),
    sa.Index("replays_by_state", "state", "id"),
)

resumes = sa.Table(
    "resumes",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("integration", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.CheckConstraint("state IN ('queued', 'done')", name="resumes_state"),
    sa.Index("resumes_by_state", "state", "id"),
)

erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("wanted", sa.Text, nullable=False),
    sa.Column("plan", sa.Text, nullable=False),
    sa.Column("log_done", sa.Boolean, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Text, nullable=False),
    sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="erasures_state"),
    sa.Index("erasures_by_state", "state", "id"),
)
