"""Adds to the ledger's tables of counts."""

from collections.abc import Mapping

import apsw

Key = tuple[int, int, str, str, str, str]
"""Lane, shard, source, state, certainty, code: what is counted. Absent ones are the empty string."""


def add(db: apsw.Connection, table: str, counts: Mapping[Key, int]) -> None:
    """To `counters` or to `pruned`, within the caller's transaction."""
    db.executemany(
        f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (two fixed names)
        " ON CONFLICT (lane, shard, source, state, certainty, code) DO UPDATE SET count = count + excluded.count",
        [(*key, count) for key, count in counts.items() if count],
    )


def add_minutes(db: apsw.Connection, minute: int, counts: Mapping[Key, int]) -> None:
    """What ended in a minute (minutes since 1970)."""
    db.executemany(
        "INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(minute, k[0], k[2], k[3], k[4], k[5], count) for k, count in counts.items() if count],
    )


def add_left_out(db: apsw.Connection, counts: Mapping[tuple[int, str], int]) -> None:
    """By lane and field, how many were sent without it."""
    db.executemany(
        "INSERT INTO left_out VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
        [(*key, count) for key, count in counts.items()],
    )
