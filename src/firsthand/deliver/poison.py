"""An event that kills the process must not do so for ever.

Each process notes where its lanes stand. When one dies three times in a row without some lane that has work getting
any further, the next one is careful: one event at a time, each written down before it is worked on. If it dies again,
the event that was written down is the killer: it is set aside (`poison`), and the process runs at full speed again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import structlog

from firsthand.eventlog.base import Position
from firsthand.ledger.records import Delivery
from firsthand.ledger.sqlite import SqliteLedger

log = structlog.get_logger()

DEATHS_BEFORE_CARE = 3
CAREFUL_SECONDS = 60.0
"""Care is slow. A process that nothing has killed for so long starts anew without it."""
SUSPECT = "suspect"
RUN = "run"

Cursors = dict[int, Position]


class Run(msgspec.Struct):
    """What a process leaves behind for the next one: where its lanes stood, and whether it ended well."""

    cursors: dict[str, Cursors]
    clean: bool = False
    deaths: int = 0


class Suspect(msgspec.Struct):
    """The delivery that was being worked on, written down before it was."""

    integration: str
    shard: int
    position: Position
    generation: int


def start_of_run(ledger: SqliteLedger, working: Mapping[str, Cursors]) -> Run:
    """Counts how often in a row the process died while a lane got no further. `working` are the lanes with work."""
    left = ledger.run_value(RUN)
    before = msgspec.json.decode(left, type=Run) if left else None
    run = Run(dict(working))
    if before is not None and not before.clean:
        stuck = any(before.cursors.get(key) == cursors for key, cursors in working.items())
        run.deaths = before.deaths + 1 if stuck else 0
    ledger.set_run_value(RUN, msgspec.json.encode(run).decode())
    return run


def suspects(ledger: SqliteLedger, careful: bool) -> list[Suspect]:
    """The event that was being worked on alone when the process died, if it was that careful already."""
    note = ledger.run_value(SUSPECT)
    if not note:
        return []
    ledger.set_run_value(SUSPECT, "")
    if not careful:
        return []
    found = msgspec.json.decode(note, type=Suspect)
    log.error("an event is set aside: the process died on it", integration=found.integration, position=found.position)
    return [found]


class Care:
    """One event at a time over all lanes, so that there is never more than one suspect."""

    def __init__(self, ledger: SqliteLedger) -> None:
        self._ledger = ledger
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def alone(self, integration: str, delivery: Delivery) -> AsyncIterator[None]:
        """Write a delivery down while it is worked on."""
        async with self._lock:
            note = Suspect(integration, delivery.shard, delivery.position, delivery.generation)
            self._ledger.set_run_value(SUSPECT, msgspec.json.encode(note).decode())
            yield
            self._ledger.set_run_value(SUSPECT, "")
