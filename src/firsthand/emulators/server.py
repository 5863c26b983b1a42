"""Hosts the emulators of all vendors on one port: `/{vendor}/…`, `/_control/{vendor}/…`, `/healthz`.

A raw ASGI application, as load tests measure the gateway and not this. Closing a connection without an answer is
something ASGI can't say; `Protocol` adds it to uvicorn.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from firsthand.emulators import control
from firsthand.emulators.base import Clock, Emulator, Sleep
from firsthand.emulators.criteo_s2s import CriteoS2S
from firsthand.emulators.exchange import (
    JSON_TYPE,
    ClientGone,
    HangUp,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    not_found,
)
from firsthand.emulators.raptor import Raptor

EMULATORS: Mapping[str, type[Emulator]] = {kind.key: kind for kind in (CriteoS2S, Raptor)}

CONNECTION = "firsthand.connection"
"""The extension of the ASGI scope under which `Protocol` offers itself."""


class Emulators:
    """The ASGI application."""

    def __init__(self, clock: Clock, seed: int, sleep: Sleep) -> None:
        self.vendors: dict[str, Emulator] = {key: kind(clock, seed, sleep) for key, kind in EMULATORS.items()}

    def inject(self, faults: object) -> None:
        """Puts faults in force: `{vendor: fault or list of faults}`, or one fault or a list for all vendors.

        Raises ValueError with what is accepted.
        """
        if not isinstance(faults, dict) or "kind" in faults:
            faults = dict.fromkeys(self.vendors, faults)
        for vendor, data in faults.items():
            if vendor not in self.vendors:
                raise ValueError(f"there is no emulator {vendor!r}; there are {', '.join(self.vendors)}")
            self.vendors[vendor].faults.put(data)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the emulators speak HTTP, not {scope['type']}")
        vendor, slash, rest = scope["path"][1:].partition("/")
        emulator = self.vendors.get(vendor)
        request = Request(scope, receive, slash + rest)
        try:
            answer = await (emulator.answer(request) if emulator else self._other(request))
        except ClientGone:
            return
        except asyncio.CancelledError:  # the server stops, and does not wait for a slow answer
            answer = HangUp()
        if isinstance(answer, Reply):
            length = (b"content-length", b"%d" % len(answer.body))
            await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, length]})
            await send({"type": "http.response.body", "body": answer.body})
        elif isinstance(answer, HangUp):
            _hang_up(scope, answer)
        else:
            await _stream(send, answer)

    async def _other(self, request: Request) -> Reply | Iterator[bytes]:
        if request.whole_path.startswith(control.PREFIX):
            return await control.control(self.vendors, request)
        if request.whole_path == "/healthz":
            return Reply(200, msgspec.json.encode({"status": "ok", "emulators": list(self.vendors)}))
        here = ", ".join(f"/{key}/" for key in self.vendors)
        return not_found(f"there is nothing at {request.whole_path}; there are {here}, {control.PREFIX}, /healthz")


async def _stream(send: Send, pieces: Iterator[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [JSON_TYPE]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await asyncio.sleep(0)  # others' turn: a full ledger is some hundred megabytes
    await send({"type": "http.response.body", "body": b""})


def _hang_up(scope: Scope, answer: HangUp) -> None:
    connection = scope.get("extensions", {}).get(CONNECTION)
    if not isinstance(connection, Protocol):
        raise ConnectionResetError("the emulator closes the connection here, without an answer")
    connection.hang_up(answer)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, able to close a connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {CONNECTION: self}  # type: ignore[dict-item]

    def hang_up(self, answer: HangUp) -> None:
        """Closes the connection. uvicorn takes it for the client's doing, so it logs and answers nothing."""
        self.cycle.disconnected = True
        if answer.raw:
            self.transport.write(answer.raw)
        if answer.reset:
            self.transport.abort()
        else:
            self.transport.close()


def create_app(clock: Clock = time.time, seed: int = 0, sleep: Sleep = asyncio.sleep) -> Emulators:
    """The emulators of all vendors, with empty ledgers and no faults."""
    return Emulators(clock, seed, sleep)


def create_server(app: Emulators, port: int = 0, host: str = "127.0.0.1") -> uvicorn.Server:
    """A uvicorn server that is not running yet."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
        backlog=4096,
    )
    return uvicorn.Server(config)


def run(port: int, host: str = "127.0.0.1", faults: dict[str, object] | None = None) -> None:
    """Runs the emulators until interrupted. `faults` is what `Emulators.inject` takes.

    Raises ValueError for faults that are none, and OSError where the address cannot be listened on.
    """
    app = create_app()
    if faults:
        app.inject(faults)
    with socket.create_server((host, port), backlog=4096) as listener, suppress(KeyboardInterrupt):
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(f"Emulating {', '.join(EMULATORS)} on {address}", flush=True)
        print(f"What they receive: {address}/_control/VENDOR/ledger", flush=True)
        create_server(app, port, host).run(sockets=[listener])


@contextmanager
def serving(app: Emulators, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Runs the emulators in a thread, on a free port unless one is given; yields their base URL."""
    server = create_server(app, port, host)
    with socket.create_server((host, port), backlog=4096) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="emulators", daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            if not server.started:
                raise RuntimeError(f"the emulators could not start on {host}:{port}")
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
