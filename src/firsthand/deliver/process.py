"""The deliver process: one lane for each integration, one recorder, and what keeps them.

Started by `firsthand serve`. It is the only writer of the ledger.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec
import structlog

from firsthand import runtime
from firsthand.config import Source
from firsthand.deliver.attempt import Attempts
from firsthand.deliver.breaker import Breaker
from firsthand.deliver.clock import Clock
from firsthand.deliver.erasing import Eraser
from firsthand.deliver.gone import Gone
from firsthand.deliver.lane import WINDOW, Lane
from firsthand.deliver.lanes import Lanes
from firsthand.deliver.poison import CAREFUL_SECONDS, Care, Suspect, end_of_run, start_of_run
from firsthand.deliver.reach import Reach
from firsthand.deliver.recorder import Recorder
from firsthand.deliver.redirects import Sender
from firsthand.deliver.replaying import Replays
from firsthand.deliver.tail import Tail
from firsthand.eventlog.base import LogReader, Position
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.http import HttpTransport, Transport
from firsthand.identity import Hub
from firsthand.identity.lesson import Names, names_of
from firsthand.ledger.base import Ledger, LedgerDamaged, LedgerUnavailable
from firsthand.ledger.damage import REMEDY, Damage, forget, note, noted
from firsthand.ledger.mending import fault_of
from firsthand.ledger.reader import LedgerReader, total
from firsthand.ledger.sqlite import SqliteLedger
from firsthand.settings import Settings
from firsthand.state.database import StateError
from firsthand.state.roster import Live, Roster
from firsthand.state.store import State
from firsthand.state.watch import next_version
from firsthand.vendors import get, registry
from firsthand.vendors.installed import setup_of

log = structlog.get_logger()


def make_lane(
    live: Live,
    others: Sequence[Live],
    sources: Sequence[Source],
    *,
    ledger: Ledger,
    log_reader: LogReader,
    tail: Tail,
    recorder: Recorder,
    clock: Clock,
    emulator_url: str,
    transport: Transport | None = None,
    window: int = WINDOW,
    poison: Suspect | None = None,
    care: Care | None = None,
    hub: Hub | None = None,
    gone: Gone | None = None,
) -> Lane:
    """A lane for one integration; `others` are all integrations, to know whose vendor ids a source carries."""
    integration, vendor = live.integration, get(live.vendor)
    setup = setup_of(integration, vendor, emulator_url)
    mine = [source for source in sources if integration.takes_source(source.key)]
    shards = log_reader.shards()
    starts = {shard: log_reader.before(shard, live.since_ms) for shard in shards}
    state = ledger.open_lane(
        integration.key,
        vendor.key,
        [source.key for source in mine],
        starts,
        lambda shard, position: log_reader.counts(shard, max(position, log_reader.tail(shard) - 1)),
        live.since_ms if live.again else None,
    )
    delivery = integration.delivery
    transport = transport or HttpTransport(timeout=delivery.timeout, connections=delivery.concurrency)
    breaker = Breaker(clock)

    attempts = Attempts(
        integration=integration,
        vendor=vendor,
        setup=setup,
        revision=live.revision,
        callers={source.key: callers_of(source.key, live, others) for source in mine},
        sender=Sender(transport, vendor.hosts, clock),
        breaker=breaker,
        clock=clock,
        care=care,
        hub=hub,
        gone=gone,
        origins={source.key: source.origins[0] for source in mine if source.origins},
    )
    return Lane(
        integration=integration,
        state=state,
        held=ledger.held(state.id),
        restore=lambda key: ledger.restore(state.id, *key),
        reach=Reach(ledger, integration.key, clock),
        home_urls={source.key: frozenset(source.home_urls) for source in mine},
        tail=tail,
        recorder=recorder,
        attempts=attempts,
        breaker=breaker,
        clock=clock,
        window=window,
        poison=poison if poison and poison.integration == integration.key else None,
    )


def callers_of(source: str, live: Live, others: Sequence[Live]) -> frozenset[str]:
    """The callers of this vendor's ids among the integrations that a source feeds."""
    vendor = get(live.vendor)
    if vendor.id_caller is None:
        return frozenset()
    same = (
        o.integration for o in others if get(o.vendor).id_name == vendor.id_name and o.integration.takes_source(source)
    )
    return frozenset(get(i.vendor).id_caller(i.settings) for i in same if get(i.vendor).id_caller)  # type: ignore[misc]


