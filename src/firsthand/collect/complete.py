"""Events as clients send them → canonical events, checked and completed with what the client left out."""

from typing import Any, cast

import msgspec
import uuid_utils

from firsthand.collect.faults import Fault
from firsthand.collect.parse import MAX_ID_LENGTH, TYPES, Batch, Id, MessageId, Wire, read_context, read_object
from firsthand.event import Event, EventType, format_time
from firsthand.personal import hint, mask_text
from firsthand.placeholders import id_text, placeholder
from firsthand.times import read_time

MAX_TIME_LENGTH = 100
CLOCK_TOLERANCE_MS = 60_000
FUTURE_TOLERANCE_MS = 300_000
"""How far ahead of its receipt an event may say it happened: as far as vendors take it (Criteo five minutes)."""


class Connection(msgspec.Struct, frozen=True):
    """What the connection itself says of the visitor; None for a server's own connection."""

    ip: str | None = None
    user_agent: str | None = None


NOBODY = Connection()


def complete(
    wire: Wire,
    *,
    type: str | None = None,
    path: str = "$",
    now_ms: int,
    received_at: str,
    batch: Batch | None = None,
    connection: Connection = NOBODY,
) -> Event:
    """Check an event and fill in what the client left out. Raises Fault."""
    kind = type or wire.type
    if kind is None or kind not in TYPES:
        said = f"it says {hint(wire.type)}" if wire.type else "it has none"
        raise Fault(
            400, "invalid_type", f"an event's type is one of {', '.join(sorted(TYPES))}; {said}", f"{path}.type"
        )
    event = Event(
        type=cast(EventType, kind),
        message_id=_message_id(wire.message_id, f"{path}.messageId") or str(uuid_utils.uuid7()),
        event=wire.event,
        name=_label(wire.name),
        category=_label(wire.category),
        anonymous_id=_id(wire.anonymous_id, f"{path}.anonymousId"),
        user_id=_id(wire.user_id, f"{path}.userId"),
        previous_id=_id(wire.previous_id, f"{path}.previousId"),
        group_id=_id(wire.group_id, f"{path}.groupId"),
        properties=read_object(wire.properties, f"{path}.properties"),
        traits=read_object(wire.traits, f"{path}.traits"),
        context=read_context(wire.context, f"{path}.context"),
        integrations=read_object(wire.integrations, f"{path}.integrations"),
        received_at=received_at,
    )
    _require(event, wire, path)
    _set_times(event, wire, batch.sent_at if batch else None, now_ms)
    if batch is not None and (batch.context or batch.integrations):
        event.context = {**(batch.context or {}), **event.context}
        event.integrations = {**(batch.integrations or {}), **event.integrations}
    if connection.ip is not None:
        event.context.setdefault("ip", connection.ip)
    if connection.user_agent is not None:
        event.context.setdefault("userAgent", connection.user_agent)
    return event


def _require(event: Event, wire: Wire, path: str) -> None:
    """What the Segment spec requires of each type of call."""
    if event.type == "track" and not event.event:
        raise Fault(400, "field_missing", "a track call needs the name of the event", f"{path}.event")
    if event.type == "group" and not event.group_id:
        raise Fault(400, "field_missing", "a group call needs a groupId", f"{path}.groupId")
    if event.type == "alias" and not (event.previous_id and event.user_id):
        missing = "userId" if event.previous_id else "previousId"
        raise Fault(400, "field_missing", "an alias call needs a previousId and a userId", f"{path}.{missing}")
    if wire.anonymous_id is None and wire.user_id is None:
        raise Fault(400, "field_missing", "an event needs an anonymousId or a userId", f"{path}.anonymousId")


def _set_times(event: Event, wire: Wire, batch_sent_at: Any, now_ms: int) -> None:
    """`timestamp` in UTC, moved by the error of the client's clock when that is over a minute.

    Nothing happens after it was received. A time ahead of that comes from a clock whose error nobody told us: the time
    of receipt is the nearest we know. So it is for a time that can't be read; what was sent is kept beside it.
    """
    skew = 0
    for sent_at in (wire.sent_at, batch_sent_at):
        if (sent_ms := _time(sent_at)) is not None:
            event.sent_at = _as_sent(sent_at)
            skew = now_ms - sent_ms
            if abs(skew) <= CLOCK_TOLERANCE_MS:
                skew = 0
            break
    given = [time for time in (wire.timestamp, wire.original_timestamp) if time is not None and time != ""]
    if not given:
        event.timestamp = event.received_at
        return
    sent, at = next(((time, ms) for time in given if (ms := _time(time)) is not None), (given[0], None))
    moved = None if at is None or at + skew > now_ms + FUTURE_TOLERANCE_MS else _written(at + skew)
    event.timestamp = moved or event.received_at
    if skew or moved is None:
        event.original_timestamp = _as_sent(sent)


def _time(value: Any) -> int | None:
    try:
        return read_time(value)
    except ValueError:
        return None


def _written(ms: int) -> str | None:
    """None where no calendar reaches."""
    try:
        return format_time(ms)
    except (ValueError, OverflowError):
        return None


def _as_sent(time: Any) -> str:
    text = time if isinstance(time, str) else msgspec.json.encode(time).decode()
    # What is cut off an address leaves a part of it that nothing would know for one.
    return text if len(text) <= MAX_TIME_LENGTH else mask_text(text)[:MAX_TIME_LENGTH]


def _label(value: Any) -> str | None:
    """A name of no great matter, as clients send it: a number now and then, or a list that says nothing here."""
    return value if isinstance(value, str) else id_text(value) if type(value) in (int, float) else None


def _message_id(value: MessageId, path: str) -> str | None:
    """None also where it is the same word for many events: all but the first would be taken for duplicates."""
    text = _id(value, path)
    return None if text is None or (placeholder(text) and text not in ("0", "-1")) else text


def _id(value: Id, path: str) -> str | None:
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else id_text(value)
    if len(text) > MAX_ID_LENGTH:
        raise Fault(400, "field_invalid", f"an id may have {MAX_ID_LENGTH} characters", path)
    return text
