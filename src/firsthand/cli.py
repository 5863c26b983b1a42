"""The commands. Each is thin: it reads what it was given, calls the part that does the work, and prints."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthand.commands import (
    check,
    consent,
    doctor,
    events,
    import_,
    init,
    integrations,
    replays,
    serve,
    status,
    visitor,
)
from firsthand.commands import plan as configuration
from firsthand.commands.shared import FAILED, fail, print_json, settings_with

if TYPE_CHECKING:
    pass

app = typer.Typer(
    name="firsthand",
    help="A self-hosted event gateway: keeps a shop's events and hands them, server to server, to its vendors.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help in colour takes three times as long
    context_settings={"help_option_names": ["-h", "--help"]},
)

# By name, so that `firsthand --help` need not load all that may raise them.
KNOWN = frozenset({"ConfigError", "VendorError", "StateError", "BusyError", "DataInUse", "Unusable"})
DAMAGE = frozenset({"NotADBError", "CorruptError"})
DataOption = Annotated[
    Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> None:
    """The entry point. Known errors end in one clear message and exit code 1, never in a traceback."""
    try:
        app()
    except FileExistsError as error:
        fail(f"{error.filename} is in the way: the data folder must be a folder")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds & DAMAGE:
            fail(f"a file in the data folder is damaged ({error}): follow `Damaged files` in docs/delivery.md")
        if not kinds & KNOWN:
            raise
        fail(str(error))


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"firsthand {version('firsthand')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


app.command(epilog="Example: firsthand init")(init.init)
app.command(epilog="Example: firsthand serve --config firsthand.yaml")(serve.serve)


@app.command(epilog="Example: firsthand emulate --port 9090")
def emulate(
    port: Annotated[int, typer.Option(help="The port of all emulators.", min=0, max=65535)] = 9090,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    faults: Annotated[
        Path | None,
        typer.Option(help='Faults to begin with, as JSON: {"criteo-s2s": {"kind": "status_500", "rate": 0.1}}'),
    ] = None,
) -> None:
    """Run the vendors' emulators.

    They are strict, have the vendors' quirks, and faults on demand.
    """
    from firsthand.emulators import server

    wanted: Any = None
    if faults is not None:
        try:
            wanted = json.loads(faults.read_text())
        except ValueError as error:
            fail(f"{faults} is not JSON: {error}")
    try:
        server.run(port, host, wanted)
    except OSError as error:
        cause = os.strerror(error.errno or 0)
        fail(f"cannot listen on {host}:{port}: {cause}; choose another --port or stop what runs there")
    except ValueError as error:
        fail(str(error))


@app.command(epilog="Example: firsthand demo")
def demo(
    events: Annotated[int, typer.Option(help="About how many events the hour has.", min=100, max=20_000)] = 2_000,
    port: Annotated[
        int | None,
        typer.Option(
            help="The collector's port; the shop and the emulators take the two behind it. 0: any that are free."
            " [default: 8080, 8081 and 9090, or any where those are taken]",
            min=0,
            max=65533,
        ),
    ] = None,
) -> None:
    """See it work: a shop's hour, sent to the emulators.

    Takes half a minute. At a terminal it goes on until Ctrl-C.
    """
    from firsthand.demo.run import run

    raise SystemExit(run(events, port))


@app.command(epilog="Example: firsthand trace 0192f3c1-…-8a4d")
def trace(
    message_id: Annotated[str, typer.Argument(help="The messageId of the event; `firsthand events` lists some.")],
    source: Annotated[str | None, typer.Option(help="The source that sent it, where several used the same id.")] = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What became of one event at every integration, and why."""
    from firsthand.eventlog.sqlite_reader import SqliteLogReader
    from firsthand.ledger.reader import LedgerReader
    from firsthand.ledger.trace import trace as find
    from firsthand.state.environments import environments
    from firsthand.terminal.trace import show

    settings = settings_with(data)
    log, ledger = SqliteLogReader(settings.data), LedgerReader(settings.data)
    if source is not None and source not in log.sources():
        fail(f"no source {source!r} has sent anything here; there are {', '.join(log.sources()) or 'none yet'}")
    sources = [source] if source else log.sources()
    found = find(message_id, sources, log, ledger, environments(settings.data))
    if not found:
        fail(
            f"no event with the message id {message_id!r} is kept here. Was it acknowledged (HTTP 200), by this gateway"
            " (--data), and within log.max_age? `firsthand events --about TEXT` finds events by the id of an order, a"
            " user or a browser"
        )
    if as_json:
        print_json(
            found[0] if len(found) == 1 or source else found[0] | {"also_from": [t["source"] for t in found[1:]]}
        )
        return
    for one in found:
        show(one, data=data)


