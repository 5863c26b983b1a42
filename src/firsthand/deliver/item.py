"""What goes through a lane: a delivery, with its event once decoded."""

from collections.abc import Callable
from typing import Any

from firsthand.consent import GivenAnswer
from firsthand.deliver.tail import UNREADABLE
from firsthand.event import Event
from firsthand.eventlog.base import Position
from firsthand.ledger.records import Delivery
from firsthand.placeholders import read_event

Key = tuple[int, Position, int]
"""Shard, position and generation of a delivery."""


class Item:
    """A delivery on its way through a lane, with its event once decoded.

    `place` is its place in the lane's window until it is settled for the first time; `on_outcome` is told of its next
    outcome, whatever that is. Of one that was held: `leaving` until it is decided again, `stored` while its event is
    in the ledger only, `answer` the one that brought it back, `early` why its time is up before it is. `counted` is
    the answer by which it may be sent, where that is not its own. `refused_at`: of one whose credentials were refused,
    the breaker's `passes` at that time.
    """

    __slots__ = (
        "answer", "counted", "delivery", "early", "event", "leaving", "name", "on_outcome", "place", "refused_at",
        "stored",
    )  # fmt: skip

    def __init__(self, delivery: Delivery, event: Event | None, name: str) -> None:
        self.delivery = delivery
        self.event = event
        self.name = name
        self.place: Any = None
        self.on_outcome: Callable[[], None] | None = None
        self.leaving = self.stored = False
        self.answer: GivenAnswer | None = None
        self.counted: GivenAnswer | None = None
        self.early = ""
        self.refused_at: int | None = None

    @property
    def key(self) -> Key:
        return self.delivery.shard, self.delivery.position, self.delivery.generation


def event_of(delivery: Delivery) -> Event | None:
    """None where it can't be read."""
    try:
        return read_event(delivery.event or b"")
    except UNREADABLE:
        return None
