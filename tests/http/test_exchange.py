"""One exchange over real sockets: the answer as it is, or why there is none and whether the vendor may have seen it."""

import asyncio
import socket
import struct

import pytest
from tests.http.vendor import JSON, OK, Vendor, failed, read_request

from firsthand.http import ANSWER_BYTES, HttpTransport
from firsthand.ledger.records import Failure
from firsthand.vendors.base import Answer

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


@pytest.mark.parametrize("step", [1, 2, 3, 7])
async def test_an_answer_in_odd_pieces(transport: HttpTransport, vendor: Vendor, step: int) -> None:
    answer = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
        b'3;why=not\r\n{"a\r\n4\r\n":1}\r\n0\r\nX-Sum: 7\r\nX: z\r\n\r\n'
    )

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            for at in range(0, len(answer), step):
                writer.write(answer[at : at + step])
                await asyncio.sleep(0)
        writer.close()

    url = await vendor.talk(talk)
    for _ in range(2):
        answered = await transport.send("POST", url, JSON, b"{}")
        assert answered == Answer(200, {"transfer-encoding": "chunked", "x": "y"}, b'{"a":1}')


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_an_answer_without_a_body(transport: HttpTransport, vendor: Vendor, status: bytes) -> None:
    url = await vendor.serve(b"HTTP/1.1 " + status + b"\r\n\r\n", OK)
    assert await transport.send("POST", url, JSON, b"{}") == Answer(int(status[:3]), {}, b"")
    assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    assert vendor.connections == 1


async def test_a_header_that_comes_twice_is_joined(transport: HttpTransport, vendor: Vendor) -> None:
    url = await vendor.serve(b"HTTP/1.1 200 OK\r\nVia: a\r\nVIA:  b \r\nVia:\r\nContent-Length: 0\r\n\r\n")
    answer = await transport.send("POST", url, JSON, b"{}")
    assert answer == Answer(200, {"via": "a, b, ", "content-length": "0"}, b"")


async def test_an_offer_of_http2_is_none_to_take(transport: HttpTransport, vendor: Vendor) -> None:
    """As Apache makes it with any answer."""
    offer = b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\n{}"
    url = await vendor.serve(offer, OK)
    for _ in range(2):
        answer = await transport.send("POST", url, JSON, b"{}")
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body) == (200, b"{}")


async def test_an_answer_before_the_request_was_out(transport: HttpTransport, vendor: Vendor) -> None:
    """Too large, says the vendor, and reads no more. That is an answer, and the end of the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        vendor.by_connection.append(1)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        while await reader.read(1 << 20) and vendor.connections == 1:
            await asyncio.sleep(0.05)
        writer.close()

    url = await vendor.talk(talk)
    for _ in range(2):
        answer = await transport.send("POST", url, JSON, b"x" * 30_000_000)
        assert isinstance(answer, Answer)
        assert answer.status == 413
    assert vendor.connections == 2


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


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100, b"HTTP/1.1 200 OK\r\n\r\n" + b"{" * 100])
async def test_an_answer_that_trickles(transport: HttpTransport, vendor: Vendor, answer: bytes) -> None:
    """Each byte comes in time; the answer does not."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for at in range(len(answer)):
            writer.write(answer[at : at + 1])
            await writer.drain()
            await asyncio.sleep(0.02)

    failed(await transport.send("POST", await vendor.talk(talk), JSON, b"{}"), "timeout", sent=True)


async def test_each_exchange_has_the_whole_time(vendor: Vendor) -> None:
    """Also the later ones on a connection that is older than it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        vendor.by_connection.append(0)
        while await read_request(reader):
            vendor.by_connection[-1] += 1
            if vendor.by_connection[-1] == 4:
                await reader.read()
                break
            await asyncio.sleep(0.2)
            writer.write(OK)
        writer.close()

    url = await vendor.talk(talk)
    transport = HttpTransport(timeout=0.5, connections=1)
    for _ in range(3):
        assert isinstance(await transport.send("POST", url, JSON, b"{}"), Answer)
    failed(await transport.send("POST", url, JSON, b"{}"), "timeout", sent=True)
    assert vendor.by_connection == [4]
    await transport.close()


async def test_closed_by_half_before_an_answer(transport: HttpTransport, vendor: Vendor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write_eof()
        await reader.read()
        writer.close()

    failed(await transport.send("POST", await vendor.talk(talk), JSON, b"{}"), "cut", sent=True)


async def test_reset_while_the_request_goes_out(transport: HttpTransport, vendor: Vendor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    url = await vendor.talk(talk)
    failed(await transport.send("POST", url, JSON, b"x" * 30_000_000), "cut", sent=True)


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


FLOODS = {
    "a status line": b"HTTP/1.1 200 " + b"x" * 2_000_000,
    "one header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2_000_000,
    "headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300_000,
    "preliminary answers": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 50_000,
    "words on chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1;" + b"x" * 2_000_000,
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 300_000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_an_answer_of_nothing_but_headers(vendor: Vendor, flood: bytes) -> None:
    transport = HttpTransport(timeout=20, connections=1)
    url = await vendor.serve(flood)
    failed(await transport.send("POST", url, JSON, b"{}"), "protocol", sent=True)
    await transport.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nmore",
        b"HTTP/1.1 099 Too Few\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX\x00: y\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
    ],
)
async def test_an_answer_that_means_two_things_or_none(transport: HttpTransport, vendor: Vendor, answer: bytes) -> None:
    message = failed(await transport.send("POST", await vendor.serve(answer), JSON, b"{}"), "protocol", sent=True)
    assert "callback" not in message


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
