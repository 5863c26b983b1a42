"""Saves what can be read of a damaged `identity.db` into a new file.

Tombstones come first: the log can teach all the rest again as far back as it goes, and them never.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import msgspec

from firsthand.eventlog.files import UNREADABLE, transaction
from firsthand.identity.profile import Profile

COPY, ASIDE = "identity.mended.db", "identity.damaged.db"
CHUNK = 1_000
ROWS_A_PAGE = 200
DAMAGED = (apsw.CorruptError, apsw.NotADBError, msgspec.DecodeError, UnicodeDecodeError)
"""What reading a damaged file raises, or a row with damage in it."""
_decode = msgspec.msgpack.Decoder(Profile).decode


def mend(path: Path, salt: bytes, make: Callable[[Path], apsw.Connection]) -> int:
    """Lay a file with what can be read in the place of a damaged one that nobody has open; returns how many rows.

    `make` opens a new file, `salt` is that of the rows' keys. Without positions, so that the log is observed again.
    """
    _remove(path.with_name(COPY))
    new = make(path.with_name(COPY))
    old = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        new.execute("UPDATE salt SET salt = ?", (salt,))
        with transaction(new):
            kept = _copy(old, new, tombstones=True)
            for table, columns in (("erasures", 1), ("late", 2)):
                with contextlib.suppress(*DAMAGED):
                    rows = old.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
                    new.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * columns)})", rows)  # noqa: S608
            if kept:
                new.execute("INSERT OR IGNORE INTO erasures VALUES (0)")
        with contextlib.suppress(apsw.FullError), transaction(new):
            kept += _copy(old, new, tombstones=False)
    finally:
        old.close()
        new.close()
    os.replace(path, path.with_name(ASIDE))
    finish(path)
    return kept


def finish(path: Path) -> None:
    """Take the new file into its place, also where a kill came between; and leave nothing of the damaged one."""
    copy = path.with_name(COPY)
    if not path.exists() and copy.exists():
        _remove(path)
        os.replace(copy, path)
    _remove(copy)
    _remove(path.with_name(ASIDE))


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(old: apsw.Connection, new: apsw.Connection, tombstones: bool) -> int:
    kept = 0
    for rows in _rows(old):
        good = [row[1:] for row in rows if (profile := _profile(*row)) and (profile.barrier_ms > 0) is tombstones]
        new.executemany("INSERT OR IGNORE INTO profiles (key, profile) VALUES (?, ?)", good)
        kept += len(good)
    return kept


def _profile(id: Any, key: Any, packed: Any) -> Profile | None:
    try:
        return _decode(packed) if isinstance(key, int) else None
    except (*DAMAGED, TypeError):
        return None


def _rows(db: apsw.Connection) -> Iterator[list[Any]]:
    """All rows that are not on a damaged page: by smaller and smaller steps up to it, and over it."""
    low, size, last = 1, CHUNK, _last(db)
    while low <= last:
        high = min(low + size - 1, last)
        try:
            rows = db.execute("SELECT id, key, profile FROM profiles WHERE id BETWEEN ? AND ?", (low, high)).fetchall()
        except UNREADABLE:
            if size == 1:
                low += 1
            size = max(1, size // 2)
        else:
            yield rows
            low, size = high + 1, min(size * 2, CHUNK)


def _last(db: apsw.Connection) -> int:
    """The id of the last row, or one beyond it."""
    try:
        return int(db.execute("SELECT max(id) FROM profiles").get or 0)
    except UNREADABLE:
        return int(db.pragma("page_count")) * ROWS_A_PAGE
