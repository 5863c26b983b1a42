"""Files that a disk has damaged: what can be read goes on its way, what cannot is said."""

import shutil
from pathlib import Path

import pytest
from tests.checker import check
from tests.eventlog.damage import overwrite, pages
from tests.gateway import Emulator, Gateway, Sender, config, criteo, order, page, shopping


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
