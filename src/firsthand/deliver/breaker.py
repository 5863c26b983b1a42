"""Stops a lane whose vendor is down, and finds out when it is back."""

from typing import Literal

from firsthand.deliver.clock import Clock
from firsthand.event import format_time

FAILURES_TO_OPEN = 10
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


class Breaker:
    """Closed: everything is sent. After ten failures on end it opens: nothing is, for a pause that doubles with
    each failed probe. Then one probe goes out, and its outcome closes it or opens it again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._until = 0.0
        self._probing = False
        self._since_ms: int | None = None
        self._cause: str | None = None
        self.open = False

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        if not self.open:
            return "closed"
        return "open" if self._probing or self.wait() else "half_open"

    def wait(self) -> float:
        """Seconds until a probe may go out."""
        return max(0.0, self._until - self._clock.monotonic()) if self.open else 0.0

    def noted(self, resting_until: float) -> dict[str, object]:
        """How it is, in words for people: since when it is open, the last failure, and until when nothing is tried,
        be it for that or because the vendor asked for a rest."""
        pause = max(self.wait(), resting_until - self._clock.monotonic())
        return {
            "breaker": self.state,
            "since": format_time(self._since_ms) if self._since_ms is not None else None,
            "cause": self._cause if self.open else None,
            "until": format_time(self._clock.now_ms() + round(pause * 1000)) if pause > 0 else None,
        }

    def begin_probe(self) -> None:
        self._probing = True

    def end_probe(self, sent: bool) -> None:
        """Another may go out: after a longer pause where it was `sent` and failed, at once where it came to nothing
        (it was too old to send, say)."""
        self._probing = False
        if self.open and sent:
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            self._rest()

    def succeeded(self) -> None:
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._probing = False
        self._since_ms = None
        self.open = False

    def failed(self, cause: str | None = None) -> bool:
        """Count a failure; says whether this one opened the breaker."""
        self._failures += 1
        self._cause = cause
        if self.open:
            return False  # a request from before it opened, or the probe, which `end_probe` sees to
        if self._failures < FAILURES_TO_OPEN:
            return False
        self.open = True
        self._since_ms = self._clock.now_ms()
        self._rest()
        return True

    def _rest(self) -> None:
        self._until = self._clock.monotonic() + self._pause * (0.5 + self._clock.jitter() / 2)
