"""`status` and `trace` as they are typed, while a gateway runs and when it does not."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.commands.conftest import Firsthand
from tests.gateway import WRITE_KEY, Emulator, Gateway, call, config, criteo, order, until

DOCS = Path(__file__).parents[2] / "docs"


def test_where_events_go_and_whether_anything_runs(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    here = ("--data", str(tmp_path / "data"))
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(order("sale-1"), {"type": "track", "anonymousId": "visitor-1"})
        gateway.settle()
        until("the refusal is counted", lambda: gateway.status()["sources"][0]["refused"])
        running = firsthand("status", *here, "--json").json
        page = firsthand("status", *here).out
        gateway.configure(config(criteo(environment="production", endpoints={"events": f"{vendor.url}/x"})))
        assert firsthand("apply", str(tmp_path / "firsthand.yaml"), *here).exit_code == 0
    assert running["running"] == ["collect", "deliver"]
    assert [integration["environment"] for integration in running["integrations"]] == ["sandbox"]
    assert running["refusals"] == {"web-shop": {"field_missing": 1}}
    assert page.startswith("Source ")
    assert "criteo  criteo-s2s  sandbox  ✓ balanced" in page

    # What the page for whoever is on call has a cron job ask.
    asked = re.search(r"jq -e '\n(.*?)'\n", (DOCS / "on-call.md").read_text(), re.S)
    assert asked

    def calm(status: Any) -> bool:
        command = [shutil.which("jq") or pytest.skip("there is no jq"), "-e", asked[1]]
        return subprocess.run(command, input=json.dumps(status), text=True, stdout=subprocess.PIPE).returncode == 0

    assert calm(running)
    assert not calm(running | {"running": ["collect"]})
    assert not calm(running | {"integrations": [running["integrations"][0] | {"health": None}]})

    stopped = firsthand("status", *here, "--json").json
    assert not calm(stopped)
    assert (stopped["running"], stopped["integrations"][0]["environment"]) == ([], "production")
    assert firsthand("status", *here).out.startswith("! no gateway runs on this data folder")

    # It went out in the sandbox, whatever the integration is now.
    (delivery,) = firsthand("trace", "sale-1", *here, "--json").json["deliveries"]
    assert (delivery["revision"], delivery["environment"]) == (1, "sandbox")
    assert "✓ DELIVERED  accepted in the sandbox" in firsthand("trace", "sale-1", *here).out


def test_an_outage(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    here = ("--data", str(tmp_path / "data"))
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        vendor.fault("status_503")
        gateway.send(*(order(f"sale-{n}", anonymousId=f"visitor-{n}") for n in range(12)))
        health = until(
            "the breaker is open",
            lambda: next((h for h in [gateway.status()["integrations"][0]["health"]] if h and h["since"]), None),
        )
        assert (health["breaker"], health["cause"]) == ("open", "HTTP 503")
        assert "breaker    open: the vendor is in trouble since " in firsthand("status", *here).out
        (waiting,) = firsthand("trace", "sale-0", *here, "--json").json["deliveries"]
        page = firsthand("trace", "sale-0", *here).out
        vendor.behave()
    assert (waiting["paused"]["by"], waiting["paused"]["cause"]) == ("trouble", "HTTP 503")
    assert "  paused     the vendor is in trouble since " in page
    assert "next attempt" not in page


def test_a_client_that_sends_to_no_address_of_ours(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    """Its events are lost, and it may not say so to anybody."""
    here = ("--data", str(tmp_path / "data"))
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        for _ in range(2):
            with pytest.raises(AssertionError, match="404"):
                call(gateway.port, "POST", "/v2/batch?x=1", {"writeKey": WRITE_KEY, "batch": [order("sale-1")]})
        paths = until("it is counted", lambda: gateway.status()["unknown_paths"])
        assert paths == {"/v2/batch": 2}
        page = firsthand("status", *here).out
        doctor = firsthand("doctor", *here, "--json").json
    assert "lost       2 requests for /v2/batch, no address of ours" in page
    (finding,) = [one for one in doctor["findings"] if one["id"] == "events.lost"]
    assert finding["numbers"] == {"path": "/v2/batch", "count": 2}
    assert finding["remedy"].startswith("point that client here as docs/collect.md#clients says")
