"""Where integrations send, for those who read the ledger, which does not say it."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import sqlalchemy as sa

from firsthand.state.database import StateError, open_database
from firsthand.state.tables import integrations, revisions

Environments = Mapping[tuple[str, int | None], str]
"""`sandbox` or `production` by integration and revision; the revision None is the live one."""


class _Snapshot(msgspec.Struct):
    environment: str


def environments(directory: Path) -> Environments:
    """Those of all integrations, removed ones too; none where there is no state to read. Needs no vendor's package."""
    found: dict[tuple[str, int | None], str] = {}
    live = sa.select(integrations.c.key, integrations.c.live_revision)
    snapshots = sa.select(revisions.c.integration, revisions.c.number, revisions.c.config)
    try:
        with open_database(directory, migrate=False).reading() as connection:
            for key, number, config in connection.execute(snapshots):
                found[key, number] = msgspec.json.decode(config, type=_Snapshot).environment
            for key, number in connection.execute(live):
                found[key, None] = found[key, number]
    except StateError:
        return {}
    return found
