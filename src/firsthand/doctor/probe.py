"""Reaches an address as far as the answer to a question that nobody minds: no event is sent, nothing is counted.

Over TLS it asks for `HEAD /`, for the sake of the `Date` header; on this machine, for `GET /healthz`.
"""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

STEP_SECONDS = 5.0


class Address(NamedTuple):
    scheme: str
    host: str
    port: int


class Probe(msgspec.Struct):
    """How far it came. `failed` is the step that failed: `dns`, `tcp`, `tls`, `http`; then `message` says why.

    Milliseconds of each step; when the certificate ends, and what the other clock says, in seconds since 1970;
    `clock_ahead` is by how much ours is ahead of it.
    """

    dns_ms: float | None = None
    tcp_ms: float | None = None
    tls_ms: float | None = None
    certificate_ends: float | None = None
    clock_ahead: float | None = None
    status: int | None = None
    failed: str | None = None
    message: str = ""


async def probe(address: Address, path: str | None, tls: ssl.SSLContext) -> Probe:
    """Never raises. `path` is what is asked for with GET; None asks for the head of `/`."""
    found = Probe()
    writer: asyncio.StreamWriter | None = None
    step = "dns"
    try:
        async with asyncio.timeout(STEP_SECONDS):
            started = time.perf_counter()
            loop = asyncio.get_running_loop()
            places = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            found.dns_ms = _since(started)
        step = "tcp"
        async with asyncio.timeout(STEP_SECONDS):
            started = time.perf_counter()
            reader, writer = await _connect(places)
            found.tcp_ms = _since(started)
        if address.scheme == "https":
            step = "tls"
            async with asyncio.timeout(STEP_SECONDS):
                started = time.perf_counter()
                await writer.start_tls(tls, server_hostname=address.host)
                found.tls_ms = _since(started)
            certificate = writer.get_extra_info("ssl_object").getpeercert()
            found.certificate_ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        step = "http"
        async with asyncio.timeout(STEP_SECONDS):
            await _ask(reader, writer, address, path, found)
    except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as problem:
        found.failed, found.message = step, _why(problem)
    finally:
        if writer is not None:
            writer.transport.abort()
    return found


async def _connect(places: Sequence[Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of these places that takes one."""
    problem: OSError | None = None
    for family, _, _, _, place in places:
        try:
            return await asyncio.open_connection(place[0], place[1], family=family)
        except OSError as refused:
            problem = refused
    raise problem or OSError("it has no address")


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: Address, path: str | None, found: Probe
) -> None:
    line = f"GET {path}" if path else "HEAD /"
    writer.write(
        f"{line} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nUser-Agent: firsthand doctor\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n".encode("ascii")
    )
    asked = time.time()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    between = (asked + time.time()) / 2
    answer = re.fullmatch(r"HTTP/1\.[01] (\d{3}).*", head[0])
    if answer is None:
        raise ValueError("what answers is no web server")
    found.status = int(answer[1])
    dates = [value.strip() for name, _, value in (line.partition(":") for line in head) if name.lower() == "date"]
    with contextlib.suppress(ValueError, IndexError):
        found.clock_ahead = between - parsedate_to_datetime(dates[0]).timestamp()


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _why(problem: Exception) -> str:
    if isinstance(problem, TimeoutError):
        return f"no answer within {STEP_SECONDS:g} s"
    if isinstance(problem, ssl.SSLCertVerificationError):
        return problem.verify_message
    if isinstance(problem, EOFError):
        return "the connection was closed"
    if isinstance(problem, OSError) and not isinstance(problem, (socket.gaierror, ssl.SSLError)) and problem.errno:
        return os.strerror(problem.errno).lower()
    return str(getattr(problem, "strerror", None) or problem or type(problem).__name__).lower()
