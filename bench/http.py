"""What a request costs the HTTP client, in the clear and encrypted, 32 in flight: the vendor's stand-in is a process of
its own, so that this one's CPU is the client's."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from bench.gateway import free_port
from firsthand.http import HttpTransport
from firsthand.vendors.base import Answer

Row = tuple[str, str, str]
REQUESTS = 16_000
IN_FLIGHT = 32
HEADERS = {"content-type": "application/json"}
BODY = b'{"events":[' + b'{"email":"ann@shop.example","value":1},' * 10 + b"{}]}"
TO_REACH = {"http": 22, "https": 40}


@contextmanager
def standins(folder: Path) -> Iterator[dict[str, str]]:
    """URLs by scheme. This process trusts the encrypted one's certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *kind, *name, *made], check=True, capture_output=True)
    os.environ["SSL_CERT_FILE"] = str(certificate)
    ports = {"http": free_port(), "https": free_port()}
    command = [sys.executable, "-m", "bench.standin"]
    running = [
        subprocess.Popen([*command, str(ports["http"])]),
        subprocess.Popen([*command, str(ports["https"]), str(certificate), str(key)]),
    ]
    try:
        yield {scheme: f"{scheme}://localhost:{port}/m/event?version=s2s_v0" for scheme, port in ports.items()}
    finally:
        for process in running:
            process.terminate()
            process.wait()


async def per_request(transport: HttpTransport, url: str, requests: int) -> float:
    """CPU microseconds."""

    async def one_by_one() -> None:
        for _ in range(requests // IN_FLIGHT):
            answer = await transport.send("POST", url, HEADERS, BODY)
            assert isinstance(answer, Answer), answer

    before = time.process_time()
    await asyncio.gather(*(one_by_one() for _ in range(IN_FLIGHT)))
    return (time.process_time() - before) / requests * 1e6


async def measure(urls: dict[str, str], runs: int) -> dict[str, list[float]]:
    transports = {scheme: HttpTransport(timeout=10, connections=IN_FLIGHT) for scheme in urls}
    found: dict[str, list[float]] = {scheme: [] for scheme in urls}
    for scheme, url in urls.items():
        await per_request(transports[scheme], url, IN_FLIGHT * 50)
    for _ in range(runs):
        for scheme, url in urls.items():
            found[scheme].append(await per_request(transports[scheme], url, REQUESTS))
    for transport in transports.values():
        await transport.close()
    return found


def rows(runs: int) -> list[Row]:
    with TemporaryDirectory() as folder, standins(Path(folder)) as urls:
        time.sleep(1)  # until they listen
        found = uvloop.run(measure(urls, runs))
    return [
        (
            f"CPU per request in the HTTP client, {scheme}, {IN_FLIGHT} in flight",
            f"{statistics.median(costs):.0f} µs (runs: {', '.join(f'{cost:.0f}' for cost in costs)})",
            f"≤ {TO_REACH[scheme]} µs",
        )
        for scheme, costs in found.items()
    ]
