"""Everything that happened to one event, at every integration: the object behind `trace` and the management API."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from firsthand.event import Event, decoder, format_time
from firsthand.eventlog.base import LogReader
from firsthand.ledger.masking import mask, shown_body, shown_url
from firsthand.ledger.reader import Lane, LedgerReader, Stored
from firsthand.ledger.records import Exchange, Range
from firsthand.times import read_time
from firsthand.vendors.base import Identity


def trace(
    message_id: str,
    sources: Iterable[str],
    log: LogReader,
    ledger: LedgerReader,
    environments: Mapping[tuple[str, int | None], str] | None = None,
    now_ms: int | None = None,
) -> list[dict[str, Any]]:
    """The traces of a message id, one for each source that sent it. Empty if nothing is known of it.

    `environments` say by integration and revision where it sent to, and by None as revision where it sends to now.
    """
    found: list[dict[str, Any]] = []
    sources = list(sources)
    now_ms = round(time.time() * 1000) if now_ms is None else now_ms
    lanes = {lane.id: lane for lane in ledger.lanes()}
    known: set[str] = set()
    for source in sources:
        place = log.find(source, message_id)
        row = log.get(*place) if place else None
        if place is None or row is None:
            continue
        known.add(source)
        found.append(_traced(decoder.decode(row.body), source, *place, lanes, ledger))
    # The log may have dropped it: a delivery that still needs its event keeps it.
    for stored in ledger.kept(message_id):
        delivery = stored.delivery
        if delivery.source in sources and delivery.source not in known and delivery.event is not None:
            known.add(delivery.source)
            event = decoder.decode(delivery.event)
            found.append(_traced(event, delivery.source, delivery.shard, delivery.position, lanes, ledger))
    for shown in (delivery for one in found for delivery in one["deliveries"]):
        shown["environment"] = (environments or {}).get((shown["integration"], shown["revision"]))
        waits = shown["state"] in ("pending", "retrying", "held")
        shown["paused"] = _paused(ledger.health(shown["integration"], now_ms)) if waits else None
    return found


def _paused(health: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What keeps a lane from sending anything now, where something does: `stopped`, `trouble` or `rest`."""
    if health is None:
        return {"by": "stopped", "since": None, "until": None, "reason": None, "cause": None}
    if health["breaker"] == "closed" and not health.get("until"):
        return None
    by = "rest" if health["breaker"] == "closed" else "trouble"
    return {"by": by} | {name: health.get(name) for name in ("since", "until", "reason", "cause")}


def _traced(
    event: Event, source: str, shard: int, position: int, lanes: dict[int, Lane], ledger: LedgerReader
) -> dict[str, Any]:
    stored = ledger.deliveries(shard, position)
    own = {row.lane for row in stored}
    deliveries = [_delivery(lanes[row.lane], row, ledger.attempts(row)) for row in stored]
    deliveries += [
        _shared(lanes[lane], at_ms, span)
        for lane, at_ms, span in ledger.ranges(shard, position, source)
        if lane not in own
    ]
    settled = own | {lane for lane, _, _ in ledger.ranges(shard, position, source)}
    for lane in lanes.values():
        reads = (shard, source) in ledger.starts(lane.id)
        if lane.id not in settled and reads and position > ledger.cursors(lane.id).get(shard, 0):
            deliveries.append(_waiting(lane))
    return {
        "message_id": event.message_id,
        "event": mask(msgspec.to_builtins(event)),
        "source": source,
        "received_at": event.received_at,
        "time": _time(event),
        "deliveries": deliveries,
    }


def _time(event: Event) -> dict[str, Any]:
    """By which clock `timestamp` is: the sender's; `ours`, which moved it by the error of the sender's or put the time
    of receipt in place of one in the future; or `unreadable`, which stands for the time of receipt too."""
    by = "sender"
    if event.original_timestamp is not None:
        try:
            read_time(event.original_timestamp)
            by = "ours"
        except ValueError:
            by = "unreadable"
    return {"by": by, "sent": mask(event.original_timestamp)}


def _delivery(lane: Lane, stored: Stored, attempts: Sequence[Exchange]) -> dict[str, Any]:
    delivery, detail = stored.delivery, stored.delivery.detail
    return {
        "integration": lane.integration,
        "vendor": lane.vendor,
        "generation": delivery.generation,
        "superseded": not stored.latest,
        "name": mask(detail.name),
        "state": delivery.state,
        "certainty": delivery.certainty,
        "reason": msgspec.to_builtins(detail.reason) if detail.reason else None,
        "warnings": detail.warnings,
        "maybe_sent_before": detail.maybe_sent,
        "left_out": [msgspec.to_builtins(one) for one in detail.left_out],
        "total": msgspec.to_builtins(detail.total) if detail.total else None,
        "revision": detail.revision or None,
        "vendor_version": detail.vendor_version or None,
        "consent": msgspec.to_builtins(detail.consent) if detail.consent else None,
        "identity": _identity(detail.identity),
        "updated_at": format_time(stored.updated_ms),
        "next_attempt_at": format_time(delivery.next_ms) if delivery.next_ms else None,
        "attempts": [_attempt(exchange) for exchange in attempts],
    }


def _identity(identity: Identity | None) -> dict[str, Any]:
    """What was known of the visitor beyond the event, by name: the vendor's ids, `email`, `user_id`."""
    if identity is None:
        return {}
    more = {"email": identity.email, "user_id": identity.user_id}
    shown: dict[str, Any] = mask({**identity.vendor_ids, **{name: value for name, value in more.items() if value}})
    return shown


def _attempt(exchange: Exchange) -> dict[str, Any]:
    failure = exchange.failure
    return {
        "at": format_time(exchange.at_ms),
        "duration_ms": exchange.duration_ms,
        "request_index": exchange.request_index,
        "hop": exchange.hop,
        "request": {
            "method": exchange.method,
            "url": shown_url(exchange.url),
            "headers": mask(exchange.headers),
            "body": shown_body(exchange.body),
        },
        "response": None
        if exchange.status is None
        else {
            "status": exchange.status,
            "headers": mask(exchange.response_headers),
            "body": shown_body(exchange.response_body),
            "body_bytes": len(exchange.response_body),
        },
        "error": {"cause": failure.cause, "sent": failure.sent, "message": failure.message} if failure else None,
    }


def _shared(lane: Lane, at_ms: int, span: Range) -> dict[str, Any]:
    message = f"one of {span.count} events that met the same fate"
    reason = {"code": span.code, "field": None, "message": message}
    return _bare(lane, span.state) | {"reason": reason, "updated_at": format_time(at_ms)}


def _waiting(lane: Lane) -> dict[str, Any]:
    return _bare(lane, "pending")


def _bare(lane: Lane, state: str) -> dict[str, Any]:
    return {
        "integration": lane.integration,
        "vendor": lane.vendor,
        "generation": 0,
        "superseded": False,
        "state": state,
        "certainty": None,
        "reason": None,
        "left_out": [],
        "total": None,
        "maybe_sent_before": False,
        "revision": None,
        "consent": None,
        "attempts": [],
    }
