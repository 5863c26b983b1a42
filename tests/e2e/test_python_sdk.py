"""Segment's own Python SDK, unchanged, as a client."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client
from tests.checker import check
from tests.gateway import WRITE_KEY, Emulator, Gateway, Json, config, criteo, until

from firsthand.event import parse_time

VISITOR = {"user_id": "user-42", "anonymous_id": "python-visitor"}


def context(id: str) -> Json:
    page = {"url": f"https://shop.example/{id}", "referrer": "https://search.example/?q=lamps"}
    return {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0", "page": page, "traits": {"email": " Jane.Doe@Example.com"}}


def send(client: Client, when: datetime | None = None) -> list[Json]:
    """One call of each type; the messages as the SDK made them."""
    bought = {"order_id": "python-order", "currency": "eur", "products": [{"product_id": "lamp-7", "price": 49.9}]}
    calls = [
        client.identify(**VISITOR, traits={"email": "jane.doe@example.com"}),
        client.group(**VISITOR, group_id="company-7"),
        client.alias("python-visitor", "user-42"),
        client.screen(**VISITOR, name="Basket"),
        client.page(**VISITOR, name="Desk lamps", context=context("python-page"), message_id="python-page"),
        client.track(
            **VISITOR,
            event="Product Viewed",
            properties={"product_id": "lamp-7"},
            context=context("python-product"),
            message_id="python-product",
        ),
        client.track(
            **VISITOR,
            event="Order Completed",
            properties=bought,
            context=context("python-order"),
            message_id="python-order",
            timestamp=when,
        ),
    ]
    assert all(queued for queued, _ in calls)
    return [message for _, message in calls]


def sdk(port: int, errors: list[Any], **settings: Any) -> Client:
    host = f"http://127.0.0.1:{port}"
    return Client(WRITE_KEY, host=host, on_error=lambda error, _: errors.append(error), upload_interval=0.2, **settings)


@pytest.mark.parametrize("gzip", [False, True])
def test_every_type_of_call(tmp_path: Path, vendor: Emulator, gzip: bool):
    an_hour_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    errors: list[Any] = []
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        client = sdk(gateway.port, errors, gzip=gzip)
        messages = send(client, an_hour_ago)
        client.shutdown()
        assert not errors
        gateway.settle()

        for sent in messages:
            kept = gateway.event(sent["messageId"])
            for field in ("type", "event", "name", "userId", "anonymousId", "groupId", "previousId"):
                assert kept.get(field) == sent.get(field), field
            assert kept.get("properties", {}) == sent.get("properties", {})
            assert kept["context"]["library"] == {"name": "analytics-python", "version": "2.4.0"}
            assert parse_time(kept["timestamp"]) == parse_time(sent["timestamp"])
            assert "sentAt" in kept
            assert "originalTimestamp" not in kept  # its clock is right

        (order,) = vendor.received_of("python-order")
        assert order.taken
        md5 = hashlib.md5(b"jane.doe@example.com").hexdigest()
        assert order.body == {
            "account": "12345",
            "version": "s2s_v1.0.0",
            "site_type": "d",
            "ip": "203.0.113.7",
            "full_url": "https://shop.example/python-order",
            "previous_url": "https://search.example/?q=lamps",
            "useragent": "Mozilla/5.0",
            "retailer_visitor_id": "python-visitor",
            "id": {
                "mapping_key": "123",
                "email": {
                    "md5": md5,
                    "sha256": hashlib.sha256(b"jane.doe@example.com").hexdigest(),
                    "sha256_md5": hashlib.sha256(md5.encode()).hexdigest(),
                },
            },
            "events": [
                {
                    "event": "trackTransaction",
                    "timestamp": an_hour_ago.isoformat()[:19] + "Z",
                    "id": "python-order",
                    "currency": "EUR",
                    "item": [{"id": "lamp-7", "price": 49.9, "quantity": 1}],
                }
            ],
        }
        assert gateway.delivery("python-order")["state"] == "delivered"
        states = check(gateway, {message["messageId"] for message in messages}, vendor).lanes["criteo"].states
        assert states == {"delivered": 3, "filtered: no_counterpart": 4}


def test_many_at_once_in_batches(tmp_path: Path, vendor: Emulator):
    errors: list[Any] = []
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        client = sdk(gateway.port, errors, upload_size=100, gzip=True)
        sent = [
            client.page(f"user-{number}", context=context(f"page-{number}"), message_id=f"page-{number}")
            for number in range(1000)
        ]
        client.shutdown()
        assert not errors
        gateway.settle()
        found = check(gateway, {message["messageId"] for _, message in sent}, vendor)
        assert found.lanes["criteo"].states == {"delivered": 1000}


def test_it_tries_again_while_the_collector_is_down(tmp_path: Path, vendor: Emulator):
    errors: list[Any] = []
    gateway = Gateway(tmp_path, config(criteo()), vendor)
    client = sdk(gateway.port, errors)
    messages = send(client)
    sending = threading.Thread(target=client.shutdown, daemon=True)
    sending.start()
    with gateway:
        until("the SDK has sent", lambda: not sending.is_alive())
        assert not errors
        gateway.settle()
        check(gateway, {message["messageId"] for message in messages}, vendor)
