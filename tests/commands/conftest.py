"""The commands as they are typed, in a folder of their own."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from firsthand import cli


class Said(NamedTuple):
    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Firsthand = Callable[..., Said]


@pytest.fixture
def firsthand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs `firsthand …` in an empty folder, 80 columns wide: `firsthand("plan", "firsthand.yaml")`."""
    monkeypatch.chdir(tmp_path)
    for name in ("FIRSTHAND_DATA", "FIRSTHAND_COLLECT_PORT", "FIRSTHAND_EMULATOR_URL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["firsthand", *arguments])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run
