"""What the gateway keeps is its owner's alone: every file, whatever the umask and whichever version made it."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway import WRITE_KEY, Emulator, Gateway, Program, config, criteo, order

MAPPING = """\
format: {type: csv}
event:
  name: Order Completed
  userId: {column: customer}
  timestamp: {column: day}
  properties.order_id: {column: order}
"""


@pytest.fixture(params=[0o022, 0o000], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    return {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077}


@pytest.mark.usefixtures("umask")
def test_every_file_of_a_whole_run(tmp_path: Path) -> None:
    data = tmp_path / "data"
    rows = tmp_path / "orders.csv"
    rows.write_text("order,customer,day\no-1,c-1,2026-11-20\nbroken\n")
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    with Emulator(tmp_path) as vendor, Gateway(tmp_path, config(criteo()), vendor, data) as gateway:
        vendor.fault("status_500", rate=1.0)
        gateway.send(order("bought", userId="ann"))
        vendor.behave()
        url = f"http://127.0.0.1:{gateway.port}"
        arguments = ["import", str(rows), "--source", "web-shop", "--map", str(tmp_path / "mapping.yaml")]
        env = {"FIRSTHAND_WRITE_KEY": WRITE_KEY}
        imported = Program([*arguments, "--url", url, "--data", str(data)], tmp_path / "import.log", env)
        assert imported.wait() == 0, imported.output
        gateway.settle()
        gateway.command("visitor", "erase", "--user-id", "ann", "--yes", "--json")
        assert {"events.db", "events.db-wal", "seen.db", "ledger.db", "identity.db", "state.db", "secret.key"} <= {
            path.name for path in data.iterdir()
        }
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert open_to_others(data) == {}
    assert open_to_others(data) == {}
    assert stat.S_IMODE(rows.with_name("orders.csv.rejects.jsonl").stat().st_mode) == 0o600

    # As an older version left them.
    data.chmod(0o755)
    for file in data.rglob("*"):
        if file.is_file():
            file.chmod(0o644)
    with Emulator(tmp_path, "again") as vendor, Gateway(tmp_path, config(criteo()), vendor, data) as gateway:
        gateway.send(order("later"))
        gateway.settle()
        assert open_to_others(data) == {}
