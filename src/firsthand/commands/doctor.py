"""`doctor`: checks the set-up, the machine, the vendors' addresses, the events and what became of them."""

from pathlib import Path
from typing import Annotated

import typer

from firsthand.commands.shared import FAILED, print_json, settings_with

DEFAULT = Path("firsthand.yaml")


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="The configuration. [default: ./firsthand.yaml where there is one]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    production: Annotated[
        bool,
        typer.Option("--production", help="Judge as if for real visitors: a sandbox or a placeholder is an error."),
    ] = False,
    catalogue: Annotated[
        Path | None, typer.Option(help="Compare product ids with these: one a line, or CSV or XML with a field id.")
    ] = None,
    events: Annotated[int, typer.Option(help="How many events of each source to look at.", min=1, max=100_000)] = 1_000,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Find what is wrong with the set-up, with remedies.

    Sends no event and changes nothing.
    """
    import msgspec

    from firsthand.doctor import Context, examine

    if config is None and DEFAULT.exists():
        config = DEFAULT
    report = examine(Context(settings_with(data), config, production=production, catalogue=catalogue, events=events))
    errors, warnings = report.count("error"), report.count("warning")
    if as_json:
        groups = report.groups.items()
        findings = [{"group": group} | msgspec.to_builtins(finding) for group, found in groups for finding in found]
        print_json({"errors": errors, "warnings": warnings, "ok": report.count("ok"), "findings": findings})
    else:
        from firsthand.doctor.page import show

        show(report)
    if errors or (strict and warnings):
        raise SystemExit(FAILED)
