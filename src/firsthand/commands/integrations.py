"""`integrations`: has one that has stopped send again."""

import time
from pathlib import Path
from typing import Annotated

import typer

from firsthand.commands.shared import fail, print_json, settings_with

WAIT_SECONDS = 10.0

app = typer.Typer(name="integrations", help="What is done with integrations while they run.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `resume` a command of its own, though it is the only one."""


@app.command(epilog="Example: firsthand integrations resume criteo")
def resume(
    key: Annotated[str, typer.Argument(help="The key of the integration.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Send again at once to an integration that has stopped.

    Its vendor refused the credentials, is in trouble, or asked for a rest. What waits goes out; where the vendor still
    says no, it stops again.
    """
    from firsthand.locks import holders
    from firsthand.state.store import State
    from firsthand.supervise import ROLES

    folder = settings_with(data).data
    state = State.open(folder)
    known = state.integration_keys()
    if key not in known:
        fail(f"there is no integration {key!r}; there are {', '.join(known) or 'none yet'}")
    if "deliver" not in holders(folder, ROLES):
        fail("no gateway delivers on this data folder; `firsthand serve` tries all that waits when it starts")
    id, ends = state.resumes.ask(key), time.monotonic() + WAIT_SECONDS
    while (asked := state.resumes.get(id)).state == "queued":
        if time.monotonic() > ends:
            fail(f"deliver did not answer within {WAIT_SECONDS:g} s; it resumes {key} when it gets to it")
        time.sleep(0.1)
    if as_json:
        print_json({"integration": key, "result": asked.result})
    else:
        said = {
            "resumed": f"{key} sends again; `firsthand status` says how it goes",
            "running": f"{key} has not stopped: there is nothing to resume",
            "disabled": f"{key} is switched off: set enabled: true and apply",
            "down": f"{key} cannot run: `firsthand status` says why",
        }
        print(said[asked.result])
    if asked.result in ("disabled", "down"):
        raise SystemExit(1)
