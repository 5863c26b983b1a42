"""Takes events out of the log without a trace in its counts: the row stays where it is, and says nothing of anyone.

An erased event still has its type, message id and times, and `context.erased`. Readers give it out like any other;
delivery ends it as `filtered: erased`.
"""

from collections.abc import Iterable, Iterator, Sequence
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


def erased(event: Event) -> Event:
    """What is left of an event."""
    return Event(
        type=event.type,
        message_id=event.message_id,
        timestamp=event.timestamp,
        received_at=event.received_at,
        context={"erased": True},
    )


def erase(db: apsw.Connection, positions: Iterable[Position]) -> Iterator[None]:
    """Erase events through the writer's connection, and from its files, in small steps. Again does no harm.

    Raises apsw.BusyError where it is to be done again.
    """
    left = iter(sorted(set(positions)))
    while chunk := list(islice(left, CHUNK)):
        with transaction(db):
            for position in chunk:
                _erase_one(db, position)
        yield
    yield from wipe(db)


def _erase_one(db: apsw.Connection, position: Position) -> None:
    sql = "SELECT source, received_ms, body FROM events WHERE position = ? AND format = ?"
    row: Any = db.execute(sql, (position, FORMAT)).get
    if row is None:
        return
    source, received_ms, body = row
    try:
        event = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # damaged, so nobody is given it
    body = encoder.encode(erased(event))
    crc = checksum(position, 0, source, received_ms, body)
    db.execute("UPDATE events SET visitor = 0, crc = ?, body = ? WHERE position = ?", (crc, body, position))


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
    tests = [f"visitor IN ({', '.join(map(str, visitors))})"]
    tests += ["instr(body, ?)"] * len(needles)
    tests += ["instr(lower(CAST(body AS TEXT)), ?)"] * len(addresses)
    sql = (
        "SELECT position, format, partition, visitor, source, received_ms, crc, body FROM events"  # noqa: S608
        f" WHERE position BETWEEN ? AND ? AND ({' OR '.join(tests)})"
    )
    after = reader.tail(0) - 1
    while after < last:
        upto = min(after + SCAN_ROWS, last)
        try:
            found = reader.matching(sql, (after + 1, upto, *needles, *addresses))
        except UNREADABLE:
            entries, after = _around(reader, after, upto)
            found = [entry for entry in entries if isinstance(entry, Row)]
        else:
            after = upto
        yield found


def _around(reader: SqliteLogReader, after: Position, upto: Position) -> tuple[list[Row | Gap], Position]:
    """All rows of a stretch that has damage in it, and how far that came."""
    entries = reader.entries(after, upto - after)
    if not entries:
        return [], upto
    newest = entries[-1]
    return entries, newest.position if isinstance(newest, Row) else newest.last
