"""Where a lane's deliveries wait for their turn: a visitor has one slot, so at most one of theirs is in flight."""

import asyncio
from collections import deque
from collections.abc import Collection

from firsthand.deliver.item import Item, Key


class Slot:
    """Deliveries of some of the visitors, one at a time."""

    __slots__ = ("probe", "queue", "wake", "working")

    def __init__(self) -> None:
        self.queue: deque[Item] = deque()
        self.probe: Item | None = None
        self.wake = asyncio.Event()
        self.working: list[Item] = []
        """Those whose attempt is under way."""

    def take(self, most: int) -> list[Item]:
        """The next ones in line, as many as go into one request."""
        items = [self.queue.popleft()]
        while self.queue and len(items) < most:
            items.append(self.queue.popleft())
        return items


class Slots:
    """All slots of a lane."""

    def __init__(self, count: int) -> None:
        self.all = [Slot() for _ in range(count)]

    def of(self, visitor: int) -> Slot:
        return self.all[visitor % len(self.all)]

    def put(self, item: Item, visitor: int) -> None:
        """Let it wait behind what this visitor has there already."""
        slot = self.of(visitor)
        slot.queue.append(item)
        slot.wake.set()

    def probe(self, item: Item) -> Item:
        """Send it past the closed gate."""
        slot = self.of(item.delivery.visitor)
        slot.probe = item
        slot.wake.set()
        return item

    def take_of(self, keys: Collection[Key]) -> list[Item]:
        """Those of these deliveries that wait for their turn."""
        taken: list[Item] = []
        for slot in self.all:
            mine = [item for item in slot.queue if item.key in keys]
            if mine:
                taken += mine
                slot.queue = deque(item for item in slot.queue if item.key not in keys)
        return taken

    def under_way(self) -> list[Item]:
        return [item for slot in self.all for item in (*slot.working, *([slot.probe] if slot.probe else ()))]

    def take_oldest(self) -> Item | None:
        """Of those at the head of a slot, the one whose event was received first."""
        waiting = [slot for slot in self.all if slot.queue]
        if not waiting:
            return None
        return min(waiting, key=lambda slot: slot.queue[0].delivery.received_ms).queue.popleft()

    def wake(self) -> None:
        for slot in self.all:
            slot.wake.set()
