"""The event logs that `test_eventlog.py` holds to the contract, behind one face.

To have another implementation tested, write a class such as `SqliteLog` and name it in `LOGS`.
"""

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import apsw

from firsthand.eventlog.base import LogReader, LogWriter, Position, Record, Row, visitor_hash
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader

NOW = 1_795_348_800.0
"""2026-11-22 12:00 UTC, where every test's clock begins."""
HOUR, DAY = 3600.0, 86_400.0


class Time:
    """Seconds since 1970; stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Log(Protocol):
    """An event log with one writer and one reader."""

    @property
    def time(self) -> Time: ...

    @property
    def writer(self) -> LogWriter: ...

    @property
    def reader(self) -> LogReader: ...

    @property
    def shard(self) -> int: ...

    async def reopen(self) -> None:
        """Close the writer in good order; a new one and a new reader take its place."""
        ...

    async def crash(self) -> None:
        """As `reopen`, but the writer is not given the chance to close."""
        ...

    async def retain(self, *, max_age: float | None = None, max_bytes: int = 10 << 30) -> None:
        """Apply these limits now. The reader stays as it is."""
        ...

    def stuck(self) -> AbstractAsyncContextManager[None]:
        """No commit comes to its end meanwhile."""
        ...


class SqliteLog:
    shard = 0

    def __init__(self, folder: Path) -> None:
        self.time = Time()
        self._folder = folder
        self._lives = 0
        self._left: list[SqliteLogWriter] = []
        self.directory = folder / "0"
        self.directory.mkdir()
        self._open()

    def _open(self, *, max_age: float | None = None, max_bytes: int = 10 << 30) -> None:
        self.writer = SqliteLogWriter(self.directory, max_age=max_age, max_bytes=max_bytes, clock=self.time)
        self.reader = SqliteLogReader(self.directory)

    async def reopen(self) -> None:
        await self.writer.close()
        self.reader.close()
        self._open()

    async def crash(self) -> None:
        """What is on disk now is all that the next writer finds."""
        self._lives += 1
        after = self._folder / str(self._lives)
        after.mkdir()
        for name in ("events.db", "events.db-wal", "seen.db", "seen.db-wal"):
            if (self.directory / name).exists():
                shutil.copyfile(self.directory / name, after / name)
        self._left.append(self.writer)
        self.reader.close()
        self.directory = after
        self._open()

    async def retain(self, *, max_age: float | None = None, max_bytes: int = 10 << 30) -> None:
        reader = self.reader
        await self.writer.close()
        self._open(max_age=max_age, max_bytes=max_bytes)
        await self.writer.close()  # the last thing a writer does is to drop what is over the limits
        self.reader.close()
        self._open()
        self.reader.close()
        self.reader = reader

    @asynccontextmanager
    async def stuck(self) -> AsyncIterator[None]:
        other = apsw.Connection(str(self.directory / "events.db"))
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()

    async def close(self) -> None:
        for writer in (*self._left, self.writer):
            await writer.close()
        self.reader.close()


@asynccontextmanager
async def sqlite_log() -> AsyncIterator[SqliteLog]:
    with tempfile.TemporaryDirectory() as folder:
        log = SqliteLog(Path(folder))
        try:
            yield log
        finally:
            await log.close()


LOGS: dict[str, Callable[[], AbstractAsyncContextManager[Log]]] = {"sqlite": sqlite_log}


def record(message_id: str, source: str = "shop", visitor: str = "v1", at: float = NOW, size: int = 0) -> Record:
    """An accepted event."""
    body = b'{"type":"track","messageId":"%s","event":"Order Completed","properties":{"x":"%s"}}'
    return Record(
        source, message_id, visitor_hash(source, visitor), round(at * 1000), body % (message_id.encode(), b"x" * size)
    )


def message_id(row: Row) -> str:
    return row.body.partition(b'"messageId":"')[2].partition(b'"')[0].decode()


async def read_all(reader: LogReader, shard: int, after: Position = 0, limit: int = 100) -> list[Row]:
    """All rows after a position; a gap fails the test."""
    rows: list[Row] = []
    while entries := await reader.read(shard, rows[-1].position if rows else after, limit):
        for entry in entries:
            assert isinstance(entry, Row), entry
            rows.append(entry)
    return rows
