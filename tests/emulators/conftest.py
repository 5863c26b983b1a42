"""Drives the emulators in process, with a clock that stands still and a sleep that only notes how long it was."""

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from firsthand.emulators.server import Emulators, create_app
from firsthand.event import parse_time

NOW = parse_time("2026-11-22T10:20:00Z") / 1000
EVENT_URL = "/criteo-s2s/eu/m/event?version=s2s_v0"


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Client:
    """A browser's view of the application: no server, no socket."""

    app: Emulators
    slept: list[float] = field(default_factory=list)
    now: float = NOW

    async def send(
        self,
        method: str,
        url: str,
        json: object = msgspec.UNSET,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        sent = {"host": "emulator.test"}
        if json is not msgspec.UNSET:
            body, sent["content-type"] = msgspec.json.encode(json), "application/json"
        sent |= headers or {}
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def collect(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, collect)
        start, *rest = messages
        got = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answered(start["status"], got, b"".join(message["body"] for message in rest))

    async def post(self, payload: object, url: str = EVENT_URL) -> Any:
        """The JSON answer to an event request."""
        answered = await self.send("POST", url, payload)
        assert answered.status == 200
        return answered.json()

    async def control(self, method: str, resource: str, json: object = msgspec.UNSET) -> Any:
        return (await self.send(method, f"/_control/criteo-s2s/{resource}", json)).json()

    async def received(self) -> list[Any]:
        ledger = await self.control("GET", "ledger")
        entries: list[Any] = ledger["received"]
        return entries


@pytest.fixture
def client() -> Client:
    made: list[Client] = []

    async def sleep(seconds: float) -> None:
        made[0].slept.append(seconds)

    made.append(Client(create_app(clock=lambda: made[0].now, sleep=sleep)))
    return made[0]


def _envelope(*events: object, **fields: object) -> dict[str, Any]:
    """A request without fault, but for what `fields` replaces (None: leaves out)."""
    whole: dict[str, Any] = {
        "account": "12345",
        "version": "s2s_v1.0.0",
        "site_type": "d",
        "ip": "203.0.113.7",
        "full_url": "https://shop.example/",
        "useragent": "Mozilla/5.0",
        "retailer_visitor_id": "v_42",
        "id": {"mapping_key": "123", "mapped_user_id": "opaque-GUM-id"},
        "events": list(events) or [{"event": "viewHome"}],
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.fixture
def envelope() -> Callable[..., dict[str, Any]]:
    return _envelope


def _tc_string(vendors: Iterable[int], purposes: Iterable[int] = range(1, 11), version: int = 2) -> str:
    """A TC string that grants these vendors and purposes, by the IAB's format."""
    bits = f"{version:06b}" + "0" * (36 + 36 + 12 + 12 + 6 + 12 + 12)
    granted, allowed = set(vendors), set(purposes)
    purpose_bits = "".join(str(int(purpose in allowed)) for purpose in range(1, 25))
    last = max(granted, default=0)
    vendor_bits = f"{last:016b}0" + "".join(str(int(vendor in granted)) for vendor in range(1, last + 1))
    if version == 1:
        bits += purpose_bits + vendor_bits
    else:
        bits += f"{4:06b}" + "0" * 14 + purpose_bits + "0" * 24 + "0" * 13 + vendor_bits + "0" * 17 + "0" * 12
    bits += "0" * (-len(bits) % 24)
    return base64.urlsafe_b64encode(int(bits, 2).to_bytes(len(bits) // 8)).decode().rstrip("=")


@pytest.fixture
def tc_string() -> Callable[..., str]:
    return _tc_string
