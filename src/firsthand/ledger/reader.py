"""The reading side of the embedded ledger: any process, any number of them; never writes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import open_reader
from firsthand.ledger.records import Counted, Delivery, Exchange, Failure, Range
from firsthand.ledger.recount import pause, recount
from firsthand.ledger.rows import DELIVERY, read_delivery
from firsthand.personal import mask_text
from firsthand.vendors.base import LeftOut

_exchange = msgspec.msgpack.Decoder(Exchange)
HEALTH_MS = 10_000
"""The deliver process notes the health of its lanes every other second."""
NEWEST = 2_000
"""How many deliveries are looked at for what is frequent of late: they are read in a few milliseconds."""
MOST_NAMES = 5


class _Name(msgspec.Struct):
    name: str = ""


class _LeftOut(msgspec.Struct):
    left_out: list[LeftOut] = []


class _Ended(msgspec.Struct):
    status: int | None = None
    failure: Failure | None = None


_name, _left_out = msgspec.json.Decoder(_Name), msgspec.json.Decoder(_LeftOut)
_ended = msgspec.msgpack.Decoder(_Ended)
_COLUMNS = f"lane, latest, updated_ms, {DELIVERY}"


class Lane(NamedTuple):
    id: int
    integration: str
    vendor: str


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which deliveries: by state, reason code and the time the event was received (milliseconds, upper bound
    excluded). `resend` includes what was delivered, or may have been."""

    state: str | None = None
    code: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    message_id: str | None = None
    resend: bool = False
    settled_before_ms: int | None = None
    """A replay leaves alone what was settled since it was asked for: after a restart it does not begin anew."""

    @property
    def states(self) -> tuple[str, ...]:
        if self.state is not None:
            return (self.state,)
        return ("dead", "filtered", "delivered") if self.resend else ("dead", "filtered")


class Stored(msgspec.Struct, frozen=True):
    """A delivery as it stands in the ledger."""

    lane: int
    delivery: Delivery
    latest: bool
    updated_ms: int


