"""Reads the event log once for all lanes that stand at the same place, and decodes each event once."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from firsthand.event import Event
from firsthand.eventlog.base import Gap, LogReader, Position, Row
from firsthand.identity import Hub
from firsthand.identity.hub import Entry as Observed
from firsthand.placeholders import read_event

READS_KEPT = 16
READ_ROWS = 256
FOLLOW_SECONDS = 0.1
RETRY_SECONDS = 1.0


class Entry:
    """A row of the log with its event, decoded at first use and shared by the lanes."""

    __slots__ = ("_event", "row")

    def __init__(self, row: Row) -> None:
        self.row = row
        self._event: Event | None = None

    @property
    def event(self) -> Event:
        """Raises msgspec.DecodeError or UnicodeDecodeError if the bytes are no event."""
        if self._event is None:
            self._event = read_event(self.row.body)
        return self._event


class Tail:
    """The newest reads are kept: a lane that asks from the same position is given the same entries.

    The hub has observed all entries that are given out, and those before them.
    """

    def __init__(self, log: LogReader, hub: Hub | None = None) -> None:
        self.log = log
        self._hub = hub
        self._reads: OrderedDict[tuple[int, Position], Sequence[Entry | Gap]] = OrderedDict()
        if hub is not None:
            for shard in log.shards():
                hub.begin(shard, log.head(shard))

    async def read(self, shard: int, after: Position, limit: int, wait: float) -> Sequence[Entry | Gap]:
        """Up to `limit` entries after a position; waits up to `wait` seconds for the first."""
        entries = await self._read(shard, after, limit, wait)
        if entries and self._hub is not None:
            await self.observe(shard, _end(entries[0]) - 1)
            await self._observe(self._hub, shard, entries)
            await self.observe(shard, _end(entries[-1]))  # from the start, where its file was damaged
        return entries

    async def _read(self, shard: int, after: Position, limit: int, wait: float) -> Sequence[Entry | Gap]:
        known = self._reads.get((shard, after))
        if known is not None:
            return known
        rows = await self.log.read(shard, after, limit, wait)
        known = self._reads.get((shard, after))
        if known is not None:  # another lane waited for the same: what it has decoded is not decoded again
            return known
        entries = [Entry(row) if isinstance(row, Row) else row for row in rows]
        if entries:
            self._reads[shard, after] = entries
            if len(self._reads) > READS_KEPT:
                self._reads.popitem(last=False)
        return entries

    def forget(self) -> None:
        """The log is no longer what was read of it."""
        self._reads.clear()

    async def observe(self, shard: int, upto: Position) -> None:
        """Have the hub observe the log up to a position."""
        while self._hub is not None and (after := self._hub.position(shard)) < upto:
            entries = await self._read(shard, after, READ_ROWS, 0.0)
            if not entries:
                return
            await self._observe(self._hub, shard, entries)
            await asyncio.sleep(0)  # lanes that are further on have a turn

    async def follow(self, shard: int) -> None:
        """Have the hub observe the log as it grows, so that it knows more than a lane that has stopped. What lanes are
        reading anyway is left to them."""
        while self._hub is not None:
            await self.observe(shard, self.log.head(shard))
            await asyncio.sleep(FOLLOW_SECONDS)

    async def _observe(self, hub: Hub, shard: int, entries: Sequence[Entry | Gap]) -> None:
        last = _end(entries[-1])
        if last <= hub.position(shard):
            return
        while hub.full:
            await asyncio.sleep(RETRY_SECONDS)
            hub.flush()
        hub.observe(shard, [_observed(entry) for entry in entries if isinstance(entry, Entry)], last)


def _end(entry: Entry | Gap) -> Position:
    return entry.row.position if isinstance(entry, Entry) else entry.last


def _observed(entry: Entry) -> Observed:
    row = entry.row
    try:
        event: Event | None = entry.event
    except UNREADABLE:
        event = None
    return row.position, row.source, row.received_ms, event


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an event raises when its bytes are no event."""
