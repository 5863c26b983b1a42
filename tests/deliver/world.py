"""A gateway's delivering half in one process: a real log, a real ledger, a fake clock, and vendors that do as told.

async with World(tmp_path) as world:
    world.answer = lambda call: says({"no": "vendor_rejected"})
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    assert world.state("m1") == ("dead", "vendor_rejected")
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
import pytest
from tests.deliver.clock import NOW_MS, FakeClock
from tests.deliver.toys import VENDORS, ToySettings, ok

from firsthand.config import Consent, Delivery, EventMapping, Integration, Source
from firsthand.deliver import process, recorder, replay
from firsthand.deliver.gone import Gone
from firsthand.deliver.lane import WINDOW, Lane
from firsthand.deliver.poison import Care, Suspect
from firsthand.deliver.process import make_lane
from firsthand.deliver.recorder import Recorder
from firsthand.deliver.replay import Progress
from firsthand.deliver.tail import Tail
from firsthand.event import Event, encoder, format_time
from firsthand.eventlog.base import Record, visitor_hash
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.identity import Hub
from firsthand.identity.lesson import names_of
from firsthand.ledger.balance import Account, account
from firsthand.ledger.reader import Filter, LedgerReader, Stored
from firsthand.ledger.records import Exchange, Failure
from firsthand.ledger.sqlite import SqliteLedger
from firsthand.state.roster import Live
from firsthand.vendors.base import Answer

_numbers = count(1)
Result = Answer | Failure


class Call(NamedTuple):
    """A request as the vendor sees it."""

    at: float
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None

    @property
    def sent(self) -> bytes:
        """Address and body."""
        return self.url.encode() + (self.body or b"")

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body or b"null")

    @property
    def ids(self) -> list[str]:
        """Message ids it carries."""
        found = self.json
        return [one["id"] for one in (found if isinstance(found, list) else [found])]


class Wire:
    """A transport that hands each request to the world's `answer`."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.under_way = 0

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Result:
        call = Call(self._world.clock.monotonic(), method, url, headers, body)
        self._world.calls.append(call)
        self.under_way += 1
        try:
            await asyncio.sleep(0)  # no vendor answers within one turn of the event loop
            answer = self._world.answer(call)
            return await answer if isawaitable(answer) else answer
        finally:
            self.under_way -= 1

    async def close(self) -> None: ...


class WatchedRecorder(Recorder):
    flushing = 0

    async def flush(self) -> None:
        self.flushing += 1
        try:
            await super().flush()
        finally:
            self.flushing -= 1

    @property
    def idle(self) -> bool:
        return not self._pending and not self.flushing


def event(
    message_id: str | None = None,
    name: str = "Order Completed",
    visitor: str = "",
    at_ms: int | None = None,
    **more: Any,
) -> Event:
    """Each of another visitor, unless one is named. `fail=…` is for the toys."""
    number = next(_numbers)
    fail = {"fail": more.pop("fail")} if "fail" in more else {}
    return Event(
        type="track",
        event=name,
        message_id=message_id or f"id-{number}",
        anonymous_id=visitor or f"visitor-{number}",
        timestamp="" if at_ms is None else format_time(at_ms),
        properties=more.pop("properties", fail),
        **more,
    )


def toy(key: str = "toy", vendor: str = "toy", **more: Any) -> Integration:
    """An integration: `toy(max_attempts=3)`, `toy(consent=Consent(basis="tcf"))`, `toy(settings=ToySettings(…))`."""
    limits = {name: more.pop(name) for name in list(more) if name in Delivery.__struct_fields__}
    settings = more.pop("settings", ToySettings(host=f"{key}.example"))
    return Integration(key=key, vendor=vendor, settings=settings, delivery=Delivery(**limits), **more)


