"""The embedded event log, its writing side: one SQLite file, written by one process.

Each append waits for a commit that is on disk (`synchronous=FULL`); calls that arrive while one commit runs
share the next one. A commit also writes, per source, a mark: the position it ends at and how many events the
source has appended since the beginning. Counting is then a look-up and never a count of rows.

Nothing is updated and nothing but retention deletes, oldest first and in small chunks, so that the cost of an
event does not depend on how many wait.
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import structlog

from firsthand.eventlog import notes
from firsthand.eventlog.base import FORMAT, PARTITIONS, DamagedLog, LogUnavailable, Noted, Position, Record
from firsthand.eventlog.erasing import Redact, erase
from firsthand.eventlog.files import checksum, has_room, transaction
from firsthand.eventlog.mending import forget_copy, mend
from firsthand.eventlog.notes import Notes, write
from firsthand.eventlog.retention import drop_oldest
from firsthand.eventlog.seen import Seen, SeenDamaged
from firsthand.private import create_private

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
UPKEEP_SECONDS = 1.0
MEND_AGAIN_SECONDS = 60.0

Waiter = tuple[Sequence[Record], asyncio.Future[int], asyncio.AbstractEventLoop]


class SqliteLogWriter:
    """The writing side. One thread owns the file; `append` hands it records and awaits their commit.

    Raises DamagedLog where the file is damaged so much that it cannot be opened.
    """

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
        forget_copy(directory)
        try:
            self._open(directory / "events.db")
        except (apsw.NotADBError, apsw.CorruptError) as fault:
            raise DamagedLog(f"the event log cannot be opened ({fault})") from None
        self._mend_after = 0.0
        self._mending = False
        self._seen = Seen(directory / "seen.db", clock=clock)
        self._seen.catch_up(self._db, self._head)
        self._seen_behind = False
        self._queue: list[Waiter] = []
        self._queued_events = 0
        self._queued_bytes = 0
        self._next_upkeep = 0.0
        self._wake = threading.Condition()
        self._erasures: deque[tuple[Iterator[None], asyncio.Future[None], asyncio.AbstractEventLoop]] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="event-log", daemon=True)
        self._thread.start()

    def _open(self, path: Path) -> None:
        create_private(path)
        self._db = apsw.Connection(str(path))
        self._db.set_busy_timeout(5_000)  # a reader that opens the file first after a crash holds it for a moment
        for pragma in ("journal_mode=wal", "synchronous=full", "wal_autocheckpoint=1000", "cache_size=-16384"):
            self._db.pragma(*pragma.split("="))
        self._db.pragma("secure_delete", "fast")  # what goes from a page that stays in use is overwritten
        with transaction(self._db):  # whoever reads meanwhile finds nothing or all of it
            self._db.execute(SCHEMA + notes.SCHEMA)
        self._notes = Notes(self._db)
        self._sources: dict[str, int] = {key: id for id, key in self._db.execute("SELECT id, key FROM sources")}
        # Each commit ends in a mark, and the newest mark outlives all events.
        newest = "SELECT position, count FROM marks WHERE source = ? ORDER BY position DESC LIMIT 1"
        marks = {id: self._db.execute(newest, (id,)).get for id in self._sources.values()}
        self._counts: dict[int, int] = {id: mark[1] for id, mark in marks.items() if mark}
        self._head: Position = max((mark[0] for mark in marks.values() if mark), default=0)

    # -- the side of the event loop ------------------------------------------------------------------------

    async def append(self, records: Sequence[Record]) -> int:
        size = sum(len(record.body) for record in records)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        with self._wake:
            if self._stopping:
                raise LogUnavailable("the collector is shutting down")
            if self._mending:
                raise LogUnavailable("the event log is being mended", retry_after=5)
            if self._queued_events > QUEUE_EVENTS or self._queued_bytes > QUEUE_BYTES:
                raise LogUnavailable("events arrive faster than the disk takes them")
            self._queue.append((records, future, loop))
            self._queued_events += len(records)
            self._queued_bytes += size
            self._wake.notify()
        return await future

    def note(self, source: str, kind: Noted, value: str, count: int = 1) -> None:
        with self._wake:
            self._notes.add(source, kind, value, count)

    async def erase(self, positions: Sequence[Position], mentions: Mapping[Position, Redact] | None = None) -> None:
        """Leave nothing of these events but their place, and of others not what mentions somebody, in the file and
        beside it; appending goes on meanwhile.

        Raises apsw.Error where that could not be done to its end: then it is to be done again.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._wake:
            if self._stopping:
                raise apsw.BusyError("the collector is shutting down")
            self._erasures.append((erase(self._db, positions, mentions), future, loop))
            self._wake.notify()
        await future

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
                if not self._queue and not self._stopping and not self._erasures:
                    self._wake.wait(UPKEEP_SECONDS)
                group = self._take()
                stopping = self._stopping and not group
            if group:
                self._commit(group)
            if self._erasures:
                self._erase_further(stopping)
            if stopping or self._clock() >= self._next_upkeep:
                self._next_upkeep = self._clock() + UPKEEP_SECONDS
                self._upkeep()
            if stopping:
                self._seen.close()
                self._db.close()
                return

    def _erase_further(self, stopping: bool) -> None:
        """One step of the oldest erasure: events that wait for an answer come between."""
        steps, future, loop = self._erasures[0]
        fault: BaseException | None = None
        try:
            if stopping:
                raise apsw.BusyError("the collector is shutting down")
            next(steps)
            return
        except StopIteration:
            pass
        except apsw.CorruptError as error:
            fault = error
            with contextlib.suppress(LogUnavailable):  # whoever asked comes again
                self._mend(error)
        except Exception as error:
            fault = error
        with self._wake:
            self._erasures.popleft()
        with contextlib.suppress(RuntimeError):  # the loop may be gone
            loop.call_soon_threadsafe(_answer, future, fault)

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
            results = self._write_mending(group)
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

    def _write_mending(self, group: list[Waiter]) -> list[int]:
        """`_write`, which on damage is tried once more when that is mended."""
        try:
            return self._write(group)
        except SeenDamaged:
            self._make_seen_anew()
        except apsw.CorruptError as fault:
            self._mend(fault)
        return self._write(group)

    def _make_seen_anew(self) -> None:
        self._seen_behind = True
        self._seen.make_anew(self._db, self._head)
        self._seen_behind = False

    def _mend(self, fault: apsw.Error) -> None:
        """Mend `events.db`, which takes its time. Raises LogUnavailable where that cannot be done."""
        if self._clock() < self._mend_after:
            raise LogUnavailable("the event log is damaged and could not be mended", retry_after=60)
        self._mend_after = self._clock() + MEND_AGAIN_SECONDS
        log.error("the event log is damaged and is mended; no events are taken meanwhile", cause=str(fault))
        self._mending = True
        try:
            lost = mend(self._directory, self._db, self._head, self._counts)
        except LogUnavailable as refusal:
            log.error("the event log cannot be mended yet", cause=str(refusal), remedy="free disk space")
            raise
        except Exception as error:
            remedy = "stop the gateway and follow `Damaged files` in docs/delivery.md"
            log.error("the event log cannot be mended", cause=f"{type(error).__name__}: {error}", remedy=remedy)
            raise LogUnavailable("the event log is damaged and could not be mended", retry_after=60) from error
        finally:
            self._mending = False
        self._mend_after = 0.0
        log.error("the event log is mended: what was lost is recorded as log_damaged", events_lost=lost)

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
        except (apsw.Error, SeenDamaged) as fault:
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
        except SeenDamaged:
            with contextlib.suppress(apsw.Error):
                self._make_seen_anew()
        except apsw.CorruptError as fault:
            with contextlib.suppress(LogUnavailable):  # said by then; the rest is for the next time
                self._mend(fault)
        except Exception as error:
            log.error("the event log could not be kept in order", error=type(error).__name__, exc_info=error)

    def _write_state(self) -> None:
        with self._wake:
            counts = self._notes.take()
        try:
            with transaction(self._db):
                write(self._db, counts)
                for (kind, source, _), count in counts.items():
                    self._tally(source, "refused", count if kind == "refused" else 0)
                self._db.executemany(
                    "INSERT INTO state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    [("max_bytes", self.max_bytes), ("full", int(self.full))],
                )
        except apsw.Error:
            with self._wake:
                self._notes.put_back(counts)
            raise

    def _retain(self) -> bool:
        """Drop the oldest chunk if it is over age or over size; says whether there may be more to drop."""
        cutoff = None if self.max_age is None else round((self._clock() - self.max_age) * 1000)
        last = drop_oldest(self._db, self._sources.values(), self._head, self.max_bytes, cutoff)
        if last is None:
            return False
        self._seen.forget(last)
        return True


def _answer(future: "asyncio.Future[None]", fault: BaseException | None) -> None:
    if not future.done():
        if fault is None:
            future.set_result(None)
        else:
            future.set_exception(fault)


def _settle(answers: list[tuple[asyncio.Future[int], int]], error: LogUnavailable | None) -> None:
    for future, new in answers:
        if future.done():  # the caller went away; its events are in the log all the same
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(new)
