"""`firsthand import`: a file's rows into events, through the running collector."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firsthand.commands.shared import FAILED

if TYPE_CHECKING:
    from firsthand.importing.run import Run, Summary

EPILOG = "Example: firsthand import orders.csv --source web-shop --event 'Order Completed' --map mapping.yaml"


def import_(
    file: Annotated[Path, typer.Argument(help="CSV, JSON lines or Parquet; .gz too.", exists=True, dir_okay=False)],
    source: Annotated[str, typer.Option(help="The key of the source that the events belong to.")],
    event: Annotated[str | None, typer.Option(help="The name of every event, in place of the mapping's.")] = None,
    map: Annotated[
        Path | None, typer.Option("--map", help="The mapping file. [default: the columns are named as fields are]")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 when rows were set aside.")] = False,
    url: Annotated[
        str | None,
        typer.Option(help="The collector; with FIRSTHAND_WRITE_KEY another machine's. [default: this machine's]"),
    ] = None,
    batch: Annotated[int, typer.Option(help="Events a request, at most.", min=1, max=500)] = 500,
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Import past events from a file.

    Through the running collector. Run again, it goes on where it was.
    """
    import asyncio

    import msgspec

    from firsthand.importing.destination import destination
    from firsthand.importing.faults import ImportFailed
    from firsthand.importing.mapping import Mapping, load
    from firsthand.importing.progress import watcher
    from firsthand.importing.run import Run
    from firsthand.settings import Settings

    settings = Settings.from_env()
    if data is not None:
        settings = msgspec.structs.replace(settings, data=data)
    watch = watcher()
    failure, run = "", None
    try:
        mapping = load(map, event) if map is not None else Mapping(name=event)
        run = Run(file, mapping, destination(source, url, settings), watch, batch)
        with run:
            if run.prepare():
                asyncio.run(_send(run))
    except ImportFailed as error:
        failure = str(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        failure = "stopped. Nothing is lost: run the same command again, and it goes on where it was"
    finally:
        watch.close()
    if run is not None and (as_json or not failure):
        _print(run.summary, as_json)
    if failure:
        print(f"firsthand: {failure}", file=sys.stderr)
    if failure or (strict and run is not None and run.summary.total_rejected):
        raise SystemExit(FAILED)


async def _send(run: "Run") -> None:
    """SIGTERM stops it as Ctrl-C does."""
    import asyncio

    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await run.send()


def _print(summary: "Summary", as_json: bool) -> None:
    import msgspec
    from rich.text import Text

    from firsthand.terminal.console import clean, stdout

    if as_json:
        print(json.dumps(msgspec.to_builtins(summary), ensure_ascii=False, indent=2))
        return
    console = stdout()
    for line in _page(summary):
        console.print(Text(clean(line)), soft_wrap=True)


def _page(summary: "Summary") -> Iterator[str]:
    if summary.already_imported is not None:
        yield f"{summary.file}: already imported; nothing to do"
        yield f"  {summary.total_accepted:>12,}  events accepted until {summary.already_imported}"
        yield f"  {summary.total_rejected:>12,}  rows set aside"
    else:
        rate = f", {summary.read / summary.seconds:,.0f} a second" if summary.seconds else ""
        rows = "1 row" if summary.read == 1 else f"{summary.read:,} rows"
        yield f"{summary.file}: imported, {rows} in {summary.seconds:,.1f} s{rate}"
        yield f"  {summary.accepted:>12,}  events accepted"
        if summary.duplicates:
            yield f"  {summary.duplicates:>12,}  had arrived already, from a run that was cut short"
        if summary.joined:
            yield f"  {summary.joined:>12,}  further lines of the same orders"
        if summary.skipped:
            yield f"  {summary.skipped:>12,}  left out, as where says"
        yield f"  {summary.rejected:>12,}  rows set aside"
    if summary.rejects is not None:
        yield f"Why rows were set aside stands in {summary.rejects}"
        yield "If it is the mapping: correct it and import again, and only these rows are taken."
        yield "If it is the rows: correct them in a file of their own; a changed file counts as a new one."
    if summary.message_id is not None and summary.total_accepted:
        own = ", or with the messageId it has itself" if summary.own_ids else ""
        yield f"What became of a line: firsthand trace {summary.message_id.replace('{line}', 'LINE')}{own}"
