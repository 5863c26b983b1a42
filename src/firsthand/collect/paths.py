"""Where events are taken: the addresses that Segment's and RudderStack's clients send to, and our own.

Each is also taken with a slash at its end, as analytics-java writes `/v1/import/`.
"""

from firsthand.collect.parse import TYPES

SINGLES = {f"/v1/{path}": type for type in TYPES for path in (type, type[0])}
"""One event. analytics-next calls each type by its first letter."""

BEACON = "/beacon/v1/batch"
"""RudderStack's JavaScript client as a page is left: a beacon has no headers, so the write key is in the query."""

BATCHES = frozenset({"/v1/batch", "/v1/import", "/v1/b", "/b", BEACON})
"""Of those in letters: Segment's mobile clients, and the one for React Native behind a proxy of one's own."""

SIGNED = "/v1/events"
VISITOR = "/v1/visitor"
"""Takes what a page would send of its visitor with an event, and keeps none: a visitor of several pages at once has got
their cookies before the first events are sent."""
PIXELS = {f"/v1/pixel/{type}": type for type in TYPES}
HEALTH = frozenset({"/healthz", "/readyz"})


def without_slash(path: str) -> str:
    """A path without the slash at its end, and with one in front: clients put `/v1/track` behind an address that may
    end with one of its own."""
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    return path[:-1] if path.endswith("/") else path
