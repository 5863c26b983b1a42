"""A clock that stands still until a test moves it."""

import asyncio
import heapq

from firsthand.deliver.clock import Clock

NOW_MS = 1_795_348_800_000
"""2026-11-22 12:00 UTC, where every test begins."""


class FakeClock(Clock):
    """Sleepers wake in the order of their time, one by one. Chance is fixed: `chance` is what `jitter` gives."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.chance = 1.0
        self._slept = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return NOW_MS + round(self.passed * 1000)

    def monotonic(self) -> float:
        return self.passed

    def jitter(self) -> float:
        return self.chance

    async def sleep(self, seconds: float) -> None:
        self._slept += 1
        woken = asyncio.get_running_loop().create_future()
        seconds = max(seconds, 0.001)  # nobody sleeps for less, so time always moves
        heapq.heappush(self._sleepers, (self.passed + seconds, self._slept, woken))
        await woken

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        tasks = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.sleep(seconds))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def next_due(self) -> float | None:
        """When the next sleeper is to wake."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def wake_next(self) -> None:
        """Time moves on to the next sleeper, who wakes."""
        due, _, woken = heapq.heappop(self._sleepers)
        self.passed = max(self.passed, due)
        woken.set_result(None)
