"""Finds a visitor's rows in the ledger, and those that mention them."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from firsthand.eventlog.base import Position
from firsthand.eventlog.erasing import alternatives
from firsthand.identity.erasure import Fate, Match, Place, Plan
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import Detail, Exchange
from firsthand.placeholders import read_event

SCAN_POSITIONS = 20_000
_detail = msgspec.json.Decoder(Detail)
_exchange = msgspec.msgpack.Decoder(Exchange)


class Key(NamedTuple):
    """A row of the ledger."""

    lane: int
    shard: int
    position: Position
    generation: int


class Found(NamedTuple):
    """A row that is a visitor's, or mentions them. `state` is as it was found."""

    key: Key
    state: str
    fate: Fate
    source: str


def find_all(ledger: LedgerReader, match: Match, plan: Plan) -> list[Found]:
    """What `find` gives, each row once: one of the visitor's may be found as a mention, too."""
    rows: dict[Key, Found] = {}
    for step in find(ledger, match, plan):
        for row in step:
            if row.fate == "theirs" or row.key not in rows:
                rows[row.key] = row
    return sorted(rows.values())


def find(ledger: LedgerReader, match: Match, plan: Plan) -> Iterator[list[Found]]:
    """By their places in the log; what is older than the log by the event, where a row holds one, else by the hash of
    the visitor, or on a shared browser by what was sent. And what was sent with something of theirs though the event is
    another's. Yields after each step, also without rows."""
    places: list[tuple[Fate, str, Place]] = [("theirs", "", place) for place in plan.events]
    places += [("mentions", source, place) for source, mentions in plan.mentions.items() for place in mentions]
    for start in range(0, len(places), 500):
        yield [found for one in places[start : start + 500] for found in _at(ledger, *one)]
    if plan.ids:
        yield from _scan(ledger, match, plan)


def _at(ledger: LedgerReader, fate: Fate, source: str, place: Place) -> Iterator[Found]:
    sql = "SELECT generation, state FROM deliveries WHERE lane = ? AND shard = ? AND position = ?"
    for lane in ledger.lanes():
        for generation, state in ledger._db.execute(sql, (lane.id, *place)):
            yield Found(Key(lane.id, *place, generation), state, fate, source)


def _scan(ledger: LedgerReader, match: Match, plan: Plan) -> Iterator[list[Found]]:
    """All rows up to where the log was looked through, whether it still has their events or not."""
    bounds = "SELECT min(position), max(position) FROM deliveries WHERE lane = ? AND shard = ?"
    looks = alternatives("event", match.maybe, match.needles, match.addresses)
    looks += alternatives("detail", (), match.needles, match.addresses)
    for lane in ledger.lanes():
        for shard, upto in plan.upto.items():
            first, last = ledger._db.execute(bounds, (lane.id, shard)).get
            while first is not None and first <= min(last, upto):
                to = min(first + SCAN_POSITIONS, upto)
                found: dict[Key, Found] = {}
                for test, values in looks:
                    sql = f"{_SCAN} AND {test}"
                    rows: list[Any] = ledger._db.execute(sql, (lane.id, shard, first, to, *values)).fetchall()
                    for row in rows:
                        one = _judged(ledger, match, plan, lane.id, shard, *row)
                        if one is not None:
                            found[one.key] = one
                yield list(found.values())
                first = to + 1


_SCAN = (
    "SELECT position, generation, state, source, visitor, event, detail FROM deliveries"
    " WHERE lane = ? AND shard = ? AND position BETWEEN ? AND ?"
)


def _judged(
    ledger: LedgerReader,
    match: Match,
    plan: Plan,
    lane: int,
    shard: int,
    position: Position,
    generation: int,
    state: str,
    source: str,
    visitor: int,
    event: bytes | None,
    detail: bytes,
) -> Found | None:
    key = Key(lane, shard, position, generation)
    fate: Fate | None = None
    if event is not None:
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            fate = match.event(source, read_event(event), event)
    elif position < plan.since.get(shard, 0):
        theirs = visitor in match.visitors or (visitor in match.maybe and match.sent(source, _sent(ledger, key)))
        fate = "theirs" if theirs else None
    if fate is None and match.identity(source, _detail.decode(detail).identity):
        fate = "mentions"
    return Found(key, state, fate, source) if fate is not None else None


def _sent(ledger: LedgerReader, key: Key) -> Iterator[bytes]:
    """What went out to the vendor, and what came back."""
    sql = "SELECT exchange FROM attempts WHERE lane = ? AND shard = ? AND position = ? AND generation = ?"
    for (packed,) in ledger._db.execute(sql, key):
        exchange = _exchange.decode(packed)
        yield from (exchange.url.encode(), exchange.body or b"", exchange.response_body)
