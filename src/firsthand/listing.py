"""Finding events again: the newest deliveries that met something, or all that became of the events about somebody."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from firsthand.event import Event, decoder, format_time
from firsthand.eventlog.base import Row
from firsthand.eventlog.erasing import scan
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.reader import LedgerReader, Stored
from firsthand.personal import mask_text
from firsthand.replays import find_lane

Line = dict[str, Any]


class Wanted(msgspec.Struct, frozen=True):
    """Which deliveries, each part optional. `about` is a value that stands in the event, such as an order's id;
    `since_ms` is the time since which the event was received (milliseconds)."""

    integration: str | None = None
    state: str | None = None
    reason: str | None = None
    about: str | None = None
    source: str | None = None
    since_ms: int | None = None

    def takes(self, stored: Stored) -> bool:
        delivery = stored.delivery
        return (
            stored.latest
            and self.state in (None, delivery.state)
            and self.reason in (None, delivery.code)
            and self.source in (None, delivery.source)
            and delivery.received_ms >= (self.since_ms or 0)
        )


def events(directory: Path, wanted: Wanted, limit: int) -> list[Line]:
    """A line for each delivery, the newest event first. Raises Unusable for an integration that is not there."""
    log, ledger = SqliteLogReader(directory), LedgerReader(directory)
    try:
        one = [find_lane(ledger, wanted.integration)] if wanted.integration else ledger.lanes()
        names = {lane.id: lane.integration for lane in one}
        found: list[tuple[Stored, Row | None]]
        if wanted.about is not None:
            found = [
                (stored, row)
                for row in _rows_about(wanted.about, log, limit)
                for stored in ledger.deliveries(0, row.position)
                if stored.lane in names and wanted.takes(stored)
            ]
        else:
            found = [
                (stored, None)
                for lane in names
                for stored in ledger.newest(
                    lane,
                    limit,
                    state=wanted.state,
                    code=wanted.reason,
                    source=wanted.source,
                    since_ms=wanted.since_ms,
                )
            ]
        found.sort(key=lambda pair: (-pair[0].delivery.received_ms, -pair[0].delivery.position, pair[0].lane))
        return [_line(stored, row, names[stored.lane], log) for stored, row in found[:limit]]
    finally:
        log.close()
        ledger.close()


def _rows_about(text: str, log: SqliteLogReader, limit: int) -> deque[Row]:
    """The newest events in which a value stands. SQLite looks for it, and what it finds is looked at again."""
    rows: deque[Row] = deque(maxlen=limit)
    needle = msgspec.json.encode(text)[1:-1]
    for chunk in scan(log, log.head(0), (), (needle,), ()):
        rows.extend(row for row in chunk if _holds(msgspec.json.decode(row.body), text))
    return rows


def _holds(value: Any, text: str) -> bool:
    if isinstance(value, dict):
        return any(_holds(inner, text) for inner in value.values())
    if isinstance(value, list):
        return any(_holds(inner, text) for inner in value)
    return str(value) == text


def _line(stored: Stored, row: Row | None, integration: str, log: SqliteLogReader) -> Line:
    delivery = stored.delivery
    if row is None and delivery.message_id is None:
        row = log.get(delivery.shard, delivery.position)
    return {
        "message_id": delivery.message_id or next(_ids(row), None),
        "event": mask_text(delivery.detail.name),
        "source": delivery.source,
        "received_at": format_time(delivery.received_ms),
        "integration": integration,
        "state": delivery.state,
        "reason": msgspec.to_builtins(delivery.detail.reason) if delivery.detail.reason else None,
        "updated_at": format_time(stored.updated_ms),
    }


def _ids(row: Row | None) -> Iterator[str]:
    """None once the log has dropped the event."""
    if row is not None:
        event: Event = decoder.decode(row.body)
        yield event.message_id
