"""The collect process: the collector behind uvicorn, and the event log it writes."""

import asyncio

import structlog
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from firsthand import runtime
from firsthand.collect.app import Collector
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.settings import Settings
from firsthand.state import State

log = structlog.get_logger()

GRACE_SECONDS = 10


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first. Exits with 3 if the port is taken."""
    runtime.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    state = State.open(settings.data)
    process = state.process()
    event_log = SqliteLogWriter(settings.data, max_bytes=process.log.max_bytes, max_age=process.log.max_age)
    collector = Collector(state.sources(), event_log)
    # Only these may say in X-Forwarded-For whom they speak for; anyone else's header is ignored.
    proxies = list(process.trusted_proxies)
    config = uvicorn.Config(
        ProxyHeadersMiddleware(collector, trusted_hosts=proxies) if proxies else collector,  # type: ignore[arg-type]
        host=settings.collect_host,
        port=settings.collect_port,
        http="httptools",
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    log.info("collecting", host=settings.collect_host, port=settings.collect_port, sources=len(state.sources()))
    try:
        await server.serve()
    finally:
        await asyncio.shield(event_log.close())
