"""What was applied last: the file, what it made of the state, and which values it took from the environment.

With it a later plan tells what somebody has changed by other means since, and an export writes `${NAME}` where the
file did. Kept as the document `applied`.
"""

import msgspec
import sqlalchemy as sa

from firsthand.config import Config, ConfigFile, Process, Source, canonical_json
from firsthand.config.faults import Path
from firsthand.state.tables import documents, integrations

NAME = "applied"


class LastApplied(msgspec.Struct, frozen=True):
    """Which file was applied last, and when. Its name and hash are empty where it was no file."""

    file: str
    sha256: str
    at: str


class Applied(msgspec.Struct, frozen=True):
    """`integrations` are the revisions that were made live, by key; `references` are as `ConfigFile` has them."""

    file: str
    sha256: str
    sources: dict[str, Source]
    integrations: dict[str, int]
    gateway: Process
    references: tuple[tuple[Path, str], ...]


def read(connection: sa.Connection) -> Applied | None:
    config = connection.scalar(sa.select(documents.c.config).where(documents.c.name == NAME))
    return None if config is None else msgspec.json.decode(config, type=Applied)


def last_applied(connection: sa.Connection) -> LastApplied | None:
    row = connection.execute(sa.select(documents).where(documents.c.name == NAME)).one_or_none()
    if row is None:
        return None
    applied = msgspec.json.decode(row.config, type=Applied)
    return LastApplied(applied.file, applied.sha256, row.updated_at)


def remember(connection: sa.Connection, config: Config, time: str) -> None:
    """Keep what has just been applied."""
    file = config if isinstance(config, ConfigFile) else ConfigFile()
    live = sa.select(integrations.c.key, integrations.c.live_revision).where(integrations.c.removed_at.is_(None))
    applied = Applied(
        file=file.file,
        sha256=file.sha256,
        sources={source.key: source for source in config.sources},
        integrations={row.key: row.live_revision for row in connection.execute(live)},
        gateway=config.process,
        references=file.references,
    )
    text = canonical_json(applied).decode()
    before = connection.scalar(sa.select(documents.c.config).where(documents.c.name == NAME))
    if before is None:
        connection.execute(documents.insert().values(name=NAME, config=text, updated_at=time))
    elif before != text:
        update = documents.update().where(documents.c.name == NAME).values(config=text, updated_at=time)
        connection.execute(update)
