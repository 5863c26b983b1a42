"""A lane: one integration's way from the event log to its vendor.

    reader ──► slots (a visitor has one, so at most one request of theirs is in flight) ──► attempt ──► recorder
      │         ▲                                                                              │
      │         ├────────── due retries, probes ◄── keeper ◄── open set (retrying) ◄───────────┤
      └ answer ─┴── answered, or time is up ◄── holding (no answer on consent yet) ◄───────────┘

The reader stops while the vendor is down, rests or is not to be trusted: the backlog stays in the log. Only what
was in flight waits in the open set, which is bounded. What waits for a visitor's answer never stops it.
"""

import asyncio
from collections.abc import Collection, Iterable

import structlog

from firsthand.config import Integration
from firsthand.deliver.attempt import Attempts
from firsthand.deliver.breaker import Breaker
from firsthand.deliver.clock import Clock
from firsthand.deliver.holding import Holding, Restore
from firsthand.deliver.intake import Intake
from firsthand.deliver.item import Item, Key, event_of
from firsthand.deliver.openset import OpenSet
from firsthand.deliver.passing import Passing
from firsthand.deliver.poison import Suspect, set_aside
from firsthand.deliver.probing import Prober
from firsthand.deliver.reach import Reach
from firsthand.deliver.recorder import Recorder
from firsthand.deliver.slots import Slot, Slots
from firsthand.deliver.tail import UNREADABLE, Entry, Tail
from firsthand.deliver.window import Window
from firsthand.eventlog.base import Gap, Position
from firsthand.ledger.records import OPEN, Delivery, LaneState
from firsthand.ratelimit import TokenBucket
from firsthand.reasons import CREDENTIALS, Reason

log = structlog.get_logger()

WINDOW = 1_024
FARTHEST_AHEAD = 16
"""How many windows the settled may run ahead of one that is still under way: so many are looked up at a restart."""
READ_ROWS = 256
READ_WAIT = 1.0
IDLE = 3600.0


