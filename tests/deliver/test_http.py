"""One exchange over real sockets: the answer as it is, or why there is none and whether the vendor may have seen it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firsthand.deliver.http import ANSWER_BYTES, HttpTransport
from firsthand.ledger.records import Failure
from firsthand.vendors.base import Answer

JSON = {"content-type": "application/json"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Vendor:
    """A server that does with each connection what a test says."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._servers: list[asyncio.Server] = []

    async def serve(self, *answers: bytes | None, tls: ssl.SSLContext | None = None, keep: bool = True) -> str:
        """Answers the requests one by one; None closes the connection once a request was read. Returns the URL."""
        left = list(answers)

        async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            while left and (request := await read_request(reader)):
                self.requests.append(request)
                answer = left.pop(0)
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
                if answer is None or not keep:
                    break
            else:
                await reader.read()  # until the other side has had enough
            writer.close()

        server = await asyncio.start_server(each, "127.0.0.1", 0, ssl=tls)
        self._servers.append(server)
        scheme = "https" if tls else "http"
        return f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}/m/event?version=s2s_v0"

    def close(self) -> None:
        for server in self._servers:
            server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        return head + (await reader.readexactly(int(length[0][15:])) if length else b"")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    yield vendor
    vendor.close()


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport(timeout=0.5, connections=4)
    yield transport
    await transport.close()


def failed(result: Answer | Failure, cause: str, sent: bool) -> None:
    assert isinstance(result, Failure)
    assert (result.cause, result.sent) == (cause, sent), result.message
    assert result.message


# -- what goes out and what comes back ---------------------------------------------------------------------------------


async def test_a_request_and_its_answer(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(b"HTTP/1.1 202 Fine\r\nX-Said: a: b\r\nContent-Length: 4\r\n\r\n\x00\xff\r\n")
    answer = await transport.send("POST", url, JSON, b'{"a":1}')
    assert answer == Answer(202, {"x-said": "a: b", "content-length": "4"}, b"\x00\xff\r\n")
    head, _, body = vendor.requests[0].partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert (line, body) == ("POST /m/event?version=s2s_v0 HTTP/1.1", b'{"a":1}')
    assert {"User-Agent: firsthand", "content-type: application/json", "Content-Length: 7"} <= set(headers)


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("DELETE", None), ("PUT", b"x"), ("POST", b"")])
async def test_any_method(transport: HttpTransport, vendor: Vendor, method: str, body: bytes | None) -> None:
    url = await vendor.serve(OK, OK)
    await transport.send("POST", url, {}, b"before")  # the same handle, used again
    assert isinstance(await transport.send(method, url, {}, body), Answer)
    assert vendor.requests[1].startswith(f"{method} ".encode())
    assert vendor.requests[1].endswith(b"\r\n\r\n" + (body or b""))


