"""Retention of the ledger: removes what ended before a time and keeps its counts.

Each lane is gone through again and again, a stretch at a time: some rows have to stay though younger ones behind them
may go (what was replayed, what still waits), and to begin before them each time would cost the more the more there are.
"""

from collections import Counter
from typing import Any

import apsw

from firsthand.eventlog.base import Position
from firsthand.ledger import counts
from firsthand.ledger.counts import Key
from firsthand.ledger.records import OPEN

CHUNK = 1_000
STRETCH = 10
"""Chunks that are looked at in one step where nothing may go."""
MINUTES = 60
"""How many minutes' counts go in one step."""
GROWS_MS = 86_400_000
"""How long a range takes in further events, so that it may go some time."""

Place = tuple[Position, int]
"""Position and generation."""


class Pruning:
    """Of one ledger, on the connection that writes it. Each step is done within the caller's transaction."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._reached: dict[tuple[int, int], Place] = {}

    def step(self, lane: int, before_ms: int) -> int:
        """Remove one chunk of a lane's rows; returns how many."""
        # Beyond the cursor a row is what keeps its event from being sent again.
        cursors: list[Any] = self._db.execute("SELECT shard, position FROM cursors WHERE lane = ?", (lane,)).fetchall()
        found = 0
        for shard, cursor in cursors:
            found += self._deliveries(lane, shard, cursor, before_ms)
        return found

    def ranges(self, before_ms: int) -> int:
        """Remove the oldest ranges, of all lanes; returns how many."""
        rows: list[Any] = self._db.execute(
            "SELECT id, lane, shard, source, state, code, count - replayed FROM"
            " (SELECT * FROM ranges ORDER BY id LIMIT ?) WHERE at_ms < ?",
            (CHUNK, before_ms - GROWS_MS),
        ).fetchall()
        gone: Counter[Key] = Counter()
        for _, lane, shard, source, state, code, count in rows:
            gone[lane, shard, source, state, "", code] += count
        self._db.executemany("DELETE FROM ranges WHERE id = ?", [row[:1] for row in rows])
        counts.add(self._db, "pruned", gone)
        return len(rows)

    def minutes(self, before_ms: int) -> None:
        """Remove the counts of some of the oldest minutes."""
        before = before_ms // 60_000
        oldest = self._db.execute("SELECT min(minute) FROM minutes").get
        if oldest is not None and oldest < before:
            self._db.execute("DELETE FROM minutes WHERE minute < ?", (min(before, oldest + MINUTES),))

    def _deliveries(self, lane: int, shard: int, cursor: Position, before_ms: int) -> int:
        for _ in range(STRETCH):
            rows: list[Any] = self._db.execute(
                "SELECT position, generation, latest, source, state, coalesce(certainty, ''), coalesce(code, ''),"
                " updated_ms, received_ms FROM deliveries WHERE lane = ? AND shard = ? AND position <= ?"
                " AND (position, generation) > (?, ?) ORDER BY position, generation LIMIT ?",
                (lane, shard, cursor, *self._reached.get((lane, shard), (0, -1)), CHUNK),
            ).fetchall()
            # What was received after that time has not ended before it, nor has what comes behind.
            if len(rows) < CHUNK or all(row[8] >= before_ms for row in rows):
                self._reached.pop((lane, shard), None)
            else:
                self._reached[lane, shard] = rows[-1][:2]
            old = [row for row in rows if row[7] < before_ms and row[4] not in OPEN]
            if old:
                self._remove(lane, shard, old)
            if old or (lane, shard) not in self._reached:
                return len(old)
        return 0

    def _remove(self, lane: int, shard: int, rows: list[Any]) -> None:
        keys = [(lane, shard, row[0], row[1]) for row in rows]
        where = "lane = ? AND shard = ? AND position = ? AND generation = ?"
        self._db.executemany(f"DELETE FROM deliveries WHERE {where}", keys)  # noqa: S608
        self._db.executemany(f"DELETE FROM attempts WHERE {where}", keys)  # noqa: S608
        gone: Counter[Key] = Counter((lane, shard, *row[3:7]) for row in rows if row[2])
        counts.add(self._db, "pruned", gone)
