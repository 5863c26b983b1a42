"""A gateway of one's own, from nothing: `init`, `serve` at a terminal, and the lines it prints, typed."""

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands.conftest import Firsthand
from tests.gateway import Emulator, Program, free_port, until

FIRSTHAND = [sys.executable, "-m", "firsthand"]


class Terminal:
    """`firsthand …` at a terminal; `screen` is what it has printed there."""

    def __init__(self, arguments: list[str], folder: Path, env: dict[str, str]) -> None:
        ours, its = pty.openpty()
        self.process = subprocess.Popen(
            [*FIRSTHAND, *arguments],
            cwd=folder,
            env={**os.environ, **env},
            stdout=its,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(its)
        self._ours, self._said = ours, b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while part := os.read(self._ours, 4096):
                self._said += part
        except OSError:  # how a terminal tells that its other side is closed
            pass

    @property
    def screen(self) -> str:
        return self._said.decode().replace("\r\n", "\n")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self._reader.join()
        os.close(self._ours)


@pytest.fixture
def env(vendor: Emulator) -> dict[str, str]:
    return {"FIRSTHAND_COLLECT_PORT": str(free_port()), "FIRSTHAND_EMULATOR_URL": vendor.url, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def serve(firsthand: Firsthand, tmp_path: Path, env: dict[str, str]) -> Iterator[Terminal]:
    assert firsthand("init").exit_code == 0
    terminal = Terminal(["serve"], tmp_path, env)
    yield terminal
    terminal.close()


def test_from_nothing_to_an_event_delivered(serve: Terminal, firsthand: Firsthand, env: dict[str, str]) -> None:
    until("it says how to see what became of an event", lambda: "trace first" in serve.screen)
    url = f"http://127.0.0.1:{env['FIRSTHAND_COLLECT_PORT']}"
    assert f"Firsthand collects at {url}, and keeps all in firsthand-data." in serve.screen
    assert f"goes to the emulators at {env['FIRSTHAND_EMULATOR_URL']}" in serve.screen
    (curl,) = re.findall(r"^  (curl .*)$", serve.screen, re.M)
    assert subprocess.check_output(["sh", "-c", curl], stderr=subprocess.DEVNULL) == b'{"success":true}'
    until("it is delivered", lambda: "DELIVERED" in firsthand("trace", "first").out)


def test_a_log_holds_no_key(firsthand: Firsthand, tmp_path: Path, env: dict[str, str]) -> None:
    """Where the output is no terminal it may be kept, and read by others."""
    firsthand("init")
    (key,) = re.findall(r"write_key: (\w+)", (tmp_path / "firsthand.yaml").read_text())
    program = Program(["serve"], tmp_path / "serve.log", env)
    try:
        until("it collects", lambda: '"event": "collecting"' in program.output)
    finally:
        program.signal(15)
        program.wait()
    assert key not in program.output
    assert "curl" not in program.output


def test_each_file_has_a_key_of_its_own_and_none_is_overwritten(firsthand: Firsthand, tmp_path: Path) -> None:
    assert firsthand("init").exit_code == firsthand("init", "other.yaml").exit_code == 0
    first = (tmp_path / "firsthand.yaml").read_text()
    assert first != (tmp_path / "other.yaml").read_text()
    said = firsthand("init")
    assert (said.exit_code, "is there already and was left as it is" in said.err) == (1, True)
    assert (tmp_path / "firsthand.yaml").read_text() == first
    assert firsthand("plan", "other.yaml").exit_code == 0
    assert "serve --config other.yaml" in firsthand("init", "third.yaml").out.replace("third", "other")


@pytest.mark.parametrize(
    ("command", "unneeded"),
    [
        (["--help"], ["asyncio", "msgspec", "rich", "yaml", "sqlalchemy", "alembic", "structlog", "pydantic"]),
        (["trace", "-h"], ["asyncio", "msgspec", "rich", "yaml", "sqlalchemy", "alembic", "structlog", "pydantic"]),
        (["trace", "nobody"], ["sqlalchemy", "alembic", "structlog", "pydantic", "uvicorn", "httptools"]),
        (["status"], ["sqlalchemy", "alembic", "pydantic", "uvicorn", "httptools"]),
    ],
)
def test_commands_load_nothing_they_do_not_need(
    command: list[str], unneeded: list[str], tmp_path: Path, vendor: Emulator
) -> None:
    """Importing takes longer than what they do; half a second here is a second on a small machine."""
    program = f"""
import sys
sys.argv = ["firsthand", *{command!r}]
from firsthand.cli import main
try:
    main()
finally:
    print("loaded:", [name for name in {unneeded!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
