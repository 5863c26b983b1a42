"""How our processes run: the event loop and the garbage collector."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine to its end.

    What was loaded at start lives as long as the process and is taken out of the collector's sight. Events make many
    small objects and no cycles: looking for cycles less often saves about a tenth of the cost of an event.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)
