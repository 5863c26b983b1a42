"""Rows in, batches of events out, each within the collector's limits; what can't be an event is set aside."""

from collections.abc import Callable, Iterator
from typing import Any

from firsthand.collect.parse import BATCH_EVENTS, EVENT_BYTES
from firsthand.importing.events import Maker, encode
from firsthand.importing.faults import BadRow, Reject
from firsthand.importing.rows import Place, Reader

BATCH_BYTES = 480_000
"""Of a request, which may have 512,000: proxies in between often allow for half a megabyte only."""
BATCH_ROWS = 2_000
"""Rows of which none became an event, after which what is known is recorded all the same."""
REJECT_BYTES = 1_000_000


class Batch:
    """Some rows of the file, one after another. Lists go by item: `lines[3]` is where `events[3]` came from."""

    __slots__ = ("after", "events", "first", "fraction", "ids", "lines", "raws", "read", "rejects", "sent_ms", "size")

    def __init__(self, first: Place) -> None:
        self.first = first
        self.after = first
        """Where the row behind it begins."""
        self.fraction = 0.0
        """How much of the file has been read with it."""
        self.read = 0
        self.lines: list[int] = []
        self.ids: list[str] = []
        self.events: list[bytes] = []
        self.raws: list[Any] = []
        self.rejects: list[Reject] = []
        self.size = 0
        self.sent_ms: int | None = None
        """When it was first sent, in milliseconds since 1970."""

    def body(self) -> bytes:
        return b'{"batch":[' + b",".join(self.events) + b"]}"

    def reject(self, line: int, raw: Any, fault: BadRow) -> None:
        found = Reject.of(line, raw, fault)
        self.rejects.append(found)
        self.size += len(found.raw)

    def drop(self, known: set[int]) -> None:
        """Leave out the items at these indexes."""
        for items in (self.lines, self.ids, self.events, self.raws):
            items[:] = [item for index, item in enumerate(items) if index not in known]  # type: ignore[index]


def batches(
    reader: Reader, start: Place | None, make: Maker, wanted: Callable[[int], bool], events: int = BATCH_EVENTS
) -> Iterator[Batch]:
    """All rows from a place on whose lines are `wanted`, in batches of at most so many `events`."""
    rows = reader.rows(start)
    batch = Batch(reader.place if start is None else start)
    size = 0
    before = batch.first
    for row in rows:
        if len(batch.events) >= events or size >= BATCH_BYTES or batch.size >= REJECT_BYTES or batch.read >= BATCH_ROWS:
            batch = Batch(before)
            size = 0
        before = reader.place
    raise NotImplementedError
