"""How far a lane may have sent: noted ahead, so that after a crash it is known which events may have gone out before,
though nobody knows what came of them."""

import asyncio

import msgspec

from firsthand.deliver.clock import Clock
from firsthand.eventlog.base import Position
from firsthand.ledger.base import Ledger, LedgerDamaged, LedgerUnavailable
from firsthand.ledger.records import Delivery

AHEAD = 256
"""Positions that are noted beyond the one that is taken: one small write for so many."""
RETRY_SECONDS = 1.0

_noted = msgspec.json.Decoder(dict[int, Position])


class Reach:
    """Of one lane. `started_ms`: what came in after it was not there to be sent before."""

    def __init__(self, ledger: Ledger, integration: str, clock: Clock) -> None:
        self._ledger = ledger
        self._name = f"reach:{integration}"
        self._clock = clock
        self._started_ms = clock.now_ms()
        self._before = _noted.decode(ledger.run_value(self._name) or "{}")
        self._covered = dict(self._before)

    def sent_before(self, delivery: Delivery) -> bool:
        """Whether a lane that did not end well may have sent an event of which it recorded nothing."""
        return delivery.position <= self._before.get(delivery.shard, 0) and delivery.received_ms <= self._started_ms

    def covers(self, shard: int, position: Position) -> bool:
        return position <= self._covered.get(shard, 0)

    async def cover(self, shard: int, position: Position) -> None:
        """Note that an event may be sent from now on. Waits while the ledger takes nothing."""
        covered = {**self._covered, shard: position + AHEAD}
        while True:
            try:
                await self._note(covered)
            except LedgerDamaged:
                raise
            except LedgerUnavailable:
                await self._clock.sleep(RETRY_SECONDS)
            else:
                self._covered = covered
                return

    async def clear(self) -> None:
        """All that was sent is recorded: the lane ended well."""
        await self._note({})

    async def _note(self, covered: dict[int, Position]) -> None:
        text = msgspec.json.encode(covered).decode()
        await asyncio.to_thread(self._ledger.set_run_value, self._name, text)
