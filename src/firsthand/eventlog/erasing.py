"""Takes events out of the log without a trace in its counts: the row stays where it is, and says nothing of anyone.
Where an event only mentions somebody, it stays and the mention goes.

An erased event still has its type, message id and times, and `context.erased`. Readers give it out like any other;
delivery ends it as `filtered: erased`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import apsw
import msgspec

from firsthand.event import Event, decoder, encoder
from firsthand.eventlog.base import FORMAT, Gap, Position, Row
from firsthand.eventlog.files import UNREADABLE, checksum, transaction
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.eventlog.wiping import wipe

CHUNK = 200
SCAN_ROWS = 2_000
MOST_LOOKS = 200
"""Texts looked for at once: SQLite takes no more than a thousand alternatives in a query."""
Redact = Callable[[bytes], bytes]
"""Takes what mentions somebody out of an event's JSON."""


def erased(event: Event) -> Event:
    """What is left of an event."""
    return Event(
        type=event.type,
        message_id=event.message_id,
        timestamp=event.timestamp,
        received_at=event.received_at,
        context={"erased": True},
    )


def erase(
    db: apsw.Connection, positions: Iterable[Position], mentions: Mapping[Position, Redact] | None = None
) -> Iterator[None]:
    """Erase events, and mentions in others, through the writer's connection and from its files, in small steps. Again
    does no harm.

    Raises apsw.BusyError where it is to be done again.
    """
    redact = mentions or {}
    left = iter(sorted({*positions, *redact}))
    while chunk := list(islice(left, CHUNK)):
        with transaction(db):
            for position in chunk:
                _erase_one(db, position, redact.get(position))
        yield
    yield from wipe(db)


def _erase_one(db: apsw.Connection, position: Position, redact: Redact | None) -> None:
    sql = "SELECT source, visitor, received_ms, body FROM events WHERE position = ? AND format = ?"
    row: Any = db.execute(sql, (position, FORMAT)).get
    if row is None:
        return
    source, visitor, received_ms, body = row
    if redact is None:
        try:
            event = decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # damaged, so nobody is given it
        visitor, body = 0, encoder.encode(erased(event))
    else:
        body = redact(body)
    crc = checksum(position, visitor, source, received_ms, body)
    db.execute("UPDATE events SET visitor = ?, crc = ?, body = ? WHERE position = ?", (visitor, crc, body, position))


def scan(
    reader: SqliteLogReader,
    last: Position,
    visitors: Iterable[int],
    needles: Sequence[bytes],
    addresses: Sequence[str],
) -> Iterator[list[Row]]:
    """Rows up to a position that may be about somebody: by the hash of their visitor, or by what stands in them.

    `needles` are looked for as they are, `addresses` (in lower case) in any case. SQLite does the looking, which
    leaves other threads the interpreter. Yields after each step, also without rows.
    """
    looks = alternatives("body", visitors, needles, addresses)
    after = reader.tail(0) - 1
    while after < last:
        upto = min(after + SCAN_ROWS, last)
        try:
            found = [row for look in looks for row in reader.matching(_SCAN + look[0], (after + 1, upto, *look[1]))]
        except UNREADABLE:
            entries, after = _around(reader, after, upto)
            found = [entry for entry in entries if isinstance(entry, Row)]
        else:
            after = upto
        yield list({row.position: row for row in found}.values())


_SCAN = (
    "SELECT position, format, partition, visitor, source, received_ms, crc, body FROM events"
    " WHERE position BETWEEN ? AND ? AND "
)


def alternatives(
    column: str, visitors: Iterable[int], needles: Sequence[bytes], addresses: Sequence[str]
) -> list[tuple[str, list[Any]]]:
    """SQL, each with its values, that together find the rows with one of these hashes or texts."""
    looks: list[tuple[str, Any]] = [
        ("visitor IN (SELECT value FROM json_each(?))", msgspec.json.encode(sorted(visitors)).decode()),
        *((f"instr({column}, ?)", needle) for needle in needles),
        *((f"instr(lower(CAST({column} AS TEXT)), ?)", address) for address in addresses),
    ]
    batches = [looks[start : start + MOST_LOOKS] for start in range(0, len(looks), MOST_LOOKS)]
    return [(f"({' OR '.join(sql for sql, _ in batch)})", [value for _, value in batch]) for batch in batches]


def _around(reader: SqliteLogReader, after: Position, upto: Position) -> tuple[list[Row | Gap], Position]:
    """All rows of a stretch that has damage in it, and how far that came."""
    entries = reader.entries(after, upto - after)
    if not entries:
        return [], upto
    newest = entries[-1]
    return entries, newest.position if isinstance(newest, Row) else newest.last
