"""Consent in a gateway that runs: held, killed, answered; and the proof of it holds at any moment."""

from pathlib import Path
from typing import Any

from tests.gateway import WRITE_KEY, Emulator, Gateway, Sender, call, config, criteo, order, shopping, until

ASK = {"basis": "categories"}
YES, NO = {"categories": {"marketing": True}}, {"categories": {"marketing": False}}


def send(gateway: Gateway, *events: Any) -> None:
    answer = call(gateway.port, "POST", "/v1/batch", {"writeKey": WRITE_KEY, "batch": list(events)})
    assert answer["success"], answer


def answer(visitor: str, consent: Any, **more: Any) -> Any:
    return {
        "type": "track",
        "event": "Consent Updated",
        "messageId": f"answer-{visitor}",
        "anonymousId": visitor,
        "context": {"consent": consent},
        **more,
    }


def test_held_events_outlive_a_kill_and_go_as_their_visitors_answer(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo(consent=ASK)), vendor) as gateway:
        send(
            gateway,
            order("yes-1", anonymousId="proposed", context={}),
            order("no-1", anonymousId="bob", context={}),
            order("silent-1", anonymousId="carl", context={}),
        )
        until("they are held", lambda: gateway.counts()["held"] == 3)
        gateway.back("deliver", gateway.kill("deliver"))
        send(gateway, answer("ann", YES, previousId="proposed"), answer("bob", NO))
        until("two have been answered", lambda: gateway.counts()["held"] == 1)
        gateway.settle()
        assert [one.message_ids if hasattr(one, "message_ids") else None for one in vendor.received] is not None
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
