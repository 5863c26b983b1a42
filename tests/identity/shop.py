"""A hub, the events it learns from, and what it is asked."""

from itertools import count
from pathlib import Path
from typing import Any

from firsthand.event import Event, format_time
from firsthand.identity import Hub, Known
from firsthand.identity.lesson import Names

NOW_MS = 1_795_348_800_000
"""2026-11-22 12:00 UTC."""
SECOND, MINUTE, DAY = 1_000, 60_000, 86_400_000
NAMES = Names(frozenset({"criteo_gum_id"}), {"criteo": frozenset({"criteo_gum_id"})})
GUM = "criteo_gum_id@123"

_positions = count(1)


def event(at: float = 0, type: Any = "track", **fields: Any) -> Event:
    """`at` is seconds after noon. `consent`, `ids` and `email` go where they belong."""
    context = {name: fields.pop(name) for name in ("consent", "ids") if name in fields}
    traits = fields.pop("traits", {}) | ({"email": fields.pop("email")} if "email" in fields else {})
    when = format_time(NOW_MS + round(at * SECOND))
    return Event(
        type=type, message_id="m", event="Product Viewed", context=context, traits=traits, timestamp=when, **fields
    )


def sync(at: float, status: str, value: str = "", **fields: Any) -> Event:
    """What the page learned from Criteo about the visitor."""
    ids = {"ids": {GUM: value}} if value else {}
    properties = {"sync": {"vendor": "criteo", "caller": "123", "status": status}}
    return event(at, "identify", properties=properties, **ids, **fields)


class Shop:
    """A hub that is fed by hand; time stands still unless an event says otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.position = 0
        self.open()

    def open(self) -> None:
        self.hub = Hub(self.folder, NAMES)

    def reopen(self) -> None:
        self.hub.close()
        self.open()

    def crash(self) -> None:
        """Whatever was not written is gone."""
        self.hub._store.close()
        self.open()

    def see(self, *events: Event, source: str = "shop") -> None:
        """The log has these."""
        first = self.position + 1
        self.position += len(events)
        rows = [(first + n, source, NOW_MS + 30 * DAY, one) for n, one in enumerate(events)]
        self.hub.observe(0, rows, self.position)

    def known(self, anonymous_id: str | None = None, user_id: str | None = None, source: str = "shop") -> Known:
        return self.hub.known(source, anonymous_id, user_id)

    def answer(self, anonymous_id: str | None = None, user_id: str | None = None) -> tuple[dict[str, Any], int] | None:
        """The newest answer on consent, and when it was given, of the nearest ids that gave any."""
        for circle in self.known(anonymous_id, user_id).answers:
            if circle:
                return tuple(max(circle, key=lambda answer: answer.at_ms))  # type: ignore[return-value]
        return None

    def gum(self, anonymous_id: str | None = None, user_id: str | None = None, at: float = 0) -> str | None:
        """The GUM id that may be used some seconds after noon, by a rule that `marketing: false` refuses."""
        refused = lambda consent: consent.get("categories", {}).get("marketing") is False  # noqa: E731
        return self.known(anonymous_id, user_id).vendor_id(GUM, NOW_MS + round(at * SECOND), refused)

    def written(self) -> int:
        """How many profiles were ever written, repetitions included."""
        return int(self.hub._store._db.total_changes())
