"""A request as the collector looks at it: its headers, its body within bounds, and who is at the other end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from firsthand.collect.complete import NOBODY, Connection
from firsthand.collect.faults import Fault
from firsthand.collect.parse import REQUEST_BYTES, request_too_large

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]
HeaderList = list[tuple[bytes, bytes]]
Answer = tuple[int, bytes, HeaderList]
"""Status, body, headers."""

DISCARD_BYTES = 64 << 20


class Patience(NamedTuple):
    """Seconds: how long a request may stand still, and how long its body may take as a whole. Its head must be there
    within the first of these."""

    pause: float = 10.0
    whole: float = 60.0


PATIENCE = Patience()


class Request(msgspec.Struct, gc=False):
    """What there is to an event, or a batch of them, besides its source."""

    headers: Headers
    connection: Connection
    body: bytes
    sent: bytes | None = None
    """The body as it was sent, which is what a signature is for. None: there is nothing that could be signed."""
    must_be_signed: bool = False
    secure: bool = False
    """It came by https, be it to a trusted proxy."""
    signature: bytes | None = None
    """Once it is verified."""


class Body:
    """What a client sends, read as far as it may be."""

    def __init__(self, method: str, headers: Headers, receive: Receive, patience: Patience = PATIENCE) -> None:
        self._receive = receive
        self._patience = patience
        self._until: float | None = None
        self._length = headers.get(b"content-length", b"0")
        self._more = method in ("POST", "PUT", "PATCH")

    async def read(self) -> bytes:
        """All of it, refused as soon as it is known to be too large."""
        if self._length.isdigit() and int(self._length) > REQUEST_BYTES:
            raise request_too_large()
        parts: list[bytes] = []
        size = 0
        while self._more:
            parts.append(await self._next())
            size += len(parts[-1])
            if size > REQUEST_BYTES:
                raise request_too_large()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def discard(self) -> None:
        """Take what is left of a refused body and forget it: most clients read no answer before they have sent all,
        and would see a broken connection instead. There is an end to this patience: see `unfinished`."""
        left = DISCARD_BYTES
        while self._more and left > 0:
            try:
                left -= len(await self._next())
            except Fault:
                return

    @property
    def unfinished(self) -> bool:
        """Whether some of it was not waited for, so that nothing else can come on this connection."""
        return self._more

    async def _next(self) -> bytes:
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + self._patience.whole
        try:
            async with asyncio.timeout_at(min(self._until, now + self._patience.pause)):
                message = await self._receive()
        except TimeoutError:
            pause, whole = self._patience
            said = f"a body may pause for {pause:g} s and take {whole:g} s in all: send smaller batches"
            raise Fault(408, "body_timeout", said) from None
        if message["type"] == "http.disconnect":
            self._more = False
            raise Fault(400, "incomplete_body", "the connection ended before the body did")
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


def visitor_connection(scope: Scope, headers: Headers) -> Connection:
    """A browser names its origin, a server does not; a server's own address is never the visitor's."""
    return connection(scope, headers) if b"origin" in headers else NOBODY


def connection(scope: Scope, headers: Headers) -> Connection:
    client = scope.get("client")
    agent = headers.get(b"user-agent")
    return Connection(client[0] if client else None, agent.decode("latin-1") if agent else None)
