"""Clients of Segment and RudderStack, unchanged and set up as documented: each sends an order of half an hour ago.

Segment's Python and Node SDKs have tests of their own beside this one, and those for pages are in tests/browser.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rudderstack.analytics.client import Client
from tests.clients import FOLDER, JAVA, java_client, npm_clients
from tests.gateway import WRITE_KEY, Emulator, Gateway, Json, config, criteo, until

from firsthand.event import parse_time

HALF_AN_HOUR_MS = 30 * 60 * 1000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, _vendors: tuple[Emulator, Emulator]) -> Iterator[Gateway]:
    """Asks for consent in marketing, which each client says in its own words."""
    _vendors[0].forget()
    asking = criteo(consent={"basis": "categories", "categories": ["marketing"]})
    with Gateway(tmp_path_factory.mktemp("clients"), config(asking), _vendors[0]) as running:
        yield running


def run(*command: str, folder: Path) -> None:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def rudderstack_python(url: str, id: str) -> None:
    errors: list[Any] = []
    client = Client(WRITE_KEY, host=url, on_error=lambda error, _: errors.append(error))
    visitor: Json = {"user_id": "rudder-user", "anonymous_id": "rudder-visitor"}
    client.identify(**visitor, traits={"email": "jane.doe@example.com"})
    client.track(
        **visitor,
        event="Order Completed",
        message_id=id,
        timestamp=datetime.now(UTC) - timedelta(minutes=30),
        properties={
            "order_id": id,
            "currency": "EUR",
            "products": [{"product_id": "lamp-7", "price": 49.9, "quantity": 2}],
        },
        context={
            "ip": "203.0.113.7",
            "userAgent": "Mozilla/5.0",
            "page": {"url": f"https://shop.example/{id}"},
            "consentManagement": {"allowedConsentIds": ["marketing"], "deniedConsentIds": ["analytics"]},
        },
    )
    client.shutdown()
    assert not errors


def rudderstack_node(url: str, id: str) -> None:
    npm_clients()
    run("node", "send-rudderstack.mjs", url, WRITE_KEY, id, folder=FOLDER)


def segment_java(url: str, id: str) -> None:
    java_client()
    run("java", "-cp", "target/dependency/*", "Send.java", url, WRITE_KEY, id, folder=JAVA)


@pytest.mark.parametrize("send", [rudderstack_python, rudderstack_node, segment_java])
def test_an_order_arrives_and_is_delivered(gateway: Gateway, send: Callable[[str, str], None]) -> None:
    id = send.__name__.replace("_", "-")
    before = time.time() * 1000
    send(f"http://127.0.0.1:{gateway.port}", id)
    after = time.time() * 1000

    kept = gateway.event(id)
    person = id.removesuffix("-python").removesuffix("-node").replace("segment-java", "java").replace("stack", "")
    assert (kept["userId"], kept["anonymousId"]) == (f"{person}-user", f"{person}-visitor")
    assert before - 5_000 <= parse_time(kept["timestamp"]) + HALF_AN_HOUR_MS <= after + 5_000
    assert kept["context"]["consent"]["categories"]["marketing"] is True
    gateway.settle()
    assert gateway.delivery(id)["state"] == "delivered"
    (order,) = until("the vendor has it", lambda: gateway.vendor.received_of(id))
    assert order.taken
    (event,) = order.body["events"]
    assert event["event"] == "trackTransaction"
    assert event["timestamp"] == kept["timestamp"][:19] + "Z"
    assert event["item"] == [{"id": "lamp-7", "price": 49.9, "quantity": 2}]
    assert set(order.body["id"]["email"]) == {"md5", "sha256", "sha256_md5"}
