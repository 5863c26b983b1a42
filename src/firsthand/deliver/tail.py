"""Reads the event log once for all lanes that stand at the same place, and decodes each event once."""

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from firsthand.event import Event, decoder
from firsthand.eventlog.base import Gap, LogReader, Position, Row

READS_KEPT = 16


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
            self._event = decoder.decode(self.row.body)
        return self._event


class Tail:
    """The newest reads are kept: a lane that asks from the same position is given the same entries."""

    def __init__(self, log: LogReader) -> None:
        self.log = log
        self._reads: OrderedDict[tuple[int, Position], Sequence[Entry | Gap]] = OrderedDict()

    async def read(self, shard: int, after: Position, limit: int, wait: float) -> Sequence[Entry | Gap]:
        """Up to `limit` entries after a position; waits up to `wait` seconds for the first."""
        known = self._reads.get((shard, after))
        if known is not None:
            return known
        rows = await self.log.read(shard, after, limit, wait)
        entries = [Entry(row) if isinstance(row, Row) else row for row in rows]
        if entries:
            self._reads[shard, after] = entries
            if len(self._reads) > READS_KEPT:
                self._reads.popitem(last=False)
        return entries


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding an event raises when its bytes are no event."""
