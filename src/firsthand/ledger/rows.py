"""A delivery as the embedded ledger's table has it."""

from typing import Any

import msgspec

from firsthand.eventlog.base import Position
from firsthand.ledger.records import Delivery, Detail

DELIVERY = (
    "shard, position, generation, source, visitor, received_ms, state, certainty, code, next_ms, message_id, event,"
    " detail"
)
"""The columns that `read_delivery` takes."""
_detail = msgspec.json.Decoder(Detail)


def read_delivery(
    shard: int, position: Position, generation: int, source: str, visitor: int, received_ms: int, state: Any,
    certainty: str | None, code: str | None, next_ms: int | None, message_id: str | None, event: bytes | None,
    detail: bytes,
) -> Delivery:  # fmt: skip
    return Delivery(
        shard=shard,
        position=position,
        generation=generation,
        source=source,
        visitor=visitor,
        received_ms=received_ms,
        state=state,
        certainty=certainty,
        next_ms=next_ms,
        message_id=message_id,
        event=event,
        detail=_detail.decode(detail),
        previous=(state, certainty, code),
    )