class World:
    """`calls` is what the vendors were sent, `answer` is what they say to it: at once, or when an awaitable is done."""

    def __init__(self, folder: Path, sources: Sequence[str] = ("shop",)) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.calls: list[Call] = []
        self.answer: Callable[[Call], Result | Awaitable[Result]] = lambda call: ok()
        self.sources = [Source(key=key, write_key=f"key-of-{key}") for key in sources]
        self.lanes: dict[str, Lane] = {}
        self.wires: dict[str, Wire] = {}
        self.gone = Gone()
        self._added: dict[str, int] = {}
        self._patch = pytest.MonkeyPatch()

    async def __aenter__(self) -> Self:
        self._patch.setattr(process, "get", VENDORS.__getitem__)
        self._patch.setattr(recorder, "COMMIT_SECONDS", 0.001)
        self._patch.setattr(recorder, "IDLE_SECONDS", 0.02)
        self._patch.setattr(recorder, "RETRY_SECONDS", 0.01)
        self.writer = self._open_writer()
        self.log = SqliteLogReader(self.folder)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.crash()
        await self.writer.close()
        self.log.close()
        self._patch.undo()

    def _open_writer(self, **limits: Any) -> SqliteLogWriter:
        return SqliteLogWriter(self.folder, clock=lambda: self.clock.now_ms() / 1000, **({"max_age": None} | limits))

    # -- what happens ------------------------------------------------------------------------------------------------

    async def collect(self, *events: Event, source: str = "shop") -> None:
        """As the collector does."""
        records = []
        for one in events:
            one.received_at = format_time(self.clock.now_ms())
            one.timestamp = one.timestamp or one.received_at
            visitor = visitor_hash(source, one.anonymous_id or "")
            records.append(Record(source, one.message_id, visitor, self.clock.now_ms(), encoder.encode(one)))
        await self.writer.append(records)

    async def start(
        self, *integrations: Integration, window: int = WINDOW, poison: Suspect | None = None, careful: bool = False
    ) -> None:
        """The process starts, with new objects over the same files."""
        self.ledger = SqliteLedger(self.folder)
        self.reader = LedgerReader(self.folder)
        self.recorder = WatchedRecorder(self.ledger, self.clock)
        lives = [Live(one, 1, self._added.setdefault(one.key, self.clock.now_ms())) for one in integrations]
        self.hub = Hub(self.folder, names_of(VENDORS.values()))
        self.tail = Tail(self.log, self.hub)
        self.wires = {live.integration.key: Wire(self) for live in lives}
        self.lanes = {
            live.integration.key: make_lane(
                live,
                lives,
                self.sources,
                ledger=self.ledger,
                log_reader=self.log,
                tail=self.tail,
                recorder=self.recorder,
                clock=self.clock,
                emulator_url="http://127.0.0.1:9090",
                transport=self.wires[live.integration.key],
                window=window,
                poison=poison,
                care=Care(self.ledger) if careful else None,
                hub=self.hub,
                gone=self.gone,
            )
            for live in lives
        }
        for lane in self.lanes.values():
            lane.start()
        self._recording = asyncio.create_task(self.recorder.run())
        self._following = asyncio.create_task(self.tail.follow(0))

    async def stop(self) -> None:
        """In good order, as on SIGTERM."""
        await asyncio.gather(*(lane.drain(5) for lane in self.lanes.values()))
        await self._end()
        await self.recorder.flush()
        for lane in self.lanes.values():
            await lane.ended()
        self._close()

    async def crash(self) -> None:
        """Whatever was not committed is gone."""
        if self.lanes:
            await self._end()
            self._close()

    async def _end(self) -> None:
        tasks = [self._recording, self._following, *(task for lane in self.lanes.values() for task in lane.tasks)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _close(self) -> None:
        self.lanes = {}
        self.hub.close()
        self.ledger.close()
        self.reader.close()

    async def retain(self, **limits: Any) -> None:
        """The log's retention, with these limits, on events that nobody has in memory any more."""
        self.tail.forget()
        await self.writer.close()
        self.writer = self._open_writer(**limits)
        await self.writer.close()
        self.writer = self._open_writer()

    async def replay(self, wanted: Filter, key: str = "toy", rate: float = 1e6) -> Progress:
        """As the process runs one that was asked for."""
        ledger, log = LedgerReader(self.folder), SqliteLogReader(self.folder)  # its own: it reads in a thread
        progress = Progress()
        run = replay.run(self.lanes[key], wanted, ledger, log, self.clock, rate, progress)
        task = asyncio.create_task(run)
        while not task.done():
            await self.advance(1)
        ledger.close()
        log.close()
        await self.settle()
        await task
        return progress

    async def until(self, condition: Callable[[], bool]) -> None:
        """As soon as something is so."""
        for _ in range(5000):
            if condition():
                return
            await asyncio.sleep(0.002)
        raise AssertionError("it never came to be")

    async def settle(self) -> None:
        """Until nothing happens any more unless the clock moves."""
        before = None
        for _ in range(10_000):
            for _ in range(12):
                await asyncio.sleep(0)
            self._raise_what_failed()
            now = (len(self.calls), [dict(lane._counted) for lane in self.lanes.values()])
            if self._quiet() and now == before:
                return
            before = now if self._quiet() else None
            await asyncio.sleep(0.0005)
        raise AssertionError("it does not come to rest")

    def _quiet(self) -> bool:
        return self.recorder.idle and all(self._lane_quiet(key, lane) for key, lane in self.lanes.items())

    def _lane_quiet(self, key: str, lane: Lane) -> bool:
        counts = self.log.counts(0, self.log.head(0))
        caught_up = all(counts.get(source, 0) == counted for (_, source), counted in lane._counted.items())
        window = lane._window
        moved = all(not places or not places[0].settled for places in window._places.values())
        told = window._cursors == window._committed and not lane._poke.is_set()
        return (caught_up or lane._blocked()) and moved and told and lane._in_flight == self.wires[key].under_way

    def _raise_what_failed(self) -> None:
        for task in (self._recording, self._following, *(task for lane in self.lanes.values() for task in lane.tasks)):
            if task.done() and (error := task.exception()) is not None:
                raise error

    async def advance(self, seconds: float) -> None:
        """Time passes; whatever is due on the way happens at its time."""
        target = self.clock.passed + seconds
        await self.settle()
        while (due := self.clock.next_due()) is not None and due <= target:
            self.clock.wake_next()
            await self.settle()
        self.clock.passed = target

    # -- what came of it ---------------------------------------------------------------------------------------------

    async def counts(self, key: str = "toy") -> Account:
        lane = next(lane for lane in self.reader.lanes() if lane.integration == key)
        return await account(lane, self.reader, self.log, self.clock.now_ms(), recount=True)

    def delivery(self, message_id: str, key: str = "toy", source: str = "shop") -> Stored:
        """The newest generation."""
        place = self.log.find(source, message_id)
        assert place is not None
        lane = next(lane.id for lane in self.reader.lanes() if lane.integration == key)
        return next(s for s in reversed(self.reader.deliveries(*place)) if s.lane == lane)

    def state(self, message_id: str, key: str = "toy") -> tuple[str, str | None]:
        delivery = self.delivery(message_id, key).delivery
        return delivery.state, delivery.code

    def message(self, message_id: str, key: str = "toy") -> str:
        """What a person is told about the outcome."""
        reason = self.delivery(message_id, key).delivery.detail.reason
        return (reason.message or "") if reason else ""

    def attempts(self, message_id: str, key: str = "toy") -> list[Exchange]:
        return self.reader.attempts(self.delivery(message_id, key))

    def sent(self, host: str = "toy.example") -> list[str]:
        """Message ids in the order in which a vendor was sent them."""
        return [id for call in self.calls if host in call.url for id in call.ids]


__all__ = ["NOW_MS", "Call", "Consent", "EventMapping", "World", "event", "toy"]
