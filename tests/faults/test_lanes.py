"""Integrations that change, come, go, or cannot run any more while the gateway runs: the others do not notice."""

import json
import sqlite3
import threading
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from tests.checker import check
from tests.gateway import Emulator, Gateway, Json, Program, config, criteo, page, until


def apply(gateway: Gateway, *integrations: Json) -> None:
    gateway.configure(config(*integrations))
    gateway.command("apply", str(gateway.directory / "firsthand.yaml"))


def elsewhere(key: str, other: Emulator, **fields: object) -> Json:
    return criteo(key, endpoints={"events": f"{other.url}/criteo-s2s/eu/m/event"}, **fields)


def test_one_that_changes_keeps_no_other_waiting(tmp_path: Path, vendor: Emulator, other: Emulator) -> None:
    """Not even where its vendor hangs, so that it takes its whole time-out to end."""
    vendor.fault("slow", seconds=8)
    healthy = elsewhere("healthy", other)
    with Gateway(tmp_path, config(criteo("changing"), healthy), vendor) as gateway:
        gateway.send(*(page(f"slow-{n}", anonymousId=f"visitor-{n}") for n in range(8)))
        until("its vendor hangs", lambda: vendor.count() or gateway.counts("changing")["pending"] == 8)
        pid = gateway.pid("deliver")
        apply(gateway, criteo("changing", settings={"partner_id": "67890", "mapping_key": "123"}), healthy)
        stop, sent = threading.Event(), []

        def shop() -> None:
            while not stop.wait(0.02):
                gateway.send(page(f"event-{len(sent)}", anonymousId=f"shopper-{len(sent)}"))
                sent.append(f"event-{len(sent)}")

        thread = threading.Thread(target=shop)
        thread.start()
        try:
            until("the change is in force", lambda: "configuration changed" in gateway.output)
            until("it goes by the new settings", lambda: _goes_by(gateway, "changing", 2))
        finally:
            stop.set()
            thread.join()
        vendor.behave()
        gateway.settle()
        assert gateway.pid("deliver") == pid
        at = [entry.at for entry in other.received() if entry.id.startswith("event-")]
        assert max(later - earlier for earlier, later in pairwise(at)) < 4_000
        everyone = {*sent, *(f"slow-{n}" for n in range(8))}
        check(gateway, everyone, {"changing": vendor, "healthy": other}, duplicates=8)


def _goes_by(gateway: Gateway, key: str, revision: int) -> bool:
    rows = gateway.command("events", "--integration", key, "--state", "delivered", "--limit", "5")["events"]
    return any(gateway.delivery(row["message_id"], key)["revision"] == revision for row in rows)


def test_they_come_and_go_while_it_runs(tmp_path: Path, vendor: Emulator, other: Emulator) -> None:
    """What one missed while it was removed is not sent, and the counts balance."""
    with Gateway(tmp_path, config(criteo("first"), elsewhere("second", other)), vendor) as gateway:
        pid = gateway.pid("deliver")
        gateway.send(page("before"))
        gateway.settle()
        apply(gateway, criteo("first"))
        until("it has gone", lambda: [row["key"] for row in gateway.status()["integrations"]] == ["first"])
        gateway.send(page("meanwhile"))
        gateway.settle()
        apply(gateway, criteo("first"), elsewhere("second", other))
        until("it is back", lambda: len(gateway.status()["integrations"]) == 2)
        gateway.send(page("after"))
        gateway.settle()
        assert [entry.id for entry in other.received()] == ["before", "after"]
        assert [entry.id for entry in vendor.received()] == ["before", "meanwhile", "after"]
        assert [row["received"] for row in gateway.status(recount=True)["integrations"]] == [3, 2]
        assert all(row["balanced"] for row in gateway.status(recount=True)["integrations"])
        assert gateway.pid("deliver") == pid


@pytest.mark.parametrize("spoilt", [{"vendor": "gone"}, {"settings": {"partner": 1}}], ids=["vendor", "settings"])
def test_one_that_cannot_run_stops_no_other(tmp_path: Path, vendor: Emulator, other: Emulator, spoilt: Json) -> None:
    """Its vendor's package is gone, or its settings are those of an older module; mended, it sends what it missed."""
    both = (criteo("broken"), elsewhere("healthy", other))
    with Gateway(tmp_path, config(*both), vendor) as gateway:
        gateway.send(page("before"))
        gateway.settle()
        assert gateway.stop() == 0
        with closing(sqlite3.connect(tmp_path / "data" / "state.db")) as state, state:
            (kept,) = state.execute("SELECT config FROM revisions WHERE integration = 'broken'").fetchone()
            changed = json.dumps(json.loads(kept) | spoilt)
            state.execute("UPDATE revisions SET config = ? WHERE integration = 'broken'", (changed,))
        (tmp_path / "elsewhere").mkdir()  # where no file is found that would be applied
        serve = ["serve", "--data", str(gateway.data)]
        gateway._program = Program(serve, tmp_path / "elsewhere" / "gateway.log", gateway._env)
        gateway.wait_ready()
        gateway.send(page("missed"))
        gateway.settle("healthy")
        health = until("it is told", lambda: gateway.counts("broken")["health"])
        assert (health["state"], health["reason"]) == ("down", "cannot_run")
        assert ("not installed" if "vendor" in spoilt else "doesn't fit") in health["cause"]
        assert gateway.counts("broken")["pending"] == 1
        assert "down       it cannot run" in gateway.says("status")
        assert "it cannot run" in gateway.says("doctor")

        with closing(sqlite3.connect(tmp_path / "data" / "state.db")) as state, state:
            state.execute("UPDATE revisions SET config = ? WHERE integration = 'broken'", (kept,))
        gateway.kill("deliver")
        gateway.settle()
        assert [entry.id for entry in vendor.received()] == ["before", "missed"]
