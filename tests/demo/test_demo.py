"""`firsthand demo` as a newcomer runs it, and as it is interrupted."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

FIRSTHAND = [sys.executable, "-m", "firsthand"]


class Demo:
    """A demo whose output is no terminal. Its folder is in `tmp_path`, by which its processes are known."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        self.process = subprocess.Popen(
            [*FIRSTHAND, "demo", "--events", "300", "--port", "0"],
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def until(self, text: str) -> None:
        """Until it has printed a line with this text."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f"the demo never said {text!r}: {self.process.communicate()[1]}")

    def children(self) -> list[int]:
        """Processes that name the demo's folder."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and str(self.folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def all_gone(self) -> bool:
        """Whether nothing of it runs any more; what notices its parent's end by itself is given a moment."""
        deadline = time.monotonic() + 10
        while self.children() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.children()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    running = Demo(tmp_path)
    yield running
    if running.process.poll() is None:
        os.killpg(running.process.pid, signal.SIGKILL)
    running.process.wait()
    for child in running.children():
        os.kill(child, signal.SIGKILL)


def test_it_shows_everything_and_ends_by_itself_where_there_is_no_terminal(demo: Demo) -> None:
    output, errors = demo.process.communicate(timeout=90)
    assert demo.process.returncode == 0, errors
    assert "✓ balanced  rows recounted" in output
    assert "✓ they agree" in output
    assert demo.all_gone()
    commands = re.findall(r"^    firsthand (trace \S+ --data \S+)$", output, re.M)
    pages = [subprocess.check_output([*FIRSTHAND, *shlex.split(command)], text=True) for command in commands]
    assert [re.search(r"^  \S (\w+)", page, re.M)[1] for page in pages] == ["DELIVERED", "FILTERED", "DEAD"]  # type: ignore[index]
    assert " 500\n" in pages[0], "the sale met the vendor's trouble and was tried again"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_behind(demo: Demo, number: signal.Signals) -> None:
    demo.until("sent ")
    demo.process.send_signal(number)
    output, errors = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 130
    assert output.endswith("Stopped; nothing runs any more.\n")
    assert errors == ""
    assert demo.all_gone()
    assert list(demo.folder.iterdir()) == []


def test_a_failure_says_where_the_logs_are(demo: Demo) -> None:
    demo.until("sent ")
    emulators = next(pid for pid in children_of(demo.process.pid) if b"emulate" in cmdline(pid))
    os.kill(emulators, signal.SIGKILL)
    _, errors = demo.process.communicate(timeout=60)
    assert demo.process.returncode == 1
    assert errors.startswith("firsthand: the demo failed: `firsthand emulate` ended with exit code -9\n")
    assert re.search(r"^--- the end of \S+/serve\.log$", errors, re.M)
    assert demo.all_gone()


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_port_that_was_asked_for_and_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        command = [*FIRSTHAND, "demo", "--port", str(other.getsockname()[1])]
        done = subprocess.run(command, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "is taken: choose another --port, or 0 for any" in done.stderr
