"""The embedded event log, its reading side: any process, any number of them; never writes.

What cannot be read is gone round and comes back as a gap: a row whose checksum is wrong, a page the disk lost.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from firsthand.eventlog.base import FORMAT, Gap, LogStatus, Noted, Position, Row, message_key
from firsthand.eventlog.files import UNREADABLE, checksum, has_room, log_bytes, open_reader, snapshot

SHARDS = (0,)


class SqliteLogReader:
    """The reading side: any process, any number of them. Never writes and never checkpoints."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._db = open_reader(directory / "events.db")
        self._seen = open_reader(directory / "seen.db")
        self._sources: dict[int, str] = {}

    def close(self) -> None:
        self._db.close()
        self._seen.close()

    def shards(self) -> Sequence[int]:
        return SHARDS

    async def read(self, shard: int, after: Position, limit: int, wait: float = 0.0) -> list[Row | Gap]:
        rows = self.entries(after, limit)
        deadline = time.monotonic() + wait
        pause = 0.002
        while not rows and time.monotonic() < deadline:
            version = self._db.data_version()
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.02)
            if self._db.data_version() != version or pause >= 0.02:
                rows = self.entries(after, limit)
        return rows

    def entries(self, after: Position, limit: int) -> list[Row | Gap]:
        """What `read` gives, without waiting."""
        with snapshot(self._db):  # retention must not come between the look for a gap and the read
            return self._read_snapshot(after, limit)

    def matching(self, sql: str, values: Sequence[Any]) -> list[Row]:
        """The undamaged rows that a query for all of an event's columns finds. Raises UNREADABLE on a damaged page."""
        with snapshot(self._db):
            rows = [self._row(*found) for found in self._db.execute(sql, values)]
        return [row for row in rows if isinstance(row, Row)]

    def _read_snapshot(self, after: Position, limit: int) -> list[Row | Gap]:
        found: list[Row | Gap] = []
        # `>=`: looking for what is greater than the last position of a damaged page would begin on that page.
        sql = (
            "SELECT position, format, partition, visitor, source, received_ms, crc, body FROM events"
            " WHERE position >= ? ORDER BY position LIMIT ?"
        )
        try:
            dropped = self._dropped(after)
            if dropped is not None:
                found.append(dropped)
            for values in self._db.execute(sql, (after + 1, limit)):
                found.append(self._row(*values))
        except UNREADABLE:
            if not found and after < self.head(0):
                found.append(self._around(after))
        return found

    def _dropped(self, after: Position) -> Gap | None:
        """What retention took between a position and the oldest event."""
        try:
            last = self._oldest() - 1
        except UNREADABLE:
            return None  # damage is found by whoever reads there
        return (
            Gap(after + 1, last, "dropped") if after < last and self.counts(0, after) != self.counts(0, last) else None
        )

    def _row(
        self,
        position: int,
        format: int,
        partition: int,
        visitor: int,
        source: int,
        received_ms: int,
        crc: int,
        body: bytes,
    ) -> Row | Gap:
        try:
            whole = format == FORMAT and crc == checksum(position, visitor, source, received_ms, body)
        except TypeError:  # damage can turn a number into a text
            whole = False
        if not whole:
            return Gap(position, position, "damaged")
        return Row(position, partition, visitor, self._source_key(source), received_ms, body)

    def _around(self, reached: Position) -> Gap:
        """The gap from a damaged page to the next row that can be read: by doubling steps, then by halving them."""
        head = self.head(0)
        bad, good = reached + 1, reached + 2
        while good <= head and not self._readable_from(good):
            bad, good = good, good + (good - reached)
        good = min(good, head + 1)
        while good - bad > 1:
            middle = (bad + good) // 2
            if self._readable_from(middle):
                good = middle
            else:
                bad = middle
        return Gap(reached + 1, good - 1, "damaged")

    def _readable_from(self, position: Position) -> bool:
        try:
            sql = "SELECT position, length(body), crc FROM events WHERE position >= ? ORDER BY position LIMIT 1"
            self._db.execute(sql, (position,)).get  # noqa: B018 (reading is the test)
        except UNREADABLE:
            return False
        return True

    def _source_key(self, id: int) -> str:
        if id not in self._sources:
            self._sources = dict(self._db.execute("SELECT id, key FROM sources"))
        return self._sources[id]

    def head(self, shard: int) -> Position:
        newest = (
            "SELECT max(newest) FROM (SELECT (SELECT max(position) FROM marks WHERE source = id) newest FROM sources)"
        )
        return int(self._db.execute(newest).get or 0)

    def before(self, shard: int, received_ms: int) -> Position:
        low, high = self.tail(shard) - 1, self.head(shard)
        newest = "SELECT received_ms FROM events WHERE position > ? ORDER BY position LIMIT 1"
        while low < high:  # received times rise with positions, so halving finds the place
            middle = (low + high) // 2
            try:
                found = self._db.execute(newest, (middle,)).get
            except UNREADABLE:
                found = None  # behind damage: rather too early than too late, so that nothing is missed
            if found is None or found >= received_ms:
                high = middle
            else:
                low = middle + 1
        return low

    def tail(self, shard: int) -> Position:
        try:
            return self._oldest()
        except UNREADABLE:
            return self._around(0).last + 1

    def _oldest(self) -> Position:
        oldest = self._db.execute("SELECT position FROM events ORDER BY position LIMIT 1").get
        return int(oldest) if oldest is not None else self.head(0) + 1

    def counts(self, shard: int, upto: Position) -> dict[str, int]:
        counts: dict[str, int] = {}
        before = "SELECT count, position FROM marks WHERE source = ? AND position <= ? ORDER BY position DESC LIMIT 1"
        after = "SELECT count, position FROM marks WHERE source = ? AND position > ? ORDER BY position LIMIT 1"
        sources: list[Any] = self._db.execute("SELECT id, key FROM sources").fetchall()
        for id, key in sources:
            count, position = self._db.execute(before, (id, upto)).get or (0, 0)
            later = self._db.execute(after, (id, upto)).get
            if later is not None:
                count += self._count_between(id, position, upto, later[1], later[0] - count)
            counts[key] = count
        return counts

    def _count_between(self, source: int, mark: Position, upto: Position, next_mark: Position, whole: int) -> int:
        """Events between a mark and a position inside a commit: the rows of that one commit are counted, never more."""
        try:
            return self._count_rows(source, mark, upto)
        except apsw.CorruptError:
            try:  # from the other side of the damage
                return whole - self._count_rows(source, upto, next_mark)
            except apsw.CorruptError:
                return 0

    def _count_rows(self, source: int, after: Position, upto: Position) -> int:
        # With the limit, SQLite never steps on to the page behind the last row.
        sql = "SELECT count(*) FROM (SELECT source FROM events WHERE position BETWEEN ? AND ? LIMIT ?) WHERE source = ?"
        return int(self._db.execute(sql, (after + 1, upto, upto - after, source)).get)

    def find(self, source: str, message_id: str) -> tuple[int, Position] | None:
        position = _position(self._seen, source, message_id)
        return None if position is None or self.get(0, position) is None else (0, position)

    def get(self, shard: int, position: Position) -> Row | None:
        rows = self.entries(position - 1, 1)
        row = rows[-1] if rows else None
        return row if isinstance(row, Row) and row.position == position else None

    def sources(self) -> list[str]:
        """The keys of all sources that ever sent an event or had one refused."""
        sql = "SELECT key FROM sources UNION SELECT source FROM tallies ORDER BY 1"
        return [str(key) for (key,) in self._db.execute(sql)]

    def tallies(self) -> dict[str, tuple[int, int]]:
        """Duplicates and refused items by source key."""
        rows: list[Any] = self._db.execute("SELECT source, duplicates, refused FROM tallies").fetchall()
        return {source: (duplicates, refused) for source, duplicates, refused in rows}

    def noted(self, kind: Noted) -> dict[str, dict[str, int]]:
        """What was counted of a kind, by source key and value, the most frequent first."""
        found: dict[str, dict[str, int]] = {}
        sql = "SELECT source, value, count FROM noted WHERE kind = ? ORDER BY source, count DESC, value"
        with contextlib.suppress(apsw.SQLError):  # a log that no collector has opened since these are counted
            for source, value, count in self._db.execute(sql, (kind,)):
                found.setdefault(source, {})[value] = count
        return found

    def status(self) -> LogStatus:
        state = dict(self._db.execute("SELECT name, value FROM state"))
        # A disk that is quite full has no room for the writer's note either.
        full = bool(state.get("full", 0)) or not has_room(self._directory)
        return LogStatus(log_bytes(self._db), state.get("max_bytes", 0), full)


def _position(seen: apsw.Connection, source: str, message_id: str) -> Position | None:
    """Where an event stands in the log, by the memory of message ids."""
    key = message_key(source, message_id)
    for (number,) in seen.execute("SELECT number FROM generations ORDER BY number DESC").fetchall():
        position = seen.execute(f"SELECT position FROM seen_{number} WHERE key = ?", (key,)).get  # noqa: S608
        if position is not None:
            return int(position)
    return None
