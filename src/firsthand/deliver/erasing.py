"""Deliver's part of an erasure: finds out what is to go, and takes it out of the hub, the lanes and the ledger.

    asked for ──► plan (written down) ──► hub: tombstones ──► lanes: open deliveries end ──► ledger: scrubbed ──► done
                        └──► collect: the log's events ──────────────────────────────────────────────────────────┘

The plan is written down before anything goes, and each step may be done again: whoever is killed in the middle goes
on from the plan at the next start. From the tombstones on nothing of the visitor's older events is sent, whatever
still holds them.
"""

import asyncio
import sys
from collections.abc import Mapping

import apsw
import msgspec
import structlog

from firsthand.deliver.clock import Clock
from firsthand.deliver.gone import Gone
from firsthand.deliver.lane import Lane
from firsthand.deliver.planning import in_thread, make_plan
from firsthand.deliver.recorder import Recorder
from firsthand.deliver.tail import Tail
from firsthand.eventlog.base import Position
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.identity import Hub
from firsthand.identity.erasure import Match, Plan, Wanted, plan_of
from firsthand.identity.mending import DAMAGED
from firsthand.ledger.base import LedgerDamaged, LedgerUnavailable
from firsthand.ledger.finding import Key, find_all
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import OPEN, LaneBatch
from firsthand.ledger.scrub import end
from firsthand.ledger.sqlite import SqliteLedger
from firsthand.settings import Settings
from firsthand.state.database import StateError
from firsthand.state.erasures import Erasure, why
from firsthand.state.store import State

log = structlog.get_logger()

LOOK_SECONDS = 0.5
FORGET_SECONDS = 30.0
PAUSE_SECONDS = 0.02
SCRUB_ROWS = 100
COMMIT_SECONDS = 0.3
"""What was received by now is in the log after it. An event that takes longer is known by its time, as a late one."""
MOST_LATE = 5_000
"""Events that came late and go in one erasure."""

AGAIN = (apsw.BusyError, apsw.FullError, apsw.IOError, LedgerUnavailable, StateError)
"""What an erasure is tried again after."""


