"""kill -9 at any moment of an import into a running gateway: no row is lost, and none becomes two events."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.checker import check
from tests.gateway import WRITE_KEY, Emulator, Gateway, Program, config, criteo, until
from tests.importing.shop import HEADER, Collector, Json, Notes, import_file

from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.importing.faults import ImportFailed

ROWS = 12_000
MAPPING = """\
format: {type: csv}
event:
  name: Order Completed
  anonymousId: {column: customer}
  timestamp: {column: day}
  properties.order_id: {column: order}
  properties.products:
    - {product_id: {column: sku}, price: {column: price}, quantity: {const: 1}}
  # By its page, the tests know an event again in what the vendor received.
  context.page.url: {template: "https://shop.example/import-{file}-{line}"}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "orders.csv"
    file.write_text(HEADER + "".join(f"o-{n},c-{n % 500},2024-11-20,sku-{n % 90},{n}.50\n" for n in range(ROWS)))
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    return file


@pytest.fixture
def gateway(tmp_path: Path, vendor: Emulator) -> Iterator[Gateway]:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        yield gateway


def start(gateway: Gateway, file: Path, run: int, *options: str) -> Program:
    arguments = ["import", file.name, "--source", "web-shop", "--map", "mapping.yaml", "--data", str(gateway.data)]
    env = {"FIRSTHAND_COLLECT_PORT": str(gateway.port)}
    return Program([*arguments, "--batch", "50", *options], file.parent / f"import-{run}.log", env)


def received(gateway: Gateway) -> int:
    """How many events the log has."""
    with closing(SqliteLogReader(gateway.data)) as log:
        return sum(log.counts(0, log.head(0)).values())


def ids(gateway: Gateway) -> list[str]:
    db = apsw.Connection(str(gateway.data / "events.db"))
    with closing(db):
        return [json.loads(body)["messageId"] for (body,) in db.execute("SELECT body FROM events")]


def test_kill_9_again_and_again(gateway: Gateway, file: Path, vendor: Emulator):
    for run, moment in enumerate((1_000, 4_000, 7_500)):
        program = start(gateway, file, run)
        until("some have arrived", lambda moment=moment, run=program: received(gateway) >= moment or run.exit_code == 0)
        assert program.exit_code is None, "the kill came too late"
        program.kill()
    last = start(gateway, file, 9, "--json")
    assert last.wait() == 0
    assert "going on at line" in last.output
    summary = json.loads(last.output[last.output.index("{") :])
    assert summary["finished"]
    assert summary["read"] < ROWS - 7_000  # it began nearly where the last one ended

    found = ids(gateway)
    assert len(found) == len(set(found)) == ROWS
    prefix = summary["message_id"].replace("{line}", "")
    assert set(found) == {f"{prefix}{line}" for line in range(2, ROWS + 2)}
    gateway.settle()
    check(gateway, set(found), vendor)


def test_kill_9_of_the_collector(gateway: Gateway, file: Path, vendor: Emulator):
    """The import waits for the next one and goes on."""
    program = start(gateway, file, 0)
    until("some have arrived", lambda: received(gateway) >= 2_000)
    gateway.back("collect", gateway.kill("collect"))
    assert program.wait() == 0
    assert "does not answer" in program.output
    found = ids(gateway)
    assert len(found) == len(set(found)) == ROWS


def test_a_day_later(gateway: Gateway, file: Path):
    """By then the collector may have forgotten what it has. So the log is asked, and only the rest is sent."""
    arrived = 0

    def answer(number: int, events: list[Json]) -> Any:
        """Takes everything; of the requests from the tenth on the answers are lost, and with the 13th all ends."""
        nonlocal arrived
        if number > 13:
            return 401, {}, {"error": {"code": "x", "message": "closed"}}
        gateway.send(*events)
        arrived += len(events) if number >= 10 else 0
        return None if number < 10 else (401, {}, b"")

    with Collector() as between:
        between.answer = answer
        with pytest.raises(ImportFailed):
            import_file(file, between, MAPPING, source="web-shop", data=gateway.data, most=50)
    (journal,) = (gateway.data / "imports").glob("*.db")
    with closing(apsw.Connection(str(journal))) as db:
        db.execute("UPDATE in_flight SET sent_ms = sent_ms - 25 * 3600000")

    notes = Notes()
    there = f"http://127.0.0.1:{gateway.port}"
    summary = import_file(file, there, MAPPING, source="web-shop", data=gateway.data, notes=notes, key=WRITE_KEY)
    assert summary.finished
    assert summary.duplicates == arrived > 0
    assert summary.total_accepted == ROWS
    assert not any("twice" in note for note in notes.notes)
    (source,) = gateway.status()["sources"]
    assert source.items() >= {"key": "web-shop", "received": ROWS, "duplicates": 0, "refused": 0}.items()
    found = ids(gateway)
    assert len(found) == len(set(found)) == ROWS
