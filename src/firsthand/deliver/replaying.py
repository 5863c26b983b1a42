"""Runs the replays that were asked for: those of different integrations side by side, those of one in order.

One that a restart cut off, of the process or of its lane, begins again: what it has settled is left alone.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import structlog

from firsthand.deliver import replay
from firsthand.deliver.clock import Clock
from firsthand.deliver.lane import Lane
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.reader import Filter, LedgerReader
from firsthand.state.database import StateError
from firsthand.state.store import Replay, State

log = structlog.get_logger()

LOOK_SECONDS = 0.5


class Running(NamedTuple):
    job: Replay
    lane: Lane
    progress: replay.Progress
    task: asyncio.Task[None]


class Replays:
    """`lanes` are those that run, by integration."""

    def __init__(self, state: State, lanes: Mapping[str, Lane], directory: Path, clock: Clock) -> None:
        self._state = state
        self._lanes = lanes
        self._directory = directory
        self._clock = clock
        self._running: dict[str, Running] = {}

    async def follow(self) -> None:
        """Until cancelled, and the replays with it: whatever their vendors do."""
        try:
            while True:
                try:
                    await self.look()
                except StateError as error:  # somebody is writing it
                    log.warning("replays wait", cause=str(error))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            tasks = [running.task for running in self._running.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Begin what waits, end what was cancelled, note how far the others are."""
        for key, running in list(self._running.items()):
            if running.task.done():
                del self._running[key]
                running.task.result()
            elif running.lane is not self._lanes.get(key) or not await self._goes_on(running):
                running.task.cancel()
                await asyncio.wait([running.task])
                del self._running[key]
        for job in await asyncio.to_thread(self._state.replays, ("queued", "running")):
            if job.integration in self._running:
                continue
            lane = self._lanes.get(job.integration)
            if lane is None or not lane.enabled:
                reason = "is not enabled" if lane else "does not run"
                await self._end(job, "failed", {"error": f"{job.integration} {reason}"})
                continue
            if await asyncio.to_thread(self._state.update_replay, job.id, "running") != "running":
                continue  # it was cancelled just now
            progress = replay.Progress()
            task = asyncio.create_task(self._run(job, lane, progress))
            self._running[job.integration] = Running(job, lane, progress, task)

    async def _goes_on(self, running: Running) -> bool:
        said = msgspec.to_builtins(running.progress)
        return await asyncio.to_thread(self._state.update_replay, running.job.id, "running", said) == "running"

    async def _end(self, job: Replay, state: Literal["done", "failed"], progress: Mapping[str, object]) -> None:
        await asyncio.to_thread(self._state.update_replay, job.id, state, progress)

    async def _run(self, job: Replay, lane: Lane, progress: replay.Progress) -> None:
        ledger, log_reader = LedgerReader(self._directory), SqliteLogReader(self._directory)
        try:
            wanted = msgspec.convert(job.filter.get("filter", {}), Filter)
            rate = float(job.filter.get("rate", replay.RATE))
            await replay.run(lane, wanted, ledger, log_reader, self._clock, rate, progress)
            await self._end(job, "done", msgspec.to_builtins(progress))
        except (msgspec.ValidationError, ValueError) as error:
            await self._end(job, "failed", {"error": str(error)})
        finally:
            ledger.close()
            log_reader.close()
