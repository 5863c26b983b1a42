"""Rows in, batches of events out, each within the collector's limits. What can't be an event is set aside."""

from collections.abc import Callable, Iterator, Sequence

from firsthand.collect.parse import EVENT_BYTES
from firsthand.importing.events import Maker, encode
from firsthand.importing.faults import BadRow, Reject
from firsthand.importing.grouping import Group
from firsthand.importing.rows import Place, Reader, Row

BATCH_BYTES = 480_000
"""Of a request, which may have 512,000: proxies in between often allow half a megabyte."""
BATCH_ROWS = 10_000
"""Rows without an event among them after which a batch ends all the same, so that progress is seen and kept."""
RAW_BYTES = 1_000_000
"""Of rows as they were read, which are kept until their batch is acknowledged."""


Made = tuple[Sequence[Row], str, bytes]
"""Rows, the id of their event, and the event."""


class Batch:
    """Rows of the file, one after another. The lists go by item: `rows[3]` are what `events[3]` was made of."""

    def __init__(self, first: Place) -> None:
        self.first = first
        self.after = first
        """Where the row behind the last one begins."""
        self.open: str | None = None
        """See `Group.open`."""
        self.fraction = 0.0
        """How much of the file has been read with this."""
        self.read = 0
        self.known = 0
        """How many of the events the log has already, so that they are not sent."""
        self.rows: list[Sequence[Row]] = []
        self.lines: list[int] = []
        """The first of each event, by which it is known."""
        self.ids: list[str] = []
        self.events: list[bytes] = []
        self.rejects: list[Reject] = []
        self.skipped: list[int] = []
        """Lines that the mapping leaves out."""
        self.sent_ms: int | None = None
        """When it was first sent, in milliseconds since 1970."""
        self.sizes = [0, 0]
        """Bytes of the events, and of rows as they were read."""

    @property
    def full(self) -> bool:
        return self.sizes[1] >= RAW_BYTES or self.after.line - self.first.line >= BATCH_ROWS

    def add(self, rows: Sequence[Row], id: str, event: bytes) -> None:
        self.rows.append(rows)
        self.lines.append(rows[0].line)
        self.ids.append(id)
        self.events.append(event)
        self.sizes[0] += len(event) + 1
        self.sizes[1] += sum(len(event) if callable(row.raw) else len(row.raw) for row in rows)

    def reject(self, rows: Sequence[Row], fault: BadRow) -> None:
        """All rows of an event go together; each says why."""
        for row in rows:
            why = row.fault or fault
            if why.line not in (None, row.line):
                why = BadRow("group", f"line {why.line:,} can't be used, and is or may be of the same order")
            found = Reject.of(row.line, row.raw, why)
            self.rejects.append(found)
            self.sizes[1] += len(found.raw)


def batches(
    reader: Reader, start: Place, groups: Iterator[Group], make: Maker, wanted: Callable[[int], bool], most: int
) -> Iterator[Batch]:
    """All groups, which begin at `start`, with lines that are `wanted`, in batches of at most `most` events."""
    batch = Batch(start)
    for group in groups:
        rows = [row for row in group.rows if wanted(row.line)]
        if rows:
            made = _event(batch, group, rows, make)
            if made is not None:
                kept, id, event = made
                if len(batch.events) >= most or batch.sizes[0] + len(event) > BATCH_BYTES:
                    batch.fraction = reader.fraction()
                    yield batch
                    batch = Batch(batch.after)
                batch.add(kept, id, event)
            batch.read += len(rows)
        batch.after, batch.open = group.after, group.open
        if batch.full:
            batch.fraction = reader.fraction()
            yield batch
            batch = Batch(batch.after)
    if batch.after != batch.first:
        batch.fraction = 1.0
        yield batch


def _event(batch: Batch, group: Group, rows: Sequence[Row], make: Maker) -> Made | None:
    """The event of rows; None where they are left out, or have been set aside."""
    partial = len(rows) < len(group.rows)
    batch.skipped.extend(row.line for row in rows if make.leaves_out(row))
    rows = [row for row in rows if not make.leaves_out(row)]
    if not rows:
        return None
    try:
        if partial:
            reason = "other lines of the same order are events already, imported with another mapping"
            raise BadRow("group", reason)
        if fault := group.fault or rows[0].fault:
            raise fault
        if not make.takes(rows):
            batch.skipped.extend(row.line for row in rows)
            return None
        event = make.event(rows)
        encoded = encode(event)
        if len(encoded) > EVENT_BYTES:
            raise BadRow("event_too_large", f"an event may have {EVENT_BYTES} bytes, this one has {len(encoded)}")
    except BadRow as fault:
        batch.reject(rows, fault)
        return None
    return rows, str(event["messageId"]), encoded
