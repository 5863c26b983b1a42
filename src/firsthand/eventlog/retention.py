"""Drops the oldest events of the embedded log, in small chunks.

Whole commits are dropped: between two marks, counting needs all the rows of the commit.
"""

from collections.abc import Collection

import apsw

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import log_bytes, transaction

CHUNK = 1_000


def drop_oldest(
    db: apsw.Connection, sources: Collection[int], head: Position, max_bytes: int, cutoff_ms: int | None
) -> Position | None:
    """Drop the oldest chunk if the log is over its size, or else what was received before a time.

    `sources` are their ids, `head` is the newest position. Returns the last position that was dropped, if any was.
    """
    oldest = db.execute("SELECT position, received_ms FROM events ORDER BY position LIMIT 1").get
    if oldest is None:
        return None
    first, received_ms = oldest
    last = None
    if log_bytes(db) > max_bytes:
        last = _chunk_end(db, sources, first, head)
    elif cutoff_ms is not None and received_ms < cutoff_ms:
        last = _old_until(db, sources, first, head, cutoff_ms)
    if last is None:
        return None
    with transaction(db):
        db.execute("DELETE FROM events WHERE position <= ?", (last,))
        db.execute("INSERT OR REPLACE INTO state VALUES ('dropped', ?)", (last,))
        for source in sources:
            # The newest mark at or before the cut stays: counts up to any later position start from it.
            db.execute(
                "DELETE FROM marks WHERE source = ?1 AND position <"
                " (SELECT max(position) FROM marks WHERE source = ?1 AND position <= ?2)",
                (source, last),
            )
    return last


def _old_until(
    db: apsw.Connection, sources: Collection[int], first: Position, head: Position, cutoff_ms: int
) -> Position | None:
    """The end of the last commit, of a chunk, up to which all events are older than a time."""
    last = _chunk_end(db, sources, first, head)
    sql = "SELECT min(position) FROM events WHERE position BETWEEN ? AND ? AND received_ms >= ?"
    young = db.execute(sql, (first, last, cutoff_ms)).get
    return last if young is None else _commit_end(db, sources, "max", first, young - 1)


def _chunk_end(db: apsw.Connection, sources: Collection[int], first: Position, head: Position) -> Position | None:
    """Where the last commit of a chunk ends, or else the first one at all."""
    return _commit_end(db, sources, "max", first, first + CHUNK - 1) or _commit_end(db, sources, "min", first, head)


def _commit_end(
    db: apsw.Connection, sources: Collection[int], which: str, first: Position, last: Position
) -> Position | None:
    """The `min` or `max` position between these two that ends a commit."""
    # Source by source, so that each is a look-up in the marks' key.
    sql = f"SELECT {which}(position) FROM marks WHERE source = ? AND position BETWEEN ? AND ?"  # noqa: S608
    found = [db.execute(sql, (source, first, last)).get for source in sources]
    ends = [position for position in found if position is not None]
    return (max(ends) if which == "max" else min(ends)) if ends else None
