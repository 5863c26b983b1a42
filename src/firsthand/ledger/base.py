"""The ledger: the one truth about what became of every event at every integration.

Deliver alone writes it; traces, counts, dead letters and replays read it. `commit` takes outcomes and the
positions they stand for in one transaction, so that progress and outcome are one fact: after a crash, what was in
flight is sent again and nothing else.

Not promised: a commit need not survive power loss of the machine (it survives `kill -9`). Losing the newest ones
repeats deliveries, it never loses one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from firsthand.eventlog.base import Position
from firsthand.ledger.records import LaneBatch, LaneState


class LedgerUnavailable(Exception):
    """Outcomes cannot be recorded right now. Whoever sends must stop: what is sent unrecorded is sent twice."""


class Ledger(Protocol):
    """The side of deliver."""

    def open_lane(
        self,
        integration: str,
        vendor: str,
        sources: Sequence[str],
        starts: Mapping[int, Position],
        counts: Callable[[int, Position], Mapping[str, int]],
    ) -> LaneState:
        """The state of an integration's lane; a new lane starts at `starts`. `counts` are the log's.

        A source that joins later starts at the lane's cursor; one that leaves keeps what was counted.
        """
        ...

    def commit(self, batches: Sequence[LaneBatch], now_ms: int) -> None:
        """Record outcomes, ranges, cursors and counts of several lanes in one transaction.

        Raises LedgerUnavailable, in which case nothing was recorded.
        """
        ...

    def close(self) -> None: ...
