"""`firsthand import` as it is typed: what it prints, and how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.gateway import Program, until
from tests.importing.shop import HEADER, ORDERS, Collector, orders

from firsthand.config import parse
from firsthand.state.store import State

CONFIG = "sources: [{key: shop, write_key: key-of-the-shop}, {key: tills, write_key: key-of-the-tills}]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    State.open(tmp_path / "data", migrate=True).apply(parse(CONFIG, env={}))
    (tmp_path / "orders.csv").write_text(orders(1000))
    (tmp_path / "mapping.yaml").write_text(ORDERS)
    return tmp_path


def start(folder: Path, url: str, *options: str, **env: str) -> Program:
    arguments = ["import", "orders.csv", "--source", "shop", "--map", "mapping.yaml", "--url", url]
    return Program([*arguments, "--data", "data", *options], folder / "import.log", env)


def run(folder: Path, collector: Collector, *options: str, **env: str) -> tuple[int, str]:
    (folder / "import.log").unlink(missing_ok=True)
    program = start(folder, collector.url, *options, **env)
    return program.wait(), program.output


def test_it_says_what_it_did(folder: Path, collector: Collector):
    code, output = run(folder, collector)
    assert code == 0
    first, accepted, aside, trace = output.splitlines()
    assert first.startswith("orders.csv: imported, 1,000 rows in ")
    assert accepted.split() == ["1,000", "events", "accepted"]
    assert aside.split() == ["0", "rows", "set", "aside"]
    assert trace.startswith("What became of a line: firsthand trace import-")
    assert trace.endswith("-LINE")
    assert collector.keys == {"Bearer key-of-the-shop"}
    code, output = run(folder, collector)
    assert code == 0
    assert output.startswith("orders.csv: already imported; nothing to do\n")


def test_lines_with_ids_of_their_own_are_told_by_them(folder: Path, collector: Collector):
    line = '{"event": "Product Viewed", "anonymousId": "v", "messageId": "mine", "timestamp": "2024-11-20"}'
    (folder / "events.jsonl").write_text(line)
    program = Program(
        ["import", "events.jsonl", "--source", "shop", "--url", collector.url, "--data", "data"],
        folder / "own.log",
        {"FIRSTHAND_WRITE_KEY": "key-of-the-shop"},
    )
    assert program.wait() == 0
    assert program.output.splitlines()[-1].endswith("-LINE, or with the messageId it has itself")
    assert list(collector.ids) == ["mine"]


def test_json(folder: Path, collector: Collector):
    (folder / "orders.csv").write_text(orders(1000) + "x\n")
    code, output = run(folder, collector, "--json")
    assert code == 0
    found = json.loads(output)
    assert found.pop("seconds") > 0
    id = found.pop("message_id")
    assert id.format(line=2) in collector.ids
    assert found == {
        "file": "orders.csv",
        "source": "shop",
        "finished": True,
        "read": 1001,
        "sent": 1000,
        "accepted": 1000,
        "duplicates": 0,
        "joined": 0,
        "skipped": 0,
        "rejected": 1,
        "already_imported": None,
        "total_accepted": 1000,
        "total_rejected": 1,
        "total_skipped": 0,
        "rejects": "orders.csv.rejects.jsonl",
        "own_ids": False,
    }


def test_rows_set_aside_fail_only_when_strict(folder: Path, collector: Collector):
    (folder / "orders.csv").write_text(orders(10) + "x\n")
    code, output = run(folder, collector)
    assert code == 0
    assert "Why rows were set aside stands in orders.csv.rejects.jsonl" in output
    assert run(folder, collector, "--strict")[0] == 1
    (folder / "orders.csv").write_text(orders(10))
    assert run(folder, collector, "--strict")[0] == 0


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped(folder: Path, collector: Collector, stop: int):
    """In the middle of waiting for a collector that has no room."""
    full = {"error": {"code": "unavailable", "message": "the disk is full"}}
    collector.answer = lambda number, events: (503, {"retry-after": "60"}, full) if number > 5 else None
    program = start(folder, collector.url, "--batch", "50")
    until("it says that it waits", lambda: "the disk is full" in program.output)
    program.signal(stop)
    assert program.wait(10) == 1
    assert "Traceback" not in program.output
    assert program.output.endswith("run the same command again, and it goes on where it was\n")
    collector.answer = lambda number, events: None
    code, output = run(folder, collector)
    assert (code, len(set(collector.ids))) == (0, 1000)
    assert "going on at line" in output


def test_another_machine_s_gateway(folder: Path, collector: Collector):
    """Its key comes from the environment, and the progress is kept beside the file."""
    code, _ = run(folder, collector, FIRSTHAND_WRITE_KEY="key-from-afar", FIRSTHAND_DATA="nowhere")
    assert code == 0
    assert collector.keys == {"Bearer key-from-afar"}
    assert (folder / "orders.csv.import-progress").exists()
    assert not (folder / "data" / "imports").exists()


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--source", "shops"], 1, "there is no source shops; there are: shop, tills"),
        (["--data", "nowhere"], 1, "An import needs the gateway's data folder (--data), or another machine's address"),
        (["--url", "collect.example"], 1, "is not the address of a collector: write it like https://collect.example"),
        (["--batch", "501"], 2, "501 is not in the range 1<=x<=500"),
        (["--map", "none.yaml"], 1, "none.yaml: it can't be read: No such file or directory"),
    ],
)
def test_wrong_on_purpose(folder: Path, collector: Collector, options: list[str], code: int, said: str):
    found, output = run(folder, collector, *options)
    assert found == code
    assert said in " ".join(output.split())
    assert "Traceback" not in output
    assert collector.received == []


def test_a_file_that_is_not_there(folder: Path):
    program = Program(["import", "none.csv", "--source", "shop"], folder / "import.log", {})
    assert program.wait() == 2
    assert "none.csv" in program.output


def peak_mb(folder: Path, collector: Collector, file: Path) -> float:
    """The most memory an import of this file ever had."""
    measure = (
        "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]);"
        " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024); sys.exit(code)"
    )
    command = [sys.executable, "-m", "firsthand", "import", str(file), "--source", "shop", "--url", collector.url]
    options = ["--map", str(folder / "mapping.yaml"), "--data", str(folder / "data")]
    done = subprocess.run(
        [sys.executable, "-c", measure, *command, *options], capture_output=True, text=True, check=True
    )
    return float(done.stdout.splitlines()[-1])


def test_memory_does_not_grow_with_the_file(folder: Path, collector: Collector):
    collector.keep = False
    small, large = folder / "small.csv", folder / "large.csv"
    small.write_text(orders(5_000))
    rows = orders(5_000).removeprefix(HEADER)
    with large.open("w") as file:
        file.write(HEADER)
        for number in range(40):
            # One row in ten is set aside: what is set aside must not pile up either.
            file.write(rows if number % 10 else rows.replace(".50\n", ",50\n"))
    first, second = peak_mb(folder, collector, small), peak_mb(folder, collector, large)
    assert collector.count == 5_000 + 180_000
    assert second < first + 15, f"{first:.0f} MB, then {second:.0f} MB"