class Eraser:
    """Without `lanes` and `recorder` nothing else runs on the data folder."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        hub: Hub,
        tail: Tail,
        ledger: SqliteLedger,
        clock: Clock,
        gone: Gone,
        lanes: Mapping[str, Lane] | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._directory = settings.data
        self._state = state
        self._hub = hub
        self._tail = tail
        self._ledger = ledger
        self._clock = clock
        self._gone = gone
        self._lanes = lanes or {}
        self._recorder = recorder
        self._forget_at = 0.0

    async def follow(self) -> None:
        """Carry out what is asked for, until cancelled."""
        told = False
        while True:
            try:
                for id in await self.work():
                    log.info("a visitor was erased", id=id)
                told = False
            except LedgerDamaged:
                raise
            except AGAIN as error:
                if not told:
                    log.error("an erasure cannot go on", error=type(error).__name__, remedy="it is tried again")
                told = True
            await asyncio.sleep(LOOK_SECONDS)

    async def work(self) -> list[str]:
        """Do what there is to do now; what waits for collect is left for the next time. Returns what was finished."""
        await self._take_up_late()
        open_ones = await asyncio.to_thread(self._state.erasures.open)
        done = [erasure.id for erasure in open_ones if await self._try(erasure)]
        await self._forget()
        return done

    async def _forget(self) -> None:
        """What is known of erasures is not kept for ever, in memory."""
        if self._gone.many and self._clock.monotonic() >= self._forget_at:
            self._forget_at = self._clock.monotonic() + FORGET_SECONDS
            left = await asyncio.to_thread(self._state.erasures.open)
            self._gone.forget(self._passed, [plan_of(one.plan) for one in left if one.state == "running"])

    def _passed(self, shard: int) -> Position:
        """Up to where every lane has come; where no lane runs, none has anything in memory."""
        return min((lane.passed(shard) for lane in self._lanes.values()), default=sys.maxsize)

    async def _try(self, erasure: Erasure) -> bool:
        """A fault of ours ends this erasure, and nothing else: whoever asked for it is told."""
        try:
            return await self._carry_out(erasure)
        except AGAIN:
            raise
        except Exception as error:
            log.error("an erasure failed", id=erasure.id, error=type(error).__name__, exc_info=error)
            await asyncio.to_thread(self._state.erasures.failed, erasure.id, why(error))
            return False

    async def _take_up_late(self) -> None:
        late = self._hub.late()[:MOST_LATE]
        if late:
            plan = msgspec.to_builtins(Plan(events=late), str_keys=True)
            await asyncio.to_thread(self._state.erasures.begin, plan)
            self._hub.no_longer_late(late)

    async def _carry_out(self, erasure: Erasure) -> bool:
        """Whether it is done."""
        erasures = self._state.erasures
        if erasure.state == "queued":
            plan = await self._plan(msgspec.convert(erasure.wanted, Wanted))
            await asyncio.to_thread(lambda: erasures.planned(erasure.id, msgspec.to_builtins(plan, str_keys=True)))
        else:
            plan = plan_of(erasure.plan)
        if not erasure.result:
            self._tail.forget()
            self._gone.add(plan)
            self._hub.erase(plan.ids, plan.shared, plan.erased_ms)
            try:
                await in_thread(self._hub.wipe)
            except DAMAGED:
                self._hub.mend_erased(plan.erased_ms)
            deliveries, attempts = await self._scrub(plan)
            ids = sum(map(len, plan.ids.values()))
            result = {"ids": ids, "events": len(plan.events), "deliveries": deliveries, "attempts": attempts}
            await asyncio.to_thread(erasures.delivered, erasure.id, result)
        if not (await asyncio.to_thread(erasures.get, erasure.id)).log_done:
            return False
        self._tail.forget()
        await asyncio.to_thread(erasures.done, erasure.id)
        return True

    async def _plan(self, wanted: Wanted) -> Plan:
        """What is to go: all that came in before this moment."""
        reader = SqliteLogReader(self._directory)
        try:
            erased_ms = self._clock.now_ms()
            await asyncio.sleep(COMMIT_SECONDS)
            return await make_plan(wanted, reader, self._tail, self._hub, erased_ms)
        finally:
            reader.close()

    async def _scrub(self, plan: Plan) -> tuple[int, int]:
        """Ledger and lanes. Returns how many deliveries and attempts were scrubbed."""
        match = Match(plan.ids, plan.shared)
        ledger = LedgerReader(self._directory)

        try:
            if self._recorder is not None:  # what is in memory and mentions them: the log may have dropped it
                await self._recorder.caught_up()
                rows = await in_thread(lambda: find_all(ledger, match, plan))
                self._gone.mention({row.key[1:3] for row in rows if row.fate == "mentions"}, plan)
            await self._attempts_ended()
            while True:
                if self._recorder is not None:
                    await self._recorder.caught_up()
                rows = await in_thread(lambda: find_all(ledger, match, plan))
                waiting = {row.key for row in rows if row.fate == "theirs" and row.state in OPEN}
                if not waiting:
                    break
                await self._end(ledger, waiting)
                await asyncio.sleep(PAUSE_SECONDS)
        finally:
            ledger.close()
        attempts = 0
        for start in range(0, len(rows), SCRUB_ROWS):
            attempts += await asyncio.to_thread(self._ledger.scrub, rows[start : start + SCRUB_ROWS], match)
        await asyncio.to_thread(self._ledger.wipe)
        return sum(row.fate == "theirs" for row in rows), attempts

    async def _attempts_ended(self) -> None:
        """Those that are under way now."""
        under_way = {id(item) for lane in self._lanes.values() for item in lane.under_way()}
        while any(id(item) in under_way for lane in self._lanes.values() for item in lane.under_way()):
            await asyncio.sleep(PAUSE_SECONDS)

    async def _end(self, ledger: LedgerReader, waiting: set[Key]) -> None:
        """End what waits, through its lane where that runs. Whatever is under way comes back to be ended here."""
        running = {lane.id: lane for lane in self._lanes.values()}
        for id in {key.lane for key in waiting}:
            mine = [key for key in waiting if key.lane == id]
            if id in running:
                running[id].erase({(key.shard, key.position, key.generation) for key in mine})
                continue
            ended = []
            for key in mine:
                for stored in ledger.deliveries(key.shard, key.position):
                    if stored.lane == id and stored.delivery.generation == key.generation:
                        end(stored.delivery)
                        ended.append(stored.delivery)
            await asyncio.to_thread(self._ledger.commit, [LaneBatch(lane=id, deliveries=ended)], self._clock.now_ms())
