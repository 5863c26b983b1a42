"""A lane: one integration's way from the event log to its vendor.

    reader ──► slots (a visitor has one, so at most one request of theirs is in flight) ──► attempt ──► recorder
                 ▲                                                                             │
                 └────────── due retries, probes ◄── keeper ◄── open set (retrying, held) ◄────┘

The reader stops while the vendor is down, rests or is not to be trusted: the backlog stays in the log. Only what
was in flight waits in the open set, which is bounded.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog

from firsthand.config import Integration
from firsthand.deliver.attempt import Attempts, Item
from firsthand.deliver.breaker import Breaker
from firsthand.deliver.clock import Clock
from firsthand.deliver.openset import OpenSet
from firsthand.deliver.poison import Suspect
from firsthand.deliver.recorder import Recorder
from firsthand.deliver.tail import UNREADABLE, Entry, Tail
from firsthand.deliver.window import Window
from firsthand.event import canonical_name, decoder
from firsthand.eventlog.base import Gap, Position
from firsthand.ledger.records import OPEN, Delivery, LaneState, Range
from firsthand.ratelimit import TokenBucket
from firsthand.reasons import Reason

log = structlog.get_logger()

WINDOW = 1_024
FARTHEST_AHEAD = 16
"""How many windows the settled may run ahead of one that is still under way: so many are looked up at a restart."""
READ_ROWS = 256
READ_WAIT = 1.0
IDLE = 3600.0
NO_URLS: frozenset[str] = frozenset()


class Slot:
    """Deliveries of some of the visitors, one at a time."""

    __slots__ = ("probe", "queue", "wake")

    def __init__(self) -> None:
        self.queue: deque[Item] = deque()
        self.probe: Item | None = None
        self.wake = asyncio.Event()


class Lane:
    """Runs until `drain`.

    `home_urls` are the home pages of each source it reads; `poison` is an event that killed the process before.
    """

    def __init__(
        self,
        *,
        integration: Integration,
        state: LaneState,
        home_urls: dict[str, frozenset[str]],
        tail: Tail,
        recorder: Recorder,
        attempts: Attempts,
        breaker: Breaker,
        clock: Clock,
        window: int = WINDOW,
        poison: Suspect | None = None,
    ) -> None:
        self.id = state.id
        self.key = integration.key
        self.breaker = breaker
        self.attempts = attempts
        self._integration = integration
        self._home_urls = home_urls
        self._tail = tail
        self._recorder = recorder
        self._clock = clock
        self._window_size = window
        self._poison = poison
        self._settled = state.settled
        self._counted = state.counted
        self._window = Window(state.cursors)
        self._in_window = 0
        self._in_flight = 0
        rate = integration.delivery.rate_per_second
        self._bucket = TokenBucket(rate, clock.monotonic) if rate else None
        self._slots = [Slot() for _ in range(1 if window == 1 else integration.delivery.concurrency)]
        self._open = OpenSet()
        self._resting_until = 0.0
        self._flowing = integration.enabled
        self._wanted = False
        self._draining = False
        self._poke = asyncio.Event()
        self._room = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        recorder.register(state.id, self._window.moved, self.poke)
        for delivery in state.open:
            item = Item(delivery, None, delivery.detail.name)
            if self._is_poison(item):
                self.finish(item)
            else:
                self._open.add(item)

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        jobs = [self._read(shard) for shard in self._window.shards]
        jobs += [self._work(slot) for slot in self._slots]
        self.tasks = [asyncio.create_task(job) for job in (*jobs, self._keep())]

    async def drain(self, seconds: float) -> None:
        """Start nothing new, give what is in flight some seconds, then stop. What was cut off is sent again later."""
        self._draining = True
        self._flowing = False
        try:
            async with asyncio.timeout(seconds):
                while self._in_flight:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            log.warning("requests were cut off while shutting down", integration=self.key, in_flight=self._in_flight)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.attempts.close()

    @property
    def enabled(self) -> bool:
        return self._integration.enabled

    def replay(self, item: Item) -> None:
        """Take a delivery of a replay: it waits its turn in its visitor's slot."""
        try:
            event = item.event = decoder.decode(item.delivery.event or b"")
        except UNREADABLE:
            event = None  # said when it is attempted
        if event is not None:
            item.delivery.message_id = event.message_id
            home_urls = self._home_urls.get(item.delivery.source, NO_URLS)
            item.name = item.delivery.detail.name = item.name or canonical_name(event, home_urls)
            unwanted = self.attempts.unwanted(event, item.name)
            if unwanted is not None:
                self.attempts.filtered(item, unwanted)
                self.finish(item)
                return
        self.enqueue(item)

    def health(self) -> dict[str, object]:
        """How the lane is, for `status`: whether it sends, and since when it does not."""
        return {
            "at_ms": self._clock.now_ms(),
            "breaker": self.breaker.state,
            "open": len(self._open),
            "in_flight": self._in_flight,
        }

    def poke(self) -> None:
        """Something changed: have the keeper look."""
        self._poke.set()

    # -- reading -----------------------------------------------------------------------------------------------

    async def _read(self, shard: int) -> None:
        after = self._window.cursor(shard)
        while True:
            await self._wait_for_room()
            entries = await self._tail.read(shard, after, READ_ROWS, READ_WAIT)
            if not self._integration.enabled:
                await self._skip(shard, entries)
                after = self._window.cursor(shard)
                continue
            for entry in entries:
                if isinstance(entry, Gap):
                    await self._settle_gap(shard, entry)
                    after = entry.last
                else:
                    await self._wait_for_room()
                    after = entry.row.position
                    self._take(shard, entry)

    async def _wait_for_room(self) -> None:
        while self._blocked():
            self._room.clear()
            await self._room.wait()

    def _blocked(self) -> bool:
        if self._draining or self._recorder.stalled:
            return True
        if not self._integration.enabled:
            return False
        if not self._flowing and not self._wanted:
            return True
        full = self._in_window >= self._window_size or len(self._window) >= FARTHEST_AHEAD * self._window_size
        return full or self._open.full

    def _take(self, shard: int, entry: Entry) -> None:
        """Decide what needs no request; give the rest to the visitor's slot."""
        row = entry.row
        delivery = Delivery(
            shard=shard,
            position=row.position,
            source=row.source,
            visitor=row.visitor,
            received_ms=row.received_ms,
        )
        place = self._window.add(shard, row.position)
        if (shard, row.source) not in self._counted:
            place.settled = True
            return
        self._counted[shard, row.source] += 1
        settled = self._settled.get(shard)
        if settled and settled.pop(row.position, None) is not None:
            place.settled = True
            return
        item = Item(delivery, None, "")
        item.place = place
        self._in_window += 1
        delivery.event = row.body
        if self._is_poison(item):
            self.finish(item)
            return
        try:
            event = entry.event
        except UNREADABLE as error:
            self.attempts.dead(
                item, Reason("mapping_error", None, f"the event cannot be read ({type(error).__name__})")
            )
            self.finish(item)
            return
        delivery.message_id = event.message_id
        item.event = event
        item.name = delivery.detail.name = canonical_name(event, self._home_urls.get(row.source, NO_URLS))
        unwanted = self.attempts.unwanted(event, item.name)
        if unwanted is not None:
            self.attempts.filtered(item, unwanted)
            self.finish(item)
            return
        self.enqueue(item)

    def _is_poison(self, item: Item) -> bool:
        """Settles an event that killed the process again and again."""
        delivery, poison = item.delivery, self._poison
        if poison is None or poison != Suspect(self.key, delivery.shard, delivery.position, delivery.generation):
            return False
        message = "the process died each time this event was worked on; it is set aside so that the others go on"
        self.attempts.dead(item, Reason("poison", None, message))
        return True

    def enqueue(self, item: Item) -> None:
        slot = self._slots[item.delivery.visitor % len(self._slots)]
        slot.queue.append(item)
        slot.wake.set()
        if self._wanted:
            self._wanted = False
            self.poke()

    async def _skip(self, shard: int, entries: Sequence[Entry | Gap]) -> None:
        """A disabled integration: what passes is counted as a range and can be replayed."""
        spans: dict[str, list[Position]] = {}
        for entry in entries:
            if isinstance(entry, Gap):
                await self._settle_gap(shard, entry)
            elif (shard, entry.row.source) in self._counted:
                self._counted[shard, entry.row.source] += 1
                if self._settled.get(shard, {}).pop(entry.row.position, None) is None:
                    spans.setdefault(entry.row.source, []).append(entry.row.position)
        for source, positions in spans.items():
            self._recorder.add_range(
                self.id,
                Range(shard, positions[0], positions[-1], source, "filtered", "integration_disabled", len(positions)),
            )
        if entries:
            last = entries[-1]
            self._window.jump(shard, last.last if isinstance(last, Gap) else last.row.position)

    async def _settle_gap(self, shard: int, gap: Gap) -> None:
        """Events that can't be read any more become a range, once everything before them is settled."""
        while not self._window.is_empty(shard):
            await asyncio.sleep(0.01)
        code = "backlog_overflow" if gap.kind == "dropped" else "log_damaged"
        for position, source in list(self._settled.get(shard, {}).items()):
            if position <= gap.last and (shard, source) in self._counted:  # it had its outcome before it was lost
                del self._settled[shard][position]
                self._counted[shard, source] += 1
        counts = self._tail.log.counts(shard, gap.last)
        for (lane_shard, source), counted in list(self._counted.items()):
            lost = counts.get(source, 0) - counted
            if lane_shard == shard and lost > 0:
                self._recorder.add_range(self.id, Range(shard, gap.first, gap.last, source, "dead", code, lost))
                self._counted[shard, source] += lost
                log.error("events were lost to this integration", integration=self.key, code=code, count=lost)
        self._window.jump(shard, gap.last)

    # -- sending -----------------------------------------------------------------------------------------------

    async def _work(self, slot: Slot) -> None:
        batch = self.attempts.vendor.batch
        while True:
            probe = slot.probe
            if probe is not None:
                items, slot.probe = [probe], None
            elif slot.queue and self._flowing:
                if self._bucket is not None and (pause := self._bucket.take()):
                    await self._clock.sleep(pause)
                    continue
                items = [slot.queue.popleft()]
                while slot.queue and len(items) < batch:
                    items.append(slot.queue.popleft())
            else:
                slot.wake.clear()
                await slot.wake.wait()
                continue
            self._in_flight += 1
            try:
                rest = await self.attempts.attempt(items)
            finally:
                self._in_flight -= 1
                if probe is not None:
                    self.breaker.end_probe(sent=bool(probe.delivery.exchanges))
            if rest:
                self._resting_until = max(self._resting_until, self._clock.monotonic() + rest)
                self._close()
            elif self.breaker.open:
                self._close()
            elif not self._flowing:
                self.poke()
            for item in items:
                self.finish(item)

    def _close(self) -> None:
        """Send nothing more until the keeper says so."""
        self._flowing = False
        self.poke()

    def finish(self, item: Item) -> None:
        """Record where a delivery stands now, and make room for the next."""
        delivery = item.delivery
        if item.place is not None:
            item.place.settled = True
            item.place = None
            self._in_window -= 1
        self._open.remove(item)
        if delivery.state in OPEN:
            self._open.add(item)
            self.poke()
        self._recorder.add(self.id, delivery)
        if item.on_outcome is not None:
            item.on_outcome()
            item.on_outcome = None
        if not self._room.is_set() and self._flowing:
            self._room.set()

    # -- keeping -----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Brings due retries back, ends pauses, sends probes."""
        while True:
            self._poke.clear()
            await self._clock.wait(self._poke, self._look())

    def _look(self) -> float:
        """Do what is due now; seconds until there is something to do again."""
        if self._draining or self._recorder.stalled or not self._integration.enabled:
            self._flowing = False
            self._room.set()
            return IDLE
        rest = self._resting_until - self._clock.monotonic()
        if rest > 0:
            return rest
        if self.breaker.open:
            wait = self.breaker.wait()
            if wait > 0 or self.breaker.state == "open":
                return wait or IDLE
            probe = self._choose_probe()
            if probe is None:
                self._wanted = True  # nothing waits: the next event of the log will be the probe
                self._room.set()
            else:
                self.breaker.begin_probe()
            return IDLE
        self._flow()
        now_ms = self._clock.now_ms()
        for item in self._open.take_due(now_ms):
            self.enqueue(item)
        next_ms = self._open.next_ms()
        return IDLE if next_ms is None else max(0.0, (next_ms - now_ms) / 1000)

    def _flow(self) -> None:
        if self._flowing:
            return
        self._flowing = True
        self._room.set()
        for slot in self._slots:
            slot.wake.set()

    def _choose_probe(self) -> Item | None:
        """The oldest retry, else the oldest event that waits; it goes to its slot past the closed gate."""
        retry = self._open.take_oldest_retry()
        if retry is not None:
            return self._probe(retry)
        heads = [slot.queue[0] for slot in self._slots if slot.queue]
        if not heads:
            return None
        item = min(heads, key=lambda item: item.delivery.received_ms)
        self._slots[item.delivery.visitor % len(self._slots)].queue.popleft()
        return self._probe(item)

    def _probe(self, item: Item) -> Item:
        slot = self._slots[item.delivery.visitor % len(self._slots)]
        slot.probe = item
        slot.wake.set()
        return item
