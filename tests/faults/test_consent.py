"""Consent in a gateway that runs: held, killed, answered; and the proof of it holds at any moment."""

from pathlib import Path
from typing import Any

from tests.gateway import Emulator, Gateway, Sender, config, criteo, order, shopping, until

ASK = {"basis": "categories"}
YES, NO = {"categories": {"marketing": True}}, {"categories": {"marketing": False}}


def answer(visitor: str, consent: Any, **more: Any) -> Any:
    return {
        "type": "track",
        "event": "Consent Updated",
        "messageId": f"answer-{visitor}",
        "anonymousId": visitor,
        "context": {"consent": consent},
        **more,
    }


def settled(gateway: Gateway) -> int:
    counts = gateway.counts()
    return int(counts["delivered"] + counts["filtered"])


def test_held_events_outlive_a_kill_and_go_as_their_visitors_answer(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo(consent=ASK)), vendor) as gateway:
        gateway.send(
            order("yes-1", anonymousId="proposed", context={}),
            order("no-1", anonymousId="bob", context={}),
            order("silent-1", anonymousId="carl", context={}),
        )
        until("they are held", lambda: gateway.counts()["held"] == 3)
        gateway.back("deliver", gateway.kill("deliver"))
        gateway.send(answer("ann", YES, previousId="proposed"), answer("bob", NO))
        until("all but one have been answered", lambda: settled(gateway) == 4)
        assert vendor.count() == 1
        assert gateway.delivery("yes-1")["state"] == "delivered"
        assert gateway.delivery("yes-1")["consent"]["answered_at"]
        refused = gateway.delivery("no-1")
        assert (refused["state"], refused["reason"]["code"]) == ("filtered", "consent_refused")
        assert gateway.delivery("silent-1")["state"] == "held"
        assert gateway.command("consent", "verify", "--json")["whole"]


def test_the_log_of_a_gateway_that_is_killed_again_and_again_is_whole(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo(consent={"basis": "none"})), vendor) as gateway:
        with Sender(gateway, shopping(1500)) as sender:
            for moment in (200, 600):
                until("some are delivered", lambda moment=moment: vendor.count() >= moment)
                assert gateway.command("consent", "verify", "--json")["whole"]
                gateway.back("deliver", gateway.kill("deliver"))
        gateway.settle()
        found = gateway.command("consent", "verify", "--json")
        assert found["whole"]
        assert found["deliveries"] == len(sender.acknowledged)
        assert found["heads"] == 1
