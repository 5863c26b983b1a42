"""Collect's part of an erasure: it alone writes the event log, so it erases the events that deliver has found."""

import asyncio

import apsw
import structlog

from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.identity.erasure import Match, Plan, plan_of
from firsthand.state.database import StateError
from firsthand.state.erasures import why
from firsthand.state.store import State

log = structlog.get_logger()

LOOK_SECONDS = 0.5


async def follow(state: State, event_log: SqliteLogWriter) -> None:
    """Carry out what is asked for, until cancelled."""
    told = False
    while True:
        try:
            await work(state, event_log)
            told = False
        except (apsw.Error, StateError) as error:
            if not told:
                log.error("an erasure cannot go on", error=type(error).__name__, remedy="it is tried again")
            told = True
        await asyncio.sleep(LOOK_SECONDS)


async def work(state: State, event_log: SqliteLogWriter) -> None:
    """Erase what has been found by now. Raises apsw.Error where that is to be tried again."""
    for erasure in await asyncio.to_thread(state.erasures.open):
        if erasure.state == "running" and not erasure.log_done:
            try:
                await _erase(event_log, plan_of(erasure.plan))
            except (apsw.Error, StateError):
                raise
            except Exception as error:  # a fault of ours ends this erasure, and nothing else
                log.error("an erasure failed", id=erasure.id, error=type(error).__name__, exc_info=error)
                state.erasures.failed(erasure.id, why(error))
            else:
                state.erasures.log_done(erasure.id)


async def _erase(event_log: SqliteLogWriter, plan: Plan) -> None:
    redactions = Match(plan.ids, plan.shared).redactions
    mentions = {position: redactions[source].body for source, places in plan.mentions.items() for _, position in places}
    await event_log.erase([position for _, position in plan.events], mentions)
