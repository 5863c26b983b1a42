"""The newest events of each source, from the log."""

from collections import deque

import msgspec

from firsthand.deliver.tail import UNREADABLE
from firsthand.event import Event
from firsthand.eventlog.base import LogReader, Position, Row
from firsthand.placeholders import read_event

ROWS_AT_ONCE = 1_000
JITTER_MS = 5_000
"""Requests that are answered at the same time may be written down in another order than they came in."""


class Sample(msgspec.Struct):
    """`events` are the newest of each source, oldest first; `steps_back` how often the clock went back, in ms."""

    events: dict[str, list[Event]] = {}
    steps_back: list[int] = []
    rows: int = 0


async def newest(log: LogReader, events: int, rows: int) -> Sample:
    """Up to `events` of each source, among the last `rows` of each shard."""
    sample = Sample()
    bodies: dict[str, deque[bytes]] = {}
    for shard in log.shards():
        after, latest = _start(log, shard, rows), 0
        while found := await log.read(shard, after, ROWS_AT_ONCE):
            for row in found:
                if not isinstance(row, Row):
                    after = row.last
                    continue
                after = row.position
                sample.rows += 1
                bodies.setdefault(row.source, deque(maxlen=events)).append(row.body)
                if row.received_ms < latest - JITTER_MS:
                    sample.steps_back.append(latest - row.received_ms)
                    latest = row.received_ms
                latest = max(latest, row.received_ms)
    for source, kept in bodies.items():
        sample.events[source] = [event for body in kept if (event := _event(body)) is not None]
    return sample


def _start(log: LogReader, shard: int, rows: int) -> Position:
    """A position after which there are about so many rows. Positions have gaps, so counts are asked, by halving."""
    low, high = log.tail(shard) - 1, log.head(shard)
    whole = sum(log.counts(shard, high).values())
    while high - low > 1:
        middle = (low + high) // 2
        if whole - sum(log.counts(shard, middle).values()) > rows:
            low = middle
        else:
            high = middle
    return low


def _event(body: bytes) -> Event | None:
    try:
        return read_event(body)
    except UNREADABLE:
        return None
