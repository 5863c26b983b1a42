"""What a real gateway sends of a visitor whose ids arrive after the event."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway import Emulator, Gateway, config, criteo, order, page, until


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path) as emulator:
        yield emulator


def test_an_id_and_an_address_that_arrive_while_an_event_waits_go_out_with_it(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo(consent={"basis": "categories"})), vendor) as gateway:
        gateway.send(order("o-1", anonymousId="proposal"))
        until("it waits", lambda: gateway.counts()["held"] == 1)
        sync = {"vendor": "criteo", "caller": "123", "status": "OK"}
        identify = {"type": "identify", "anonymousId": "cookie", "previousId": "proposal"}
        gateway.send(
            page("i-1") | identify | {"properties": {"sync": sync}, "context": {"ids": {"criteo_gum_id@123": "gum-1"}}},
            page("i-2") | identify | {"userId": "u-1", "traits": {"email": "Ann@Example.com"}},
        )
        gateway.kill("deliver")
        agreed = {"consent": {"categories": {"marketing": True}}}
        gateway.send(
            page("c-1", type="track", event="Consent Updated") | identify | {"type": "track", "context": agreed}
        )
        gateway.settle()
        (received,) = vendor.received_of("o-1")
        assert received.body["id"]["mapped_user_id"] == "gum-1"
        assert received.body["id"]["email"]["sha256"] == hashlib.sha256(b"ann@example.com").hexdigest()
        shown = gateway.delivery("o-1")["identity"]
        assert shown == {"criteo_gum_id": "gum-1", "email": "A***@Example.com", "user_id": "u-1"}


def test_the_back_ends_order_gets_the_browsers_id(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(
            {"type": "identify", "messageId": "i-1", "anonymousId": "a", "traits": {"criteo_gum_id": "gum-1"}},
            {"type": "identify", "messageId": "i-2", "anonymousId": "a", "userId": "u"},
        )
        gateway.settle()
        assert gateway.stop() == 0
        gateway.start()
        gateway.send(order("o-1", anonymousId=None, userId="u"))
        gateway.settle()
        assert vendor.received_of("o-1")[0].body["id"]["mapped_user_id"] == "gum-1"


def test_an_id_does_not_follow_the_integration_to_another_caller(tmp_path: Path, vendor: Emulator) -> None:
    """It was the source's only caller's when it came, and was not said to be anybody's."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send({"type": "identify", "messageId": "i-1", "anonymousId": "a", "traits": {"criteo_gum_id": "gum-1"}})
        gateway.send(order("o-1", anonymousId="a"))
        gateway.settle()
        gateway.stop()
        gateway.configure(config(criteo(settings={"partner_id": "12345", "mapping_key": "456"})))
        gateway.start()
        gateway.send(order("o-2", anonymousId="a"))
        gateway.settle()
        assert vendor.received_of("o-1")[0].body["id"]["mapped_user_id"] == "gum-1"
        assert "mapped_user_id" not in vendor.received_of("o-2")[0].body["id"]