def names_by(integrations: Sequence[Live], sources: Sequence[Source]) -> Names:
    """What vendors call their ids; and by source whose an id is that names no caller, where there is but one."""
    callers: dict[str, dict[str, str]] = {}
    for source in sources:
        for live in integrations:
            name, found = get(live.vendor).id_name, callers_of(source.key, live, integrations)
            if name and len(found) == 1 and min(found) and live.integration.takes_source(source.key):
                callers.setdefault(source.key, {})[name] = min(found)
    return names_of(registry().values())._replace(callers=callers)


async def run(settings: Settings, stop: asyncio.Event) -> bool:
    """Deliver until told to stop; then drain. Says whether it is to be started again.

    With a damaged ledger nothing is sent: it could not be recorded, and would be sent again at each start. Collecting
    goes on meanwhile.
    """
    if not await whole(settings.data):
        await stop.wait()
        return False
    try:
        return await _deliver(settings, stop)
    except (LedgerDamaged, apsw.CorruptError) as error:
        if isinstance(error, apsw.CorruptError) and await asyncio.to_thread(fault_of, settings.data) is None:
            raise  # it is of another file
        note(settings.data, Damage(round(time.time() * 1000), str(error)))
        log.error("the ledger is damaged: sending has stopped", cause=str(error))
        return not stop.is_set()


async def whole(directory: Path) -> bool:
    """Whether outcomes can be recorded, as far as is known; says what to do where they can't."""
    known = noted(directory)
    if known is None:
        return True
    fault = await asyncio.to_thread(fault_of, directory)
    if fault is None:
        forget(directory)
        log.info("the ledger is whole: sending goes on")
        return True
    note(directory, Damage(known.since_ms, fault, REMEDY))
    log.error("the ledger is damaged: nothing is sent until it is mended", cause=fault, remedy=REMEDY)
    return False


async def _deliver(settings: Settings, stop: asyncio.Event) -> bool:
    directory = settings.data
    state = State.open(directory)
    clock = Clock()
    log_reader = await _open_log(directory, stop)
    if log_reader is None:
        return False
    ledger = SqliteLedger(directory)
    recorder = Recorder(ledger, clock)
    version, roster = state.version(), state.roster()
    hub = Hub(directory, names_by(roster.integrations, roster.sources))
    tail = Tail(log_reader, hub)
    reader = LedgerReader(directory)
    this_run = start_of_run(ledger, working(reader, log_reader), clock.now_ms())
    care = Care(ledger) if this_run.careful else None
    gone = Gone()
    gone.resume(state.erasures)

    def make(key: str, roster: Roster) -> Lane:
        return make_lane(
            roster.get(key),
            roster.integrations,
            roster.sources,
            ledger=ledger,
            log_reader=log_reader,
            tail=tail,
            recorder=recorder,
            clock=clock,
            emulator_url=settings.emulator_url,
            window=1 if care else WINDOW,
            poison=this_run.killer,
            care=care,
            hub=hub,
            gone=gone,
        )

    lanes = Lanes(make, _told, ledger, recorder, clock)
    await lanes.become(roster)
    log.info("delivering", integrations=sorted(lanes.running), careful=this_run.careful)
    jobs = [
        asyncio.create_task(recorder.run()),
        asyncio.create_task(Replays(state, lanes.running, directory, clock).follow()),
        asyncio.create_task(_resumes(state, lanes.running)),
        asyncio.create_task(Eraser(settings, state, hub, tail, ledger, clock, gone, lanes.running, recorder).follow()),
        asyncio.create_task(_upkeep(ledger, hub, lanes)),
        asyncio.create_task(_follow(state, version, lanes, hub)),
        *(asyncio.create_task(tail.follow(shard)) for shard in log_reader.shards()),
    ]
    stopping = asyncio.create_task(stop.wait())
    # Care is slow and comes to an end; the process then starts anew.
    cared = [asyncio.create_task(asyncio.sleep(CAREFUL_SECONDS))] if care else []
    awaited: list[asyncio.Future[Any]] = [stopping, lanes.failed, *cared, *jobs]
    done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    damage: LedgerDamaged | None = None
    for task in done:
        fault = task.exception() if task is not stopping else None
        if isinstance(fault, LedgerDamaged):
            damage = fault
        elif fault is not None:
            raise fault  # a fault of ours: die loudly, be started again
    again = stopping not in done
    if again and damage is None:
        log.info("deliver restarts at full speed")
    await lanes.drain()
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    with contextlib.suppress(TimeoutError, LedgerDamaged):
        async with asyncio.timeout(2):
            await recorder.flush()
            await lanes.ended()
    with contextlib.suppress(LedgerUnavailable, apsw.Error):
        end_of_run(ledger, this_run)
    hub.close()
    reader.close()
    ledger.close()
    log_reader.close()
    log.info("delivery has stopped")
    if damage is not None:
        raise damage
    return again


