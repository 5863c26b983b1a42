"""Takes a visitor out of the ledger: what was decided and how it ended stays, what was sent and of whom does not.

Counts stay as they are. A delivery that was still open has ended as `filtered: erased` before it is scrubbed.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import apsw
import msgspec

from firsthand.identity.erasure import Match
from firsthand.identity.mentions import Redaction
from firsthand.ledger.finding import Found
from firsthand.ledger.records import Delivery, Detail, Exchange
from firsthand.reasons import Reason

ERASED = Reason("erased", None, "the visitor was erased")

_detail = msgspec.json.Decoder(Detail)
_exchange = msgspec.msgpack.Decoder(Exchange)
_json = msgspec.json.Encoder()
_packed = msgspec.msgpack.Encoder()


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
        left_out=[msgspec.structs.replace(one, value=None) for one in detail.left_out],
        total=None,
        reason=Reason(reason.code, reason.field) if reason is not None else None,
    )


_WHERE = "lane = ? AND shard = ? AND position = ? AND generation = ?"


def scrub(db: apsw.Connection, rows: Iterable[Found], match: Match) -> int:
    """Take a visitor out of settled rows and their attempts, and out of those that mention them what does, within the
    caller's transaction; returns how many attempts there were."""
    attempts = 0
    for row in rows:
        packed: Any = db.execute(f"SELECT detail, event FROM deliveries WHERE {_WHERE}", row.key).get  # noqa: S608
        if packed is None:
            continue
        detail, event = _detail.decode(packed[0]), packed[1]
        change: Callable[[Exchange], Exchange] = _without_payload
        if row.fate == "theirs":
            sql = f"UPDATE deliveries SET visitor = 0, message_id = NULL, event = NULL, detail = ? WHERE {_WHERE}"  # noqa: S608
            db.execute(sql, (_json.encode(scrubbed(detail)), *row.key))
        else:
            redaction = match.redactions[row.source]
            if match.identity(row.source, detail.identity):
                detail.identity = detail.sent_sha256 = None
            else:
                change = partial(_redacted, redaction)
            values = (event and redaction.body(event), redaction.body(_json.encode(detail)), *row.key)
            db.execute(f"UPDATE deliveries SET event = ?, detail = ? WHERE {_WHERE}", values)  # noqa: S608
        exchanges: list[Any] = db.execute(f"SELECT id, exchange FROM attempts WHERE {_WHERE}", row.key).fetchall()  # noqa: S608
        for id, exchange in exchanges:
            bare = _packed.encode(change(_exchange.decode(exchange)))
            db.execute("UPDATE attempts SET exchange = ? WHERE id = ?", (bare, id))
        attempts += len(exchanges)
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


def _redacted(redaction: Redaction, exchange: Exchange) -> Exchange:
    return msgspec.structs.replace(
        exchange,
        url=redaction.text(exchange.url),
        body=exchange.body and redaction.body(exchange.body),
        response_body=redaction.body(exchange.response_body),
    )
