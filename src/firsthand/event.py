"""The canonical event: the Segment envelope, completed at collection and read by everything after it.

An event is JSON on the wire and in the event log, and an `Event` in between. `properties`, `traits` and
`context` stay plain dictionaries: shops put in them what they like. `Event.text` and `Event.at` are the
safe ways to read them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

EventType = Literal["track", "page", "screen", "identify", "group", "alias"]


class Event(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """One thing that happened, in the canonical envelope (names follow the Segment spec).

    Times are ISO 8601 UTC with milliseconds and `Z`, so they compare as text.
    """

    type: EventType
    message_id: str = ""
    event: str | None = None
    name: str | None = None
    category: str | None = None
    anonymous_id: str | None = None
    user_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    properties: dict[str, Any] = {}
    traits: dict[str, Any] = {}
    context: dict[str, Any] = {}
    integrations: dict[str, Any] = {}
    timestamp: str = ""
    original_timestamp: str | None = None
    sent_at: str | None = None
    received_at: str = ""

    def get(self, *path: str) -> Any:
        """The value at a path such as `("context", "page", "url")`, or None where the path breaks off."""
        value: Any = getattr(self, path[0])
        for step in path[1:]:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    def text(self, *path: str) -> str | None:
        """The text at a path; numbers become text, anything else and the empty string are None."""
        value = self.get(*path)
        if isinstance(value, str):
            return value or None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        return None

    @property
    def email(self) -> str | None:
        """The visitor's e-mail address: from traits, else context.traits, else properties."""
        return (
            self.text("traits", "email") or self.text("context", "traits", "email") or self.text("properties", "email")
        )

    @property
    def products(self) -> list[Mapping[str, Any]]:
        """`properties.products`, the entries that are objects."""
        products = self.properties.get("products")
        return [product for product in products if isinstance(product, dict)] if isinstance(products, list) else []


def canonical_name(event: Event, home_urls: frozenset[str] = frozenset()) -> str:
    """The name by which integrations know an event.

    A track call is known by its `event`. A page call is "Page Viewed", or "Home Page Viewed" when its name is
    "Home", its path "/", or its URL one of the source's `home_urls`. The other calls are known by their type:
    "Screen Viewed", "Identify", "Group", "Alias".
    """
    if event.type == "track":
        return event.event or ""
    if event.type != "page":
        return {"screen": "Screen Viewed", "identify": "Identify", "group": "Group", "alias": "Alias"}[event.type]
    name = event.name or event.text("properties", "name")
    path = event.text("properties", "path") or event.text("context", "page", "path")
    url = event.text("properties", "url") or event.text("context", "page", "url")
    home = name == "Home" or path == "/" or (url is not None and url in home_urls)
    return "Home Page Viewed" if home else "Page Viewed"


def format_time(ms: int) -> str:
    """Milliseconds since 1970 as `2026-11-22T10:15:00.000Z`."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:-6]}.{ms % 1000:03}Z"


def parse_time(text: str) -> int:
    """An ISO 8601 time (UTC where it names no zone) as milliseconds since 1970. Raises ValueError, or OverflowError.

    For times of our own; `times.read_time` reads those of clients.
    """
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1000)


def moment(event: Event, received_ms: int) -> int:
    """When an event happened. No event is newer than its arrival: a clock that runs ahead must not win for ever."""
    try:
        return min(parse_time(event.timestamp), received_ms)
    except ValueError:
        return received_ms


decoder = msgspec.json.Decoder(Event)
encoder = msgspec.json.Encoder()
