"""`plan`, `apply` and `export`: the configuration as a file that is kept in git."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthand.commands.shared import FAILED, fail, print_json, settings_with

if TYPE_CHECKING:
    from rich.text import Text

    from firsthand.config import Config, ConfigFile
    from firsthand.state.applied import LastApplied
    from firsthand.state.changes import Change

FileArgument = Annotated[Path, typer.Argument(help="The configuration, such as firsthand.yaml.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

MARKS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
TO_DO = {"added": "to add", "changed": "to change", "removed": "to remove"}
DRIFTED = "⚠ drift"


def plan(
    file: FileArgument,
    data: DataOption = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 where there is a difference.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what `apply` would change.

    And what was changed by other means since the last one.
    """
    from firsthand.config import load
    from firsthand.state.environments import FILE
    from firsthand.state.store import State

    config, folder = load(file), settings_with(data).data
    # Before the first `apply` there is nothing to compare with, and a plan makes nothing.
    state = State.open(folder) if (folder / FILE).exists() else State.empty()
    last, changes = state.last_applied(), state.plan(config)
    if as_json:
        print_json(_as_json(config, folder, changes, last))
    else:
        _show(_page(config, folder, changes, last))
    if exit_code and _changed(changes):
        raise SystemExit(FAILED)


def apply(
    file: FileArgument,
    data: DataOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask, at a terminal, before something is lost or goes live.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the gateway what the file says.

    One that runs takes it over within a second or two.
    """
    from firsthand.config import load
    from firsthand.state.store import State

    config, folder = load(file), settings_with(data).data
    state = State.open(folder, migrate=True)
    last, planned = state.last_applied(), state.plan(config)
    grave = any(change.kind == "removed" or _drifted(change) or _goes_live(change) for change in planned)
    if grave and not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        _show(_page(config, folder, planned, last))
        if not typer.confirm("\nApply this?"):
            fail("nothing was applied")
        changes = state.apply(config)
    else:
        changes = state.apply(config)
        if not as_json:
            _show(_page(config, folder, changes, last, done=True))
    if as_json:
        print_json(_as_json(config, folder, changes, last) | {"applied": True})
    elif _changed(changes):
        _show(_afterwards(folder))


def export(data: DataOption = None) -> None:
    """Print the configuration as a file, without its secrets."""
    from firsthand.config.export import export as write
    from firsthand.state.store import State

    state = State.open(settings_with(data).data)
    print(write(state.configuration(), state.references()).text, end="")


def warnings(config: "Config") -> Iterator[str]:
    """What a configuration leaves to a default, or to an example, that nobody should come by unawares."""
    from firsthand.doctor.configuration import placeholders

    for integration in config.integrations:
        if integration.enabled and integration.consent is None:
            yield (
                f"integration {integration.key} names no consent basis: it is sent all events but those that carry a"
                " refusal. Add consent: {basis: tcf}, {basis: categories, categories: […]} or, where none is needed,"
                " {basis: none}"
            )
        if integration.environment == "production" and (of_examples := placeholders(integration)):
            yield (
                f"integration {integration.key} is in production with the {' and '.join(of_examples)} of an example:"
                " put your own, or the events go to an account that is not yours"
            )


# -- for programs --------------------------------------------------------------------------------------------------


def _changed(changes: "Sequence[Change]") -> bool:
    return any(change.kind != "unchanged" for change in changes)


def _drifted(change: "Change") -> bool:
    return change.drift or any(field.drift for field in change.fields)


def _goes_live(change: "Change") -> bool:
    """Whether what went to the emulator goes to the vendor from then on."""
    return any(field.path == "environment" and field.new == "production" for field in change.fields)


def _as_json(
    config: "ConfigFile", folder: Path, changes: "Sequence[Change]", last: "LastApplied | None"
) -> dict[str, Any]:
    import msgspec

    return {
        "file": config.file,
        "data": str(folder),
        "changed": _changed(changes),
        "drift": any(map(_drifted, changes)),
        "last_applied": msgspec.to_builtins(last) | {"same_file": last.sha256 == config.sha256} if last else None,
        "changes": [msgspec.to_builtins(change) for change in changes],
        "warnings": list(warnings(config)),
    }


# -- for people ----------------------------------------------------------------------------------------------------


def _show(lines: "Iterator[Text]") -> None:
    from firsthand.terminal.console import stdout

    console = stdout()
    for line in lines:
        console.print(line, soft_wrap=True)


def _page(
    config: "ConfigFile", folder: Path, changes: "Sequence[Change]", last: "LastApplied | None", done: bool = False
) -> "Iterator[Text]":
    from rich.text import Text

    from firsthand.terminal.console import clean, hanging, page_width, stdout

    yield Text(f"{clean(config.file)} → {clean(folder)}", style="bold")
    for change in changes:
        if change.kind != "unchanged":
            yield from _change(change)
    counts: Counter[str] = Counter(change.kind for change in changes)
    yield Text("")
    if not _changed(changes):
        yield Text(f"Nothing to change: all {counts['unchanged']} are as the file says.")
    else:
        words = [f"{counts[kind]} {kind if done else TO_DO[kind]}" for kind in MARKS if counts[kind]]
        words += [f"{counts['unchanged']} unchanged"] if counts["unchanged"] else []
        yield Text(", ".join(words) + ".")
    live = [
        f"{change.what} {'goes' if done else 'would go'} to production: the vendor is sent its events, no longer"
        " the emulator"
        for change in changes
        if _goes_live(change)
    ]
    for warning in [*live, *warnings(config)]:
        yield hanging(Text("! ", "yellow"), Text(warning, "yellow"), page_width(stdout()))
    if any(map(_drifted, changes)):
        yield Text(f"{DRIFTED}: changed by other means since the last apply.", "yellow")
        undoes = "Applying has undone that." if done else "Applying undoes that; to keep it, write it into the file."
        yield Text(f"  {undoes}", "yellow")
    yield Text(_last(config, last), style="dim")


def _change(change: "Change") -> "Iterator[Text]":
    from rich.text import Text

    from firsthand.terminal.console import clean, hanging, page_width, stdout

    width = page_width(stdout())
    mark, style = MARKS[change.kind]
    line = Text(f"{mark} ", style=style).append(clean(change.what), style="bold")
    if change.revision:
        line.append(f"  revision {change.revision}", style="dim")
    if change.kind == "removed":
        line.append("  is here and not in the file", style="dim")
    if change.drift:
        line.append(f"  {DRIFTED}", style="yellow")
    yield line
    longest = max((len(field.path) for field in change.fields), default=0)
    for field in change.fields:
        value = Text(f"{clean(field.shown(field.old))} → {clean(field.shown(field.new))}")
        if field.hidden and field.old == field.new:
            value.append("  (another value)", style="dim")
        if field.drift:
            value.append(f"  {DRIFTED}", style="yellow")
        yield hanging(Text(f"    {field.path.ljust(min(longest, 40))}  "), value, width)


def _last(config: "ConfigFile", last: "LastApplied | None") -> str:
    from firsthand.terminal.times import full_time

    if last is None:
        return "Nothing was applied here before."
    if not last.file:
        return f"Last applied on {full_time(last.at)}, and not from a file."
    text = "another file" if last.file != config.file else "its text was another"
    if last.sha256 == config.sha256:
        text = "the same text"
    return f"Last applied: {last.file}, {full_time(last.at)}; {text}."


def _afterwards(folder: Path) -> "Iterator[Text]":
    from rich.text import Text

    from firsthand.locks import holders

    running = holders(folder)
    if running:
        yield Text(f"The gateway that runs here ({', '.join(running)}) takes it over now.")
    else:
        yield Text("No gateway runs here: `firsthand serve` takes it over when it starts.")
