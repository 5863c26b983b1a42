"""A request as an emulator sees it, and the answers it can give."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_BODY = 1_048_576
"""Bytes of the largest body kept and judged. Our invention: no vendor here documents its limit."""

JSON_TYPE = (b"content-type", b"application/json")
PLAIN_TYPE = (b"content-type", b"text/plain; charset=utf-8")


class ClientGone(Exception):
    """The client closed the connection in the middle of its request."""


class Request:
    """One request to a vendor. `path` is what follows the vendor's key, such as `/m/event`."""

    __slots__ = ("_receive", "headers", "host", "method", "path", "query", "scheme", "whole_path")

    def __init__(self, scope: Scope, receive: Receive, path: str) -> None:
        self.method: str = scope["method"]
        self.path = path
        self.whole_path: str = scope["path"]
        self.scheme: str = scope.get("scheme") or "http"
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.host = self.header(b"host") or "{}:{}".format(*(scope.get("server") or ("localhost", 80)))
        self._receive = receive

    def header(self, name: bytes) -> str:
        """The header's value, or the empty string. `name` is in lower case."""
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def url(self) -> str:
        """The whole address the client asked for."""
        return f"{self.scheme}://{self.host}{self.whole_path}{'?' if self.query else ''}{self.query}"

    async def read(self) -> tuple[bytes, int]:
        """The body and its size. Of a body over `MAX_BODY` nothing is kept but the size. Raises ClientGone."""
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body = message.get("body", b"")
            return (body if len(body) <= MAX_BODY else b""), len(body)
        chunks: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size <= MAX_BODY:
                chunks.append(chunk)
            else:
                chunks.clear()
            if not message.get("more_body"):
                return b"".join(chunks), size
            message = await self._receive()


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)


class HangUp(msgspec.Struct, frozen=True, gc=False):
    """No HTTP answer: the connection is closed, after `raw` bytes or at once.

    With `reset`, what the client is still sending is thrown away, and it sees a reset connection.
    """

    raw: bytes = b""
    reset: bool = False


Answer = Reply | HangUp


def not_found(message: str) -> Reply:
    """404 with a sentence that says where one is."""
    return Reply(404, msgspec.json.encode({"error": {"code": "not_found", "message": message}}))
