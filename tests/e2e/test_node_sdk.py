"""Segment's own Node SDK, unchanged, as a client."""

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.checker import check
from tests.clients import FOLDER, npm_clients
from tests.gateway import WRITE_KEY, Emulator, Gateway, config, criteo, until

from firsthand.event import parse_time

TYPES = ["alias", "group", "identify", "page", "screen", "track", "track"]


@pytest.fixture(scope="module", autouse=True)
def sdk() -> None:
    npm_clients()


def send(port: int) -> list[dict[str, Any]]:
    """The events as the SDK says it sent them, once they were acknowledged to it."""
    command = ["node", "send.mjs", f"http://127.0.0.1:{port}", WRITE_KEY]
    ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=90)
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_every_type_of_call(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        events = send(gateway.port)
        assert sorted(event["type"] for event in events) == TYPES
        gateway.settle()

        for sent in events:
            kept = gateway.event(sent["messageId"])
            for field in ("type", "event", "name", "userId", "anonymousId", "groupId", "previousId"):
                assert kept.get(field) == sent.get(field), field
            assert kept["context"]["library"] == {"name": "@segment/analytics-node", "version": "2.2.1"}
            assert kept.get("properties", {}) == sent.get("properties", {})
            assert kept.get("traits", {}) == sent.get("traits", {})
            assert parse_time(kept["timestamp"]) == parse_time(sent["timestamp"])

        an_hour_ago = next(event["timestamp"] for event in events if event["messageId"] == "node-order")
        (order,) = vendor.received_of("node-order")
        assert order.taken
        assert order.body == {
            "account": "12345",
            "version": "s2s_v1.0.0",
            "site_type": "m",
            "ip": "203.0.113.7",
            "full_url": "https://shop.example/node-order",
            "useragent": "Mozilla/5.0 (iPhone)",
            "retailer_visitor_id": "node-visitor",
            "id": {
                "mapping_key": "123",
                "email": {
                    "md5": "0cba00ca3da1b283a57287bcceb17e35",
                    "sha256": "86e0b9e56c17cc4d12387e1949b85053fbe73bc3ce5a1188713a9d300cc6133d",
                    "sha256_md5": "861a02f31e82e3e351245b890b77cd9dcf6d2a41cae117e1fb55d79a1c9a2b8f",
                },
            },
            "events": [
                {
                    "event": "trackTransaction",
                    "timestamp": an_hour_ago[:19] + "Z",
                    "id": "node-order",
                    "currency": "EUR",
                    "item": [
                        {"id": "lamp-7", "price": 49.9, "quantity": 2},
                        {"id": "bulb-1", "price": 3.5, "quantity": 1},
                    ],
                }
            ],
        }
        assert gateway.delivery("node-order")["state"] == "delivered"
        states = check(gateway, {event["messageId"] for event in events}, vendor).lanes["criteo"].states
        assert states == {"delivered": 3, "filtered: no_counterpart": 4}


def test_it_tries_again_while_the_collector_is_down(tmp_path: Path, vendor: Emulator):
    gateway = Gateway(tmp_path, config(criteo()), vendor)
    events: list[dict[str, Any]] = []
    sending = threading.Thread(target=lambda: events.extend(send(gateway.port)), daemon=True)
    sending.start()
    with gateway:
        until("the SDK has sent", lambda: not sending.is_alive())
        assert sorted(event["type"] for event in events if "type" in event) == TYPES
        gateway.settle()
        check(gateway, {event["messageId"] for event in events if "type" in event}, vendor)
