"""`check`: runs case files against the vendors' modules, as in CI before a revision goes live."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from firsthand.commands.shared import FAILED, fail, print_json

if TYPE_CHECKING:
    from rich.text import Text

    from firsthand.cases import Difference
    from firsthand.config import Config

UNCONFIGURED = "it is about an integration of a configuration: name the file that has it with --config"
SAME = 2
"""Cases that can't be run for one and the same reason; more of them are told together."""
MOST_SHOWN = 20
"""Differences of one case. More of them say no more."""


def check(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="Case files, or folders of them.", exists=True, show_default=False),
    ],
    config: Annotated[
        Path | None, typer.Option(help="The configuration whose integrations cases may name.", exists=True)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Run case files: an event in, the requests out.

    Or the reason why there are none. Nothing is sent.
    """
    import msgspec

    from firsthand import logging
    from firsthand.cases import find

    logging.set_up()
    files = find(paths)
    if not files:
        fail("there are no case files (.json, .yaml) in " + ", ".join(map(str, paths)))
    loaded = _load(config) if config is not None else None
    results = [_run(file, loaded) for file in files]
    if as_json:
        passed = sum(result.passed for result in results)
        cases = [msgspec.to_builtins(result) | {"passed": result.passed} for result in results]
        print_json({"passed": passed, "failed": len(results) - passed, "cases": cases})
    else:
        _show(results)
    if not all(result.passed for result in results):
        raise SystemExit(FAILED)


@dataclass(frozen=True)
class Result:
    """What came of one file. `error` says why it could not be run."""

    file: str
    title: str | None = None
    error: str | None = None
    differences: "list[Difference]" = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.error is None and not self.differences


def _run(file: Path, config: "Config | None") -> Result:
    from firsthand.cases import CaseError, check, read, subject_of

    title = None
    try:
        case = read(file)
        title = case.title
        if config is None and case.integration is not None:
            return Result(str(file), title, UNCONFIGURED)
        return Result(str(file), title, None, [_masked(one) for one in check(case, subject_of(case, config))])
    except CaseError as error:
        return Result(str(file), title, str(error))


def _masked(difference: "Difference") -> "Difference":
    """As it may be shown: what is printed may end up in the log of a CI."""
    import msgspec

    from firsthand.ledger.masking import mask
    from firsthand.personal import mask_text

    name = difference.path.rpartition(".")[2]
    both = (difference.expected, difference.got)
    expected, got = (value if value is msgspec.UNSET else mask(value, name) for value in both)
    return msgspec.structs.replace(difference, path=mask_text(difference.path), expected=expected, got=got)


def _load(path: Path) -> "Config":
    """The configuration, also where its secrets are not at hand: in CI nobody needs them."""
    from firsthand.config import ConfigError, load

    env = Environment(os.environ)
    try:
        return load(path, env)
    except ConfigError as error:
        missing = f"\nNot set, so that a placeholder stood for it: {', '.join(env.missing)}" if env.missing else ""
        fail(f"{error}{missing}")
        raise


class Environment(Mapping[str, str]):
    """The environment, with a placeholder for what is not in it."""

    def __init__(self, real: Mapping[str, str]) -> None:
        self._real = real
        self.missing: dict[str, None] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._real:
            self.missing[name] = None
        return self._real.get(name, f"placeholder-for-{name}")

    def __contains__(self, name: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


# -- for people ----------------------------------------------------------------------------------------------------


def _show(results: list[Result]) -> None:
    from firsthand.terminal.console import page_width, stdout

    console = stdout()
    width = page_width(console)
    stopped = Counter(result.error or "" for result in results)
    del stopped[""]
    for result in results:
        if not result.passed and stopped[result.error or ""] <= SAME:
            for line in _failure(result, width):
                console.print(line, soft_wrap=True)
    for error, count in stopped.items():
        if count > SAME:
            for line in _shared(error, count, width):
                console.print(line, soft_wrap=True)
    failed = sum(not result.passed for result in results)
    passed = len(results) - failed
    cases = "1 case" if len(results) == 1 else f"{len(results):,} cases"
    console.print(f"✗ {cases}: {passed:,} passed, {failed:,} failed" if failed else f"✓ {cases}: all passed")


def _shared(error: str, count: int, width: int) -> "Iterator[Text]":
    """What keeps many cases from being run is one problem, and told once."""
    from rich.text import Text

    from firsthand.terminal.console import clean, hanging

    yield hanging(Text("✗ ", style="red"), Text(f"{count:,} cases can't be run:", style="bold"), width)
    yield hanging(Text("    "), Text(clean(error), style="red"), width)
    yield Text("")


def _failure(result: Result, width: int) -> "Iterator[Text]":
    from rich.text import Text

    from firsthand.terminal.console import clean, hanging, labelled

    title = f": {clean(result.title)}" if result.title else ""
    yield hanging(Text("✗ ", style="red"), Text(f"{clean(result.file)}{title}", style="bold"), width)
    if result.error is not None:
        yield hanging(Text("    "), Text(clean(result.error), style="red"), width)
    for difference in result.differences[:MOST_SHOWN]:
        yield Text(f"    {clean(difference.path)}")
        yield labelled("expected", Text(_value(difference.expected), style="green"), width, 6)
        yield labelled("got", Text(_value(difference.got), style="red"), width, 6)
    if len(result.differences) > MOST_SHOWN:
        yield Text(f"    and {len(result.differences) - MOST_SHOWN} more differences", style="dim")
    yield Text("")


def _value(value: Any) -> str:
    import msgspec

    from firsthand.terminal.console import clean

    return "nothing" if value is msgspec.UNSET else clean(json.dumps(value, ensure_ascii=False))
