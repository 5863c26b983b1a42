"""What the embedded stores share: transactions on SQLite files, connections that only read, checks of rows."""

import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

UNREADABLE = (apsw.CorruptError, UnicodeDecodeError)
"""What reading a damaged page raises: damage can turn bytes into a text that is none."""


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
        raise FileNotFoundError(
            f"{path} is not there yet: it is made when `firsthand serve` first runs. Is this the data folder (--data,"
            " FIRSTHAND_DATA)?"
        )
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(5_000)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.pragma("wal_autocheckpoint", 0)
    db.pragma("query_only", 1)
    if db.execute("SELECT 1 FROM sqlite_master LIMIT 1").get is None:
        db.close()
        raise FileNotFoundError(f"{path} is being made just now: try again in a moment")
    return db


def checksum(position: int, visitor: int, source: int, received_ms: int, body: bytes) -> int:
    """CRC-32 over a row's meaning: a row that was overwritten with another valid row is noticed too."""
    return zlib.crc32(body, zlib.crc32(b"%d %d %d %d" % (position, visitor, source, received_ms)))


def has_room(directory: Path) -> bool:
    """Whether the disk may take more events: the ledger must still be able to record outcomes."""
    usage = shutil.disk_usage(directory)
    return usage.free >= min(64 << 20, usage.total // 20)


def log_bytes(db: apsw.Connection) -> int:
    """Bytes in use in a database file, free pages left out."""
    pages = int(db.pragma("page_count")) - int(db.pragma("freelist_count"))
    return pages * int(db.pragma("page_size"))
