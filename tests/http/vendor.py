"""A server that does with each connection what a test says."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from firsthand.ledger.records import Failure
from firsthand.vendors.base import Answer

JSON = {"content-type": "application/json"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Vendor:
    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.by_connection: list[int] = []
        """How many requests came on each."""
        self.ended = 0
        """Connections that the other side has closed."""
        self._servers: list[asyncio.Server] = []
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def connections(self) -> int:
        return len(self.by_connection)

    async def serve(self, *answers: bytes | None, tls: ssl.SSLContext | None = None, keep: bool = True) -> str:
        """Answers the requests one by one; None closes the connection once a request was read. Returns the URL."""
        left = list(answers)

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = self.connections
            self.by_connection.append(0)
            while left and (request := await read_request(reader)):
                self.requests.append(request)
                self.by_connection[number] += 1
                answer = left.pop(0)
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                if answer is None or not keep:
                    break
            else:
                await reader.read()  # until the other side has had enough
                self.ended += 1
            writer.close()

        return await self.talk(talk, tls=tls)

    async def talk(self, talk: Talk, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> str:
        """The same with a conversation of one's own. Returns the URL."""

        async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            try:
                await talk(reader, writer)
            except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
                writer.close()

        server = await asyncio.start_server(each, host, 0, ssl=tls)
        self._servers.append(server)
        name = f"[{host}]" if ":" in host else "localhost"
        return f"{'https' if tls else 'http'}://{name}:{server.sockets[0].getsockname()[1]}/m/event?version=s2s_v0"

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for writer in self._writers:
            writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + (await reader.readexactly(int(length[0][15:])) if length else b"")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def failed(result: Answer | Failure, cause: str, sent: bool) -> str:
    """The message of a failure that is the expected one."""
    assert isinstance(result, Failure), result
    assert (result.cause, result.sent) == (cause, sent), result.message
    assert result.message
    return result.message


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)
