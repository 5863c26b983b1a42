"""A browser as far as cookies go: it keeps what the collector sets and sends it back, from the pages of a shop."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from tests.collect.client import Answered, Client

from firsthand.config import Integration, Source
from firsthand.vendors import registry

WEB = Source(key="web", write_key="web-key")
RAPTOR = Integration(
    key="raptor", vendor="raptor", settings=registry()["raptor"].settings(customer_id="1234", ruid_storage="cookie")
)
PROPOSAL = "6f1d3a9e-2b4c-4d5e-8f60-718293a4b5c6"
OTHER_PROPOSAL = "0a1b2c3d-4e5f-4a6b-9c7d-8e9f0a1b2c3d"
GRANTED = {"categories": {"marketing": True}}
REFUSED = {"categories": {"marketing": False, "analytics": False}}


class Shop:
    """The shop's pages and their one visitor."""

    def __init__(
        self,
        source: Source = WEB,
        *,
        page: str = "https://www.shop.example",
        host: str = "events.shop.example",
        scheme: str = "https",
        integrations: Sequence[Integration] = (),
        **more: Any,
    ) -> None:
        self.client = Client(source, integrations=integrations, **more)
        self.jar: dict[str, str] = {}
        self.headers = {"origin": page, "host": host}
        self.key = source.write_key
        self.scheme = scheme
        self.proposal = PROPOSAL

    async def sends(
        self, *events: Mapping[str, Any], consent: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """The script sends these events, or a page view, in one batch."""
        batch = [self.event(consent, **event) for event in events or ({},)]
        body = {"writeKey": self.key, "batch": batch}
        return await self.asks("POST", "/v1/batch", body, headers)

    def event(self, consent: Any = None, **fields: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"library": {"name": "firsthand.js", "version": "1"}}
        if consent is not None:
            context["consent"] = consent
        context |= fields.pop("context", {})
        return {"type": "page", "anonymousId": self.proposal, "context": context} | fields

    async def asks(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> Answered:
        sent = {**self.headers, "content-type": "text/plain;charset=UTF-8"}
        if self.jar:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        sent |= headers or {}
        data = b"" if body is None else body if isinstance(body, bytes) else _encode(body)
        answer = await self.client.send(method, path, sent, data, query=query, scheme=self.scheme)
        for name, value in answer.cookies.items():
            self.jar.pop(name, None)
            if value:
                self.jar[name] = value
        return answer

    @property
    def last(self) -> dict[str, Any]:
        """The newest event as the log has it."""
        return _decode(self.client.log.records[-1].body)

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [_decode(record.body) for record in self.client.log.records]


def _encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _decode(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])
