"""Disk, files, processes and ports."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.doctor.conftest import config, found

from firsthand.doctor import gateway, machine
from firsthand.doctor.context import Context
from firsthand.locks import holders
from firsthand.settings import Settings

Make = Callable[..., Context]
Usage = namedtuple("Usage", "total used free")
GIB = 2**30


def test_a_folder_that_is_not_there_yet(context: Make, tmp_path: Path) -> None:
    assert found(machine.folder(context())) == [
        ("ok", "data folder", f"{tmp_path}/data is not there yet: the first apply makes it")
    ]
    assert list(machine.fsync(context())) == []
    assert found(machine.room(context()))[0][0] in ("ok", "warning")
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_a_folder_of_the_owner_alone(context: Make) -> None:
    assert found(machine.folder(context(config(), applied=True)))[0][0] == "ok"


def test_what_others_can_read(context: Make, tmp_path: Path) -> None:
    made = context(config(), applied=True)
    (tmp_path / "data").chmod(0o755)
    (tmp_path / "data" / "state.db").chmod(0o644)
    folder, secrets = machine.folder(made)
    assert (folder.severity, folder.remedy) == ("warning", f"chmod 700 {tmp_path}/data")
    assert (secrets.severity, secrets.remedy) == ("error", f"chmod 600 {tmp_path}/data/state.db")


@pytest.mark.parametrize(
    ("free", "severity", "said"),
    [
        (50 * GIB, "ok", "50 GiB free; the log takes at most 10 GiB"),
        (3 * GIB, "warning", "3 GiB free, and the log may still grow by 10 GiB"),
        (10 << 20, "error", "10 MiB free: the collector refuses events (503)"),
    ],
)
def test_room(context: Make, monkeypatch: pytest.MonkeyPatch, free: int, severity: str, said: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100 * GIB, 0, free))
    assert found(machine.room(context(config()))) == [(severity, "disk", said)]


@pytest.mark.parametrize(
    ("times", "severity"), [([1.0] * 40, "ok"), ([1.0] * 39 + [90.0], "warning"), ([25.0] * 40, "warning")]
)
def test_how_fast_the_disk_is(
    context: Make, monkeypatch: pytest.MonkeyPatch, times: list[float], severity: str
) -> None:
    monkeypatch.setattr(machine, "_fsyncs", lambda folder: times)
    (finding,) = machine.fsync(context(config(), applied=True))
    assert (finding.severity, finding.numbers["p50_ms"]) == (severity, times[0])


def test_the_disk_is_really_measured(context: Make, tmp_path: Path) -> None:
    (finding,) = machine.fsync(context(config(), applied=True))
    assert 0 < finding.numbers["p50_ms"] <= finding.numbers["p99_ms"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["state.db"], "nothing stays behind"


# -- processes and ports ---------------------------------------------------------------------------------------------


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Holds the lock of a role as a process does."""
    handles = []

    def take(role: str, pid: int) -> None:
        (tmp_path / "data").mkdir(exist_ok=True)
        handle = (tmp_path / "data" / f"{role}.lock").open("w")
        handle.write(str(pid))
        handle.flush()
        fcntl.flock(handle, fcntl.LOCK_EX)
        handles.append(handle)

    yield take
    for handle in handles:
        handle.close()


@pytest.fixture
def firsthand_process() -> Iterator[int]:
    """A process that looks like a gateway's: `firsthand` is in its command line."""
    program = [sys.executable, "-c", "import sys; sys.stdin.read()", "firsthand"]
    with subprocess.Popen(program, stdin=subprocess.PIPE) as process:
        yield process.pid


def test_who_runs_here(tmp_path: Path, hold: Callable[..., None], firsthand_process: int, context: Make) -> None:
    none = "none runs on this data folder: nothing is taken in or sent"
    assert found(gateway.processes(context())) == [("ok", "gateway", none)]
    assert found(gateway.processes(context(production=True))) == [("warning", "gateway", none)]
    hold("collect", firsthand_process)
    assert holders(tmp_path / "data") == {"collect": firsthand_process}
    assert found(gateway.processes(context())) == [("warning", "gateway", "collect runs here, deliver does not")]
    hold("deliver", firsthand_process)
    ((severity, _, said),) = found(gateway.processes(context()))
    assert (severity, said) == ("ok", f"runs: collect {firsthand_process}, deliver {firsthand_process}")


def test_a_stranger_with_our_lock(context: Make, hold: Callable[..., None]) -> None:
    hold("deliver", 1)
    ((severity, title, said),) = found(gateway.processes(context()))
    assert (severity, title) == ("error", "deliver")
    assert "held by process 1" in said


def test_a_lock_that_nobody_holds_any_more(tmp_path: Path) -> None:
    (tmp_path / "collect.lock").write_text(str(os.getpid()))
    assert holders(tmp_path) == {}


@pytest.fixture
def port() -> Iterator[int]:
    """A port that some program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def with_port(tmp_path: Path, port: int, **fields: Any) -> Settings:
    return Settings(data=tmp_path / "data", collect_host="127.0.0.1", collect_port=port, **fields)


def test_a_port_that_is_free(context: Make, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    made = context(settings=with_port(tmp_path, free))
    assert found(gateway.ports(made)) == [("ok", f"port {free}", "free for collect")]
    assert list(gateway.ports(context(settings=with_port(tmp_path, 0)))) == [], "0 takes any"


def test_a_port_that_is_taken(context: Make, tmp_path: Path, port: int) -> None:
    ((severity, title, said),) = found(gateway.ports(context(settings=with_port(tmp_path, port))))
    assert (severity, title) == ("error", f"port {port}")
    assert said == "taken by another program: collect can't listen"


def test_an_address_of_another_machine(context: Make, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", collect_host="203.0.113.1", collect_port=8080)
    ((severity, _, said),) = found(gateway.ports(context(settings=settings)))
    assert (severity, said) == ("error", "203.0.113.1 is no address that can be listened on")


def test_a_gateway_on_another_port(
    context: Make, tmp_path: Path, hold: Callable[..., None], firsthand_process: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]
    hold("collect", firsthand_process)
    ((severity, _, said),) = found(gateway.ports(context(settings=with_port(tmp_path, free))))
    assert (severity, said) == ("warning", f"collect runs (process {firsthand_process}), and does not listen on it")
