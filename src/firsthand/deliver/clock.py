"""Time and chance for delivery, injected so that an hour of outage is a test of seconds."""

import asyncio
import random
import time


class Clock:
    """The real clock. A test's stands still until it is moved."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until the event is set, but no longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass

    def jitter(self) -> float:
        """A number from 0 to 1."""
        return random.random()  # noqa: S311 (spreads retries, guards nothing)
