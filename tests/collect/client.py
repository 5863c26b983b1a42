"""A client of the collector without a network in between, and an event log in memory."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from firsthand.collect.app import Collector
from firsthand.config import Integration, Source
from firsthand.event import Event, decoder
from firsthand.eventlog.base import LogUnavailable, Noted, Record

NOW = 1_795_348_800.0
"""2026-11-22 12:00 UTC, by the collector's clock."""
SHOP = Source(key="shop", write_key="shop-key")
SITE = Source(key="site", write_key="site-key", origins=("https://shop.example",))
SLOW = Source(key="slow", write_key="slow-key", rate_per_second=10.0)
BROWSER = {"origin": "https://shop.example", "user-agent": "Mozilla/5.0"}


class MemoryLog:
    def __init__(self) -> None:
        self.full = False
        self.records: list[Record] = []
        self.refusals: Counter[str] = Counter()
        self.noted: Counter[tuple[Noted, str, str]] = Counter()

    async def append(self, records: Sequence[Record]) -> int:
        if self.full:
            raise LogUnavailable("the disk is full", retry_after=7)
        known = {(record.source, record.message_id) for record in self.records}
        new = [record for record in records if (record.source, record.message_id) not in known]
        self.records += new
        return len(new)

    def note(self, source: str, kind: Noted, value: str, count: int = 1) -> None:
        if kind == "refused":
            self.refusals[source] += count
        self.noted[kind, source, value] += count

    async def close(self) -> None: ...

    @property
    def events(self) -> list[Event]:
        return [decoder.decode(record.body) for record in self.records]


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    set_cookies: list[str]
    """Each Set-Cookie header."""

    @property
    def cookies(self) -> dict[str, str]:
        """What is set, by name; an empty value is removed."""
        return dict(header.partition(";")[0].split("=", 1) for header in self.set_cookies)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> tuple[str, str | None]:
        """Code and path."""
        error = self.json["error"]
        return error["code"], error["path"]

    @property
    def rejected(self) -> list[tuple[int, str, str | None]]:
        """Index, code and path of each refused item of a batch."""
        return [(item["index"], item["code"], item["path"]) for item in self.json["rejected"]]


class Client:
    """`key` goes along as a Bearer token unless a test says otherwise."""

    def __init__(
        self, *sources: Source, app: Any = None, integrations: Sequence[Integration] = (), **more: Any
    ) -> None:
        self.log = MemoryLog()
        self.now = NOW
        self.collector = Collector(
            sources or (SHOP, SITE, SLOW), self.log, clock=lambda: self.now, integrations=integrations, **more
        )
        self.app = app(self.collector) if app else self.collector
        self.address = ("203.0.113.9", 40_000)

    async def post(
        self,
        path: str,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes | None = None,
        key: str | None = "shop-key",
    ) -> Answered:
        sent = {"authorization": f"Bearer {key}"} if key else {}
        return await self.send(
            "POST", path, sent | dict(headers or {}), msgspec.json.encode(json) if body is None else body
        )

    async def track(self, event: Any = "Order Completed", **more: Any) -> Answered:
        """A single event; fields of it by name."""
        return await self.post("/v1/track", {"event": event, "userId": "u1"} | more)

    async def batch(self, *items: Any, **more: Any) -> Answered:
        return await self.post("/v1/batch", {"batch": list(items)} | more)

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        chunks: Sequence[bytes] = (),
        hangs_up: bool = False,
        query: str = "",
        scheme: str = "http",
    ) -> Answered:
        """As an ASGI server would. With `chunks`, the body comes in these, and nobody says how long it is."""
        parts = list(chunks) or [body]
        if not chunks and body:
            headers = {"content-length": str(len(body)), **headers}
        scope = {
            "type": "http",
            "method": method,
            "scheme": scheme,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "client": self.address,
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        answers: list[dict[str, Any]] = []

        async def messages() -> AsyncIterator[dict[str, Any]]:
            for index, part in enumerate(parts):
                yield {"type": "http.request", "body": part, "more_body": hangs_up or index + 1 < len(parts)}
            while True:
                yield {"type": "http.disconnect"}

        incoming = messages()

        async def receive() -> dict[str, Any]:
            return await anext(incoming)

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        await self.app(scope, receive, send)
        (start, end) = answers
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
        cookies = [value.decode("latin-1") for name, value in start["headers"] if name == b"set-cookie"]
        return Answered(start["status"], names, end["body"], cookies)


def item(number: int = 0, **more: Any) -> dict[str, Any]:
    """A sound item of a batch."""
    return {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": f"m{number}"} | more


def dumps(value: Any) -> bytes:
    """JSON as Python's own module writes it: with NaN and lone surrogates where there are some."""
    return json.dumps(value).encode()
