"""A token bucket: `rate` units a second, with a burst of one second's worth."""

from collections.abc import Callable


class TokenBucket:
    """Units are events or requests; the clock counts seconds and must not go back (`time.monotonic`)."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._clock = clock
        self._burst = max(rate, 1.0)
        self._tokens = self._burst
        self._at = clock()

    def take(self, units: int = 1) -> float:
        """Take units if there are any; else the seconds to wait before asking again.

        A demand above the burst is let through once the bucket is full, and paid back afterwards.
        """
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens >= min(units, self._burst):
            self._tokens -= units
            return 0.0
        return (min(units, self._burst) - self._tokens) / self.rate

    def give_back(self, units: int = 1) -> None:
        """What was taken was not needed."""
        self._tokens = min(self._burst, self._tokens + units)
