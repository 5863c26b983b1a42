"""The documented example: purchases of 1997 and 1998 as offline sales, at two integrations with different limits."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.gateway import Emulator, Gateway, Program
from tests.importing.shop import Json

EXAMPLE = Path(__file__).parents[2] / "examples" / "cdnow"
FIXTURE = Path(__file__).with_name("cdnow_50.txt")
WHOLE = os.environ.get("FIRSTHAND_CDNOW")
FILES = [
    pytest.param(FIXTURE, 50, id="50 lines"),
    pytest.param(
        Path(WHOLE or ""), 6919, id="whole", marks=pytest.mark.skipif(not WHOLE, reason="FIRSTHAND_CDNOW names no file")
    ),
]


def firsthand_import(gateway: Gateway, file: Path, *options: str) -> str:
    """What the command says, once it has ended well."""
    arguments = ["import", str(file), "--source", "tills", "--map", str(EXAMPLE / "mapping.yaml"), *options]
    env = {"FIRSTHAND_COLLECT_PORT": str(gateway.port)}
    log = gateway.directory / "import.log"
    log.unlink(missing_ok=True)
    program = Program([*arguments, "--data", str(gateway.data)], log, env)
    assert program.wait(120) == 0, program.output
    return program.output


def sales(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()]


@pytest.mark.parametrize(("original", "count"), FILES)
def test_every_sale_is_told_of(tmp_path: Path, vendor: Emulator, original: Path, count: int):
    file = Path(shutil.copy(original, tmp_path / "cdnow.txt"))
    config: Json = yaml.safe_load((EXAMPLE / "firsthand.yaml").read_text())
    with Gateway(tmp_path, config, vendor) as gateway:
        said = firsthand_import(gateway, file)
        assert f"imported, {count:,} rows" in said
        assert f"{count:,}  events accepted" in said
        assert "already imported; nothing to do" in firsthand_import(gateway, file)
        gateway.settle(seconds=180)

        # As it comes, each is too old: Criteo would take them, say yes, and throw them away.
        usual, any_age = gateway.counts("criteo"), gateway.counts("criteo-any-age")
        assert (usual["received"], usual["filtered"], usual["reasons"]) == (count, count, {"too_old": count})
        assert (any_age["received"], any_age["delivered"], any_age["reasons"]) == (count, count, {})
        assert usual["balanced"]
        assert any_age["balanced"]
        (source,) = gateway.status()["sources"]
        assert source.items() >= {"key": "tills", "received": count, "duplicates": 0, "refused": 0}.items()

        # What the vendor has is what the file says, line by line: also those that are alike, and those of nothing.
        received = {entry.body["events"][0]["id"]: entry for entry in vendor.received()}
        assert vendor.count() == len(received) == count
        assert all(entry.taken for entry in received.values())
        for line, (customer, _, day, _, dollars) in enumerate(sales(file), 1):
            body = received[f"cdnow-{line}"].body
            assert body["retailer_visitor_id"] == customer
            assert body["events"][0] == sale(line, day, float(dollars))


def sale(line: int, day: str, dollars: float) -> dict[str, Any]:
    return {
        "event": "trackTransaction",
        "timestamp": f"{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00Z",
        "id": f"cdnow-{line}",
        "user_segment": 19,
        "currency": "USD",
        "item": [{"id": "cd", "price": dollars, "quantity": 1}],
    }


def test_the_lines_chosen_for_these_tests_have_what_makes_the_file_hard():
    lines = sales(FIXTURE)
    assert len({tuple(line) for line in lines}) < len(lines)
    assert any(line[4] == "0.00" for line in lines)
    assert b"\r\n" in FIXTURE.read_bytes()
