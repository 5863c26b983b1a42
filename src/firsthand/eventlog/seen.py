"""Which message ids the log has seen, and where: what makes a repeated event a duplicate.

Kept beside the log in a file of its own with small pages (random keys touch one page each: small pages halve the
cost), one table per day. The two newest days answer de-duplication, so an id is remembered for 24 to 48 hours;
older ones stay as long as the log keeps the events, so that any of them can be found by its message id.

The file is not synced with every commit. It says how far it has come, and at start it is brought up to date
from the log.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import structlog

from firsthand.eventlog.base import Position, message_key
from firsthand.eventlog.files import transaction
from firsthand.private import create_private

DAY = 86_400.0
PAGE_BYTES = 1024
SCHEMA = """
CREATE TABLE IF NOT EXISTS generations (
    number INTEGER PRIMARY KEY, started REAL NOT NULL, last_position INTEGER NOT NULL);
"""


log = structlog.get_logger()


class _MessageId(msgspec.Struct, rename="camel"):
    message_id: str = ""


class SeenDamaged(Exception):
    """A page of the memory is damaged: it has to be made anew."""


@contextmanager
def _noticed() -> Iterator[None]:
    """Damage of this file is not taken for damage of the log."""
    try:
        yield
    except apsw.CorruptError as fault:
        raise SeenDamaged(str(fault)) from fault


class Seen:
    """The writer's side, used in the log writer's thread. Reading and writing raise SeenDamaged."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        try:
            self._db = _open(path)
        except (apsw.NotADBError, apsw.CorruptError):
            log.error("the memory of message ids is damaged and made anew from the log", file=str(path))
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = _open(path)
        self._learn_generations()

    def _learn_generations(self) -> None:
        self._generations = [
            number for (number,) in self._db.execute("SELECT number FROM generations ORDER BY number DESC LIMIT 2")
        ]
        self._started = self._db.execute("SELECT max(started) FROM generations").get or 0.0

    def make_anew(self, events: apsw.Connection, head: Position) -> None:
        """Learn everything again from the log. An empty file is laid over the damaged one: readers notice a commit."""
        log.error("the memory of message ids is damaged and made anew from the log")
        with closing(apsw.Connection(":memory:")) as blank:
            blank.pragma("page_size", PAGE_BYTES)
            blank.execute(SCHEMA)
            with self._db.backup("main", blank, "main") as laid_over:
                laid_over.step()
        self._learn_generations()
        self.catch_up(events, head)

    def close(self) -> None:
        self._db.close()

    def catch_up(self, events: apsw.Connection, head: Position) -> None:
        """Take in the events of the log, up to its newest, that a crash kept out of this file."""
        with _noticed():
            reached = self._db.execute("SELECT max(last_position) FROM generations").get or 0
        sql = (
            "SELECT position, s.key, body FROM events JOIN sources s ON s.id = source"
            " WHERE position > ? ORDER BY position LIMIT 10000"
        )
        decode = msgspec.json.Decoder(_MessageId).decode
        while reached < head:
            keys: dict[bytes, Position] = {}
            before = reached
            row: Any
            try:
                for row in events.execute(sql, (reached,)):
                    reached, source, body = row
                    try:
                        keys[message_key(source, decode(body).message_id)] = reached
                    except (msgspec.DecodeError, UnicodeDecodeError):
                        continue  # a damaged row: its reader records the gap
            except (apsw.CorruptError, UnicodeDecodeError):
                reached += 1  # a damaged page: past it, position by position
            self.add(keys, reached)
            if reached == before:
                return

    def new_key(self, source: str, message_id: str, fresh: dict[bytes, Position]) -> bytes | None:
        """The key to remember an event by, or None if it was seen in the last day or is among `fresh`."""
        key = message_key(source, message_id)
        if key in fresh:
            return None
        try:
            for number in self._generations:
                if self._db.execute(f"SELECT 1 FROM seen_{number} WHERE key = ?", (key,)).get is not None:  # noqa: S608
                    return None
        except apsw.CorruptError as fault:
            raise SeenDamaged(str(fault)) from fault
        return key

    def add(self, keys: dict[bytes, Position], last: Position) -> None:
        """Remember these; `last` is the log's newest position."""
        if not keys:
            return
        begun = None
        with _noticed(), transaction(self._db):
            if not self._generations or self._clock() - self._started >= DAY:
                begun = self._begin()
            number = begun or self._generations[0]
            self._db.executemany(f"INSERT OR REPLACE INTO seen_{number} VALUES (?, ?)", keys.items())  # noqa: S608
            self._db.execute("UPDATE generations SET last_position = ? WHERE number = ?", (last, number))
        if begun is not None:  # known only once it is in the file
            self._generations, self._started = [begun, *self._generations][:2], self._clock()

    def _begin(self) -> int:
        number = (self._generations[0] + 1) if self._generations else 1
        self._db.execute(f"CREATE TABLE seen_{number} (key BLOB PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID")
        self._db.execute("INSERT INTO generations VALUES (?, ?, 0)", (number, self._clock()))
        return number

    def forget(self, dropped: Position) -> None:
        """Drop the days whose events the log has dropped, except the two that de-duplicate."""
        old = "SELECT number FROM generations WHERE last_position <= ? ORDER BY number"
        with _noticed():
            forgotten = [n for (n,) in self._db.execute(old, (dropped,)).fetchall() if n not in self._generations]
        for number in forgotten:
            with _noticed(), transaction(self._db):
                self._db.execute(f"DROP TABLE seen_{number}")
                self._db.execute("DELETE FROM generations WHERE number = ?", (number,))


def _open(path: Path) -> apsw.Connection:
    create_private(path)
    db = apsw.Connection(str(path))
    db.pragma("page_size", PAGE_BYTES)
    for pragma in ("journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=4000", "cache_size=-65536"):
        db.pragma(*pragma.split("="))
    with transaction(db):
        db.execute(SCHEMA)
    return db
