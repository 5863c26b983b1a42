"""From nothing: a page, a product and an order, all the way to the vendor, and the trace that tells of it."""

import contextlib
from pathlib import Path

from tests.checker import check
from tests.gateway import Emulator, Gateway, Sender, config, criteo, order, page, product, shopping, until

from firsthand.event import parse_time

ATTEMPT = {"at", "duration_ms", "request_index", "hop", "request", "response", "error"}
DELIVERY = {
    *("integration", "vendor", "name", "state", "certainty", "reason", "warnings", "revision", "vendor_version"),
    *("consent", "identity", "generation", "superseded", "updated_at", "next_attempt_at", "attempts"),
    *("environment", "paused", "left_out", "total", "maybe_sent_before"),
}


def test_three_events(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        answer = gateway.send(page("p-1"), product("v-1"), order("o-1"))
        assert answer == {"success": True, "accepted": 3, "rejected": []}
        gateway.settle()

        trace = gateway.trace("o-1")
        assert trace.keys() == {"message_id", "event", "source", "received_at", "time", "deliveries"}
        assert (trace["message_id"], trace["source"]) == ("o-1", "web-shop")
        assert trace["received_at"].endswith("Z")
        (delivery,) = trace["deliveries"]
        assert delivery.keys() == DELIVERY
        assert (delivery["integration"], delivery["vendor"]) == ("criteo", "criteo-s2s")
        assert (delivery["state"], delivery["certainty"], delivery["reason"]) == ("delivered", "accepted", None)
        assert delivery["revision"] == 1
        assert delivery["consent"] == {"decision": "allow", "basis": "none", "detail": ""}
        sent = delivery["attempts"][-1]
        assert sent.keys() == ATTEMPT
        assert (sent["request_index"], sent["response"]["status"], sent["error"]) == (0, 200, None)
        assert sent["request"].keys() == {"method", "url", "headers", "body"}
        assert sent["response"]["body"] == {"errors": [], "warnings": []}
        assert sent["request"]["body"]["events"][0]["id"] == "o-1"

        # The vendor has what the trace says, but for what a trace masks.
        (received,) = vendor.received_of("o-1")
        assert received.body == sent["request"]["body"] | {"ip": "203.0.113.7"}
        assert sorted(entry.event for entry in vendor.received()) == ["trackTransaction", "viewItem", "viewPage"]
        check(gateway, {"p-1", "v-1", "o-1"}, vendor)
        assert gateway.stop() == 0


def test_the_way_to_the_region_is_asked_for_once(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        for number in range(3):
            gateway.send(page(f"p-{number}"))
            gateway.settle()
        first, *later = [gateway.delivery(f"p-{number}")["attempts"] for number in range(3)]
        assert [(attempt["hop"], attempt["response"]["status"]) for attempt in first] == [(0, 307), (1, 200)]
        assert [attempt["response"]["status"] for attempts in later for attempt in attempts] == [200, 200]
        check(gateway, {"p-0", "p-1", "p-2"}, vendor)


def test_status_says_the_same(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(50)) as sender:
            pass
        gateway.send(page("event-3"), page("another"))  # one of them is known already
        gateway.settle()
        said = gateway.status()
        (source,) = said["sources"]
        assert source["key"] == "web-shop"
        assert (source["received"], source["duplicates"], source["refused"]) == (51, 1, 0)
        (row,) = said["integrations"]
        assert row["key"] == "criteo"
        assert row["delivered"] == row["received"] == 51
        assert row["balanced"]
        assert said["log"].keys() == {"bytes", "max_bytes", "full"}
        check(gateway, sender.acknowledged | {"another"}, vendor)


def test_events_that_come_before_delivery_first_runs(tmp_path: Path, vendor: Emulator):
    """The collector may be the first to be ready. What it takes by then is for the integrations too."""
    gateway = Gateway(tmp_path, config(criteo()), vendor)
    collecting = gateway.launch("--roles", "collect", log="collect.log")
    with contextlib.ExitStack() as stack:
        stack.callback(gateway.kill_all)
        stack.callback(collecting.kill)
        until("it collects", gateway.collects)
        gateway.send(page("early-1"), order("early-2"))
        collecting.kill()
        gateway.start()
        gateway.send(page("later-3"))
        gateway.settle()
        check(gateway, {"early-1", "early-2", "later-3"}, vendor)


def test_a_clock_that_is_wrong(tmp_path: Path, vendor: Emulator):
    """A device a year ahead says when it sent: the event's time is moved by that error, and the original is kept."""
    ahead = order("o-1", timestamp="2035-03-01T10:00:00Z", sentAt="2035-03-01T10:00:05Z")
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(ahead)
        gateway.settle()
        event = gateway.trace("o-1")["event"]
        assert event["originalTimestamp"] == "2035-03-01T10:00:00Z"
        assert 4_900 <= parse_time(event["receivedAt"]) - parse_time(event["timestamp"]) <= 5_100
        check(gateway, {"o-1"}, vendor)
