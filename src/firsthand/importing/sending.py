"""Batches on their way to the collector: again and again until it has them, and never twice what it has."""

import asyncio
import time
from collections.abc import Callable, Sequence

from firsthand.importing.batches import Batch
from firsthand.importing.collector import Collector, Refused, Taken, Whole, pause
from firsthand.importing.destination import Arrived
from firsthand.importing.faults import ImportFailed
from firsthand.importing.journal import Import, Journal
from firsthand.importing.progress import Watcher

DOUBT_MS = 20 * 3_600_000
"""The collector knows a message id again for 24 hours. After this long, what may have arrived is looked for in the
log before it is sent once more."""


class Sender:
    def __init__(
        self,
        collector: Collector,
        arrived: Arrived,
        journal: Journal,
        work: Import,
        watch: Watcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._collector = collector
        self._arrived = arrived
        self._journal = journal
        self._work = work
        self._watch = watch
        self._clock = clock
        self._on_the_way = journal.on_the_way(work)

    async def deliver(self, batch: Batch) -> Taken:
        """Until the collector has taken it, or said what it refuses. Raises ImportFailed where it never will."""
        items = self._without_known(batch, range(len(batch.events)))
        if not items:
            return Taken(0, [])
        batch.sent_ms = self._journal.sending(self._work, batch.lines[0], batch.lines[-1])
        return await self._send(batch, items)

    async def _send(self, batch: Batch, items: Sequence[int]) -> Taken:
        """The items of a batch at these indexes; what is refused goes by the same indexes."""
        tries = 0
        while items:
            answer = await self._collector.send([batch.events[item] for item in items])
            if isinstance(answer, Whole):
                return await self._halves(batch, items, answer)
            if isinstance(answer, Taken):
                if tries:
                    self._watch.waiting("")
                for refused in answer.rejected:
                    refused.index = items[refused.index]
                return answer
            seconds = pause(tries, answer.seconds)
            self._watch.waiting(f"waiting: {answer.why}; next try in {max(1, round(seconds))} s, Ctrl-C to stop")
            await asyncio.sleep(seconds)
            tries += 1
            items = self._without_known(batch, items)
        return Taken(0, [])

    async def _halves(self, batch: Batch, items: Sequence[int], answer: Whole) -> Taken:
        """One event can make a request unreadable or too large: it is found, and the others go without it."""
        if len(items) == 1:
            if answer.code is None:
                raise ImportFailed(f"{answer.message}: not even line {batch.lines[items[0]]:,} by itself")
            return Taken(0, [Refused(items[0], answer.code, answer.message)])
        middle = len(items) // 2
        first = await self._send(batch, items[:middle])
        second = await self._send(batch, items[middle:])
        return Taken(first.accepted + second.accepted, [*first.rejected, *second.rejected])

    # -- what may have arrived before ------------------------------------------------------------------------------

    def _without_known(self, batch: Batch, items: Sequence[int]) -> Sequence[int]:
        """The items without those that the log has, where the collector may have forgotten that it has them."""
        before = self._doubt_ms()
        doubtful = [(sent.first, sent.last) for sent in self._on_the_way if sent.sent_ms < before]
        if batch.sent_ms is not None and batch.sent_ms < before:
            doubtful.append((batch.lines[0], batch.lines[-1]))
        if not doubtful:
            return items
        asked = [item for item in items if any(first <= batch.lines[item] <= last for first, last in doubtful)]
        known = self._arrived.known({batch.ids[item] for item in asked})
        there = {item for item in asked if batch.ids[item] in known}
        batch.known += len(there)
        return [item for item in items if item not in there]

    async def warn_of_doubts(self) -> None:
        """Say which lines may arrive twice because nobody can tell whether they have arrived."""
        before = self._doubt_ms()
        doubtful = [sent for sent in self._on_the_way if sent.sent_ms < before]
        if not doubtful or await self._arrived.remembers(min(sent.sent_ms for sent in doubtful)):
            return
        lines = ", ".join(f"{sent.first:,} to {sent.last:,}" for sent in doubtful)
        self._watch.note(
            f"Lines {lines} were on their way when an import ended, over 20 hours ago. Whether they arrived can't be"
            f" told ({self._arrived.why_not}): those that did may now be events twice"
        )

    def _doubt_ms(self) -> int:
        return round(self._clock() * 1000) - DOUBT_MS
