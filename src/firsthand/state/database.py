"""The database file behind the state: where it is, who may read it, and its migrations.

SQLite with a rollback journal, not WAL: it is written rarely, and then by commands as well as by the gateway, and
without WAL no second writer can meet a checkpoint. Nothing here but `_configure` and `create_private` is SQLite's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import NullPool, StaticPool

from firsthand.private import create_private
from firsthand.state.environments import FILE
from firsthand.state.tables import metadata

HEAD = "0004"
"""The newest migration, so that a state that is up to date is opened without importing Alembic."""
BUSY_SECONDS = 5


class StateError(Exception):
    """The state can't be read or written as asked; the message says what to do."""


class Database:
    """`path` is None for one in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        # A connection a transaction: there are few, and none is left open across a fork.
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path) if path else None),
            poolclass=NullPool if path else StaticPool,
            connect_args={"timeout": BUSY_SECONDS},
        )
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self._connection(write=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that holds the write lock from its first statement: what it reads stays true."""
        with self._connection(write=True) as connection:
            yield connection

    @contextmanager
    def _connection(self, write: bool) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect().execution_options(firsthand_write=write) as connection, connection.begin():
                yield connection
        except sa.exc.DatabaseError as error:
            raise StateError(f"{self.path} can't be used: {error.orig}; {_remedy(error)}") from error

    def version(self) -> str | None:
        """The newest migration that has run here."""
        with self.reading() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            version: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
            return version

    def migrate(self) -> None:
        """Brings the tables up to date, in one transaction: a second process that does the same waits for it."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def open_database(data_dir: Path, migrate: bool) -> Database:
    """The database in a data folder, with its tables up to date. Makes both where `migrate` is set."""
    path = data_dir / FILE
    if migrate:
        create_private(path)
    elif not path.exists():
        raise StateError(f"there is no {FILE} in {data_dir}; name the data folder, or run `firsthand apply` first")
    database = Database(path)
    version = database.version()
    if version == HEAD:
        return database
    if version is not None and version > HEAD:
        raise StateError(f"{path} was made by a newer Firsthand; use that version or a copy from before the upgrade")
    if not migrate:
        raise StateError(f"{path} was made by an older Firsthand; run `firsthand serve`, which brings it up to date")
    database.migrate()
    return database


def empty_database() -> Database:
    """One in memory, with all tables and nothing in them."""
    database = Database(None)
    with database.writing() as connection:
        metadata.create_all(connection)
    return database


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # leaves BEGIN to `_begin`; the driver would begin before writes only
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # whom an erasure was about must not outlive it in a free page


def _begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("firsthand_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _remedy(error: sa.exc.DatabaseError) -> str:
    if "locked" in str(error.orig):
        return "another firsthand command is writing: try again when it is done"
    usable = "check that it is the file of a Firsthand, that the disk has room and that you may write there"
    damaged = "not a database" in str(error.orig) or "malformed" in str(error.orig)
    return f"{usable}, or follow `Damaged files` in docs/delivery.md" if damaged else usable
