"""What passes a lane by: events that met a disabled integration, and those that can't be read any more. They are
recorded as ranges with their counts, not one by one."""

import asyncio
from collections.abc import Sequence

import structlog

from firsthand.deliver.recorder import Recorder
from firsthand.deliver.tail import Entry
from firsthand.deliver.window import Window
from firsthand.eventlog.base import Gap, LogReader, Position
from firsthand.ledger.records import LaneState, Range

log = structlog.get_logger()


class Passing:
    """Of one lane, whose counts and window it moves on."""

    def __init__(
        self, state: LaneState, integration: str, window: Window, log_reader: LogReader, recorder: Recorder
    ) -> None:
        self._lane = state.id
        self._integration = integration
        self._counted = state.counted
        self._settled = state.settled
        self._window = window
        self._log = log_reader
        self._recorder = recorder

    async def skip(self, shard: int, entries: Sequence[Entry | Gap]) -> None:
        """A disabled integration: what passes is counted as a range and can be replayed."""
        spans: dict[str, list[Position]] = {}
        for entry in entries:
            if isinstance(entry, Gap):
                await self.gap(shard, entry)
            elif (shard, entry.row.source) in self._counted:
                self._counted[shard, entry.row.source] += 1
                if self._settled.get(shard, {}).pop(entry.row.position, None) is None:
                    spans.setdefault(entry.row.source, []).append(entry.row.position)
        for source, positions in spans.items():
            self._recorder.add_range(
                self._lane,
                Range(shard, positions[0], positions[-1], source, "filtered", "integration_disabled", len(positions)),
            )
        if entries:
            last = entries[-1]
            self._window.jump(shard, last.last if isinstance(last, Gap) else last.row.position)

    async def gap(self, shard: int, gap: Gap) -> None:
        """Events that can't be read any more become a range, once everything before them is settled."""
        while not self._window.is_empty(shard):
            await asyncio.sleep(0.01)
        code = "backlog_overflow" if gap.kind == "dropped" else "log_damaged"
        for position, source in list(self._settled.get(shard, {}).items()):
            if position <= gap.last and (shard, source) in self._counted:  # it had its outcome before it was lost
                del self._settled[shard][position]
                self._counted[shard, source] += 1
        counts = self._log.counts(shard, gap.last)
        for (lane_shard, source), counted in list(self._counted.items()):
            lost = counts.get(source, 0) - counted
            if lane_shard == shard and lost > 0:
                self._recorder.add_range(self._lane, Range(shard, gap.first, gap.last, source, "dead", code, lost))
                self._counted[shard, source] += lost
                log.error("events were lost to this integration", integration=self._integration, code=code, count=lost)
        self._window.jump(shard, gap.last)
