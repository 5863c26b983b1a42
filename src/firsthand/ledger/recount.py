"""Counts the ledger's rows anew, while others go on writing.

One read of all rows would keep the write-ahead log from being brought into the file for as long as it takes: it would
grow. So rows are counted a stretch at a time, and what changes meanwhile is put right in one short read at the end:

- what was settled stays as it is, unless it is replayed, which is noticed: then all is counted again;
- what waited is looked at again by its key;
- what is new stands behind where the count began;
- what is removed by age is the oldest, which is counted last, and is counted where it then stands (`pruned`).
"""

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import apsw

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import snapshot

STRETCH = 5_000
"""Positions of the log whose deliveries are counted at once."""
PAUSE_SECONDS = 0.001
"""In which the write-ahead log may begin anew."""
TRIES = 3

Counts = Counter[tuple[str, str, str, str]]
"""By source, state, certainty and code; absent ones are the empty string."""
pause = partial(time.sleep, PAUSE_SECONDS)

_BEYOND = (
    "SELECT source, state, coalesce(certainty, ''), coalesce(code, ''), count(*) FROM deliveries"
    " WHERE lane = ? AND shard = ? AND position > ? AND latest{} GROUP BY 1, 2, 3, 4"
)
_SETTLED = _BEYOND.format(" AND position <= ? AND state NOT IN ('retrying', 'held')")
_WAITING = (
    "SELECT lane, shard, position, generation FROM deliveries"
    " WHERE lane = ? AND shard = ? AND position > ? AND position <= ? AND latest AND state IN ('retrying', 'held')"
)
_BY_KEY = (
    "SELECT source, state, coalesce(certainty, ''), coalesce(code, ''), 1 FROM deliveries"
    " WHERE lane = ? AND shard = ? AND position = ? AND generation = ? AND latest"
)
_RANGES = "SELECT source, state, '', code, sum(count - replayed) FROM ranges WHERE lane = ? GROUP BY 1, 2, 4"
_SUMS = "SELECT source, state, certainty, code, sum(count) FROM {} WHERE lane = ? GROUP BY 1, 2, 3, 4"


class Recount(NamedTuple):
    """The counts of a lane's rows, and its counters, of one moment. Where `disturbed` a replay ran meanwhile, and the
    rows may have been counted wrongly."""

    rows: Counts
    counters: Counts
    disturbed: bool


def recount(db: apsw.Connection, lane: int, between: Callable[[], object] = pause) -> Recount:
    """Reads every row of a lane. `between` is called between two stretches."""
    found = _once(db, lane, between)
    for _ in range(TRIES - 1):
        if not found.disturbed and found.rows == found.counters:
            break
        found = _once(db, lane, between)
    return found


def _once(db: apsw.Connection, lane: int, between: Callable[[], object]) -> Recount:
    rows: Counts = Counter()
    waiting: list[Any] = []
    begun = _replays(db, lane)
    ends: dict[int, Position] = {}
    shards: list[Any] = db.execute("SELECT shard FROM cursors WHERE lane = ?", (lane,)).fetchall()
    for (shard,) in shards:
        bounds = "SELECT min(position), max(position) FROM deliveries WHERE lane = ? AND shard = ?"
        first, upto = db.execute(bounds, (lane, shard)).get
        ends[shard] = upto or 0
        while first is not None and upto >= first:
            stretch = (lane, shard, upto - STRETCH, upto)
            with snapshot(db):
                rows.update(_counted(db, _SETTLED, stretch))
                waiting += db.execute(_WAITING, stretch).fetchall()
            upto -= STRETCH
            between()
    with snapshot(db):
        for shard, end in ends.items():
            rows.update(_counted(db, _BEYOND.format(""), (lane, shard, end)))
        for key in waiting:
            rows.update(_counted(db, _BY_KEY, key))
        rows.update(_counted(db, _RANGES, (lane,)))
        rows.update(_counted(db, _SUMS.format("pruned"), (lane,)))
        counters = _counted(db, _SUMS.format("counters"), (lane,))
        disturbed = _replays(db, lane) != begun
    return Recount(_without_zeros(rows), _without_zeros(counters), disturbed)


def _counted(db: apsw.Connection, sql: str, values: tuple[Any, ...]) -> Counts:
    found: list[Any] = db.execute(sql, values).fetchall()
    return Counter({row[:4]: row[4] for row in found})


def _replays(db: apsw.Connection, lane: int) -> tuple[int, int | None]:
    """Changes whenever a replay records anything."""
    sql = "SELECT count(*), max(updated_ms) FROM deliveries WHERE lane = ? AND generation > 0"
    count, newest = db.execute(sql, (lane,)).get
    return count, newest


def _without_zeros(counts: Counts) -> Counts:
    return Counter({key: count for key, count in counts.items() if count})
