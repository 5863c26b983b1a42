"""Takes a visitor out of the ledger: what was decided and how it ended stays, what was sent and of whom does not.

Counts stay as they are. A delivery that was still open has ended as `filtered: erased` before it is scrubbed.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import apsw
import msgspec

from firsthand.event import decoder
from firsthand.eventlog.base import Position
from firsthand.identity.erasure import Match, Plan
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import Delivery, Detail, Exchange
from firsthand.reasons import Reason

ERASED = Reason("erased", None, "the visitor was erased")
SCAN_POSITIONS = 20_000

_detail = msgspec.json.Decoder(Detail)
_exchange = msgspec.msgpack.Decoder(Exchange)
_json = msgspec.json.Encoder()
_packed = msgspec.msgpack.Encoder()


class Key(NamedTuple):
    """A row of the ledger."""

    lane: int
    shard: int
    position: Position
    generation: int


def end(delivery: Delivery) -> None:
    """The visitor was erased: it ends here, and with it goes what it holds of them."""
    delivery.state, delivery.next_ms, delivery.certainty, delivery.event = "filtered", None, None, None
    delivery.detail = scrubbed(delivery.detail)
    delivery.detail.reason = ERASED


def scrubbed(detail: Detail) -> Detail:
    """Without what says who it was. Messages go too: a vendor may have quoted what it was sent."""
    reason = detail.reason
    return msgspec.structs.replace(
        detail,
        identity=None,
        sent_sha256=None,
        warnings=None,
        reason=Reason(reason.code, reason.field) if reason is not None else None,
    )


def find(ledger: LedgerReader, match: Match, plan: Plan) -> Iterator[list[tuple[Key, str]]]:
    """Rows of a visitor's events, with their states; yields after each step, also without rows.

    Found by their places in the log, by the hash of the visitor, and by the event where a row holds one.
    """
    db = ledger._db
    lanes = [lane.id for lane in ledger.lanes()]
    at = "SELECT lane, shard, position, generation, state FROM deliveries WHERE lane = ? AND shard = ? AND position = ?"
    for lane in lanes:
        for start in range(0, len(plan.events), 500):
            rows: list[Any] = []
            for place in plan.events[start : start + 500]:
                rows += db.execute(at, (lane, *place)).fetchall()
            yield [(Key(*row[:4]), row[4]) for row in rows]
    if not plan.ids:
        return
    tests = ["instr(event, ?)"] * len(match.needles)
    tests += ["instr(lower(CAST(event AS TEXT)), ?)"] * len(match.addresses)
    visitors = ", ".join(map(str, match.maybe)) or "NULL"
    sql = (
        "SELECT lane, shard, position, generation, state, source, visitor, event FROM deliveries"  # noqa: S608
        " WHERE lane = ? AND shard = ? AND position BETWEEN ? AND ?"
        f" AND (visitor IN ({visitors}) OR (event IS NOT NULL AND ({' OR '.join(tests)})))"
    )
    bounds = "SELECT min(position), max(position) FROM deliveries WHERE lane = ? AND shard = ?"
    for lane in lanes:
        for shard, upto in plan.upto.items():
            first, last = db.execute(bounds, (lane, shard)).get
            while first is not None and first <= min(last, upto):
                to = min(first + SCAN_POSITIONS, upto)
                values = (lane, shard, first, to, *match.needles, *match.addresses)
                found: list[Any] = db.execute(sql, values).fetchall()
                yield [(Key(*row[:4]), row[4]) for row in found if _theirs(match, *row[5:])]
                first = to + 1


def _theirs(match: Match, source: str, visitor: int, event: bytes | None) -> bool:
    if visitor in match.visitors:
        return True
    try:
        return event is not None and match.event(source, decoder.decode(event), event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def scrub(db: apsw.Connection, keys: Iterable[Key]) -> int:
    """Scrub settled rows and their attempts, within the caller's transaction; returns how many attempts there were."""
    where = "lane = ? AND shard = ? AND position = ? AND generation = ?"
    attempts = 0
    for key in keys:
        packed = db.execute(f"SELECT detail FROM deliveries WHERE {where}", key).get  # noqa: S608
        if packed is None:
            continue
        detail = _json.encode(scrubbed(_detail.decode(packed)))
        db.execute(
            f"UPDATE deliveries SET visitor = 0, message_id = NULL, event = NULL, detail = ? WHERE {where}",  # noqa: S608
            (detail, *key),
        )
        rows: list[Any] = db.execute(f"SELECT id, exchange FROM attempts WHERE {where}", key).fetchall()  # noqa: S608
        for id, exchange in rows:
            bare = _packed.encode(_without_payload(_exchange.decode(exchange)))
            db.execute("UPDATE attempts SET exchange = ? WHERE id = ?", (bare, id))
        attempts += len(rows)
    return attempts


def _without_payload(exchange: Exchange) -> Exchange:
    failure = exchange.failure
    return msgspec.structs.replace(
        exchange,
        url=exchange.url.partition("?")[0],
        headers={},
        body=None,
        response_headers={},
        response_body=b"",
        failure=msgspec.structs.replace(failure, message="") if failure is not None else None,
    )


def by_lane(deliveries: Iterable[tuple[int, Delivery]]) -> Iterator[tuple[int, list[Delivery]]]:
    """Grouped as they are committed."""
    for lane, group in groupby(sorted(deliveries, key=lambda one: one[0]), key=lambda one: one[0]):
        yield lane, [delivery for _, delivery in group]
