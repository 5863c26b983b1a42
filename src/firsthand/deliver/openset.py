"""The deliveries of a lane that wait for their next try."""

import heapq
from collections.abc import Collection

from firsthand.deliver.item import Item
from firsthand.eventlog.base import Position

MOST_OPEN = 10_000
MOST_OPEN_BYTES = 64 << 20

Key = tuple[int, Position, int]


class OpenSet:
    """Bounded: at `full` the lane reads no further, and the backlog stays in the log."""

    def __init__(self) -> None:
        self._sizes: dict[Key, int] = {}
        self._bytes = 0
        self._due: list[tuple[int, int, Item]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def full(self) -> bool:
        return len(self._sizes) >= MOST_OPEN or self._bytes >= MOST_OPEN_BYTES

    def add(self, item: Item) -> None:
        """Keep a delivery until its `next_ms`."""
        delivery = item.delivery
        self.remove(item)
        self._sizes[_key(item)] = size = len(delivery.event or b"")
        self._bytes += size
        self._added += 1
        heapq.heappush(self._due, (delivery.next_ms or 0, self._added, item))

    def remove(self, item: Item) -> None:
        """It has an outcome."""
        self._bytes -= self._sizes.pop(_key(item), 0)

    def take_due(self, now_ms: int) -> list[Item]:
        """Those whose time has come. They stay in the set until they have an outcome."""
        due = []
        while self._due and self._due[0][0] <= now_ms:
            due.append(heapq.heappop(self._due)[2])
        return due

    def take(self, keys: Collection[Key]) -> list[Item]:
        """Those of these that wait for their time."""
        taken = [item for _, _, item in self._due if _key(item) in keys]
        if taken:
            self._due = [entry for entry in self._due if _key(entry[2]) not in keys]
            heapq.heapify(self._due)
        return taken

    def next_ms(self) -> int | None:
        """When the next one is due."""
        return self._due[0][0] if self._due else None

    def take_oldest_retry(self, but: Key | None = None) -> Item | None:
        """Of those tried least, the one whose event was received first, whether it is due or not; never `but`.

        Probes during a long outage are thus shared out, and use up no single event's tries.
        """
        waiting = [entry for entry in self._due if entry[2].delivery.state == "retrying" and _key(entry[2]) != but]
        if not waiting:
            return None
        oldest = min(waiting, key=lambda entry: (entry[2].delivery.detail.tries, entry[2].delivery.received_ms))
        self._due.remove(oldest)
        heapq.heapify(self._due)
        return oldest[2]


def _key(item: Item) -> Key:
    return item.delivery.shard, item.delivery.position, item.delivery.generation
