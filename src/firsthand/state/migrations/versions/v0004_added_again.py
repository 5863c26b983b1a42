"""When an integration was added again that had been removed: what came in between is not meant for it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("integrations", sa.Column("added_again_at", sa.Text))
