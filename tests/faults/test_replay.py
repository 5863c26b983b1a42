"""Sending again what did not arrive, once the cause is mended, and nothing that did arrive."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from tests.checker import check
from tests.gateway import Emulator, Gateway, Json, Sender, config, criteo, order, page, shopping, until

from firsthand.replays import dry_run, wanted_deliveries

FILTER = ("state", "reason", "since", "until", "message_id")
# What a kill may repeat: the deliveries that a replay has under way, and outcomes that no commit had taken yet.
IN_FLIGHT = 8 + 256


def with_products_by(path: str, **fields: Any) -> Json:
    """A set-up that looks for product ids where they are (`product_id`), or where they aren't."""
    return config(criteo(settings={"partner_id": "12345", "mapping_key": "123", "product_id": path}, **fields))


def restart(gateway: Gateway, config: Json) -> None:
    assert gateway.stop() == 0
    gateway.configure(config)
    gateway.start()


def test_dead_ones_once_the_configuration_is_mended(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, with_products_by("sku"), vendor) as gateway:
        with Sender(gateway, shopping(300)) as sender:
            pass
        gateway.settle()
        assert gateway.counts()["reasons"] == {"field_missing": 200}
        assert gateway.delivery("event-2")["reason"]["field"] == "properties.products[0].sku"

        restart(gateway, with_products_by("product_id"))
        would = gateway.command("replay", "--integration", "criteo", "--state", "dead", "--dry-run")
        assert would == {"integration": "criteo", "matched": 200, "gone": 0, "by_reason": {"dead: field_missing": 200}}
        assert len(vendor.received()) == 100  # nothing was sent by asking
        done = gateway.command("replay", "--integration", "criteo", "--state", "dead", "--rate", "1000")
        assert (done["state"], done["done"], done["delivered"]) == ("done", 200, 200)

        first, second = gateway.trace("event-2")["deliveries"]
        assert (first["state"], first["superseded"], first["generation"]) == ("dead", True, 0)
        assert (second["state"], second["superseded"], second["generation"]) == ("delivered", False, 1)
        assert (second["revision"], gateway.delivery("event-0")["revision"]) == (2, 1)
        # What was delivered before is not sent again, by this replay or the next one.
        assert gateway.command("replay", "--integration", "criteo")["matched"] == 0
        assert check(gateway, sender, vendor).lanes["criteo"].states == {"delivered": 300}


def test_some_of_them(tmp_path: Path, vendor: Emulator):
    """By reason, by time, by message id."""
    with Gateway(tmp_path, with_products_by("sku"), vendor) as gateway:
        gateway.send(order("o-1"), order("o-2"), page("p-1", anonymousId=None))
        gateway.send(order("o-3"), {"type": "identify", "userId": "u", "messageId": "i-1"})
        gateway.settle()
        restart(gateway, with_products_by("product_id"))

        def matched(**filter: Any) -> int:
            wanted = wanted_deliveries(**{name: filter.get(name) for name in FILTER}, resend=False)
            found: int = asyncio.run(dry_run(gateway.data, "criteo", wanted))["matched"]
            return found

        assert matched() == 4
        assert matched(state="filtered") == matched(reason="no_counterpart") == 1
        assert matched(message_id="o-2") == 1
        assert matched(since="2035-01-01") == matched(until="2020-01-01") == 0
        gateway.command("replay", "--integration", "criteo", "--message-id", "o-2")
        assert gateway.delivery("o-2")["state"] == "delivered"
        assert gateway.delivery("o-1")["state"] == gateway.delivery("o-3")["state"] == "dead"
        check(gateway, {"o-1", "o-2", "o-3", "i-1"}, vendor)


def test_delivered_ones_only_when_told_so(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(50)) as sender:
            pass
        gateway.settle()
        gateway.command("replay", "--integration", "criteo", "--state", "delivered", fails=2)
        gateway.command("replay", "--integration", "critoe", "--state", "delivered", "--resend", fails=1)
        done = gateway.command("replay", "--integration", "criteo", "--state", "delivered", "--resend")
        assert (done["state"], done["delivered"]) == ("done", 50)
        received = vendor.received()
        assert set(Counter(entry.id for entry in received).values()) == {2}
        # The same revision gives the same bytes.
        assert [entry.body for entry in vendor.received_of("event-2")] == 2 * [vendor.received_of("event-2")[0].body]
        assert check(gateway, sender, vendor, duplicates=50).lanes["criteo"].states == {"delivered": 50}


def test_what_came_while_it_was_switched_off(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo(enabled=False)), vendor) as gateway:
        with Sender(gateway, shopping(300)) as sender:
            pass
        gateway.settle()
        assert gateway.counts()["reasons"] == {"integration_disabled": 300}
        assert gateway.delivery("event-7")["reason"]["code"] == "integration_disabled"
        assert not vendor.received()

        restart(gateway, config(criteo()))
        gateway.send(page("after"))
        done = gateway.command(
            "replay", "--integration", "criteo", "--reason", "integration_disabled", "--rate", "1000"
        )
        assert (done["state"], done["delivered"]) == ("done", 300)
        assert gateway.delivery("event-7")["state"] == "delivered"
        assert gateway.command("replay", "--integration", "criteo")["matched"] == 0
        found = check(gateway, sender.acknowledged | {"after"}, vendor)
        assert found.lanes["criteo"].states == {"delivered": 301}


def test_it_is_killed_in_the_middle(tmp_path: Path, vendor: Emulator):
    """It begins again by itself, and leaves alone what it has delivered by then."""
    with Gateway(tmp_path, config(criteo(enabled=False)), vendor) as gateway:
        with Sender(gateway, shopping(1_000)) as sender:
            pass
        gateway.settle()
        restart(gateway, config(criteo()))
        replay = gateway.launch_command("replay", "--integration", "criteo", "--rate", "400")
        for moment in (200, 500):
            until("some are sent again", lambda moment=moment: vendor.count() >= moment)
            gateway.back("deliver", gateway.kill("deliver"))
        assert replay.wait() == 0
        gateway.settle()
        found = check(gateway, sender, vendor, duplicates=2 * IN_FLIGHT)
        assert found.lanes["criteo"].states == {"delivered": 1_000}


def test_the_vendor_says_no_again(tmp_path: Path, vendor: Emulator):
    vendor.fault("errors")
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(order("o-1"))
        gateway.settle()
        for generation in (1, 2):
            done = gateway.command("replay", "--integration", "criteo", "--reason", "vendor_rejected")
            assert (done["state"], done["dead"]) == ("done", 1)
            assert gateway.delivery("o-1")["generation"] == generation
        assert len(gateway.trace("o-1")["deliveries"]) == 3
        vendor.behave()
        assert gateway.command("replay", "--integration", "criteo")["delivered"] == 1
        check(gateway, {"o-1"}, vendor)
