"""Finds a visitor's rows in the ledger, and those that mention them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from firsthand.event import decoder
from firsthand.eventlog.base import Position
from firsthand.eventlog.erasing import alternatives
from firsthand.identity.erasure import Fate, Match, Place, Plan
from firsthand.ledger.reader import LedgerReader

SCAN_POSITIONS = 20_000


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


def find(ledger: LedgerReader, match: Match, plan: Plan) -> Iterator[list[Found]]:
    """By their places in the log, by the hash of the visitor, and by the event where a row holds one. Yields after each
    step, also without rows."""
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
    for lane in ledger.lanes():
        for shard, upto in plan.upto.items():
            first, last = ledger._db.execute(bounds, (lane.id, shard)).get
            while first is not None and first <= min(last, upto):
                to = min(first + SCAN_POSITIONS, upto)
                for test, values in looks:
                    sql = (
                        "SELECT position, generation, state, source, visitor, event FROM deliveries"  # noqa: S608
                        f" WHERE lane = ? AND shard = ? AND position BETWEEN ? AND ? AND ({test})"
                    )
                    found = []
                    for position, generation, state, source, *row in ledger._db.execute(
                        sql, (lane.id, shard, first, to, *values)
                    ):
                        fate = _fate(match, source, *row)
                        if fate is not None:
                            found.append(Found(Key(lane.id, shard, position, generation), state, fate, source))
                    yield found
                first = to + 1


def _fate(match: Match, source: str, visitor: Any, event: Any) -> Fate | None:
    try:
        return match.event(source, decoder.decode(event), event) if event is not None else _by_hash(match, visitor)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _by_hash(match, visitor)


def _by_hash(match: Match, visitor: Any) -> Fate | None:
    return "theirs" if visitor in match.visitors else None
