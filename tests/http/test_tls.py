"""Encryption: with whom it should be, or not at all."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest
from cryptography.x509 import DNSName, IPAddress
from tests.http.authority import Authority
from tests.http.vendor import JSON, OK, Vendor, failed, read_request

from firsthand.http import HttpTransport
from firsthand.vendors.base import Answer

LOCALHOST = DNSName("localhost")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def transport(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpTransport]:
    """A machine's that trusts the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
    transport = HttpTransport(timeout=10, connections=4)
    yield transport
    await transport.close()


async def test_an_authority_of_ones_own(transport: HttpTransport, vendor: Vendor, authority: Authority) -> None:
    """As a shop's own proxy has it: trusted as everywhere in Python."""
    url = await vendor.serve(OK, OK, tls=authority.server(LOCALHOST))
    for _ in range(2):
        assert isinstance(await transport.send("POST", url, JSON, b"x" * 300_000), Answer)
    assert vendor.connections == 1


async def test_an_address_may_be_what_is_vouched_for(
    transport: HttpTransport, vendor: Vendor, authority: Authority
) -> None:
    tls = authority.server(IPAddress(ip_address("127.0.0.1")))
    url = (await vendor.serve(OK, tls=tls)).replace("localhost", "127.0.0.1")
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)


async def test_http_1_is_agreed_on(transport: HttpTransport, vendor: Vendor, authority: Authority) -> None:
    agreed = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        agreed.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await read_request(reader)
        writer.write(OK)
        await reader.read()
        writer.close()

    url = await vendor.talk(talk, tls=authority.server(LOCALHOST))
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    assert agreed == ["http/1.1"]


async def refused(transport: HttpTransport, vendor: Vendor, tls: ssl.SSLContext) -> str:
    url = await vendor.serve(OK, tls=tls)
    message = failed(await transport.send("POST", url, JSON, b"{}"), "tls", sent=False)
    assert vendor.requests == []
    return message


async def test_one_whom_nobody_vouches_for(transport: HttpTransport, vendor: Vendor, authority: Authority) -> None:
    message = await refused(transport, vendor, authority.server(LOCALHOST, itself=True))
    assert "self-signed certificate" in message


async def test_one_who_is_somebody_else(transport: HttpTransport, vendor: Vendor, authority: Authority) -> None:
    message = await refused(transport, vendor, authority.server(DNSName("vendor.example")))
    assert "certificate is not valid for 'localhost'" in message


async def test_one_whose_time_is_over(transport: HttpTransport, vendor: Vendor, authority: Authority) -> None:
    assert "certificate has expired" in await refused(transport, vendor, authority.server(LOCALHOST, days=-1))


async def test_one_whom_this_machine_does_not_trust(
    vendor: Vendor, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    transport = HttpTransport(timeout=10, connections=4)
    message = await refused(transport, vendor, authority.server(LOCALHOST))
    assert "unable to get local issuer certificate" in message
    await transport.close()


async def test_closed_in_the_handshake(transport: HttpTransport, vendor: Vendor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    url = (await vendor.talk(talk)).replace("http:", "https:")
    failed(await transport.send("POST", url, JSON, b"{}"), "tls", sent=False)


async def test_no_word_in_the_handshake(vendor: Vendor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    transport = HttpTransport(timeout=0.5, connections=1)
    url = (await vendor.talk(talk)).replace("http:", "https:")
    failed(await transport.send("POST", url, JSON, b"{}"), "timeout_connect", sent=False)
    await transport.close()


ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n{}"


async def test_an_answer_that_ends_with_a_goodbye(
    transport: HttpTransport, vendor: Vendor, authority: Authority
) -> None:
    url = await vendor.serve(ENDLESS, tls=authority.server(LOCALHOST), keep=False)
    assert await transport.send("POST", url, JSON, b"{}") == Answer(200, {}, b"{}")


@pytest.mark.asyncio(loop_factories=["uvloop"])  # Python's own loop makes a goodbye of it
async def test_an_answer_that_ends_without_a_goodbye(
    transport: HttpTransport, vendor: Vendor, authority: Authority
) -> None:
    """Somebody on the way may have cut it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(ENDLESS)
        await writer.drain()
        await asyncio.sleep(0)
        writer.transport.abort()

    url = await vendor.talk(talk, tls=authority.server(LOCALHOST))
    failed(await transport.send("POST", url, JSON, b"{}"), "cut", sent=True)


async def test_a_goodbye_after_the_answer(transport: HttpTransport, vendor: Vendor, authority: Authority) -> None:
    url = await vendor.serve(OK, tls=authority.server(LOCALHOST), keep=False)
    other = await vendor.serve(OK, tls=authority.server(LOCALHOST))
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    assert isinstance(await transport.send("POST", other, JSON, b"{}"), Answer)
    assert vendor.connections == 2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_goodbye_before_an_answer(
    transport: HttpTransport, vendor: Vendor, authority: Authority, version: ssl.TLSVersion
) -> None:
    tls = authority.server(LOCALHOST)
    tls.minimum_version = tls.maximum_version = version
    url = await vendor.serve(OK, None, OK, tls=tls)
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    failed(await transport.send("POST", url, JSON, b"{}"), "cut", sent=True)
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    assert len(vendor.requests) == 3


@pytest.mark.skipif(shutil.which("openssl") is None, reason="only openssl's server can be told to ask for it")
async def test_keys_agreed_on_anew_before_the_answer(transport: HttpTransport, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    authority.server(LOCALHOST)
    options = ["-accept", f"127.0.0.1:{port}", "-cert", str(authority.newest), "-tls1_2", "-crlf", "-naccept", "1"]
    server = await asyncio.create_subprocess_exec(
        "openssl", "s_server", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert server.stdin
    assert server.stdout
    await server.stdout.readuntil(b"ACCEPT\n")
    sending = asyncio.create_task(transport.send("POST", f"https://localhost:{port}/", JSON, b"{}\n"))
    await server.stdout.readuntil(b"{}\n")
    server.stdin.write(b"R\n")
    await server.stdout.readuntil(b"SSL_do_handshake -> 1\n")
    server.stdin.write(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}\n")
    assert await sending == Answer(200, {"content-length": "2"}, b"{}")
    server.kill()
    await server.communicate()