async def test_a_body_larger_than_a_socket_takes_at_once(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(OK)
    await transport.send("POST", url, {}, b"x" * 3_000_000)
    assert vendor.requests[0].endswith(b"x" * 3_000_000)
    assert b"Expect" not in vendor.requests[0]


async def test_a_connection_is_used_again(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(*[OK] * 10)
    for _ in range(10):
        await transport.send("POST", url, JSON, b"{}")
    assert vendor.connections == 1


async def test_many_at_once_and_no_more_connections_than_allowed(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(*[OK] * 50)
    answers = await asyncio.gather(*(transport.send("POST", url, JSON, b"%d" % n) for n in range(50)))
    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [200] * 50
    assert vendor.connections <= 4


@pytest.mark.parametrize("answer", [b"HTTP/1.0 200 OK\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"])
async def test_an_answer_that_ends_with_its_connection(transport: HttpTransport, vendor: Vendor, answer: bytes) -> None:
    url = await vendor.serve(answer, keep=False)
    result = await transport.send("POST", url, JSON, b"{}")
    assert isinstance(result, Answer)
    assert result.body == b"{}"


async def test_an_answer_in_chunks_after_a_preliminary_one(transport: HttpTransport, vendor: Vendor) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    url = await vendor.serve(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + chunked)
    assert await transport.send("POST", url, JSON, b"{}") == Answer(200, {"transfer-encoding": "chunked"}, b"{}")


async def test_no_more_is_read_than_any_vendor_says(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_000, OK)
    answer = await transport.send("POST", url, JSON, b"{}")
    assert isinstance(answer, Answer)
    assert answer.body == b"x" * ANSWER_BYTES
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)


async def test_redirects_and_proxies_are_left_alone(
    transport: HttpTransport, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    url = await vendor.serve(b"HTTP/1.1 307 Over There\r\nLocation: http://localhost:9/\r\nContent-Length: 0\r\n\r\n")
    answer = await transport.send("POST", url, JSON, b"{}")
    assert isinstance(answer, Answer)
    assert answer.status == 307


# -- why there is no answer --------------------------------------------------------------------------------------------


async def test_nobody_there(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve()
    vendor.close()
    failed(await transport.send("POST", url, JSON, b"{}"), "connect", sent=False)


async def test_no_such_name(transport: HttpTransport) -> None:
    failed(await transport.send("POST", "http://nowhere.invalid/", JSON, b"{}"), "dns", sent=False)


async def test_no_answer_in_time(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(b"")
    failed(await transport.send("POST", url, JSON, b"{}"), "timeout", sent=True)


async def test_an_answer_that_does_not_end(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    failed(await transport.send("POST", url, JSON, b"{}"), "timeout", sent=True)


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", b"HTTP/1.1 20"])
async def test_cut_off_after_the_request(transport: HttpTransport, vendor: Vendor, answer: bytes | None) -> None:
    url = await vendor.serve(answer, keep=False)
    result = await transport.send("POST", url, JSON, b"{}")
    assert isinstance(result, Failure)
    assert (result.cause in ("cut", "protocol"), result.sent) == (True, True)


@pytest.mark.parametrize(("method", "body"), [("POST", b"{}"), ("GET", None)])
async def test_nothing_is_sent_twice_unasked(
    transport: HttpTransport, vendor: Vendor, method: str, body: bytes | None
) -> None:
    """A connection used before may close just when a request goes out on it. Whether it arrived is for us to weigh."""
    url = await vendor.serve(OK, None, OK)
    assert isinstance(await transport.send(method, url, JSON, body), Answer)
    failed(await transport.send(method, url, JSON, body), "cut", sent=True)
    assert len(vendor.requests) == 2
    assert isinstance(await transport.send(method, url, JSON, body), Answer)


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"])
async def test_an_answer_that_is_no_http(transport: HttpTransport, vendor: Vendor, answer: bytes) -> None:
    url = await vendor.serve(answer, keep=False)
    failed(await transport.send("POST", url, JSON, b"{}"), "protocol", sent=True)


async def test_a_certificate_that_nobody_vouches_for(
    transport: HttpTransport, vendor: Vendor, certificate: Path
) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    url = await vendor.serve(OK, tls=server)
    failed(await transport.send("POST", url, JSON, b"{}"), "tls", sent=False)
    assert vendor.requests == []


async def test_a_certificate_of_ones_own(vendor: Vendor, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop's proxy with an authority of its own: trusted as everywhere in Python."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)
    transport = HttpTransport(timeout=2, connections=1)
    url = await vendor.serve(OK, tls=server)
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    await transport.close()


async def test_a_server_without_encryption(transport: HttpTransport, vendor: Vendor) -> None:
    url = (await vendor.serve(OK)).replace("http:", "https:")
    result = await transport.send("POST", url, JSON, b"{}")
    assert isinstance(result, Failure)
    assert (result.cause in ("tls", "timeout_connect"), result.sent) == (True, False)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://localhost:1/\u00e9", {}),
        ("http://local host/", {}),
        ("ftp://localhost/", {}),
        ("http://localhost:1/", {"x": "a\r\ny: b"}),
        ("http://localhost:1/", {"x": "\u20ac"}),
    ],
)
async def test_what_is_no_request(transport: HttpTransport, url: str, headers: dict[str, str]) -> None:
    result = await transport.send("POST", url, headers, b"{}")
    assert isinstance(result, Failure)
    assert not result.sent


async def test_one_who_waits_no_longer(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(b"", OK)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await transport.send("POST", url, JSON, b"{}")
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)


async def test_closing_with_requests_under_way(vendor: Vendor) -> None:
    transport = HttpTransport(timeout=5, connections=4)
    url = await vendor.serve(b"")
    waiting = asyncio.create_task(transport.send("POST", url, JSON, b"{}"))
    await asyncio.sleep(0.1)
    await transport.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for localhost that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return path
