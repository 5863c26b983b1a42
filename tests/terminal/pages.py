"""Traces and statuses to print, as `--json` has them, and a page as it looks at 80 columns without colour."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from firsthand.event import parse_time
from firsthand.terminal import status, trace

NOW = parse_time("2026-11-22T10:15:10Z")
Json = dict[str, Any]


def printed(show: Callable[[Console], None], width: int = 80, colour: bool = False) -> str:
    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=colour, highlight=False, markup=False, emoji=False, legacy_windows=False
    )
    show(console)
    return file.getvalue()


def trace_page(found: Json, width: int = 80, colour: bool = False, data: Path | None = None) -> str:
    return printed(lambda console: trace.show(found, console, NOW, data), width, colour)


def status_page(found: Json, width: int = 80, colour: bool = False) -> str:
    return printed(lambda console: status.show(found, console, NOW), width, colour)


def a_trace(*deliveries: Json, **event: Any) -> Json:
    """The trace of a sale; `event` are other or further fields of it."""
    sale: Json = {
        "type": "track",
        "event": "Order Completed",
        "messageId": "sale-1",
        "anonymousId": "visitor-1",
        "properties": {"order_id": "W-1", "products": [{"product_id": "tent-2p", "price": "12,50"}]},
        "context": {"consent": {"categories": {"marketing": True}}},
        "timestamp": "2026-11-22T10:15:00.000Z",
        "receivedAt": "2026-11-22T10:15:00.000Z",
    }
    return {
        "message_id": "sale-1",
        "event": sale | event,
        "source": "web-shop",
        "received_at": "2026-11-22T10:15:00.000Z",
        "deliveries": list(deliveries),
    }


def a_delivery(state: str = "delivered", **fields: Any) -> Json:
    delivery: Json = {
        "integration": "criteo",
        "vendor": "criteo-s2s",
        "environment": "production",
        "generation": 0,
        "superseded": False,
        "name": "Order Completed",
        "state": state,
        "certainty": "accepted" if state == "delivered" else None,
        "reason": None,
        "warnings": None,
        "revision": 3,
        "vendor_version": "1",
        "consent": {"decision": "allow", "basis": "categories", "detail": "marketing"},
        "identity": {},
        "updated_at": "2026-11-22T10:15:00.050Z",
        "next_attempt_at": None,
        "attempts": [],
    }
    return delivery | fields


def an_attempt(at: str = "10:15:00.010", status: int | None = 200, body: Any = None, **fields: Any) -> Json:
    """An attempt at the region's host; `status` None is one without an answer."""
    attempt: Json = {
        "at": f"2026-11-22T{at}Z",
        "duration_ms": 41,
        "request_index": 0,
        "hop": 0,
        "request": {
            "method": "POST",
            "url": "https://widget.eu.criteo.com/m/event?version=s2s_v0",
            "headers": {"content-type": "application/json"},
            "body": {"account": "12345", "events": [{"event": "trackTransaction", "id": "W-1"}]},
        },
        "response": {"status": status, "headers": {}, "body": body} if status else None,
        "error": None,
    }
    return attempt | fields


GOOD: Json = {"errors": [], "warnings": []}


def an_integration(**fields: Any) -> Json:
    row: Json = {
        "key": "criteo",
        "vendor": "criteo-s2s",
        "environment": "production",
        "received": 2000,
        "delivered": 1639,
        "filtered": 356,
        "dead": 5,
        "pending": 0,
        "held": 0,
        "retrying": 0,
        "balanced": True,
        "lag_seconds": 0.0,
        "reasons": {},
        "certainties": {"accepted": 1639},
        "recounted": None,
        "health": {"breaker": "closed", "open": 0, "in_flight": 0},
    }
    return row | fields


def a_status(*integrations: Json, **fields: Any) -> Json:
    found: Json = {
        "running": ["collect", "deliver"],
        "sources": [{"key": "web-shop", "received": 2000, "duplicates": 20, "refused": 1}],
        "integrations": list(integrations),
        "log": {"bytes": 1_700_000, "max_bytes": 10 * 2**30, "full": False},
    }
    return found | fields
