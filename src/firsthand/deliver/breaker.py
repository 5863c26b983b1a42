"""Stops a lane whose vendor is down or refuses its credentials, and finds out when it may go on."""

from typing import Literal

from firsthand.deliver.clock import Clock
from firsthand.event import format_time

FAILURES_TO_OPEN = 10
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
REFUSED_PAUSE = 60.0
LONGEST_REFUSED_PAUSE = 900.0


class Breaker:
    """Closed: everything is sent. After ten failures on end it opens: nothing is, for a pause that doubles with
    each failed probe. Then one probe goes out, and its outcome closes it or opens it again.

    A refused credential opens it at once. Another event is the first probe, without a pause: where that is taken, it
    was one event that was refused and not the credential. Else probes are slow, and no event is two on end.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._until = 0.0
        self._alone_until = 0.0
        self._probing = False
        self._since_ms: int | None = None
        self._cause: str | None = None
        self.open = False
        self.reason: str | None = None
        """The code of the refusal that it is open for (`auth_failed`, `scope_denied`), if it is for one."""
        self.stops = 0
        """How often credentials were refused after they had not been."""
        self.passes = 0
        """How often an event was taken after that."""

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        if not self.open:
            return "closed"
        return "open" if self._probing or self.wait() else "half_open"

    def wait(self) -> float:
        """Seconds until a probe may go out."""
        return max(0.0, self._until - self._clock.monotonic()) if self.open else 0.0

    def patience(self) -> float:
        """Seconds for which an event is waited for that was not refused yet, before one that was is the probe."""
        return max(0.0, self._alone_until - self._clock.monotonic()) if self.reason else 0.0

    def noted(self, resting_until: float) -> dict[str, object]:
        """How it is, in words for people: since when it is open, the last failure, and until when nothing is tried,
        be it for that or because the vendor asked for a rest."""
        pause = max(self.wait(), resting_until - self._clock.monotonic())
        return {
            "breaker": self.state,
            "reason": self.reason,
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
            least, longest = (REFUSED_PAUSE, LONGEST_REFUSED_PAUSE) if self.reason else (0.0, LONGEST_PAUSE)
            self._pause = min(max(self._pause * 2, least), longest)
            self._rest()

    def succeeded(self, stops: int | None = None) -> None:
        """The vendor is alive. Where it had refused credentials, that counts of a request only that began after it had:
        `stops` as they were then."""
        if self.reason is not None:
            if stops != self.stops:
                return
            self.passes += 1
        self.close()

    def close(self) -> None:
        """Send again, whatever was."""
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._probing = False
        self._since_ms = None
        self.open, self.reason = False, None

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

    def refused(self, reason: str, cause: str | None = None) -> bool:
        """The credentials were refused; says whether this stopped the lane."""
        self._cause = cause
        if self.reason is not None:
            if self._pause < REFUSED_PAUSE and not self._probing:  # another one that was in flight: no need to ask
                self._pause = REFUSED_PAUSE
                self._rest()
            return False
        self.suspect(reason, cause)
        self._alone_until = self._clock.monotonic() + REFUSED_PAUSE
        return True

    def suspect(self, reason: str, cause: str | None) -> None:
        """The credentials were refused, now or before a restart: ask with one event."""
        self.open, self.reason, self._cause = True, reason, cause
        self.stops += 1
        self._pause, self._until = 0.0, self._clock.monotonic()
        self._since_ms = self._clock.now_ms() if self._since_ms is None else self._since_ms

    def _rest(self) -> None:
        jitter = 1.0 if self.reason else 0.5 + self._clock.jitter() / 2
        self._until = self._alone_until = self._clock.monotonic() + self._pause * jitter