class Lane:
    """Runs until `drain`.

    `home_urls` are the home pages of each source it reads; `held` are the deliveries that waited for an answer when
    the process ended, and `restore` reads one of them back; `poison` is an event that killed the process before.
    """

    def __init__(
        self,
        *,
        integration: Integration,
        state: LaneState,
        held: Iterable[Delivery],
        restore: Restore,
        reach: Reach,
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
        self._reach = reach
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
        self._slots = Slots(1 if window == 1 else integration.delivery.concurrency)
        self._open = OpenSet()
        self._prober = Prober(breaker, self._open, self._slots)
        self._holding = Holding(restore, lambda: recorder.committed)
        self._intake = Intake(attempts, self._holding, home_urls, self.enqueue, self.finish)
        self._resting_until = 0.0
        self._flowing = self._draining = self._cut_off = False
        self._poke = asyncio.Event()
        self._room = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self._passing = Passing(state, integration.key, self._window, tail.log, recorder)
        recorder.register(state.id, self._window.moved, self.poke)
        attempts.between = self._between
        for delivery in (*state.open, *held):
            item = Item(delivery, None, delivery.detail.name)
            if set_aside(self._poison, self.key, delivery):
                self.finish(item)
            elif delivery.state == "held":
                self._holding.add(delivery, event_of(delivery), None)
            else:
                self._open.add(item)
                if breaker.reason is None and delivery.code in CREDENTIALS and delivery.detail.reason is not None:
                    breaker.suspect(delivery.detail.reason.code, delivery.detail.reason.message)
        self._flowing = integration.enabled and not breaker.open

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        jobs = [self._read(shard) for shard in self._window.shards]
        jobs += [self._work(slot) for slot in self._slots.all]
        self.tasks = [asyncio.create_task(job) for job in (*jobs, self._keep())]

    async def drain(self, seconds: float) -> None:
        """Start nothing new, give requests in flight some seconds, then stop. What was cut off is sent again later."""
        self._draining, self._flowing = True, False
        try:
            async with asyncio.timeout(seconds):
                while self._in_flight:
                    await asyncio.sleep(0.01)
        except TimeoutError:
            self._cut_off = True
            log.warning("requests were cut off while shutting down", integration=self.key, in_flight=self._in_flight)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.attempts.close()

    async def ended(self) -> None:
        """After the drain: all that it handed over is recorded."""
        if not self._cut_off:
            await self._reach.clear()

    @property
    def enabled(self) -> bool:
        return self._integration.enabled

    def replay(self, item: Item) -> None:
        """Take a delivery of a replay: it waits its turn in its visitor's slot."""
        if (event := event_of(item.delivery)) is None:
            self.enqueue(item)  # that it can't be read is said when it is attempted
        else:
            self._intake.queue(item, event)

    def take_back(self, keys: Collection[Key]) -> None:
        """Of these deliveries of a replay, which nothing knows of yet, do not send those whose turn has not come."""
        self._slots.take_of(keys)

    def erase(self, keys: Collection[Key]) -> None:
        """End those of these deliveries that wait for anything: their visitor was erased."""
        for item in (*self._open.take(keys), *self._holding.take(keys), *self._slots.take_of(keys)):
            if self._holding.restore(item):
                self.attempts.erased(item)
                self.finish(item)

    def passed(self, shard: int) -> Position:
        """Up to where all has been read and settled."""
        return self._window.cursor(shard)

    def under_way(self) -> list[Item]:
        """Those whose attempt is under way."""
        return self._slots.under_way()

    def health(self) -> dict[str, object]:
        """How the lane is, for `status`: whether it sends, and since when it does not."""
        noted = self.breaker.noted(self._resting_until)
        state = "down" if self.breaker.open else "resting" if noted["until"] else "ok"
        return {
            "at_ms": self._clock.now_ms(),
            "state": state if self.enabled else "off",
            **noted,
            "open": len(self._open),
            "held": len(self._holding),
            "in_flight": self._in_flight,
        }

    def resume(self) -> bool:
        """Send again at once, whatever the vendor said before. Says whether anything kept the lane from it."""
        stopped = self.breaker.open or self._resting_until > self._clock.monotonic()
        self.breaker.close()
        self._resting_until = 0.0
        self.poke()
        return stopped

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
                await self._passing.skip(shard, entries)
                after = self._window.cursor(shard)
                continue
            for entry in entries:
                if isinstance(entry, Gap):
                    await self._passing.gap(shard, entry)
                    after = entry.last
                else:
                    await self._wait_for_room()
                    after = entry.row.position
                    if not self._reach.covers(shard, after):
                        await self._reach.cover(shard, after)
                    self._take(shard, entry)

    async def _wait_for_room(self) -> None:
        while self._blocked():
            self._room.clear()
            await self._room.wait()

    def _blocked(self) -> bool:
        if self._stops:
            return True
        if not self._integration.enabled:
            return False
        if not self._flowing and not self._prober.wanted:
            return True
        full = max(self._in_window, self._holding.leaving) >= self._window_size
        return full or len(self._window) >= FARTHEST_AHEAD * self._window_size or self._open.full

    def _take(self, shard: int, entry: Entry) -> None:
        """Decide what needs no request; give the rest to the visitor's slot."""
        row = entry.row
        delivery = Delivery(
            shard=shard, position=row.position, source=row.source, visitor=row.visitor, received_ms=row.received_ms
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
        if set_aside(self._poison, self.key, delivery):
            self.finish(item)
            return
        try:
            event = entry.event
        except UNREADABLE as error:
            message = f"the event cannot be read ({type(error).__name__})"
            self.attempts.dead(item, Reason("mapping_error", None, message))
            self.finish(item)
            return
        delivery.detail.maybe_sent = self._reach.sent_before(delivery)
        self._intake.take(item, event)

    def enqueue(self, item: Item, visitor: int | None = None) -> None:
        """Let it wait for its turn among what its visitor, or another one, has there already."""
        self._slots.put(item, item.delivery.visitor if visitor is None else visitor)
        if self._prober.wanted:
            self._prober.wanted = False
            self.poke()

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
                items = slot.take(batch)
            else:
                slot.wake.clear()
                await slot.wake.wait()
                continue
            items = slot.working = [item for item in items if self._holding.restore(item)]
            self._in_flight += 1
            try:
                rest = await self.attempts.attempt(items) if items else 0.0
            finally:
                self._in_flight -= 1
                sent = any(item.delivery.exchanges or item.delivery.detail.unfinished for item in items)
                if probe is not None:
                    self.breaker.end_probe(sent)
                self._prober.tried(items)
            if self._bucket is not None and probe is None and not sent:
                self._bucket.give_back()  # such as one that is held
            if rest:
                self._resting_until = max(self._resting_until, self._clock.monotonic() + rest)
                self._close()
            elif self.breaker.open:
                self._close()
            elif not self._flowing:
                self.poke()
            for item in items:
                self.finish(item)
            slot.working = []

    async def _between(self, items: list[Item]) -> bool:
        """Between two requests of an order: record how far it is, so that nothing that ends the process repeats a line,
        and keep to the rate. Says whether to go on."""
        for item in items:
            self._recorder.add(self.id, item.delivery)
        self._in_flight -= 1
        try:
            while not self._stops and self._bucket is not None and (pause := self._bucket.take()):
                await self._clock.sleep(pause)
        finally:
            self._in_flight += 1
        return not self._stops

    @property
    def _stops(self) -> bool:
        """Whether no request is to be begun, not even the next one of an order."""
        return self._draining or self._recorder.stalled

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
        if item.leaving:
            self._holding.left(item)
            if not self._holding.leaving:
                self.poke()
        self._open.remove(item)
        commit = self._recorder.add(self.id, delivery)
        if delivery.state == "held":
            self._holding.add(delivery, item.event or event_of(delivery), commit)
            for oldest in self._holding.take_over():
                self.enqueue(oldest)
            self.poke()
        elif delivery.state in OPEN:
            self._open.add(item)
            self.poke()
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
        if self._stops or not self._integration.enabled:
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
            if self._prober.choose() is None:
                self._room.set()
                return self.breaker.patience() or IDLE
            self.breaker.begin_probe()
            return IDLE
        self._room.set()  # a reader may have met a ledger that could not commit for so short that we never saw it
        if not self._flowing:
            self._flowing = True
            self._slots.wake()
        now_ms = self._clock.now_ms()
        for item in self._open.take_due(now_ms):
            self.enqueue(item)
        for item in self._holding.take_due(now_ms, self._window_size - self._holding.leaving):
            self.enqueue(item)
        due = [self._open.next_ms(), self._holding.next_ms() if self._holding.leaving < self._window_size else None]
        return min([max(0.0, (next_ms - now_ms) / 1000) for next_ms in due if next_ms is not None], default=IDLE)
