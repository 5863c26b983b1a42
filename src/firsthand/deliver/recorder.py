"""Gathers outcomes and commits them to the ledger: every 10 ms, or as soon as 256 wait.

Outcomes and cursors go into one transaction, in a thread so that sending goes on meanwhile. While the ledger cannot
commit, `stalled` is set and nothing may be sent: an outcome that is not recorded would be sent again.
"""

import asyncio
import copy
from collections.abc import Callable

import structlog

from firsthand.deliver.clock import Clock
from firsthand.eventlog.base import Position
from firsthand.ledger.base import Ledger, LedgerDamaged, LedgerUnavailable
from firsthand.ledger.records import OPEN, Delivery, LaneBatch, Range

log = structlog.get_logger()

COMMIT_OUTCOMES = 256
COMMIT_SECONDS = 0.01
IDLE_SECONDS = 1.0
RETRY_SECONDS = 1.0
MOST_PENDING = 256

Cursors = Callable[[], dict[int, Position]]


class Recorder:
    """One for all lanes of a process."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._cursors: dict[int, Cursors] = {}
        self._pending: dict[int, LaneBatch] = {}
        self._count = 0
        self._failing = False
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self._on_change: dict[int, Callable[[], None]] = {}
        self._commit_number = 1
        self.committed = 0
        """The number of the last commit that the ledger has taken."""
        self.stalled = False

    def register(self, lane: int, cursors: Cursors, on_change: Callable[[], None]) -> None:
        """`cursors` gives a lane's positions at the time of a commit; `on_change` is told when `stalled` changes."""
        self._cursors[lane] = cursors
        self._on_change[lane] = on_change

    def leave(self, lane: int) -> None:
        """This lane has ended: all it had is recorded."""
        self._cursors.pop(lane, None)
        self._on_change.pop(lane, None)

    def add(self, lane: int, delivery: Delivery) -> int:
        """Hand over an outcome; returns the number of the commit that it goes with. The caller may go on changing an
        open delivery: a copy is kept."""
        kept = delivery
        if delivery.state in OPEN:
            kept = copy.copy(delivery)
            kept.detail = copy.copy(delivery.detail)
            delivery.exchanges = []
            delivery.previous = (delivery.state, delivery.certainty, delivery.code)
            delivery.replaces_range = None
        self._batch(lane).deliveries.append(kept)
        self._added()
        return self._commit_number

    def add_range(self, lane: int, span: Range) -> None:
        self._batch(lane).ranges.append(span)
        self._added()

    def _batch(self, lane: int) -> LaneBatch:
        batch = self._pending.get(lane)
        if batch is None:
            batch = self._pending[lane] = LaneBatch(lane=lane, deliveries=[], ranges=[])
        return batch

    def _added(self) -> None:
        self._count += 1
        if self._count == 1:
            self._wake.set()
        elif self._count >= COMMIT_OUTCOMES:
            self._full.set()
            if self._count > MOST_PENDING and not self.stalled:
                self._set_stalled(True)

    def _set_stalled(self, stalled: bool) -> None:
        self.stalled = stalled
        for tell in list(self._on_change.values()):
            tell()

    async def run(self) -> None:
        """Commits until cancelled. Call `flush` afterwards for what is left."""
        while True:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass  # nothing ended, but cursors may have moved past events that are no concern of their lane
            else:
                if self._count < COMMIT_OUTCOMES:
                    try:
                        async with asyncio.timeout(COMMIT_SECONDS):
                            await self._full.wait()
                    except TimeoutError:
                        pass
            await self.flush()

    async def caught_up(self) -> None:
        """Once all that was handed over until now is in the ledger."""
        number = self._commit_number
        self._wake.set()
        while self.committed < number:
            await asyncio.sleep(0.005)

    async def flush(self) -> None:
        """Commit what is there; repeats until the ledger takes it. Raises LedgerDamaged where it never will."""
        self._wake.clear()
        self._full.clear()
        pending, self._pending, self._count = self._pending, {}, 0
        number, self._commit_number = self._commit_number, self._commit_number + 1
        for lane, cursors in self._cursors.items():
            moved = cursors()
            if moved:
                batch = pending.setdefault(lane, LaneBatch(lane=lane))
                batch.cursors = {**batch.cursors, **moved}
        if not pending:
            self.committed = number
            return
        while True:
            try:
                await self._commit(pending)
                self.committed = number
                break
            except LedgerDamaged:
                self._set_stalled(True)  # for good
                self._put_back(pending)
                raise
            except LedgerUnavailable as error:
                if not self._failing:
                    log.error("sending has stopped", cause=str(error), remedy=error.remedy)
                self._failing = True
                self._set_stalled(True)
                try:
                    await asyncio.sleep(RETRY_SECONDS)
                except asyncio.CancelledError:
                    self._put_back(pending)
                    raise
        if self.stalled:
            self._failing = False
            self._set_stalled(False)

    async def _commit(self, pending: dict[int, LaneBatch]) -> None:
        batches, now_ms = list(pending.values()), self._clock.now_ms()
        commit = asyncio.ensure_future(asyncio.to_thread(self._ledger.commit, batches, now_ms))
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            await asyncio.wait([commit])  # the thread goes on: what came of it must be known
            if commit.exception() is not None:
                self._put_back(pending)
            raise

    def _put_back(self, pending: dict[int, LaneBatch]) -> None:
        """What was not committed goes with the next commit: no cursor is recorded without the outcomes behind it."""
        for lane, old in pending.items():
            new = self._batch(lane)
            new.deliveries, new.ranges = [*old.deliveries, *new.deliveries], [*old.ranges, *new.ranges]
            new.cursors = old.cursors
            self._count += len(old.deliveries) + len(old.ranges)
