"""`status`: the whole gateway on a page, once or as it goes."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from firsthand.commands.shared import FAILED, print_json, settings_with

WATCH_SECONDS = 2.0


def status(
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    recount: Annotated[
        bool, typer.Option("--recount", help="Also count every row of the ledger again; takes long.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again every two seconds, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs; with --watch an object a line.")
    ] = False,
) -> None:
    """What came in, what became of it and why; whether it runs.

    Exit code 1 when counts do not balance.
    """
    import asyncio

    from firsthand.status import status as read
    from firsthand.terminal.console import stdout
    from firsthand.terminal.status import show

    folder, console = settings_with(data).data, stdout()
    while True:
        found = asyncio.run(read(folder, recount))
        if watch and as_json:
            print(json.dumps(found, ensure_ascii=False), flush=True)
        elif as_json:
            print_json(found)
        else:
            if watch:
                console.clear()  # nothing where it is no terminal
            show(found, console)
        if not watch:
            break
        try:
            time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            break
    if not all(integration["balanced"] for integration in found["integrations"]):
        raise SystemExit(FAILED)
