"""Rows in, batches of events out, each within the collector's limits. What can't be an event is set aside."""

from collections.abc import Callable, Iterator
from typing import Any

from firsthand.collect.parse import EVENT_BYTES
from firsthand.importing.events import Maker, encode
from firsthand.importing.faults import BadRow, Reject
from firsthand.importing.rows import Place, Reader, Row

BATCH_BYTES = 480_000
"""Of a request, which may have 512,000: proxies in between often allow half a megabyte."""
BATCH_ROWS = 10_000
"""Rows without an event among them after which a batch ends all the same, so that progress is seen and kept."""
RAW_BYTES = 1_000_000
"""Of rows as they were read, which are kept until their batch is acknowledged."""


class Batch:
    """Rows of the file, one after another. The lists go by item: `lines[3]` is where `events[3]` came from."""

    def __init__(self, first: Place) -> None:
        self.first = first
        self.after = first
        """Where the row behind the last one begins."""
        self.fraction = 0.0
        """How much of the file has been read with this."""
        self.read = 0
        self.known = 0
        """How many of the events the log has already, so that they are not sent."""
        self.lines: list[int] = []
        self.ids: list[str] = []
        self.events: list[bytes] = []
        self.raws: list[Any] = []
        self.rejects: list[Reject] = []
        self.sent_ms: int | None = None
        """When it was first sent, in milliseconds since 1970."""
        self.sizes = [0, 0]
        """Bytes of the events, and of rows as they were read."""

    @property
    def full(self) -> bool:
        return self.sizes[1] >= RAW_BYTES or self.after.line - self.first.line >= BATCH_ROWS

    def add(self, row: Row, id: str, event: bytes) -> None:
        self.lines.append(row.line)
        self.ids.append(id)
        self.events.append(event)
        self.raws.append(row.raw)
        self.sizes[0] += len(event) + 1
        self.sizes[1] += len(event) if callable(row.raw) else len(row.raw)

    def reject(self, line: int, raw: Any, fault: BadRow) -> None:
        found = Reject.of(line, raw, fault)
        self.rejects.append(found)
        self.sizes[1] += len(found.raw)


def batches(reader: Reader, start: Place, make: Maker, wanted: Callable[[int], bool], most: int) -> Iterator[Batch]:
    """All rows from a place on whose lines are `wanted`, in batches of at most `most` events."""
    batch = Batch(start)
    for row in reader.rows(start):
        if wanted(row.line):
            made = _event(batch, row, make)
            if made is not None:
                id, event = made
                if len(batch.events) >= most or batch.sizes[0] + len(event) > BATCH_BYTES:
                    batch.fraction = reader.fraction()
                    yield batch
                    batch = Batch(batch.after)
                batch.add(row, id, event)
            batch.read += 1
        batch.after = reader.place
        if batch.full:
            batch.fraction = reader.fraction()
            yield batch
            batch = Batch(batch.after)
    if batch.after != batch.first:
        batch.fraction = 1.0
        yield batch


def _event(batch: Batch, row: Row, make: Maker) -> tuple[str, bytes] | None:
    """The row's event with its id; None where it has been set aside."""
    try:
        if row.fault is not None:
            raise row.fault
        event = make(row)
        encoded = encode(event)
        if len(encoded) > EVENT_BYTES:
            raise BadRow("event_too_large", f"an event may have {EVENT_BYTES} bytes, this one has {len(encoded)}")
    except BadRow as fault:
        batch.reject(row.line, row.raw, fault)
        return None
    return str(event["messageId"]), encoded
