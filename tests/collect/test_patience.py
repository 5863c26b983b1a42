"""Clients that never end what they began, over real connections, and too many of them."""

import asyncio
import contextlib
import json
import resource
from collections.abc import AsyncIterator

import pytest
import uvicorn
from tests.collect.client import SHOP, MemoryLog

from firsthand.collect.app import Collector
from firsthand.collect.connections import protocol, room
from firsthand.collect.request import Patience
from firsthand.collect.server import Entry

HEAD = b"POST /v1/track HTTP/1.1\r\nhost: x\r\nauthorization: Bearer shop-key\r\n"
EVENT = json.dumps({"event": "Order Completed", "userId": "u1"}).encode()
WHOLE = HEAD + b"content-length: %d\r\n\r\n" % len(EVENT) + EVENT
SHORT = Patience(pause=0.3, whole=0.9)


class Listening:
    """A collector on a port of its own."""

    def __init__(self, patience: Patience, most: int) -> None:
        self.log = MemoryLog()
        app = Collector([SHOP], self.log, patience=patience)
        config = uvicorn.Config(
            Entry(app, ()),
            port=0,
            http=protocol(patience, most),
            lifespan="off",
            log_config=None,
            timeout_keep_alive=30,
        )
        self._server = uvicorn.Server(config)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Listening"]:
        self._server.config.load()
        self._server.lifespan = self._server.config.lifespan_class(self._server.config)
        await self._server.startup()
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await self._server.shutdown()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def says(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """All that is answered to these parts until the collector closes the connection."""
        reader, writer = await self.connect()
        reading = asyncio.create_task(_all(reader))
        try:
            for part in parts:
                if reading.done():
                    break
                writer.write(part)
                await asyncio.wait([reading], timeout=pause)
            return await asyncio.wait_for(reading, 20)
        finally:
            writer.close()


async def _all(reader: asyncio.StreamReader) -> bytes:
    """What comes until the end, be it a broken one."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(65536):
            found += part
    return found


@contextlib.asynccontextmanager
async def listening(patience: Patience = SHORT, most: int = 100) -> AsyncIterator[Listening]:
    async with Listening(patience, most).running() as one:
        yield one


async def test_a_body_that_stops_is_refused_and_its_connection_closed() -> None:
    async with listening() as collector:
        answer = await collector.says(HEAD + b'content-length: 100\r\n\r\n{"event":')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert b'"code":"body_timeout"' in answer
    assert not collector.log.records


async def test_a_body_that_drips_has_an_end_as_well() -> None:
    async with listening() as collector:
        answer = await collector.says(HEAD + b"content-length: 1000\r\n\r\n", *[b" "] * 60, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_a_refused_body_is_not_waited_for_without_end() -> None:
    """It is read to its end, so that clients see the answer; and no longer than any other."""
    refused = b"POST /v1/track HTTP/1.1\r\nhost: x\r\nauthorization: Bearer other\r\ncontent-length: 1000\r\n\r\n"
    nowhere = b"POST /v2/track HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    async with listening() as collector:
        assert (await collector.says(refused)).startswith(b"HTTP/1.1 401 ")
        assert (await collector.says(nowhere)).startswith(b"HTTP/1.1 404 ")
        assert (await collector.says(nowhere, *[b" "] * 60, pause=0.05)).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("start", [b"", b"POST /v1/tr", HEAD], ids=["nothing", "a line", "headers"])
async def test_a_head_that_never_ends(start: bytes) -> None:
    async with listening() as collector:
        assert (await collector.says(start)).startswith(b"HTTP/1.1 408 ")


async def test_a_head_that_drips() -> None:
    async with listening() as collector:
        assert b"408" in await collector.says(HEAD, *[b"x-a: b\r\n"] * 40, pause=0.05)


async def test_a_head_without_bounds() -> None:
    async with listening(Patience()) as collector:
        answer = await collector.says(HEAD, *[b"x-a: " + b"x" * 8000 + b"\r\n"] * 40)
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_body_that_nobody_wanted_holds_no_connection() -> None:
    drips = b"GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
    async with listening() as collector:
        assert (await collector.says(drips, *[b" "] * 40, pause=0.05)).startswith(b"HTTP/1.1 200 ")


async def test_who_is_slow_and_not_too_slow_is_served() -> None:
    head, body = WHOLE.split(b"\r\n\r\n")
    async with listening(Patience(pause=5, whole=20)) as collector:
        reader, writer = await collector.connect()
        for part in (head[:20], head[20:] + b"\r\n\r\n", body[:10], body[10:]):
            writer.write(part)
            await asyncio.sleep(0.05)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
    assert len(collector.log.records) == 1


async def test_a_connection_is_used_again_and_again() -> None:
    async with listening(Patience(pause=5, whole=20)) as collector:
        reader, writer = await collector.connect()
        for _ in range(3):
            writer.write(WHOLE)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(len(b'{"success":true}'))
        writer.close()


async def test_connections_above_the_limit_are_turned_away_and_those_below_served() -> None:
    async with listening(Patience(pause=20, whole=20), most=3) as collector:
        here = [await collector.connect() for _ in range(3)]
        for reader, writer in here:
            writer.write(WHOLE)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        answer = await collector.says()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        here[0][1].close()
        await here[0][1].wait_closed()
        answers = [await asyncio.wait_for(_first_line(collector), 10) for _ in range(1)]
        assert answers == [b"HTTP/1.1 200 OK\r\n"]
        for _, writer in here[1:]:
            writer.close()


async def _first_line(collector: Listening) -> bytes:
    """Of an answer, once there is room."""
    while True:
        reader, writer = await collector.connect()
        writer.write(WHOLE)
        with contextlib.suppress(ConnectionError):
            line = await reader.readline()
            if b"503" not in line:
                writer.close()
                return line
        writer.close()


def test_there_is_room_for_as_many_as_files_may_be_open() -> None:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        assert room(100) == 100
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= before  # none is taken away
        assert 0 < room(hard * 2) <= hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
