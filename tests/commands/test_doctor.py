"""`doctor` as it is typed: before the first start, and on a gateway that runs."""

import json
from pathlib import Path

import pytest
from tests.commands.conftest import Firsthand
from tests.gateway import WRITE_KEY, Emulator, Gateway, Sender, config, criteo, order

PERSON = "user@example.com"


def test_an_empty_folder_says_what_to_do_first(firsthand: Firsthand, tmp_path: Path) -> None:
    said = firsthand("doctor")
    assert said.exit_code == 1
    assert "there is no firsthand.yaml, and nothing is applied" in " ".join(said.out.split())
    assert "`firsthand init` writes a firsthand.yaml to begin with" in " ".join(said.out.split())
    assert max(map(len, said.out.splitlines())) <= 80
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_used_wrongly(firsthand: Firsthand) -> None:
    assert firsthand("doctor", "--events", "0").exit_code == 2
    assert firsthand("doctor", "--frobnicate").exit_code == 2
    assert firsthand("doctor", "--config", "nowhere.yaml").exit_code == 1


def test_a_file_that_is_not_there_is_a_finding(firsthand: Firsthand) -> None:
    findings = firsthand("doctor", "--config", "nowhere.yaml", "--json").json["findings"]
    first = findings[0]
    assert (first["id"], first["severity"]) == ("configuration.file", "error")
    assert "it can't be read" in first["found"]


def test_on_a_gateway_that_runs(
    firsthand: Firsthand, tmp_path: Path, vendor: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = config(criteo(consent={"basis": "none"}))
    with Gateway(tmp_path, file, vendor) as gateway:
        events = [order(f"order-{n}", traits={"email": PERSON}) for n in range(30)]
        events += [order(f"broken-{n}", properties={"order_id": "1", "products": []}) for n in range(5)]
        with Sender(gateway, events):
            pass
        gateway.settle()
        monkeypatch.setenv("FIRSTHAND_COLLECT_PORT", str(gateway.port))
        monkeypatch.setenv("FIRSTHAND_EMULATOR_URL", vendor.url)
        (tmp_path / "ids.txt").write_text("lamp-7\n")
        received = vendor.count()
        said = firsthand("doctor", "--data", str(gateway.data), "--json", "--catalogue", "ids.txt")
        page = firsthand("doctor", "--data", str(gateway.data))

    found = {(one["id"], one["title"]): one for one in said.json["findings"]}
    assert said.exit_code == page.exit_code == 0, said.out
    assert found["configuration.applied", "applied"]["severity"] == "ok"
    assert found["gateway.processes", "gateway"]["found"].startswith("runs: collect ")
    assert found["gateway.ports", f"port {gateway.port}"]["severity"] == "ok"
    assert found["vendor.endpoint", "criteo events, gum"]["severity"] == "ok"
    assert found["events.coverage", "web-shop"]["numbers"]["shares"]["e-mail"] == pytest.approx(30 / 35, abs=0.001)
    assert found["events.products", "web-shop product_id"]["numbers"] == {"matched": 1.0, "ids": 1, "examples": []}
    assert found["deliveries.lag", "criteo"]["found"] == "balanced; nothing waits"
    dead = found["deliveries.dead", "criteo"]
    assert (dead["severity"], dead["found"]) == ("warning", "5 dead in a day (14.3%): field_missing")
    assert vendor.count() == received, "no event was sent"
    assert [secret for secret in (PERSON, WRITE_KEY) if secret in said.out + page.out] == []
    assert json.loads(said.out)["warnings"] > 0


def test_strict_counts_warnings_and_production_placeholders(
    firsthand: Firsthand, tmp_path: Path, vendor: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample of a beginner: fine to try out, and not for real visitors."""
    from firsthand.config import example

    monkeypatch.setenv("FIRSTHAND_COLLECT_PORT", "0")
    monkeypatch.setenv("FIRSTHAND_EMULATOR_URL", vendor.url)
    (tmp_path / "firsthand.yaml").write_text(example())
    assert firsthand("apply", "firsthand.yaml").exit_code == 0
    assert firsthand("doctor").exit_code == 0
    assert firsthand("doctor", "--strict").exit_code == 1
    real = firsthand("doctor", "--production")
    assert real.exit_code == 1
    assert "criteo partner_id" in real.out
