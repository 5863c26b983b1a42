"""`replays`: which replays wait, run and have ended; one that is not wanted after all is cancelled."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthand.commands.shared import fail, print_json, settings_with

if TYPE_CHECKING:
    from rich.text import Text

    from firsthand.state.store import Replay

ENDED_SHOWN = 10
COUNTS = ("delivered", "dead", "filtered", "waiting", "gone")


def replays(
    cancel: Annotated[
        str | None, typer.Option(help="Cancel this one: it does not begin, or ends with what is in flight.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List replays, those that wait and run last; or cancel one."""
    import msgspec

    from firsthand.state.store import State
    from firsthand.terminal.console import stdout

    state = State.open(settings_with(data).data)
    if cancel is not None:
        before = {replay.id: replay.state for replay in state.replays()}
        if cancel not in before:
            fail(f"there is no replay {cancel}; `firsthand replays` lists them")
        if state.update_replay(cancel, "cancelled") != "cancelled" or before[cancel] == "cancelled":
            fail(f"replay {cancel} has ended already: {before[cancel]}")
    found = state.replays()
    if as_json:
        print_json({"replays": [msgspec.to_builtins(replay) for replay in found]})
        return
    console = stdout()
    for line in _page(found):
        console.print(line, soft_wrap=True)


def _page(found: "Sequence[Replay]") -> "Iterator[Text]":
    from rich.text import Text

    from firsthand.terminal.console import clean
    from firsthand.terminal.times import full_time

    ended = [replay for replay in found if replay.state not in ("queued", "running")][-ENDED_SHOWN:]
    open_ = [replay for replay in found if replay.state in ("queued", "running")]
    if not found:
        yield Text("No replay was asked for here")
    for replay in (*ended, *open_):
        state = "waits" if replay.state == "queued" else replay.state
        line = Text(f"{replay.id}  {state:<9}  ", style="" if replay in open_ else "dim")
        line.append(f"{replay.integration}  {full_time(replay.created_at)}  {clean(_asked(replay.filter))}")
        yield line
        if said := _progress(replay.progress):
            yield Text(f"    {clean(said)}", style="dim")
    if any(replay.state == "queued" for replay in open_):
        yield Text("What waits runs as soon as the `firsthand serve` of this data folder gets to it")


def _asked(filter: dict[str, Any]) -> str:
    """What it was asked for, as the options of `replay` say it."""
    from firsthand.event import format_time

    wanted = filter.get("filter", {})
    words = {"state": "--state", "code": "--reason", "message_id": "--message-id"}
    times = {"from_ms": "--from", "to_ms": "--to"}
    asked = [f"{option} {wanted[name]}" for name, option in words.items() if wanted.get(name) is not None]
    asked += [f"{option} {format_time(wanted[name])}" for name, option in times.items() if wanted.get(name) is not None]
    return " ".join(asked + (["--resend"] if wanted.get("resend") else [])) or "all that is dead or filtered"


def _progress(progress: dict[str, Any]) -> str:
    if "error" in progress:
        return str(progress["error"])
    counts = ", ".join(f"{progress[name]:,} {name}" for name in COUNTS if progress.get(name))
    return f"{progress['done']:,} done: {counts}" if progress.get("done") else ""
