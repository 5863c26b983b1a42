"""How a process that runs learns that the configuration is another one: it looks, once a second."""

import asyncio

from firsthand.state.database import StateError
from firsthand.state.store import State

EVERY_SECONDS = 1.0


async def next_version(state: State, version: str) -> str:
    """Waits until the configuration's version is another one than this, and returns it."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            found = await asyncio.to_thread(state.version)
        except StateError:
            continue  # somebody is writing it
        if found != version:
            return found
