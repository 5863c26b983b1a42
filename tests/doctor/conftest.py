"""What a check is given, made in a folder of its own."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from firsthand.config import load
from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding
from firsthand.event import Event, encoder, parse_time
from firsthand.eventlog.base import Record, visitor_hash
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.settings import Settings
from firsthand.state.store import State

Json = dict[str, Any]
NOON = "2026-11-22T12:00:00.000Z"
KEY = "3f9a7c2e51b84d60a9e1c7f2"


def criteo(**fields: Any) -> Json:
    settings = {"partner_id": "71234", "mapping_key": "871"}
    return {"key": "criteo", "vendor": "criteo-s2s", "settings": settings, "consent": {"basis": "none"}} | fields


def config(*integrations: Json, **fields: Any) -> Json:
    return {"sources": [{"key": "web-shop", "write_key": KEY}], "integrations": list(integrations)} | fields


@pytest.fixture
def context(tmp_path: Path) -> Callable[..., Context]:
    """A context with this configuration in a file; `applied=True` applies it too, `None` is no file at all."""

    def make(file: Json | str | None = None, *, applied: bool = False, **options: Any) -> Context:
        env, settings = options.pop("env", {}), options.pop("settings", Settings(data=tmp_path / "data"))
        path = tmp_path / "firsthand.yaml" if file is not None else None
        if path is not None:
            path.write_text(file if isinstance(file, str) else json.dumps(file))
            if applied:
                State.open(tmp_path / "data", migrate=True).apply(load(path, env))
        return Context(settings, path, env=env, **options)

    return make


def found(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    """Severity, title and what was found; a finding that is not ok has its remedy."""
    findings = list(findings)
    assert all((finding.remedy is None) == (finding.severity == "ok") for finding in findings)
    return [(finding.severity, finding.title, finding.found) for finding in findings]


def event(id: str, **fields: Any) -> Event:
    given = {"type": "track", "event": "Product Viewed", "anonymous_id": "v", "timestamp": NOON, "received_at": NOON}
    return Event(message_id=id, **given | fields)


def write_log(data: Path, events: Iterable[Event], source: str = "web-shop", received_ms: int | None = None) -> None:
    """Events as the collector would have written them."""
    data.mkdir(exist_ok=True)

    async def write() -> None:
        async with contextlib.AsyncExitStack() as stack:
            log = SqliteLogWriter(data, max_age=None)
            stack.push_async_callback(log.close)
            for one in events:
                at = parse_time(one.received_at) if received_ms is None else received_ms
                body = encoder.encode(one)
                await log.append([Record(source, one.message_id, visitor_hash(source, "v"), at, body)])

    asyncio.run(write())