def _told(key: str, roster: Roster) -> object:
    """All that a lane is told by the configuration: of a source, its write key is no concern of it."""
    live = roster.get(key)
    sources = [source for source in roster.sources if live.integration.takes_source(source.key)]
    return live, [(s.key, s.home_urls, s.origins, callers_of(s.key, live, roster.integrations)) for s in sources]


async def _follow(state: State, version: str, lanes: Lanes, hub: Hub) -> None:
    """Takes over what changes in the configuration."""
    changing: set[asyncio.Task[None]] = set()
    try:
        while True:
            version = await next_version(state, version)
            try:
                roster = await asyncio.to_thread(state.roster)
            except StateError as error:
                log.error("the configuration cannot be taken over", cause=str(error))
                continue
            hub.rename(names_by(roster.integrations, roster.sources))
            # A lane that drains for long keeps the next change of another one from nothing.
            changing.add(asyncio.create_task(lanes.become(roster)))
            for task in [task for task in changing if task.done()]:
                changing.remove(task)
                task.result()
    finally:
        for task in changing:
            task.cancel()


def working(ledger: LedgerReader, log_reader: LogReader) -> dict[str, dict[int, Position]]:
    """Where the lanes stand that have something to do."""
    working = {}
    for lane in ledger.lanes():
        cursors = ledger.cursors(lane.id)
        behind = any(cursor < log_reader.head(shard) for shard, cursor in cursors.items())
        if behind or total(ledger.counted(lane.id), "retrying"):
            working[lane.integration] = cursors
    return working


async def _open_log(directory: Path, stop: asyncio.Event) -> SqliteLogReader | None:
    """The log, once the collector has made it."""
    told = False
    while not stop.is_set():
        try:
            return SqliteLogReader(directory)
        except FileNotFoundError:
            if not told:
                log.info("waiting for the collector to make the event log", data=str(directory))
            told = True
            await asyncio.sleep(0.05)
    return None


@contextlib.contextmanager
def suppressed() -> Iterator[None]:
    """What stands against recording, and passes."""
    try:
        yield
    except LedgerDamaged:
        raise
    except (LedgerUnavailable, apsw.Error):
        pass


async def _upkeep(ledger: Ledger, hub: Hub, lanes: Lanes) -> None:
    """Prunes old rows; writes down, for whoever asks, how each lane is.

    Neither matters enough to end the process for: while the ledger takes nothing, the recorder has stopped sending,
    and with the process the outcomes that wait to be recorded would go.
    """
    while True:
        with suppressed():
            for key, health_of in lanes.health().items():
                health = msgspec.json.encode(health_of).decode()
                await asyncio.to_thread(ledger.set_run_value, f"lane:{key}", health)
            process = lanes.roster.process
            while await asyncio.to_thread(ledger.prune, round((time.time() - process.ledger.max_age) * 1000)):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(ledger.export_consent_head, round(time.time() * 1000))
            hub.forget(round((time.time() - process.identity.max_age) * 1000))
            await asyncio.to_thread(hub.checkpoint)
        await asyncio.sleep(2.0)


async def _resumes(state: State, lanes: Mapping[str, Lane]) -> None:
    """Has lanes send again that have stopped, where somebody asks for it."""
    while True:
        with contextlib.suppress(StateError):  # somebody is writing it
            for asked in await asyncio.to_thread(state.resumes.open):
                lane = lanes.get(asked.integration)
                result = "down" if lane is None else "disabled"
                if lane is not None and lane.enabled:
                    result = "resumed" if lane.resume() else "running"
                log.info("asked to send again", integration=asked.integration, result=result)
                await asyncio.to_thread(state.resumes.done, asked.id, result)
        await asyncio.sleep(0.5)


def main(settings: Settings) -> bool:
    """Run until SIGTERM or SIGINT. Says whether to start it again."""
    again = False

    async def run_until_signal() -> None:
        nonlocal again
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        again = await run(settings, stop)

    runtime.run(run_until_signal())
    return again
