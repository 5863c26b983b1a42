"""Shops' exports as they came, each with its mapping and with what is right: `cases/*.json`.

`{{now-3600}}` in a file is an hour ago, `{{now-3600|%Y-%m-%d}}` the same in another form.
"""

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.gateway import Emulator, Gateway, Program, config, criteo
from tests.importing.shop import Json

CASES = sorted(Path(__file__).with_name("cases").glob("*.json"))
MOMENT = re.compile(r"\{\{now-(\d+)(?:\|([^}]*))?\}\}")


def filled(text: str) -> str:
    def moment(match: re.Match[str]) -> str:
        return datetime.fromtimestamp(time.time() - int(match[1]), UTC).strftime(match[2] or "%Y-%m-%dT%H:%M:%SZ")

    return MOMENT.sub(moment, text)


def firsthand_import(gateway: Gateway, case: Json, name: str, more: str = "") -> tuple[int, str, Json]:
    """The exit code, what was said, and the summary of a file's import."""
    given = case["input"]["file"]
    folder = gateway.directory
    file, mapping, log = folder / f"{name}.csv", folder / f"{name}.yaml", folder / f"{name}.log"
    if not file.exists():
        file.write_text(filled(given["text"]))
    mapping.write_text(given["map"] + more)
    log.unlink(missing_ok=True)
    arguments = ["import", file.name, "--source", given["source"], "--map", mapping.name, "--json"]
    program = Program([*arguments, "--data", str(gateway.data)], log, {"FIRSTHAND_COLLECT_PORT": str(gateway.port)})
    code = program.wait()
    output = program.output
    if "{" not in output:
        return code, output, {}
    return code, output, json.JSONDecoder().raw_decode(output, output.index("{"))[0]


def state(gateway: Gateway, summary: Json, line: int, integration: str) -> tuple[str | None, str | None]:
    """What became of a line at an integration, and why; None where the line is no event."""
    id = summary["message_id"].format(line=line)
    if not gateway.knows(id):
        return None, None
    delivery = gateway.delivery(id, integration)
    return delivery["state"], (delivery["reason"] or {}).get("code")


@pytest.fixture
def gateway(tmp_path: Path, vendor: Emulator) -> Any:
    sources: Json = {"sources": [{"key": "tills", "write_key": "key-of-the-tills"}]}
    with Gateway(tmp_path, config(criteo(), **sources), vendor) as gateway:
        yield gateway


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(gateway: Gateway, path: Path):
    case = json.loads(path.read_text())
    code, said, summary = firsthand_import(gateway, case, "orders")
    gateway.settle()
    for check in case["checks"]:
        if check.get("import_fails"):
            assert code == 1
            assert all(word in said for word in check["says"]), said
        elif "import" in check:
            assert check["import"].items() <= summary.items(), said
        else:
            found, reason = state(gateway, summary, check["line"], check["integration"])
            wanted = check["state"] if isinstance(check["state"], list) else [check["state"]]
            assert found in wanted
            assert reason == check.get("reason")


def test_guests_are_nobody_and_not_each_other(gateway: Gateway):
    """What an export has for those without an account is no id. Their orders are kept, under ids of their own."""
    text = "order,account,day\n" + "".join(
        f"o-{n},{id},2024-11-20\n" for n, id in enumerate(("guest", "0", "NULL", "7"))
    )
    mapping = "event: {name: Order Completed, userId: {column: account}, timestamp: {column: day}}\n"
    case = {"input": {"file": {"source": "tills", "text": text, "map": mapping}}}
    _, said, summary = firsthand_import(gateway, case, "orders")
    assert summary["accepted"] == 4, said
    events = [gateway.event(summary["message_id"].format(line=line)) for line in (2, 3, 4, 5)]
    assert [event.get("userId") for event in events] == [None, None, None, "7"]
    assert len({event.get("anonymousId") for event in events[:3]} - {None}) == 3


def test_an_order_of_several_lines_is_one_sale(gateway: Gateway, vendor: Emulator):
    """The refusal says what to add; with it, the paid order is one sale of two products, the refunded one none."""
    case = json.loads(Path(__file__).with_name("cases").joinpath("order-of-several-lines.json").read_text())
    code, said, _ = firsthand_import(gateway, case, "orders")
    assert code == 1
    assert "group_by: {column: Name}" in said
    more = "group_by: {column: Name}\nwhere: {Financial Status: {is: paid}}\n"
    code, said, summary = firsthand_import(gateway, case, "orders", more)
    assert code == 0, said
    assert (summary["read"], summary["accepted"], summary["joined"], summary["skipped"]) == (3, 1, 1, 1)
    gateway.settle()
    assert state(gateway, summary, 2, "criteo") == ("delivered", None)
    (sale,) = vendor.received()
    event = sale.body["events"][0]
    assert event["id"] == "#3003"
    assert event["item"] == [
        {"id": "SHIRT-1", "price": 34.9, "quantity": 1},
        {"id": "SOCKS-2", "price": 19.9, "quantity": 1},
    ]
    assert round(sum(item["price"] * item["quantity"] for item in event["item"]), 2) == 54.8