class LedgerReader:
    """Raises FileNotFoundError while there is no ledger yet."""

    def __init__(self, directory: Path) -> None:
        self._db = open_reader(directory / "ledger.db")

    def close(self) -> None:
        self._db.close()

    def lanes(self) -> list[Lane]:
        return [Lane(*row) for row in self._db.execute("SELECT id, integration, vendor FROM lanes ORDER BY id")]

    def cursors(self, lane: int) -> dict[int, Position]:
        return dict(self._db.execute("SELECT shard, position FROM cursors WHERE lane = ?", (lane,)))

    def deliveries(self, shard: int, position: Position) -> list[Stored]:
        """What became of one event, by integration and generation."""
        sql = f"SELECT {_COLUMNS} FROM deliveries WHERE lane = ? AND shard = ? AND position = ? ORDER BY generation"  # noqa: S608
        return [_stored(*row) for lane in self.lanes() for row in self._db.execute(sql, (lane.id, shard, position))]

    def ranges(self, shard: int, position: Position, source: str) -> list[tuple[int, int, Range]]:
        """Lane, time and range of each common fate that an event shared."""
        sql = (
            "SELECT lane, at_ms, shard, first, last, source, state, code, count FROM ranges"
            " WHERE lane = ? AND shard = ? AND source = ? AND last >= ? AND first <= ?"
        )
        return [
            (lane, at_ms, Range(*rest))
            for one in self.lanes()
            for lane, at_ms, *rest in self._db.execute(sql, (one.id, shard, source, position, position))
        ]

    def attempts(self, stored: Stored) -> list[Exchange]:
        sql = (
            "SELECT exchange FROM attempts WHERE lane = ? AND shard = ? AND position = ? AND generation = ? ORDER BY id"
        )
        d = stored.delivery
        return [
            _exchange.decode(packed)
            for (packed,) in self._db.execute(sql, (stored.lane, d.shard, d.position, d.generation))
        ]

    def kept(self, message_id: str) -> list[Stored]:
        """Deliveries that hold their event themselves, which the log may have dropped."""
        sql = f"SELECT {_COLUMNS} FROM deliveries WHERE message_id = ?"  # noqa: S608
        return [_stored(*row) for row in self._db.execute(sql, (message_id,))]

    def counted(self, lane: int) -> list[Counted]:
        sql = (
            "SELECT source, state, nullif(certainty, ''), nullif(code, ''), sum(count) FROM counters"
            " WHERE lane = ? GROUP BY 1, 2, 3, 4 HAVING sum(count) != 0"
        )
        return [Counted(*row) for row in self._db.execute(sql, (lane,))]

    def left_out(self, lane: int) -> dict[str, int]:
        """How many settled deliveries were sent without a field, the most frequent first."""
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'left_out'").get:
            return {}  # nothing has been delivered since this is counted
        sql = "SELECT field, count FROM left_out WHERE lane = ? ORDER BY count DESC, field"
        return dict(self._db.execute(sql, (lane,)))

    def left_out_of_late(self, lane: int) -> tuple[int, list[LeftOut]]:
        """How many of the newest deliveries were delivered, and all that these were sent without."""
        sql = (
            "SELECT detail FROM (SELECT detail, state, latest FROM deliveries WHERE lane = ? AND shard = ?"
            " ORDER BY position DESC LIMIT ?) WHERE latest AND state = 'delivered'"
        )
        details = [detail for shard in self.cursors(lane) for (detail,) in self._db.execute(sql, (lane, shard, NEWEST))]
        return len(details), [one for detail in details for one in _left_out.decode(detail).left_out]

    def recounted(self, lane: int, between: Callable[[], object] = pause) -> list[Counted]:
        """The same counts, made from the rows themselves. Reads every row of the lane, in steps; `between` is called
        between two of them."""
        rows = recount(self._db, lane, between).rows
        return [Counted(*key[:2], key[2] or None, key[3] or None, count) for key, count in sorted(rows.items())]

    def adds_up(self, lane: int) -> bool | None:
        """Whether the rows, counted anew, give the counters; None where replays left no quiet moment to say so."""
        found = recount(self._db, lane)
        return True if found.rows == found.counters else None if found.disturbed else False

    def starts(self, lane: int) -> dict[tuple[int, str], int]:
        """By shard and source: what the log had counted when the lane began to read that source."""
        sql = "SELECT shard, source, start_count FROM lane_sources WHERE lane = ? AND active"
        return {(shard, source): count for shard, source, count in self._db.execute(sql, (lane,))}

    def settled_counts(self, lane: int) -> dict[tuple[int, str], int]:
        """By shard and source: the sum of the counters."""
        sql = "SELECT shard, source, sum(count) FROM counters WHERE lane = ? GROUP BY 1, 2"
        return {(shard, source): count for shard, source, count in self._db.execute(sql, (lane,))}

    def beyond(self, lane: int) -> dict[tuple[int, str], int]:
        """By shard and source: outcomes recorded beyond the cursor, ahead of one that is still under way."""
        sql = (
            "SELECT d.shard, d.source, count(*) FROM deliveries d"
            " JOIN cursors c ON c.lane = d.lane AND c.shard = d.shard"
            " WHERE d.lane = ? AND d.position > c.position AND d.generation = 0 GROUP BY 1, 2"
        )
        return {(shard, source): count for shard, source, count in self._db.execute(sql, (lane,))}

    def minutes(self, lane: int, since_minute: int) -> list[tuple[int, Counted]]:
        """What ended in each minute (minutes since 1970)."""
        sql = (
            "SELECT minute, source, state, nullif(certainty, ''), nullif(code, ''), count FROM minutes"
            " WHERE lane = ? AND minute >= ? ORDER BY minute"
        )
        return [(minute, Counted(*rest)) for minute, *rest in self._db.execute(sql, (lane, since_minute))]

    def newest(
        self,
        lane: int,
        limit: int,
        *,
        state: str | None = None,
        code: str | None = None,
        source: str | None = None,
        since_ms: int | None = None,
    ) -> list[Stored]:
        """The newest deliveries that are in a state, for a reason, of a source, received since a time (ms)."""
        sql = (
            f"SELECT {_COLUMNS} FROM deliveries WHERE lane = ? AND shard = ? AND latest AND (? IS NULL OR state = ?)"  # noqa: S608
            " AND (? IS NULL OR code = ?) AND (? IS NULL OR source = ?) AND (? IS NULL OR received_ms >= ?)"
            " ORDER BY position DESC LIMIT ?"
        )
        values = (state, state, code, code, source, source, since_ms, since_ms, limit)
        return [_stored(*row) for shard in self.cursors(lane) for row in self._db.execute(sql, (lane, shard, *values))]

    def select(self, lane: int, wanted: Filter) -> Iterator[Stored]:
        """The newest generation of each settled delivery that a filter takes, in log order."""
        states = wanted.states
        sql = (
            f"SELECT {_COLUMNS} FROM deliveries WHERE lane = ? AND latest AND state IN ({', '.join('?' * len(states))})"  # noqa: S608
            " AND (? IS NULL OR code = ?) AND (? IS NULL OR received_ms >= ?) AND (? IS NULL OR received_ms < ?)"
            " AND (? IS NULL OR updated_ms < ?)"
            " AND shard = ? AND position > ? ORDER BY position LIMIT 500"
        )
        for shard in sorted(self.cursors(lane)):
            after = 0
            while True:
                bounds = (wanted.code, wanted.from_ms, wanted.to_ms, wanted.settled_before_ms)
                values = (lane, *states, *(bound for bound in bounds for _ in range(2)), shard, after)
                rows = [_stored(*row) for row in self._db.execute(sql, values)]
                if not rows:
                    break
                yield from rows
                after = rows[-1].delivery.position

    def ranges_of(self, lane: int, wanted: Filter) -> list[tuple[int, Range]]:
        """Row id and range of each common fate that a filter takes. Its time is that of the events, not known here."""
        sql = (
            "SELECT id, shard, first, last, source, state, code, count FROM ranges"
            " WHERE lane = ? AND (? IS NULL OR code = ?) AND count > replayed ORDER BY id"
        )
        found = [(id, Range(*rest)) for id, *rest in self._db.execute(sql, (lane, wanted.code, wanted.code))]
        return [(id, span) for id, span in found if span.state in wanted.states]

    def positions(self, lane: int, span: Range) -> set[Position]:
        """Positions in a range that have a delivery of their own."""
        sql = "SELECT position FROM deliveries WHERE lane = ? AND shard = ? AND position BETWEEN ? AND ? AND source = ?"
        return {p for (p,) in self._db.execute(sql, (lane, span.shard, span.first, span.last, span.source))}

    def names(self, lane: int) -> dict[str, dict[str, int]]:
        """Event names by reason code, among the newest deliveries; the most frequent first."""
        sql = (
            "SELECT code, detail FROM (SELECT code, detail, latest FROM deliveries WHERE lane = ? AND shard = ?"
            " ORDER BY position DESC LIMIT ?) WHERE latest AND code IS NOT NULL"
        )
        found: dict[str, Counter[str]] = {}
        for shard in self.cursors(lane):
            for code, detail in self._db.execute(sql, (lane, shard, NEWEST)):
                found.setdefault(code, Counter())[mask_text(_name.decode(detail).name)] += 1
        return {code: dict(counts.most_common(MOST_NAMES)) for code, counts in found.items()}

    def waiting(self, lane: int) -> dict[str, dict[str, int]]:
        """Why deliveries are retrying or held, by state: their reason code, else what the last attempt met, such as
        `HTTP 500` or `timeout`, or `consent` for those held. Looks at those that are next to go on, `NEWEST` at most.
        """
        sql = (
            "SELECT state, code, (SELECT exchange FROM attempts a WHERE (a.lane, a.shard, a.position, a.generation)"
            " = (d.lane, d.shard, d.position, d.generation) ORDER BY id DESC LIMIT 1) FROM deliveries d"
            " WHERE lane = ? AND state IN ('retrying', 'held') ORDER BY next_ms LIMIT ?"
        )
        found: dict[str, Counter[str]] = {}
        for state, code, exchange in self._db.execute(sql, (lane, NEWEST)):
            cause = code or ("consent" if state == "held" else _cause(exchange))
            found.setdefault(state, Counter())[cause] += 1
        return {state: dict(counts.most_common(MOST_NAMES)) for state, counts in found.items()}

    def health(self, integration: str, now_ms: int) -> dict[str, Any] | None:
        """How a lane is, as the deliver process noted it; None where none has of late: nobody delivers now."""
        noted = self.run_value(f"lane:{integration}")
        health: dict[str, Any] | None = msgspec.json.decode(noted) if noted else None
        if health is None or now_ms - health["at_ms"] > HEALTH_MS:
            return None
        return health | {"cause": mask_text(health["cause"]) if health.get("cause") else None}

    def run_value(self, name: str) -> str | None:
        value: Any = self._db.execute("SELECT value FROM runs WHERE name = ?", (name,)).get
        return None if value is None else str(value)


def _cause(exchange: bytes | None) -> str:
    ended = _ended.decode(exchange) if exchange else _Ended()
    return ended.failure.cause if ended.failure else f"HTTP {ended.status}" if ended.status else "not sent yet"


def _stored(lane: int, latest: int, updated_ms: int, *row: Any) -> Stored:
    return Stored(lane, read_delivery(*row), bool(latest), updated_ms)


def total(counted: Sequence[Counted], state: str) -> int:
    """How many are in a state."""
    return sum(row.count for row in counted if row.state == state)
