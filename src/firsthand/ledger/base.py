"""The ledger: the one truth about what became of every event at every integration.

Deliver alone writes it; traces, counts, dead letters and replays read it. `commit` takes outcomes and the
positions they stand for in one transaction, so that progress and outcome are one fact: after a crash, what was in
flight is sent again and nothing else.

Not promised: a commit need not survive power loss of the machine (it survives `kill -9`). Losing the newest ones
repeats deliveries, it never loses one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from firsthand.eventlog.base import Position
from firsthand.ledger.records import Delivery, LaneBatch, LaneState


class LedgerUnavailable(Exception):
    """Outcomes cannot be recorded right now. Whoever sends must stop: what is sent unrecorded is sent twice."""

    def __init__(self, message: str, remedy: str = "it is tried again") -> None:
        super().__init__(message)
        self.remedy = remedy


class LedgerDamaged(LedgerUnavailable):
    """The ledger is damaged, and trying again does not help: nothing may be sent until it is mended."""


class Ledger(Protocol):
    """The side of deliver. All of it raises LedgerUnavailable where the ledger cannot be used, and nothing else."""

    def open_lane(
        self,
        integration: str,
        vendor: str,
        sources: Sequence[str],
        starts: Mapping[int, Position],
        counts: Callable[[int, Position], Mapping[str, int]],
        again_ms: int | None = None,
    ) -> LaneState:
        """The state of an integration's lane; a new lane starts at `starts`. `counts` are the log's. So does one that
        had been removed and was added again, at the time `again_ms` (milliseconds): what it missed is not meant for it.

        A source that joins later starts at the lane's cursor; one that leaves keeps what was counted.
        """
        ...

    def held(self, lane: int) -> Iterator[Delivery]:
        """The deliveries of a lane that wait for the visitor's answer on consent, one by one."""
        ...

    def restore(self, lane: int, shard: int, position: Position, generation: int) -> Delivery | None:
        """One of them with its event, as it was committed; None where it is not held any more."""
        ...

    def commit(self, batches: Sequence[LaneBatch], now_ms: int) -> None:
        """Record outcomes, ranges, cursors and counts of several lanes in one transaction.

        Raises LedgerUnavailable, in which case nothing was recorded; LedgerDamaged where that is so for good.
        """
        ...

    def prune(self, before_ms: int) -> int:
        """Remove some of the settled deliveries that ended before a time, and of the ranges that ended a day before it;
        returns how many. Called again and again, it comes past all of them.

        Their counts stay. What lies beyond a lane's cursor stays too: it keeps its event from being sent again.
        """
        ...

    def export_consent_head(self, now_ms: int) -> None:
        """Write the consent log's head to where it outlives the ledger, once a day."""
        ...

    def run_value(self, name: str) -> str | None:
        """What was last noted under a name, by this process or the one before it."""
        ...

    def set_run_value(self, name: str, value: str) -> None:
        """Note something about this run of the process, for the next one or for whoever asks."""
        ...

    def close(self) -> None: ...
