"""What the embedded stores share: transactions on SQLite files, and connections that only read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """All of it or nothing. What stood against it is raised as it is: SQLite has already rolled back where the disk
    is full, and a roll-back after that (as `with db:` does) would hide the cause behind a fault of its own."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(db: apsw.Connection) -> Iterator[None]:
    """All that is read meanwhile is of one moment. Damage met on the way does no harm to the connection."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def open_reader(path: Path) -> apsw.Connection:
    """A connection that reads a file some other process writes. Raises FileNotFoundError before there is one."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there yet: it is made when `firsthand serve` first runs")
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(5_000)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.pragma("wal_autocheckpoint", 0)
    db.pragma("query_only", 1)
    return db
