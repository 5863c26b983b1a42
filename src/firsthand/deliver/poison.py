"""An event that kills the process must not do so for ever.

Each process notes when it started and where its lanes stand. When one dies three times in a row, each time soon after
its start or without some lane that has work getting any further, the next one is careful: one event at a time, each
written down before it is worked on. The event that two careful processes in a row died on is the killer: it is set
aside (`poison`), and the process runs at full speed again.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
import structlog

from firsthand.deliver.outcome import dead
from firsthand.eventlog.base import Position
from firsthand.ledger.base import Ledger
from firsthand.ledger.records import Delivery
from firsthand.reasons import Reason

log = structlog.get_logger()

DEATHS_BEFORE_CARE = 3
SHORT_LIFE_MS = 6_000
"""From start to start. A retry that kills is due at each start, however far its lane gets meanwhile."""
CAREFUL_SECONDS = 60.0
"""Care is slow. A process that nothing has killed for so long starts anew without it."""
SUSPECT = "suspect"
RUN = "run"

Cursors = dict[int, Position]


class Suspect(msgspec.Struct):
    """The delivery that was being worked on, written down before it was."""

    integration: str
    shard: int
    position: Position
    generation: int


class Run(msgspec.Struct):
    """What a process leaves behind for the next one: where its lanes stood, and whether it ended well.

    `suspect` is the event that the process before it was careful with and died on; `killer` is one that two did.
    """

    cursors: dict[str, Cursors]
    started_ms: int
    clean: bool = False
    deaths: int = 0
    suspect: Suspect | None = None
    killer: Suspect | None = None

    @property
    def careful(self) -> bool:
        return self.deaths >= DEATHS_BEFORE_CARE


def start_of_run(ledger: Ledger, working: Mapping[str, Cursors], now_ms: int) -> Run:
    """Counts how often in a row the process died early or while a lane got no further, and finds what it died on.

    `working` are the cursors of the lanes that have work.
    """
    left, note = ledger.run_value(RUN), ledger.run_value(SUSPECT)
    before = msgspec.json.decode(left, type=Run) if left else None
    run = Run(dict(working), now_ms)
    if before is not None and not before.clean:
        stuck = any(before.cursors.get(key) == cursors for key, cursors in working.items())
        short = now_ms - before.started_ms < SHORT_LIFE_MS
        run.deaths = before.deaths + 1 if stuck or short else 0
        if before.careful and note:
            suspect = msgspec.json.decode(note, type=Suspect)
            if suspect == before.suspect:
                run.deaths, run.killer = 0, suspect
                log.error(
                    "an event is set aside: the process died on it",
                    integration=suspect.integration,
                    position=suspect.position,
                )
            else:
                run.suspect = suspect
    ledger.set_run_value(SUSPECT, "")
    ledger.set_run_value(RUN, msgspec.json.encode(run).decode())
    return run


def end_of_run(ledger: Ledger, run: Run) -> None:
    """It ended well."""
    run.clean = True
    ledger.set_run_value(RUN, msgspec.json.encode(run).decode())


def set_aside(killer: Suspect | None, integration: str, delivery: Delivery) -> bool:
    """Whether this is the killer; it is dead then."""
    if killer is None or killer != Suspect(integration, delivery.shard, delivery.position, delivery.generation):
        return False
    message = "the process died each time this event was worked on; it is set aside so that the others go on"
    dead(delivery, Reason("poison", None, message))
    return True


class Care:
    """One event at a time over all lanes, so that there is never more than one suspect."""

    def __init__(self, ledger: Ledger) -> None:
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
