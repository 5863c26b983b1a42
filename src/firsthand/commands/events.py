"""`events`: lists message ids to trace, by what became of the events or by what stands in them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

STATES = ("delivered", "filtered", "dead", "retrying", "held")


def events(
    integration: Annotated[str | None, typer.Option(help="Only at this integration. [default: at all of them]")] = None,
    state: Annotated[str | None, typer.Option(help=f"Only what is {', '.join(STATES[:-1])} or {STATES[-1]}.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only deliveries with this reason code.")] = None,
    about: Annotated[
        str | None,
        typer.Option(help="Only events in which this value stands: the id of an order, a user or a browser."),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=10_000)] = 20,
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List events, the newest first, with what became of them.

    With the message ids that `trace` takes.
    """
    from firsthand.cli import print_json, settings_with
    from firsthand.listing import Wanted
    from firsthand.listing import events as find
    from firsthand.reasons import DEAD, FILTERED, HELD
    from firsthand.terminal.console import stdout

    if state not in (None, *STATES):
        raise typer.BadParameter(f"it is {', '.join(STATES)}", param_hint="--state")
    if reason not in (None, *FILTERED, *DEAD, *HELD):
        raise typer.BadParameter(f"there is no reason {reason!r}; docs/reasons.md lists them", param_hint="--reason")
    found = find(settings_with(data).data, Wanted(integration, state, reason, about), limit)
    if as_json:
        print_json({"events": found})
        return
    console = stdout()
    for line in _page(found, limit):
        console.print(line, soft_wrap=True)


def _page(found: Sequence[dict[str, Any]], limit: int) -> "Iterator[Text]":
    """Message ids come last and whole, so that they can be copied."""
    from rich.text import Text

    from firsthand.terminal.console import clean
    from firsthand.terminal.times import full_time

    if not found:
        yield Text("No event of which this is true is kept here")
        return
    rows = [
        (
            full_time(line["received_at"]).removesuffix(" UTC"),
            line["integration"],
            " ".join(filter(None, (line["state"], (line["reason"] or {}).get("code")))),
            clean(line["event"]),
            clean(line["message_id"] or "(its event is kept nowhere any more)"),
        )
        for line in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        yield Text("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]))
    if len(found) == limit:
        yield Text(f"These are the newest {limit}; --limit shows more", style="dim")
