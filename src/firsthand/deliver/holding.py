"""The deliveries of a lane that wait for something of their visitor: an answer on consent, or the vendor's id.

A shop of whose visitors most never answer holds the events of a quarter of an hour, so no more of a held delivery
stays in memory than what finds it again: by its visitor, when that comes, and by the end of its wait. Event and
detail stand in the ledger and are read back when it leaves. It leaves once, to its visitor's slot, and is decided
again there; what is then still not known comes back.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable

from firsthand.consent import GivenAnswer
from firsthand.deliver.item import Item
from firsthand.event import Event
from firsthand.eventlog.base import Position, visitor_hash
from firsthand.ledger.records import Delivery
from firsthand.reasons import HELD

MOST_HELD = 100_000
"""In a lane: some 55 MB. Beyond it the oldest are decided as if their time was up."""
EARLY = f"decided before its time, as more than {MOST_HELD:,} events waited"

Key = tuple[int, Position, int]
"""Shard, position and generation of a delivery."""
Restore = Callable[[Key], Delivery | None]


class Held:
    """What is kept of a held delivery. `delivery` is there until the ledger has it."""

    __slots__ = ("delivery", "for_id", "key", "names", "source", "until_ms", "visitor")

    def __init__(self, delivery: Delivery, names: tuple[int, ...]) -> None:
        self.key: Key = (delivery.shard, delivery.position, delivery.generation)
        self.source = delivery.source
        self.until_ms = delivery.next_ms or 0
        self.visitor = delivery.visitor
        self.names = names
        self.for_id = delivery.code in HELD
        """Whether it waits for the vendor's id."""
        self.delivery: Delivery | None = delivery

    def item(self) -> Item:
        """It leaves. Without its event, which `Holding.restore` brings back."""
        shard, position, generation = self.key
        kept = self.delivery or Delivery(
            shard=shard,
            position=position,
            generation=generation,
            source=self.source,
            visitor=self.visitor,
            received_ms=self.until_ms,  # in the order in which they are due
            state="held",
        )
        item = Item(kept, None, kept.detail.name)
        item.leaving = True
        item.stored = self.delivery is None
        return item


class Holding:
    """`restore` reads a delivery back from the ledger, if it is still held there; `committed` is the number of the
    last commit that the ledger has taken."""

    def __init__(self, restore: Restore, committed: Callable[[], int], most: int | None = None) -> None:
        self._restore = restore
        self._committed = committed
        self._most = MOST_HELD if most is None else most
        self._held: dict[Key, Held] = {}
        self._named: dict[int, Held | list[Held]] = {}  # most visitors have one
        self._due: list[tuple[int, Key]] = []
        self._fresh: deque[tuple[int, Held]] = deque()
        self.leaving = 0
        """How many have left and are not decided yet."""

    def __len__(self) -> int:
        return len(self._held)

    @property
    def over(self) -> bool:
        return len(self._held) > self._most

    def add(self, delivery: Delivery, event: Event | None, commit: int | None) -> None:
        """Keep a delivery until its `next_ms`, or what it waits for. It is written down with the commit of this number;
        None: it has been."""
        self._forget_written()
        held = Held(delivery, _names(delivery.source, event) if event is not None else ())
        self._held[held.key] = held
        for name in held.names:
            known = self._named.setdefault(name, held)
            if isinstance(known, list):
                known.append(held)
            elif known is not held:
                self._named[name] = [known, held]
        heapq.heappush(self._due, (held.until_ms, held.key))
        if commit is None:
            held.delivery = None
        else:
            self._fresh.append((commit, held))

    def _forget_written(self) -> None:
        committed = self._committed()
        while self._fresh and self._fresh[0][0] <= committed:
            self._fresh.popleft()[1].delivery = None

    def take_of(self, source: str, event: Event, answer: GivenAnswer | None, id: bool) -> list[Item]:
        """Those whose visitor an event names and that wait for what it brings, in the order of the log. Its answer, or
        a newer one, decides them."""
        found: dict[Key, Held] = {}
        for name in _names(source, event):
            known = self._named.get(name, [])
            for held in known if isinstance(known, list) else (known,):
                if id if held.for_id else answer is not None:
                    found[held.key] = held
        items = [self._leave(found[key]) for key in sorted(found)]
        for item in items:
            item.answer = answer
        return items

    def take(self, keys: Iterable[Key]) -> list[Item]:
        """Those of these."""
        return [self._leave(held) for key in keys if (held := self._held.get(key)) is not None]

    def take_due(self, now_ms: int, most: int) -> list[Item]:
        """Those whose time is up, at most so many at once."""
        items: list[Item] = []
        while len(items) < most and (oldest := self._oldest()) is not None and oldest.until_ms <= now_ms:
            items.append(self._leave(oldest))
        return items

    def take_over(self) -> list[Item]:
        """Those that are too many: the oldest."""
        items: list[Item] = []
        while self.over and (oldest := self._oldest()) is not None:
            item = self._leave(oldest)
            item.early = EARLY
            items.append(item)
        return items

    def next_ms(self) -> int | None:
        """When the next one's time is up."""
        oldest = self._oldest()
        return oldest.until_ms if oldest else None

    def left(self, item: Item) -> None:
        """One that had left was decided."""
        item.leaving = False
        self.leaving -= 1

    def restore(self, item: Item) -> bool:
        """Give an item that has left its event back. False: it is no longer held, and nothing is to be done."""
        self._forget_written()
        if not item.stored:
            return True
        d = item.delivery
        found = self._restore((d.shard, d.position, d.generation))
        item.stored = False
        if found is None:
            self.left(item)
            return False
        item.delivery, item.name = found, found.detail.name
        return True

    def _leave(self, held: Held) -> Item:
        self._forget_written()
        self._remove(held)
        self.leaving += 1
        return held.item()

    def _remove(self, held: Held) -> None:
        del self._held[held.key]
        for name in held.names:
            known = self._named[name]
            if isinstance(known, list):
                known.remove(held)
            if known is held or not known:
                del self._named[name]
        if len(self._due) > 2 * len(self._held) + 1_000:  # most leave before their time: their entries go together
            self._due = [(kept.until_ms, key) for key, kept in self._held.items()]
            heapq.heapify(self._due)

    def _oldest(self) -> Held | None:
        while self._due:
            until_ms, key = self._due[0]
            held = self._held.get(key)
            if held is not None and held.until_ms == until_ms:
                return held
            heapq.heappop(self._due)
        return None


def _names(source: str, event: Event) -> tuple[int, ...]:
    """What a visitor is found by: a number for each id that an event names. Somebody's user id may be somebody
    else's anonymous id, so the two are told apart."""
    ids = [event.anonymous_id and f"a{event.anonymous_id}", event.user_id and f"u{event.user_id}"]
    if event.previous_id:
        ids += [f"a{event.previous_id}"] + ([f"u{event.previous_id}"] if event.type == "alias" else [])
    return tuple(dict.fromkeys(visitor_hash(source, id) for id in ids if id))
