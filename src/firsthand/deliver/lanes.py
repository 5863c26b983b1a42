"""The lanes of a process. Each is replaced by itself when what it is told changes; the others do not notice.

An integration that cannot run (its vendor is not installed, its settings do not fit any more) is `down` with the
reason. Its backlog waits in the log until that is mended.
"""

import asyncio
from collections.abc import Callable, Mapping

import apsw
import msgspec
import structlog

from firsthand.deliver.clock import Clock
from firsthand.deliver.lane import Lane
from firsthand.deliver.recorder import Recorder
from firsthand.event import format_time
from firsthand.ledger.base import Ledger, LedgerDamaged, LedgerUnavailable
from firsthand.ledger.records import CANNOT_RUN, LIVE
from firsthand.state.roster import Roster

log = structlog.get_logger()

DRAIN_SECONDS = 15.0

Make = Callable[[str, Roster], Lane]
Told = Callable[[str, Roster], object]


class Lanes:
    """`make` makes the lane of an integration; `told` is all that this depends on, to know whether it is another."""

    def __init__(self, make: Make, told: Told, ledger: Ledger, recorder: Recorder, clock: Clock) -> None:
        self.running: dict[str, Lane] = {}
        self.down: dict[str, dict[str, object]] = {}
        """How those are that cannot run, as `Lane.health` says it of the others."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Fails with a lane's own fault: the process is to end with it."""
        self._make = make
        self._told = told
        self._ledger = ledger
        self._recorder = recorder
        self._clock = clock
        self._roster = Roster()
        self._told_of: dict[str, object] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def roster(self) -> Roster:
        return self._roster

    async def become(self, roster: Roster) -> None:
        """Have the lanes be those of a roster; returns once they are."""
        self._roster = roster
        keys = self.running.keys() | self.down.keys() | roster.keys
        tasks = [asyncio.create_task(self._renew(key)) for key in sorted(keys)]
        self._tasks.update(tasks)
        for task in tasks:
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(self._ended)
        await asyncio.gather(*tasks)
        live = msgspec.json.encode(sorted(self._roster.keys)).decode()
        await asyncio.to_thread(self._ledger.set_run_value, LIVE, live)

    async def _renew(self, key: str) -> None:
        """End a lane that is told something else now, or is not wanted any more, and begin the one that is."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            told: object = self._roster.unreadable.get(key)
            if told is None and key in self._roster.keys:
                told = self._told_or_why(key)
            if told == self._told_of.get(key):
                return
            if (lane := self.running.pop(key, None)) is not None:
                log.info("an integration's configuration changed", integration=key)
                await lane.drain(DRAIN_SECONDS)
                if self._closing:
                    return
                await self._recorder.caught_up()
                self._recorder.leave(lane.id)
                await lane.ended()
            if self._closing:
                return
            self.down.pop(key, None)
            self._told_of[key] = told
            if told is None:
                return
            if isinstance(told, str):
                self._is_down(key, told)
                return
            try:
                lane = self._make(key, self._roster)
            except (apsw.Error, LedgerDamaged, LedgerUnavailable):
                raise
            except Exception as error:  # a vendor's module may be anybody's
                self._is_down(key, _why(error))
                return
            self.running[key] = lane
            lane.start()
            for task in lane.tasks:
                task.add_done_callback(self._ended)

    def _told_or_why(self, key: str) -> object:
        try:
            return self._told(key, self._roster)
        except Exception as error:  # a vendor's module may be anybody's
            return _why(error)

    def _is_down(self, key: str, cause: str) -> None:
        log.error("an integration cannot run; the others do", integration=key, cause=cause)
        since = format_time(self._clock.now_ms())
        self.down[key] = {"state": "down", "breaker": "open", "reason": CANNOT_RUN, "since": since, "cause": cause}

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self.failed.done():
            self.failed.set_exception(error)

    def health(self) -> Mapping[str, Mapping[str, object]]:
        """How each lane is, by integration."""
        down = {key: {"at_ms": self._clock.now_ms(), "until": None, **noted} for key, noted in self.down.items()}
        return {key: lane.health() for key, lane in self.running.items()} | down

    async def drain(self) -> None:
        """End all of them."""
        self._closing = True
        await asyncio.gather(
            *self._tasks, *(lane.drain(DRAIN_SECONDS) for lane in self.running.values()), return_exceptions=True
        )

    async def ended(self) -> None:
        """After the drain: all that they handed over is recorded."""
        for lane in self.running.values():
            await lane.ended()


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
