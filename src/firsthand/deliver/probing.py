"""Which event finds out whether a vendor is back, or takes the credentials again."""

from firsthand.deliver.breaker import Breaker
from firsthand.deliver.item import Item, Key
from firsthand.deliver.openset import OpenSet
from firsthand.deliver.slots import Slots
from firsthand.reasons import CREDENTIALS


class Prober:
    """Of one lane. `wanted`: nothing waits, so the next event of the log will be the probe."""

    def __init__(self, breaker: Breaker, waiting: OpenSet, slots: Slots) -> None:
        self._breaker = breaker
        self._open = waiting
        self._slots = slots
        self._refused: Key | None = None
        self.wanted = False

    def tried(self, items: list[Item]) -> None:
        """An attempt at these has ended."""
        refused = (item.key for item in items if item.delivery.code in CREDENTIALS)
        self._refused = next(refused, self._refused)

    def choose(self) -> Item | None:
        """The oldest retry, else the oldest event that waits; it goes to its slot past the closed gate.

        Where credentials were refused it is another event than the last that they were refused for, which alone may be
        at fault. If there is no other for long, the same has to do.
        """
        but = self._refused if self._breaker.reason else None
        item = self._open.take_oldest_retry(but) or self._slots.take_oldest()
        if item is None:
            self.wanted = True
            item = self._open.take_oldest_retry() if self._breaker.patience() <= 0 else None
        return None if item is None else self._slots.probe(item)
