"""Exchanges over connections that are kept: what a lane sends through."""

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from firsthand.http.connection import Connection
from firsthand.http.dialling import dial
from firsthand.http.request import Origin, encode
from firsthand.ledger.records import Failure
from firsthand.vendors.base import Answer

IDLE = 30.0
"""Seconds that a connection is kept without use: less than most vendors' load balancers keep theirs (60)."""
MAX_AGE = 600.0
"""Seconds until a connection is made anew, so that a vendor's new addresses are found."""


class Transport(Protocol):
    """What a lane sends through."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure: ...

    async def close(self) -> None: ...


class _Idle(NamedTuple):
    origin: Origin
    connection: Connection
    until: float
    """On the loop's clock."""


class HttpTransport:
    """The real one: at most `connections` at a time, whomever they lead to; whoever comes when all are in use waits.

    `timeout` is seconds for a whole exchange; a connection must stand within half of it. `idle` is seconds that a
    connection is kept without use.
    """

    def __init__(self, *, timeout: float, connections: int, agent: str = "firsthand", idle: float = IDLE) -> None:
        self._timeout = timeout
        self._limit = connections
        self._agent = agent
        self._keep = idle
        self._free = asyncio.Semaphore(connections)
        self._sending: set[asyncio.Task[Any] | None] = set()
        self._idle: list[_Idle] = []  # in the order of their last use
        self._sweeper: asyncio.TimerHandle | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure:
        try:
            origin, request = encode(method, url, headers, body, self._agent)
        except ValueError as error:
            return Failure("other", False, f"the request could not be made: {error}")
        task = asyncio.current_task()
        self._sending.add(task)
        try:
            await self._free.acquire()
            try:
                return await self._exchange(origin, request)
            finally:
                self._free.release()
        finally:
            self._sending.discard(task)

    async def close(self) -> None:
        """Whoever still waits for an answer is cancelled."""
        for task in self._sending:
            if task is not None:
                task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._idle:
            self._idle.pop().connection.abort()

    async def _exchange(self, origin: Origin, request: bytes) -> Answer | Failure:
        deadline = asyncio.get_running_loop().time() + self._timeout
        connection = self._take(origin) or await self._open(origin)
        if isinstance(connection, Failure):
            return connection
        try:
            return await connection.exchange(request, deadline)
        finally:
            self._put_back(origin, connection)

    def _take(self, origin: Origin) -> Connection | None:
        """The one used last: those that are not needed grow old and are closed."""
        for at in range(len(self._idle) - 1, -1, -1):
            if self._idle[at].origin == origin:
                connection = self._idle.pop(at).connection
                if connection.is_quiet():
                    return connection
                connection.abort()
        return None

    async def _open(self, origin: Origin) -> Connection | Failure:
        while self._idle and len(self._idle) + len(self._sending) > self._limit:
            self._idle.pop(0).connection.abort()
        return await dial(origin, self._timeout / 2)

    def _put_back(self, origin: Origin, connection: Connection) -> None:
        if not connection.may_be_kept(MAX_AGE):
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        self._idle.append(_Idle(origin, connection, loop.time() + self._keep))
        if self._sweeper is None:
            self._sweeper = loop.call_later(self._keep, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle and self._idle[0].until <= loop.time():
            self._idle.pop(0).connection.abort()
        self._sweeper = loop.call_at(self._idle[0].until, self._sweep) if self._idle else None
