"""What is known of an import for good: how far the collector has acknowledged it, and what is on its way.

A file of SQLite, in the data folder or beside the imported file, each change synced to the disk. An import is known
by the file's content, the source, where it was sent, and by what rule its events get their ids.

An import has turns. The first takes all lines. When the mapping is another one than before, the next turn takes the
lines that were refused, those that `where` left out, and those never reached: what has been accepted is an event
already and stays as it is.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from firsthand.eventlog.files import transaction
from firsthand.importing.faults import ImportFailed
from firsthand.importing.rows import Place
from firsthand.private import create_private

SCHEMA = """
CREATE TABLE IF NOT EXISTS imports (
    id INTEGER PRIMARY KEY, file TEXT NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL, ids TEXT NOT NULL,
    mapping TEXT NOT NULL, turn INTEGER NOT NULL, reached INTEGER NOT NULL, line INTEGER NOT NULL,
    offset INTEGER NOT NULL, accepted INTEGER NOT NULL, rejects_bytes INTEGER NOT NULL, finished_ms INTEGER,
    open_group TEXT,
    UNIQUE (file, source, destination, ids));
CREATE TABLE IF NOT EXISTS in_flight (
    import INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, sent_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rejected (
    import INTEGER NOT NULL, turn INTEGER NOT NULL, line INTEGER NOT NULL, skipped INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (import, turn, line)) WITHOUT ROWID;
"""
NEWER = {"imports": "open_group TEXT", "rejected": "skipped INTEGER NOT NULL DEFAULT 0"}
"""Columns that the first journals did not have."""
LINES_AT_A_TIME = 1_000


class Key(msgspec.Struct, frozen=True):
    file: str
    source: str
    destination: str
    ids: str


class Import(msgspec.Struct):
    """One import. `line` and `offset` are where the first row begins that has not been acknowledged in this turn;
    `reached` is the last line that earlier turns had acknowledged."""

    id: int
    mapping: str
    turn: int
    reached: int
    line: int
    offset: int
    accepted: int
    rejects_bytes: int
    """How much of the file of rejects belongs to what is acknowledged."""
    finished_ms: int | None = None
    open_group: str | None = None
    """Where the rows at `line` may go on with a group that was too large, its value. See `groups`."""

    @property
    def place(self) -> Place:
        return Place(self.line, self.offset)


class OnTheWay(msgspec.Struct, frozen=True):
    """Lines, both included, that were sent and not yet acknowledged."""

    first: int
    last: int
    sent_ms: int


class Journal:
    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises ImportFailed where another import has the file open, or where it can't be written."""
        self._clock = clock
        try:
            create_private(path)
            self._db = apsw.Connection(str(path))
            # Exclusive: two imports of one file at a time would each believe in a progress of its own.
            for pragma in ("locking_mode=exclusive", "journal_mode=wal", "synchronous=full"):
                self._db.pragma(*pragma.split("="))
            with transaction(self._db):
                self._db.execute(SCHEMA)
                for table, column in NEWER.items():
                    there = [name for _, name, *_ in self._db.execute(f"PRAGMA table_info({table})")]
                    if column.split()[0] not in there:
                        self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        except apsw.BusyError:
            raise ImportFailed("this file is being imported by another process: wait until it is done") from None
        except (apsw.Error, OSError) as error:
            raise ImportFailed(f"the progress can't be kept in {path}: {error}") from None

    def close(self) -> None:
        self._db.close()

    def begin(self, key: Key, mapping: str, first: Place) -> Import:
        """The import as it stands, made where there is none. `first` is where the file's first row begins."""
        found = self._find(key)
        if found is None:
            sql = (
                "INSERT INTO imports (file, source, destination, ids, mapping, turn, reached, line, offset, accepted,"
                " rejects_bytes) VALUES (?, ?, ?, ?, ?, 1, 0, ?, ?, 0, 0)"
            )
            with self._writing():
                self._db.execute(sql, (*msgspec.structs.astuple(key), mapping, *first))
            found = self._find(key)
            assert found is not None  # noqa: S101 (for the type checker)
        return found

    def next_turn(self, work: Import, mapping: str, first: Place) -> None:
        """Begin again with another mapping: what was refused or left out, and what was never reached."""
        work.mapping, work.turn = mapping, work.turn + 1
        work.reached = max(work.reached, work.line - 1)
        work.line, work.offset = first
        work.rejects_bytes, work.finished_ms, work.open_group = 0, None, None
        with self._writing():
            self._save(work)

    def sending(self, work: Import, first: int, last: int) -> int:
        """Remember that these lines go out now; returns the time."""
        now_ms = self._now_ms()
        with self._writing():
            self._db.execute("INSERT INTO in_flight VALUES (?, ?, ?, ?)", (work.id, first, last, now_ms))
        return now_ms

    def acknowledged(
        self, work: Import, after: Place, accepted: int, rejected: Sequence[int], skipped: Sequence[int]
    ) -> None:
        """Everything in front of a place is done: accepted, refused and set aside, or left out as the mapping says."""
        work.line, work.offset = after
        work.accepted += accepted
        with self._writing():
            self._save(work)
            self._db.execute("DELETE FROM in_flight WHERE import = ? AND last < ?", (work.id, work.line))
            retried = "DELETE FROM rejected WHERE import = ? AND turn < ? AND line < ?"
            self._db.execute(retried, (work.id, work.turn, work.line))
            rows = [(work.id, work.turn, line, lines is skipped) for lines in (rejected, skipped) for line in lines]
            sql = "INSERT OR IGNORE INTO rejected (import, turn, line, skipped) VALUES (?, ?, ?, ?)"
            self._db.executemany(sql, rows)

    def finish(self, work: Import) -> None:
        work.finished_ms = self._now_ms()
        with self._writing():
            self._save(work)
            self._db.execute("DELETE FROM in_flight WHERE import = ?", (work.id,))

    def on_the_way(self, work: Import) -> list[OnTheWay]:
        """What was sent before the last run ended, and may or may not have arrived."""
        rows = self._db.execute("SELECT first, last, sent_ms FROM in_flight WHERE import = ?", (work.id,))
        return [OnTheWay(*row) for row in rows]

    def not_taken(self, work: Import) -> tuple[int, int]:
        """How many lines are refused as of now, and how many are left out."""
        sql = "SELECT count(*), coalesce(sum(skipped), 0) FROM rejected WHERE import = ?"
        found: Any = self._db.execute(sql, (work.id,)).fetchone()
        return found[0] - found[1], found[1]

    def to_try_again(self, work: Import) -> Iterator[int]:
        """The lines refused or left out in earlier turns that this turn has not come to yet, in order."""
        after = work.line - 1
        sql = "SELECT DISTINCT line FROM rejected WHERE import = ? AND turn < ? AND line > ? ORDER BY line LIMIT ?"
        lines: list[Any]
        while lines := list(self._db.execute(sql, (work.id, work.turn, after, LINES_AT_A_TIME))):
            yield from (int(line) for (line,) in lines)
            after = int(lines[-1][0])

    def _find(self, key: Key) -> Import | None:
        sql = (
            "SELECT id, mapping, turn, reached, line, offset, accepted, rejects_bytes, finished_ms, open_group"
            " FROM imports WHERE file = ? AND source = ? AND destination = ? AND ids = ?"
        )
        row: Any = self._db.execute(sql, msgspec.structs.astuple(key)).fetchone()
        return None if row is None else Import(*row)

    def _save(self, work: Import) -> None:
        values = msgspec.structs.asdict(work)
        names = [name for name in values if name != "id"]
        sql = f"UPDATE imports SET {', '.join(f'{name} = :{name}' for name in names)} WHERE id = :id"  # noqa: S608
        self._db.execute(sql, values)

    def _writing(self) -> Any:
        return transaction(self._db)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)
