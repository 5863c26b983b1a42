"""`visitor erase` and `visitor export`: what the law lets a visitor ask for."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from firsthand.commands.shared import FAILED, fail, print_json, settings_with

NAMED = {"a": "the anonymous id", "u": "the user id", "e": "the address"}
T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Erase or export all that is kept of a visitor.")

AnonymousId = Annotated[str | None, typer.Option("--anonymous-id", help="The visitor by an anonymous id.")]
UserId = Annotated[str | None, typer.Option("--user-id", help="The visitor by the shop's own id of the user.")]
Email = Annotated[str | None, typer.Option("--email", help="The visitor by an e-mail address, in any case.")]
Source = Annotated[str | None, typer.Option(help="Only at this source. [default: at all of them]")]
LinkedUsers = Annotated[
    bool, typer.Option("--with-linked-users", help="Also the users who only have an e-mail address with the visitor.")
]
Data = Annotated[
    Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command(epilog="Example: firsthand visitor erase --email ann@example.com --dry-run")
def erase(
    anonymous_id: AnonymousId = None,
    user_id: UserId = None,
    email: Email = None,
    source: Source = None,
    linked_users: LinkedUsers = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Erase a visitor from every store, for good.

    All ids linked with the one named, and their events.

    What waits is not sent, no replay brings it back, and what arrives late is erased too. The gateway may run.
    """
    from firsthand import visitors

    settings, who = settings_with(data), _wanted(anonymous_id, user_id, email, source, linked_users)
    held = _look(lambda: visitors.look(settings, who))
    found = held.counts()
    if held.nothing:
        fail(f"nobody is known by {_said(who)}: there is nothing to erase")
    if dry_run:
        print_json(found) if as_json else _print_found(found, "would be erased")
        return
    if not as_json:
        _print_found(found, "are to be erased")
        if not yes and sys.stdin.isatty() and sys.stdout.isatty() and not typer.confirm("\nErase this for good?"):
            fail("nothing was erased")
    ended = visitors.erase(settings, who, tell=lambda text: None if as_json else print(f"{text} …"))
    if as_json:
        print_json({"id": ended.id, "state": ended.state, **ended.result})
    elif ended.state == "done":
        print("Erased. What arrives from before this moment is erased as it comes.")
    else:
        print(f"It failed: {ended.result.get('error')}")
    if ended.state == "failed":
        raise SystemExit(FAILED)


@app.command(epilog="Example: firsthand visitor export --user-id 4711 --output 4711.json")
def export(
    anonymous_id: AnonymousId = None,
    user_id: UserId = None,
    email: Email = None,
    source: Source = None,
    linked_users: LinkedUsers = False,
    output: Annotated[Path | None, typer.Option(help="Write it to this file, readable for you alone.")] = None,
    data: Data = None,
) -> None:
    """Print everything that is kept of a visitor, as JSON.

    Unmasked: ids, consent, events, and what vendors were sent.
    """
    import json
    import os

    from firsthand import visitors
    from firsthand.terminal.console import counted

    who = _wanted(anonymous_id, user_id, email, source, linked_users)
    found = _look(lambda: visitors.export(settings_with(data), who))
    if not (found["profiles"] or found["events"] or found["deliveries"]):
        fail(f"nobody is known by {_said(who)}: there is nothing to export")
    if output is None:
        print_json(found)
        return
    with os.fdopen(os.open(output, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)  # also a file that was there before
        file.truncate()
        json.dump(found, file, ensure_ascii=False, indent=2)
    print(f"{output}: {counted(len(found['events']), 'event')}, {counted(len(found['deliveries']), 'delivery')}")


def _wanted(
    anonymous_id: str | None, user_id: str | None, email: str | None, source: str | None, linked_users: bool
) -> Any:
    from firsthand.visitors import Unreachable, wanted

    try:
        return wanted(anonymous_id, user_id, email, source, linked_users)
    except Unreachable as error:
        raise typer.BadParameter(str(error)) from None


def _said(who: Any) -> str:
    from firsthand.personal import mask_text

    return f"{NAMED[who.kind]} {mask_text(who.value)!r}"


def _look(look: Callable[[], T]) -> T:
    from firsthand.visitors import Unreachable

    try:
        return look()
    except Unreachable as error:
        raise typer.BadParameter(str(error)) from None


def _print_found(found: dict[str, Any], what: str) -> None:
    names = {"anonymous_ids": "anonymous id", "user_ids": "user id", "emails": "e-mail address"}
    for source, ids in found["ids"].items():
        print(f"{source}: {', '.join(_many(len(ids[kind]), name) for kind, name in names.items() if ids[kind])}")
    for source, shared in found["shared_browsers"].items():
        print(f"{source}: {_many(len(shared), 'browser')} shared with other users, whose events stay")
    for source, users in found["linked_users"].items():
        who = _many(len(users), "user")
        print(f"{source}: {who} with an address in common with them, not taken; --with-linked-users takes them too")
    print(f"  {found['events']:>8}  events {what}")
    if found["mentions"]:
        print(f"  {found['mentions']:>8}  events of others stay, without the address that they mention")
    print(f"  {found['deliveries']:>8}  deliveries, {found['open_deliveries']} of them not settled yet")


def _many(count: int, name: str) -> str:
    return f"{count} {name}" + ("" if count == 1 else "es" if name.endswith("s") else "s")
