"""The deliver process: one lane for each integration, one recorder, and what keeps them.

Started by `firsthand serve`. It is the only writer of the ledger.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import msgspec
import structlog

from firsthand import runtime
from firsthand.config import Process, Source
from firsthand.deliver import replay
from firsthand.deliver.attempt import Attempts
from firsthand.deliver.breaker import Breaker
from firsthand.deliver.clock import Clock
from firsthand.deliver.erasing import Eraser
from firsthand.deliver.gone import Gone
from firsthand.deliver.http import HttpTransport, Transport
from firsthand.deliver.lane import WINDOW, Lane
from firsthand.deliver.poison import CAREFUL_SECONDS, Care, Suspect, end_of_run, start_of_run
from firsthand.deliver.recorder import Recorder
from firsthand.deliver.redirects import Sender
from firsthand.deliver.tail import Tail
from firsthand.eventlog.base import LogReader, Position
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.identity import Hub
from firsthand.identity.lesson import Names, names_of
from firsthand.ledger.base import Ledger, LedgerDamaged, LedgerUnavailable
from firsthand.ledger.damage import REMEDY, Damage, forget, note, noted
from firsthand.ledger.mending import fault_of
from firsthand.ledger.reader import Filter, LedgerReader, total
from firsthand.ledger.records import LIVE
from firsthand.ledger.sqlite import SqliteLedger
from firsthand.settings import Settings
from firsthand.state.database import StateError
from firsthand.state.store import Live, State
from firsthand.state.watch import next_version
from firsthand.vendors import get, registry
from firsthand.vendors.installed import setup_of

log = structlog.get_logger()

DRAIN_SECONDS = 15.0


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
    """Deliver until told to stop, or until there is another configuration to run with; then drain.

    Says whether it is to be started again, with that configuration. With a damaged ledger nothing is sent: it could not
    be recorded, and would be sent again at each start. Collecting goes on meanwhile.
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
    version = state.version()
    integrations, sources, process = state.integrations(), state.sources(), state.process()
    hub = Hub(directory, names_by(integrations, sources))
    tail = Tail(log_reader, hub)
    reader = LedgerReader(directory)
    this_run = start_of_run(ledger, _working(reader, log_reader), clock.now_ms())
    care = Care(ledger) if this_run.careful else None
    gone = Gone()
    gone.resume(state.erasures)
    lanes = {
        live.integration.key: make_lane(
            live,
            integrations,
            sources,
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
        for live in integrations
    }
    for lane in lanes.values():
        lane.start()
    ledger.set_run_value(LIVE, msgspec.json.encode(sorted(lanes)).decode())
    log.info("delivering", integrations=sorted(lanes), careful=this_run.careful)
    jobs = [
        asyncio.create_task(recorder.run()),
        asyncio.create_task(_replays(state, lanes, directory, log_reader, clock)),
        asyncio.create_task(_resumes(state, lanes)),
        asyncio.create_task(Eraser(settings, state, hub, tail, ledger, clock, gone, lanes, recorder).follow()),
        asyncio.create_task(_upkeep(ledger, hub, lanes, process)),
        *(asyncio.create_task(tail.follow(shard)) for shard in log_reader.shards()),
        *(task for lane in lanes.values() for task in lane.tasks),
    ]
    stopping = asyncio.create_task(stop.wait())
    changing = asyncio.create_task(_until_changed(state, version, _set_up(integrations, sources, process)))
    # Care is slow and comes to an end; the process then starts anew.
    cared = [asyncio.create_task(asyncio.sleep(CAREFUL_SECONDS))] if care else []
    done, _ = await asyncio.wait([stopping, changing, *cared, *jobs], return_when=asyncio.FIRST_COMPLETED)
    damage: LedgerDamaged | None = None
    for task in done:
        fault = task.exception() if task is not stopping else None
        if isinstance(fault, LedgerDamaged):
            damage = fault
        elif fault is not None:
            raise fault  # a fault of ours: die loudly, be started again
    again = stopping not in done
    if again and damage is None:
        log.info("configuration changed: deliver restarts" if changing in done else "deliver restarts at full speed")
    changing.cancel()
    await asyncio.gather(*(lane.drain(DRAIN_SECONDS) for lane in lanes.values()))
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    with contextlib.suppress(TimeoutError, LedgerDamaged):
        async with asyncio.timeout(2):
            await recorder.flush()
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


def _set_up(integrations: Sequence[Live], sources: Sequence[Source], process: Process) -> object:
    """All that delivery is told by the configuration: of a source, its write key is no concern of it."""
    return (
        list(integrations),
        {source.key: (source.home_urls, source.origins) for source in sources},
        process.ledger,
        process.identity,
    )


async def _until_changed(state: State, version: str, before: object) -> None:
    while True:
        version = await next_version(state, version)
        try:
            if _set_up(state.integrations(), state.sources(), state.process()) != before:
                return
        except StateError as error:
            log.error("the configuration cannot be taken over", cause=str(error))


def _working(ledger: LedgerReader, log_reader: LogReader) -> dict[str, dict[int, Position]]:
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


async def _upkeep(ledger: Ledger, hub: Hub, lanes: Mapping[str, Lane], process: Process) -> None:
    """Prunes old rows; writes down, for whoever asks, how each lane is.

    Neither matters enough to end the process for: while the ledger takes nothing, the recorder has stopped sending,
    and with the process the outcomes that wait to be recorded would go.
    """
    while True:
        with suppressed():
            for key, lane in lanes.items():
                health = msgspec.json.encode(lane.health()).decode()
                await asyncio.to_thread(ledger.set_run_value, f"lane:{key}", health)
            while await asyncio.to_thread(ledger.prune, round((time.time() - process.ledger.max_age) * 1000)):
                await asyncio.sleep(0.01)
            await asyncio.to_thread(ledger.export_consent_head, round(time.time() * 1000))
            hub.forget(round((time.time() - process.identity.max_age) * 1000))
            await asyncio.to_thread(hub.checkpoint)
        await asyncio.sleep(2.0)


async def _replays(
    state: State, lanes: Mapping[str, Lane], directory: Path, log_reader: LogReader, clock: Clock
) -> None:
    """Runs the replays that were asked for, one after the other; one that a restart cut off begins again."""
    while True:
        for job in await asyncio.to_thread(state.replays, ("queued", "running")):
            lane = lanes.get(job.integration)
            if lane is None or not lane.enabled:
                reason = "is not enabled" if lane else "is not there any more"
                await asyncio.to_thread(state.update_replay, job.id, "failed", {"error": f"{job.integration} {reason}"})
                continue
            told = 0.0

            def tell(progress: replay.Progress, id: str = job.id) -> bool:
                nonlocal told
                if clock.monotonic() - told < 0.5:
                    return True
                told = clock.monotonic()
                return state.update_replay(id, "running", msgspec.to_builtins(progress)) == "running"

            ledger = LedgerReader(directory)
            try:
                wanted = msgspec.convert(job.filter.get("filter", {}), Filter)
                rate = float(job.filter.get("rate", replay.RATE))
                progress = await replay.run(lane, wanted, ledger, log_reader, clock, rate, tell)
                await asyncio.to_thread(state.update_replay, job.id, "done", msgspec.to_builtins(progress))
            except (msgspec.ValidationError, ValueError) as error:
                await asyncio.to_thread(state.update_replay, job.id, "failed", {"error": str(error)})
            finally:
                ledger.close()
        await asyncio.sleep(0.5)


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
    """Run until SIGTERM or SIGINT, or until there is another configuration. Says whether to start it again."""
    again = False

    async def run_until_signal() -> None:
        nonlocal again
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        again = await run(settings, stop)

    runtime.run(run_until_signal())
    return again
