"""The embedded event log, its writing side: one SQLite file, written by one process.

Each append waits for a commit that is on disk (`synchronous=FULL`); calls that arrive while one commit runs
share the next one. A commit also writes, per source, a mark: the position it ends at and how many events the
source has appended since the beginning. Counting is then a look-up and never a count of rows.

Nothing is updated and nothing but retention deletes, oldest first and in small chunks, so that the cost of an
event does not depend on how many wait.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import structlog

from firsthand.eventlog.base import FORMAT, PARTITIONS, LogUnavailable, Position, Record
from firsthand.eventlog.files import checksum, has_room, log_bytes, transaction
from firsthand.eventlog.seen import Seen

log = structlog.get_logger()

SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (id INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY, format INTEGER NOT NULL, partition INTEGER NOT NULL, visitor INTEGER NOT NULL,
    source INTEGER NOT NULL, received_ms INTEGER NOT NULL, crc INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS marks (
    source INTEGER NOT NULL, position INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (source, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tallies (
    source TEXT PRIMARY KEY, duplicates INTEGER NOT NULL DEFAULT 0, refused INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
COMMIT_EVENTS = 256
QUEUE_EVENTS = 20_000
QUEUE_BYTES = 64 << 20
RETENTION_CHUNK = 1_000
UPKEEP_SECONDS = 1.0

Waiter = tuple[Sequence[Record], asyncio.Future[int], asyncio.AbstractEventLoop]


class SqliteLogWriter:
    """The writing side. One thread owns the file; `append` hands it records and awaits their commit."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 10 << 30,
        max_age: float | None = 7 * 86400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.max_bytes = max_bytes
        self.max_age = max_age
        self.full = False
        self._clock = clock
        self._directory = directory
        self._db = apsw.Connection(str(directory / "events.db"))
        self._db.set_busy_timeout(5_000)  # a reader that opens the file first after a crash holds it for a moment
        for pragma in ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=1000", "cache_size=-16384"):
            self._db.pragma(*pragma.split("="))
        self._db.execute(SCHEMA)
        self._sources: dict[str, int] = {key: id for id, key in self._db.execute("SELECT id, key FROM sources")}
        self._counts = dict(self._db.execute("SELECT source, max(count) FROM marks GROUP BY source"))
        # Each commit ends in a mark, and the newest mark outlives all events.
        self._head: Position = self._db.execute("SELECT max(position) FROM marks").get or 0
        self._seen = Seen(directory / "seen.db", clock=clock)
        self._seen.catch_up(self._db, self._head)
        self._seen_behind = False
        self._queue: list[Waiter] = []
        self._queued_events = 0
        self._queued_bytes = 0
        self._refused: Counter[str] = Counter()
        self._next_upkeep = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._thread.start()

    # -- the side of the event loop ------------------------------------------------------------------------

    async def append(self, records: Sequence[Record]) -> int:
        size = sum(len(record.body) for record in records)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        with self._wake:
            if self._stopping:
                raise LogUnavailable("the collector is shutting down")
            if self._queued_events > QUEUE_EVENTS or self._queued_bytes > QUEUE_BYTES:
                raise LogUnavailable("events arrive faster than the disk takes them")
            self._queue.append((records, future, loop))
            self._queued_events += len(records)
            self._queued_bytes += size
            self._wake.notify()
        return await future

    def refused(self, source: str) -> None:
        with self._wake:
            self._refused[source] += 1

    async def close(self) -> None:
        """Commit what was handed in, then close the file. Safe to call twice."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        await asyncio.to_thread(self._thread.join)

    # -- the side of the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._queue and not self._stopping:
                    self._wake.wait(UPKEEP_SECONDS)
                group = self._take()
                stopping = self._stopping and not group
            if group:
                self._commit(group)
            if stopping or self._clock() >= self._next_upkeep:
                self._next_upkeep = self._clock() + UPKEEP_SECONDS
                self._upkeep()
            if stopping:
                self._seen.close()
                self._db.close()
                return

    def _take(self) -> list[Waiter]:
        """The next group to commit: whole calls, about COMMIT_EVENTS events."""
        events = taken = 0
        for records, _, _ in self._queue:
            if events >= COMMIT_EVENTS:
                break
            events += len(records)
            taken += 1
            self._queued_bytes -= sum(len(record.body) for record in records)
        group, self._queue = self._queue[:taken], self._queue[taken:]
        self._queued_events -= events
        return group

    def _commit(self, group: list[Waiter]) -> None:
        results: list[int] = []
        error: LogUnavailable | None = None
        try:
            self._check_room()
            results = self._write(group)
            self.full = False
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError) as fault:
            error = self._cannot_take(f"the disk cannot take more events ({type(fault).__name__})")
        except LogUnavailable as fault:
            error = fault
        except Exception as fault:
            # Whatever it is, the thread goes on: without it nobody would ever be answered again.
            log.error("a commit failed", error=type(fault).__name__, exc_info=fault)
            error = LogUnavailable(f"an error of ours ({type(fault).__name__})")
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[int], int]]] = {}
        for index, (_, future, loop) in enumerate(group):
            loops.setdefault(loop, []).append((future, results[index] if results else 0))
        for loop, answers in loops.items():
            loop.call_soon_threadsafe(_settle, answers, error)

    def _write(self, group: list[Waiter]) -> list[int]:
        """One transaction: rows, marks, tallies. Returns how many of each call's records were new."""
        if self._seen_behind:
            self._seen.catch_up(self._db, self._head)
            self._seen_behind = False
        head, counts = self._head, dict(self._counts)
        rows: list[tuple[int, int, int, int, int, int, int, bytes]] = []
        fresh: dict[bytes, Position] = {}
        duplicates: Counter[str] = Counter()
        results: list[int] = []
        touched: set[int] = set()
        for records, _, _ in group:
            before = head
            for record in records:
                key = self._seen.new_key(record.source, record.message_id, fresh)
                if key is None:
                    duplicates[record.source] += 1
                    continue
                fresh[key] = head = head + 1
                source, visitor, received, body = (
                    self._source(record.source),
                    record.visitor,
                    record.received_ms,
                    record.body,
                )
                crc = checksum(head, visitor, source, received, body)
                rows.append((head, FORMAT, visitor % PARTITIONS, visitor, source, received, crc, body))
                counts[source] = counts.get(source, 0) + 1
                touched.add(source)
            results.append(head - before)
        with transaction(self._db):
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT INTO marks VALUES (?, ?, ?)", [(s, head, counts[s]) for s in touched])
            for source_key, count in duplicates.items():
                self._tally(source_key, "duplicates", count)
        self._head, self._counts = head, counts
        # Behind the log and not in its transaction: the log is the truth, and `catch_up` repeats what a crash cut off.
        try:
            self._seen.add(fresh, head)
        except apsw.Error as fault:
            # The events are safe and so the answer is yes; the next commit waits until their ids are known.
            log.error("message ids could not be remembered", error=type(fault).__name__)
            self._seen_behind = True
        return results

    def _source(self, key: str) -> int:
        known = self._sources.get(key)
        if known is None:
            self._db.execute("INSERT INTO sources (key) VALUES (?)", (key,))
            known = self._sources[key] = self._db.last_insert_rowid()
        return known

    def _tally(self, source: str, column: str, count: int) -> None:
        self._db.execute(
            f"INSERT INTO tallies (source, {column}) VALUES (?, ?)"  # noqa: S608 (two fixed names)
            f" ON CONFLICT (source) DO UPDATE SET {column} = {column} + excluded.{column}",
            (source, count),
        )

    def _check_room(self) -> None:
        """Refuse before the disk is so full that the ledger could not record outcomes either."""
        if not has_room(self._directory):
            raise self._cannot_take("the disk is full")

    def _cannot_take(self, message: str) -> LogUnavailable:
        if not self.full:
            log.error("event log refuses events", cause=message, remedy="free disk space or lower log.max_bytes")
        self.full = True
        return LogUnavailable(message, retry_after=5)

    def _upkeep(self) -> None:
        try:
            self._write_state()
            while self._retain():
                if self._queue:
                    return  # events that wait for an answer go first; the rest is dropped a moment later
            if self.full:
                self._check_room()
                self.full = False
        except (apsw.FullError, apsw.IOError, LogUnavailable):
            return  # said when the log was found full; tried again in a second
        except Exception as error:
            log.error("the event log could not be kept in order", error=type(error).__name__, exc_info=error)

    def _write_state(self) -> None:
        with self._wake:
            refused, self._refused = self._refused, Counter()
        try:
            with transaction(self._db):
                for source, count in refused.items():
                    self._tally(source, "refused", count)
                self._db.executemany(
                    "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    [("max_bytes", self.max_bytes), ("full", int(self.full))],
                )
        except apsw.Error:
            with self._wake:
                self._refused.update(refused)
            raise

    def _retain(self) -> bool:
        """Drop the oldest chunk if it is over age or over size; says whether there may be more to drop."""
        oldest = self._db.execute("SELECT position, received_ms FROM events ORDER BY position LIMIT 1").get
        if oldest is None:
            return False
        first, received_ms = oldest
        over_size = log_bytes(self._db) > self.max_bytes
        cutoff = None if self.max_age is None else round((self._clock() - self.max_age) * 1000)
        last = None
        if over_size:
            last = self._commit_end(first, first + RETENTION_CHUNK - 1) or self._first_commit_end(first)
        elif cutoff is not None and received_ms < cutoff:
            last = self._old_until(first, cutoff)
        if last is None:
            return False
        with transaction(self._db):
            self._db.execute("DELETE FROM events WHERE position <= ?", (last,))
            for source in self._sources.values():
                # The newest mark at or before the cut stays: counts up to any later position start from it.
                self._db.execute(
                    "DELETE FROM marks WHERE source = ?1 AND position <"
                    " (SELECT max(position) FROM marks WHERE source = ?1 AND position <= ?2)",
                    (source, last),
                )
        self._seen.forget(last)
        return True

    # Whole commits are dropped: between two marks, counting needs all the rows of the commit.

    def _old_until(self, first: Position, cutoff: int) -> Position | None:
        """The end of the last commit, of a chunk, up to which all events are older than a time."""
        last = self._commit_end(first, first + RETENTION_CHUNK - 1) or self._first_commit_end(first)
        sql = "SELECT min(position) FROM events WHERE position BETWEEN ? AND ? AND received_ms >= ?"
        young = self._db.execute(sql, (first, last, cutoff)).get
        return last if young is None else self._commit_end(first, young - 1)

    def _commit_end(self, first: Position, last: Position) -> Position | None:
        """The last position between these two that ends a commit."""
        return self._mark("max", first, last)

    def _first_commit_end(self, first: Position) -> Position | None:
        return self._mark("min", first, self._head)

    def _mark(self, which: str, first: Position, last: Position) -> Position | None:
        # Source by source, so that each is a look-up in the marks' key.
        sql = f"SELECT {which}(position) FROM marks WHERE source = ? AND position BETWEEN ? AND ?"  # noqa: S608
        found = [self._db.execute(sql, (source, first, last)).get for source in self._sources.values()]
        ends = [position for position in found if position is not None]
        return (max(ends) if which == "max" else min(ends)) if ends else None


def _settle(answers: list[tuple[asyncio.Future[int], int]], error: LogUnavailable | None) -> None:
    for future, new in answers:
        if future.done():  # the caller went away; its events are in the log all the same
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(new)
