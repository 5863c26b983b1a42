"""How long a client may take, and how many may be here at once: nobody holds the collector by being slow.

uvicorn has a limit for connections at rest and none for a request that never ends; a client that sends a letter every
minute would keep its connection for ever.
"""

import asyncio
import resource

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from firsthand.collect.request import Patience

log = structlog.get_logger()

HEADER_BYTES = 256 << 10
"""Of a request's head; cookies of 16 KiB are the most that browsers and proxies pass on."""
SPARE_FILES = 256
"""What is kept for files, of those that a process may have open."""
REST_SECONDS = 60.0
"""Between two lines in the log of the same trouble."""


def room(wanted: int) -> int:
    """How many of `wanted` connections there is room for, once this process may open as many files as the machine lets
    it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    found = min(wanted, max(allowed - SPARE_FILES, allowed // 2))
    if found < wanted:
        log.warning("fewer connections than wanted", wanted=wanted, room=found, remedy="ulimit -n")
    return found


def protocol(patience: Patience, most: int) -> type[HttpToolsProtocol]:
    """uvicorn's protocol for connections, `most` of them at once; those above are answered 503 and closed."""
    lines = {"next": 0.0}

    class Protocol(HttpToolsProtocol):
        _head: asyncio.TimerHandle | None = None
        """Set while a head is awaited or on its way."""
        _head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                self._turn_away()
            else:
                self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._head is not None:
                self._head_bytes += len(data)
                if self._head_bytes > HEADER_BYTES:
                    self._close(b"431 Request Header Fields Too Large")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._await_head()

        def on_headers_complete(self) -> None:
            self._head_is_there()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            # Not where the next request is under way. The rest of a body that nobody wanted may still be to come.
            if self.cycle.response_complete and self._head is None and not self.transport.is_closing():
                self._await_head()

        def _await_head(self) -> None:
            self._head_is_there()
            self._head = self.loop.call_later(patience.pause, self._close, b"408 Request Timeout")

        def _head_is_there(self) -> None:
            self._head_bytes = 0
            if self._head is not None:
                self._head.cancel()
                self._head = None

        def _turn_away(self) -> None:
            if self.loop.time() >= lines["next"]:
                lines["next"] = self.loop.time() + REST_SECONDS
                remedy = "raise FIRSTHAND_COLLECT_CONNECTIONS, or find who holds them"
                log.warning("no room for more connections", connections=most, remedy=remedy)
            self._close(b"503 Service Unavailable\r\nretry-after: 1")

        def _close(self, status: bytes) -> None:
            if not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                self.transport.close()

    return Protocol
