"""`events` as it is typed: which events met a reason, and what became of those about an order or a user."""

import json
import signal
from pathlib import Path

import pytest
from tests.commands.conftest import Firsthand
from tests.gateway import Emulator, Gateway, Program, config, criteo, order, page, until


@pytest.fixture
def here(tmp_path: Path, vendor: Emulator) -> tuple[str, str]:
    """The data folder of a gateway that has had four events and has stopped."""
    with Gateway(tmp_path, config(criteo(), criteo("other")), vendor) as gateway:
        broken = order("broken", userId="customer-7")
        broken["properties"]["products"][0]["price"] = "1,50"
        gateway.send(page("p1"), order("W-1"), broken, page("p2", type="track", event="Newsletter Read"))
        gateway.settle()
    return "--data", str(tmp_path / "data")


def test_which_events_met_a_reason(firsthand: Firsthand, here: tuple[str, str]) -> None:
    said = firsthand("events", "--state", "dead", "--integration", "criteo", *here)
    (line,) = said.out.splitlines()
    assert line.endswith("  criteo  dead field_invalid  Order Completed  broken")

    found = firsthand("events", "--reason", "not_mapped", "--json", *here).json["events"]
    assert [(one["message_id"], one["integration"], one["state"]) for one in found] == [
        ("p2", "criteo", "filtered"),
        ("p2", "other", "filtered"),
    ]
    assert found[0]["reason"]["message"].startswith("'Newsletter Read' is not mapped")
    newest = firsthand("events", "--limit", "2", *here)
    assert [line.rpartition(" ")[2] for line in newest.out.splitlines()[:2]] == ["p2", "p2"]
    assert newest.out.endswith("These are the newest 2; --limit shows more\n")


def test_what_became_of_an_order_or_of_somebody(firsthand: Firsthand, here: tuple[str, str]) -> None:
    for about, ids in {"W-1": {"W-1"}, "customer-7": {"broken"}, "lamp-7": {"W-1", "broken"}, "lamp": set()}.items():
        found = firsthand("events", "--about", about, "--integration", "criteo", "--json", *here).json["events"]
        assert {one["message_id"] for one in found} == ids
    assert firsthand("events", "--about", "nobody", *here).out == "No event of which this is true is kept here\n"
    said = firsthand("trace", "W-2", *here)
    assert (said.exit_code, "`firsthand events --about TEXT`" in said.err) == (1, True)


def test_used_wrongly(firsthand: Firsthand, here: tuple[str, str]) -> None:
    assert firsthand("events", "--state", "lost", *here).exit_code == 2
    assert firsthand("events", "--reason", "lost", *here).exit_code == 2
    said = firsthand("events", "--integration", "lost", *here)
    assert (said.exit_code, said.err) == (1, "firsthand: there is no integration 'lost'; there are criteo, other\n")


def test_of_one_source_and_of_late(firsthand: Firsthand, here: tuple[str, str]) -> None:
    everything = firsthand("events", "--json", *here).json["events"]
    assert firsthand("events", "--source", "web-shop", "--since", "1h", "--json", *here).json["events"] == everything
    assert firsthand("events", "--source", "tills", *here).out == "No event of which this is true is kept here\n"
    assert firsthand("events", "--since", "2100-01-01", *here).out == "No event of which this is true is kept here\n"
    said = firsthand("events", "--since", "lately", *here)
    assert (said.exit_code, "'lately' is neither a time such as" in said.err) == (2, True)


def test_what_comes_is_followed_with_each_of_its_states(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("before"))
        gateway.settle()
        arguments = ["events", "--follow", "--json", "--source", "web-shop", "--data", str(gateway.data)]
        following = Program(arguments, tmp_path / "following.log", {"PYTHONUNBUFFERED": "1"})

        def seen() -> list[tuple[str, str]]:
            lines = [json.loads(line) for line in following.output.splitlines()]
            return [(line["message_id"], line["state"]) for line in lines]

        try:
            until("what was there is shown", lambda: seen() == [("before", "delivered")])
            vendor.fault("status_500")
            gateway.send(page("later"))
            until("the vendor's trouble is seen", lambda: ("later", "retrying") in seen())
            assert gateway.counts()["waiting"] == {"retrying": {"HTTP 500": 1}}
            vendor.behave()
            until("its end is seen", lambda: ("later", "delivered") in seen())
        finally:
            following.signal(signal.SIGINT)
            assert following.wait() == 0