app.command(epilog="Example: firsthand events --state dead --reason field_invalid")(events.events)


app.command(epilog="Example: firsthand status --json | jq '.integrations[] | select(.balanced | not)'")(status.status)


@app.command(epilog="Example: firsthand replay --integration criteo --state dead --reason vendor_rejected --dry-run")
def replay(
    integration: Annotated[str, typer.Option(help="The key of the integration.")],
    since: Annotated[
        str | None, typer.Option("--from", help="Events received at or after this time (ISO 8601).")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Events received before this time.")] = None,
    state: Annotated[str | None, typer.Option(help="dead, filtered or delivered. [default: dead and filtered]")] = None,
    reason: Annotated[str | None, typer.Option(help="Only deliveries with this reason code.")] = None,
    message_id: Annotated[str | None, typer.Option(help="Only this event.")] = None,
    resend: Annotated[
        bool, typer.Option("--resend", help="Also what was, or may have been, delivered: a second time.")
    ] = False,
    rate: Annotated[float, typer.Option(help="Events a second.", min=0.1)] = 100.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent again.")] = False,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send past events again.

    What was delivered is left alone unless told so.
    """
    import asyncio

    from firsthand.replays import Unusable, request, wanted_deliveries, watch, why_nothing
    from firsthand.replays import dry_run as count

    settings = settings_with(data)
    try:
        wanted = wanted_deliveries(state, reason, since, until, message_id, resend)
    except Unusable as error:
        raise typer.BadParameter(str(error)) from None
    found = asyncio.run(count(settings.data, integration, wanted))
    if not found["matched"]:
        found["why"] = asyncio.run(why_nothing(settings.data, integration, wanted))
    if dry_run or not found["matched"]:
        print_json(found) if as_json else print_replay(found)
        return
    id = request(settings.data, integration, wanted, rate)
    result = watch(settings.data, id, found["matched"], show=not as_json)
    if as_json:
        print_json(result)
    if result["state"] == "failed":
        raise SystemExit(FAILED)


app.command(epilog="Example: firsthand replays --cancel 0192f3c1-…")(replays.replays)


def print_replay(found: dict[str, Any]) -> None:
    if not found["matched"]:
        print(f"Nothing to replay: {found['why']}")
    else:
        print(f"{found['matched']} deliver{'y' if found['matched'] == 1 else 'ies'} would be sent again")
    for what, count in found["by_reason"].items():
        print(f"  {count:>8}  {what}")
    if found["gone"]:
        print(f"  {found['gone']:>8}  cannot: the event is kept nowhere any more")


app.command(epilog="Example: firsthand plan firsthand.yaml --exit-code")(configuration.plan)
app.command(epilog="Example: firsthand apply firsthand.yaml")(configuration.apply)
app.command(epilog="Example: firsthand export > firsthand.yaml")(configuration.export)
app.command(epilog="Example: firsthand check cases/ --config firsthand.yaml")(check.check)
app.command(epilog="Example: firsthand doctor --config firsthand.yaml --production --strict")(doctor.doctor)
app.command("import", epilog=import_.EPILOG)(import_.import_)
app.add_typer(consent.app, name="consent", epilog="Example: firsthand consent verify")
app.add_typer(integrations.app, name="integrations", epilog="Example: firsthand integrations resume criteo")
app.add_typer(visitor.app, name="visitor", epilog="Example: firsthand visitor erase --email ann@example.com --dry-run")
