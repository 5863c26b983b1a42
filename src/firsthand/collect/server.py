"""The collect process: the collector behind uvicorn, and the event log it writes."""

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import structlog
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from firsthand import runtime, secret
from firsthand.collect import erasing
from firsthand.collect.app import Collector
from firsthand.collect.connections import protocol, room
from firsthand.collect.hosts import suffixes
from firsthand.collect.request import Patience
from firsthand.config import Integration
from firsthand.config.faults import ConfigError
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.ledger.damage import REMEDY, noted
from firsthand.secret import Secret
from firsthand.settings import Settings
from firsthand.state.database import StateError
from firsthand.state.store import State
from firsthand.state.watch import next_version

log = structlog.get_logger()

GRACE_SECONDS = 10
PORT_TAKEN = 3
"""The exit code when nobody can listen where we are told to."""
DAMAGED = 6
"""The exit code when there is a secret and it cannot be read."""


class Entry:
    """What uvicorn calls: the collector, behind the proxies that are trusted now."""

    def __init__(self, collector: Collector, proxies: tuple[str, ...]) -> None:
        self._collector = collector
        self.trust(proxies)

    def trust(self, proxies: tuple[str, ...]) -> None:
        """Only these may say in X-Forwarded-For whom they speak for, and in X-Forwarded-Proto how they were asked;
        anyone else's headers are ignored."""
        app: Any = self._collector
        self._app: Callable[..., Awaitable[None]] = ProxyHeadersMiddleware(app, list(proxies)) if proxies else app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


class Server(uvicorn.Server):
    """uvicorn's, which would send itself the signal again at its end: the event log could not be closed any more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first. Exits with 3 if the port is taken, and
    with 6 if the secret is damaged."""
    key = _secret(settings)
    runtime.run(_serve(settings, _listen(settings.collect_host, settings.collect_port), key))


def _secret(settings: Settings) -> Secret:
    try:
        return secret.load(settings)
    except ConfigError as error:
        fault = error.faults[0]
        log.error("the collector cannot start", cause=f"{error.source}: {fault.message}", remedy=fault.remedy)
        sys.exit(DAMAGED)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        cause = f"port {port} is taken" if taken else f"cannot listen on {host}, port {port}: {error.strerror}"
        remedy = "stop what listens there, or set FIRSTHAND_COLLECT_PORT (and FIRSTHAND_COLLECT_HOST)"
        log.error("the collector cannot start", cause=cause, remedy=remedy)
        sys.exit(PORT_TAKEN)


async def _serve(settings: Settings, listener: socket.socket, key: Secret) -> None:
    state = State.open(settings.data)
    version, process = state.version(), state.process()
    event_log = SqliteLogWriter(settings.data, max_bytes=process.log.max_bytes, max_age=process.log.max_age)
    patience = Patience(settings.collect_pause, settings.collect_seconds)
    suffixes()  # read now, not while the first page waits
    collector = Collector(
        state.sources(),
        event_log,
        integrations=_integrations(state),
        secret=key,
        public_url=settings.public_url,
        patience=patience,
        emulator_url=settings.emulator_url,
        undelivered=lambda: f"the ledger is damaged: {REMEDY}" if noted(settings.data) else None,
    )
    entry = Entry(collector, process.trusted_proxies)
    config = uvicorn.Config(
        entry,
        http=protocol(patience, room(settings.collect_connections)),
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config)
    host, port = listener.getsockname()[:2]
    log.info("collecting", host=host, port=port, sources=len(state.sources()))
    following = asyncio.create_task(_follow(state, version, collector, entry, event_log))
    erasures = asyncio.create_task(erasing.follow(state, event_log))
    try:
        await server.serve(sockets=[listener])
    finally:
        for task in (following, erasures):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await asyncio.shield(event_log.close())


def _integrations(state: State) -> Sequence[Integration]:
    """Whose cookies pages get. One that cannot be read must not keep events from being collected."""
    try:
        return [live.integration for live in state.roster().integrations]
    except StateError as error:
        log.error("no cookies are set for vendors", cause=str(error))
        return []


async def _follow(state: State, version: str, collector: Collector, entry: Entry, event_log: SqliteLogWriter) -> None:
    """Takes over what changes in the configuration, without a pause."""
    while True:
        version = await next_version(state, version)
        try:
            sources, process = state.sources(), state.process()
        except StateError as error:
            log.error("the configuration cannot be taken over", cause=str(error))
            continue
        collector.reload(sources, _integrations(state))
        entry.trust(process.trusted_proxies)
        event_log.max_bytes, event_log.max_age = process.log.max_bytes, process.log.max_age
        log.info("configuration changed: collect goes on with it", sources=len(sources))
