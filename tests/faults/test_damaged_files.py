"""Files that a disk has damaged: what can be read goes on its way, what cannot is said."""

import shutil
from pathlib import Path

import pytest
from tests.checker import check
from tests.eventlog.damage import overwrite, pages
from tests.gateway import Emulator, Gateway, Sender, call, config, criteo, order, page, shopping, until


def test_a_log_damaged_in_three_places_loses_what_was_there_and_nothing_else(tmp_path: Path, vendor: Emulator):
    """Events that wait for a vendor that is down; then the disk damages their beginning, their middle and their end."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("first"))
        gateway.settle()
        assert gateway.stop() == 0
        gateway.start("--roles", "collect")
        with Sender(gateway, shopping(2_000)):
            pass
        assert gateway.stop() == 0
        leaves = pages(gateway.data / "events.db", "events")
        places = [leaves[1], leaves[len(leaves) // 2], leaves[-1]]
        for number, _ in places:
            overwrite(gateway.data / "events.db", number, 4096)
        lost = sum(rows for _, rows in places)

        gateway.start()
        gateway.send(order("after-the-damage"))  # the writer meets the damaged end, and mends it
        gateway.settle()
        counts = gateway.counts()
        assert counts["balanced"]
        assert counts["reasons"] == {"log_damaged": lost}
        assert counts["delivered"] == 2_002 - lost == vendor.count()
        assert vendor.received_of("after-the-damage")
        assert "the event log is mended" in gateway.output
        assert f'"events_lost": {lost}' in gateway.output


@pytest.mark.parametrize("file", ["events.db", "ledger.db", "state.db"])
def test_a_file_that_is_none_any_more_ends_the_gateway_with_what_to_do(tmp_path: Path, vendor: Emulator, file: str):
    """It is not started again and again. What the documentation then says brings it back."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("before"))
        gateway.settle()
        assert gateway.stop() == 0
        with (gateway.data / file).open("r+b") as raw:
            raw.write(b"\0" * 4096)
        wrong = gateway.launch(log="wrong.log")
        assert wrong.wait() == 1
        assert file in wrong.output
        assert "docs/delivery.md" in wrong.output
        assert "Traceback" not in wrong.output
        assert not gateway.processes()

        aside = tmp_path / "aside"
        aside.mkdir()
        for name in ("state",) if file == "state.db" else ("events", "seen", "ledger"):
            for old in gateway.data.glob(f"{name}.db*"):
                shutil.move(old, aside)
        kept = {"before", "after"}
        if file != "state.db":
            vendor.forget()
            kept = {"after"}
        gateway.start()
        gateway.send(page("after"))
        gateway.settle()
        check(gateway, kept, vendor)


def test_a_ledger_with_a_damaged_page_sends_nothing_more_and_says_so(tmp_path: Path, vendor: Emulator):
    """An outcome that cannot be recorded is sent again at each start: so there is none until the ledger is mended."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(500)):
            pass
        gateway.settle()
        assert gateway.stop() == 0
        whole = tmp_path / "whole.db"
        shutil.copy(gateway.data / "ledger.db", whole)
        overwrite(gateway.data / "ledger.db", pages(whole, "deliveries")[-1][0], 4096)
        before = vendor.count()

        gateway.start()
        gateway.send(order("met-the-damage"))
        until("it stops sending", lambda: (gateway.status()["damaged"] or {}).get("remedy"))
        sent = vendor.count() - before
        assert sent <= 1
        gateway.kill("deliver")
        gateway.send(order("while-it-is-damaged"))  # taken in all the same
        assert gateway.stop() == 0
        gateway.start()
        gateway.send(order("after-a-restart"))
        assert "docs/delivery.md" in gateway.status()["damaged"]["remedy"]
        assert "ledger is damaged" in call(gateway.port, "GET", "/readyz")["undelivered"]
        assert vendor.count() - before == sent
        assert gateway.output.count("sending has stopped") == 1
        assert gateway.stop() == 0

        shutil.copy(whole, gateway.data / "ledger.db")  # as whoever mends it does
        gateway.start()
        gateway.settle()
        assert gateway.status()["damaged"] is None
        assert vendor.count() - before == sent + 3
        assert gateway.counts()["balanced"]
