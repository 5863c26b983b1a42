"""`consent`: proof of what was decided on each delivery, and on whose word."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthand.commands.shared import FAILED, fail, print_json, settings_with

if TYPE_CHECKING:
    from firsthand.ledger.consent_proof import ConsentReader, Place

app = typer.Typer(
    help="Proof of consent: a log of decisions that shows later edits.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
]


@app.command(epilog="Example: firsthand consent verify --data /var/lib/firsthand")
def verify(
    data: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Prove that the consent log is whole.

    And that the ledger agrees with it. Exit code 1 when something was changed.
    """
    from firsthand.ledger import consent_verify
    from firsthand.ledger.consent_proof import Broken

    reader = _open(data)
    try:
        found = consent_verify.verify(reader, _kept_since_ms(data))
    except Broken as broken:
        if as_json:
            print_json({"whole": False, "sequence": broken.sequence, "message": str(broken)})
        else:
            place = "" if broken.sequence is None else f" at sequence {broken.sequence}"
            print(f"\N{BALLOT X} the consent log is broken{place}: {broken}")
        raise SystemExit(FAILED) from None
    finally:
        reader.close()
    if as_json:
        print_json(
            {
                "whole": True,
                "first": found.first,
                "last": found.last,
                "decisions": found.decisions,
                "heads": found.heads,
                "deliveries": found.rows,
            }
        )
        return
    if not found.last:
        print("\N{CHECK MARK} nothing has been decided yet")
        return
    span = f"sequence {found.first:,} to {found.last:,}, {found.decisions:,} decisions"
    print(f"\N{CHECK MARK} the consent log is whole: {span}")
    compared = (
        "1 delivery in the ledger agrees" if found.rows == 1 else f"{found.rows:,} deliveries in the ledger agree"
    )
    print(f"  {compared} with it")
    if found.heads:
        print(f"  {found.heads:,} exported {'head agrees' if found.heads == 1 else 'heads agree'} with it")
    else:
        print("  no head has been exported yet: without one, nobody can tell whether the whole log was written anew")


@app.command(epilog="Example: firsthand consent export --message-id 7d1f... > proof.jsonl")
def export(
    since: Annotated[
        str | None, typer.Option("--from", help="What was decided at or after this time (ISO 8601).")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="What was decided before this time.")] = None,
    integration: Annotated[str | None, typer.Option(help="Show the decisions of this integration.")] = None,
    visitor: Annotated[
        str | None, typer.Option(help="Show those on events of this anonymous id, or user id where they have none.")
    ] = None,
    message_id: Annotated[str | None, typer.Option(help="Show the decisions on this event.")] = None,
    data: DataOption = None,
) -> None:
    """Print the consent log as JSON lines.

    With all that is needed to check it elsewhere.
    """
    from firsthand.ledger.consent_proof import Broken, lines

    if visitor is not None and message_id is not None:
        raise typer.BadParameter("give one of them", param_hint="--visitor, --message-id")
    from_ms, to_ms = _time("--from", since), _time("--to", until)
    reader = _open(data)
    try:
        _known_integration(reader, integration)
        places = _places(reader, data, visitor, message_id)
        count = 0
        for line in lines(reader, from_ms=from_ms, to_ms=to_ms, integration=integration, places=places):
            count += 1
            print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
        if not count:
            print("firsthand: nothing was decided in that time", file=sys.stderr)
    except Broken as broken:
        fail(f"the consent log is broken at sequence {broken.sequence}: {broken}")
    finally:
        reader.close()


def _open(data: Path | None) -> "ConsentReader":
    from firsthand.ledger.consent_proof import ConsentReader, NoConsentLog

    try:
        return ConsentReader(settings_with(data).data)
    except NoConsentLog as error:
        fail(str(error))
        raise


def _kept_since_ms(data: Path | None) -> int | None:
    """What was decided since must still be there. A head may be exported up to a day after what it stands for."""
    import time

    from firsthand.state.database import StateError
    from firsthand.state.store import State

    try:
        kept = State.open(settings_with(data).data).process().ledger.max_age
    except StateError:
        return None  # a ledger that was handed over alone: how long it is kept is not known
    return round((time.time() - kept + 86_400) * 1000)


def _time(option: str, text: str | None) -> int | None:
    from firsthand.event import parse_time

    try:
        return parse_time(text) if text else None
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a time such as 2026-11-22 or 2026-11-22T10:15:00Z", param_hint=option
        ) from None


def _known_integration(reader: "ConsentReader", integration: str | None) -> None:

    known = reader.integrations()
    if integration is not None and integration not in known:
        fail(f"there is no integration {integration!r}; there are {', '.join(known) or 'none yet'}")


def _places(
    reader: "ConsentReader", data: Path | None, visitor: str | None, message_id: str | None
) -> "set[Place] | None":
    """The deliveries that are asked for, or None for all."""

    if visitor is None and message_id is None:
        return None
    log, sources = _log(data)
    if visitor is not None:
        from firsthand.eventlog.base import visitor_hash

        found = reader.visitors({visitor_hash(source, visitor) for source in sources})
    else:
        found = reader.of_message(message_id or "", [(s, p) for s, p in _positions(log, sources, message_id or "")])
    if not found:
        asked = f"visitor {visitor!r}" if visitor is not None else f"message id {message_id!r}"
        fail(f"the ledger has no deliveries of the {asked}: are they older than ledger.max_age, or of another gateway?")
    return found


def _log(data: Path | None) -> tuple[Any, list[str]]:
    from firsthand.eventlog.sqlite_reader import SqliteLogReader

    log = SqliteLogReader(settings_with(data).data)
    return log, list(log.sources())


def _positions(log: Any, sources: list[str], message_id: str) -> list[tuple[int, int]]:
    return [place for source in sources if (place := log.find(source, message_id)) is not None]
