"""`events`: lists message ids to trace, by what became of the events or by what stands in them."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthand.commands.shared import print_json, settings_with

if TYPE_CHECKING:
    from rich.text import Text

    from firsthand.listing import Wanted

FOLLOW_SECONDS = 0.5
FOLLOWED = 1_000
STATES = ("delivered", "filtered", "dead", "retrying", "held")


def events(
    integration: Annotated[str | None, typer.Option(help="Only at this integration. [default: at all of them]")] = None,
    state: Annotated[str | None, typer.Option(help=f"Only what is {', '.join(STATES[:-1])} or {STATES[-1]}.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only deliveries with this reason code.")] = None,
    about: Annotated[
        str | None,
        typer.Option(help="Only events in which this value stands: the id of an order, a user or a browser."),
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only events of this source.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only events received since a time (ISO 8601), or for so long: 15m, 2h, 3d.")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many, the newest first.", min=1, max=10_000)] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, a line for each change, until Ctrl-C.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON for programs; with --follow an object a line.")
    ] = False,
) -> None:
    """List events, the newest first, with what became of them.

    With the message ids that `trace` takes.
    """
    from firsthand.listing import Wanted
    from firsthand.listing import events as find
    from firsthand.reasons import DEAD, FILTERED, HELD
    from firsthand.terminal.console import stdout

    if state not in (None, *STATES):
        raise typer.BadParameter(f"it is {', '.join(STATES)}", param_hint="--state")
    if reason not in (None, *FILTERED, *DEAD, *HELD):
        raise typer.BadParameter(f"there is no reason {reason!r}; docs/reasons.md lists them", param_hint="--reason")
    wanted = Wanted(integration, state, reason, about, source, _since(since) if since else None)
    if follow:
        _follow(settings_with(data).data, wanted, limit, as_json)
        return
    found = find(settings_with(data).data, wanted, limit)
    if as_json:
        print_json({"events": found})
        return
    console = stdout()
    for line in _page(found, limit):
        console.print(line, soft_wrap=True)


def _since(text: str) -> int:
    """Milliseconds since 1970."""
    from firsthand.config.values import Unreadable, duration
    from firsthand.event import parse_time

    try:
        return round((time.time() - duration(text)) * 1000)
    except Unreadable:
        pass
    try:
        return parse_time(text)
    except ValueError:
        said = f"{text!r} is neither a time such as 2026-11-22T10:15:00Z nor a length of time such as 2h"
        raise typer.BadParameter(said, param_hint="--since") from None


def _follow(data: Path, wanted: "Wanted", limit: int, as_json: bool) -> None:
    """The newest, oldest first, then what comes; an event that is tried again stands there once more."""
    from firsthand.listing import events as find
    from firsthand.terminal.console import stdout

    console, shown = stdout(), set[tuple[str, ...]]()
    while True:
        # A change of an event that is not among the newest any more goes by unseen.
        found = find(data, wanted, max(limit, FOLLOWED))
        fresh = [line for line in found if _key(line) not in shown] if shown else found[:limit]
        shown = {_key(line) for line in found}
        for line in sorted(fresh, key=lambda line: str(line["updated_at"])):
            if as_json:
                print(json.dumps(line, ensure_ascii=False), flush=True)
            else:
                console.print(next(_page([line], 0)), soft_wrap=True)
        try:
            time.sleep(FOLLOW_SECONDS)
        except KeyboardInterrupt:
            return


def _key(line: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(line[name]) for name in ("integration", "message_id", "received_at", "state", "updated_at"))


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
