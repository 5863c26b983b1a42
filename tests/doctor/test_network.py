"""Reaching the vendors: real sockets and certificates on this machine, and not one event."""

import asyncio
import datetime
import ssl
import threading
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.doctor.conftest import config, criteo, found

from firsthand.doctor import network
from firsthand.doctor.context import Context
from firsthand.doctor.probe import Address, Probe, probe
from firsthand.settings import Settings

Make = Callable[..., Context]
NOWHERE = "http://127.0.0.1:1"


class Server:
    """Answers every request with the same bytes, and remembers what it was asked."""

    def __init__(self, answer: bytes, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._tls = tls
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.close()


def answer(seconds_ahead: float = 0.0) -> bytes:
    date = formatdate(datetime.datetime.now().timestamp() + seconds_ahead, usegmt=True)
    return f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[int], tuple[ssl.SSLContext, ssl.SSLContext]]:
    """A server's certificate for `localhost` that ends in some days, and a client that trusts it."""

    def make(days: int) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        signed = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=30))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = signed.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "server.pem").write_bytes(private + pem)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(tmp_path / "server.pem")
        client = ssl.create_default_context(cadata=pem.decode())
        return server, client

    return make


def production(port: int) -> Any:
    endpoints = {"events": f"https://localhost:{port}/m/event", "gum": f"https://localhost:{port}/sync"}
    return config(criteo(environment="production", endpoints=endpoints))


def test_a_vendor_that_can_be_reached(context: Make, certificate: Any) -> None:
    server, client = certificate(90)
    with Server(answer(), server) as vendor:
        endpoint, _ = network.endpoints(context(production(vendor.port)), client)
    assert (endpoint.severity, endpoint.title) == ("ok", "criteo events, gum")
    assert endpoint.found.startswith(f"https://localhost:{vendor.port}: DNS ")
    assert 89 < endpoint.numbers["certificate_days"] < 91
    assert [request.split(b"\r\n")[0] for request in vendor.asked] == [b"HEAD / HTTP/1.1"], "asked once, and no event"


def test_a_certificate_that_is_about_to_end(context: Make, certificate: Any) -> None:
    server, client = certificate(5)
    with Server(answer(), server) as vendor:
        endpoint, _ = network.endpoints(context(production(vendor.port)), client)
    assert endpoint.severity == "warning"
    assert "the certificate ends on 20" in endpoint.found


@pytest.mark.parametrize(("days", "said"), [(-1, "certificate has expired"), (90, "self-signed certificate")])
def test_a_certificate_that_nobody_vouches_for(context: Make, certificate: Any, days: int, said: str) -> None:
    server, client = certificate(days)
    with Server(answer(), server) as vendor:
        trusting = client if days < 0 else None
        endpoint, _ = network.endpoints(context(production(vendor.port)), trusting)
    assert (endpoint.severity, endpoint.numbers["step"]) == ("error", "tls")
    assert endpoint.found == f"https://localhost:{vendor.port}: TLS fails: {said}"


async def test_no_such_name() -> None:
    found = await probe(Address("https", "nobody.invalid", 443), None, ssl.create_default_context())
    assert (found.failed, found.tcp_ms) == ("dns", None)
    assert found.message


@pytest.mark.parametrize(
    ("answered", "failed"), [(b"", "http"), (b"SSH-2.0-OpenSSH\r\n\r\n", "http"), (b"HTTP/1.1 200 OK\r\n\r\n", None)]
)
async def test_whatever_answers(answered: bytes, failed: str | None) -> None:
    with Server(answered) as server:
        found = await probe(Address("http", "127.0.0.1", server.port), "/healthz", ssl.create_default_context())
    assert found.failed == failed


def test_the_emulator(context: Make, tmp_path: Path) -> None:
    with Server(answer()) as emulator:
        here = Settings(data=tmp_path, emulator_url=f"http://127.0.0.1:{emulator.port}")
        endpoint, _ = network.endpoints(context(config(criteo()), settings=here))
    assert (endpoint.severity, endpoint.found.endswith("(the emulator)")) == ("ok", True)
    assert [request.split(b"\r\n")[0] for request in emulator.asked] == [b"GET /healthz HTTP/1.1"]


def test_no_emulator_says_how_to_start_it(context: Make, tmp_path: Path) -> None:
    nowhere = Settings(data=tmp_path, emulator_url=NOWHERE)
    endpoint, _ = network.endpoints(context(config(criteo()), settings=nowhere))
    assert (endpoint.severity, endpoint.found) == ("error", f"{NOWHERE}: TCP fails: connection refused")
    assert endpoint.remedy is not None
    assert endpoint.remedy.startswith("start the emulators: `firsthand emulate`")


def test_unencrypted_in_production(context: Make, tmp_path: Path) -> None:
    with Server(answer()) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/m/event"
        real = config(criteo(environment="production", endpoints={"events": url, "gum": url}))
        endpoint, _ = network.endpoints(context(real))
    assert (endpoint.severity, endpoint.found) == (
        "warning",
        f"http://127.0.0.1:{proxy.port} is not encrypted, and on this machine",
    )


def test_a_disabled_integration_is_left_alone(context: Make, tmp_path: Path) -> None:
    nowhere = Settings(data=tmp_path, emulator_url=NOWHERE)
    findings = network.endpoints(context(config(criteo(enabled=False)), settings=nowhere))
    assert found(findings) == [("ok", "clock", "nobody to compare it with")]


@pytest.mark.parametrize(
    ("ahead", "severity", "said"),
    [
        ([0.4, -0.2, 0.9], "ok", "agrees with 3 of the endpoints"),
        ([40.0], "warning", "40 s ahead of the vendors': ages and signatures go wrong"),
        ([-600.0, -599.0, 3.0], "error", "10 min behind the vendors': ages and signatures go wrong"),
        ([0.1, 0.2, 9000.0], "ok", "agrees with 3 of the endpoints"),
    ],
)
def test_the_clock_against_theirs(ahead: list[float], severity: str, said: str) -> None:
    assert found(network._clock(ahead)) == [(severity, "clock", said)]


async def test_what_their_clock_says() -> None:
    with Server(answer(seconds_ahead=-100)) as server:
        found = await probe(Address("http", "127.0.0.1", server.port), None, ssl.create_default_context())
    assert isinstance(found, Probe)
    assert found.clock_ahead is not None
    assert 99 <= found.clock_ahead <= 102
