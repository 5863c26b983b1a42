"""Which connections are kept, and for how long; what may happen on one between two requests."""

import asyncio
import socket

import pytest
from tests.http.vendor import JSON, OK, Vendor, failed, read_request, until

from firsthand.http import HttpTransport, dialling
from firsthand.http import transport as transports
from firsthand.http.dialling import Address, connect_first, in_turn
from firsthand.vendors.base import Answer

V4, V6 = socket.AddressFamily.AF_INET, socket.AddressFamily.AF_INET6


async def ok(transport: HttpTransport, url: str) -> None:
    answer = await transport.send("POST", url, JSON, b"{}")
    assert isinstance(answer, Answer), answer
    assert answer.status == 200


async def test_the_one_used_last_is_used_next(transport: HttpTransport, vendor: Vendor) -> None:
    """So that those that are not needed grow old."""
    url = await vendor.serve(*[OK] * 5)
    await asyncio.gather(ok(transport, url), ok(transport, url))
    for _ in range(3):
        await ok(transport, url)
    assert sorted(vendor.by_connection) == [1, 4]


async def test_idle_ones_are_closed(vendor: Vendor) -> None:
    transport = HttpTransport(timeout=5, connections=4, idle=0.05)
    url = await vendor.serve(*[OK] * 3)
    await asyncio.gather(ok(transport, url), ok(transport, url))
    await until(lambda: vendor.ended == 2)
    await ok(transport, url)
    assert vendor.connections == 3
    await transport.close()


async def test_old_ones_are_closed(vendor: Vendor, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "MAX_AGE", 0.0)
    url = await vendor.serve(OK, OK)
    await ok(transport, url)
    await ok(transport, url)
    assert vendor.connections == 2


async def test_the_limit_is_one_for_all_hosts(vendor: Vendor) -> None:
    transport = HttpTransport(timeout=5, connections=2)
    one, two = await vendor.serve(*[OK] * 3), await vendor.serve(*[OK] * 2)
    await asyncio.gather(ok(transport, one), ok(transport, one))
    await ok(transport, two)  # the oldest of the first host's has made room
    await ok(transport, one)
    await ok(transport, two)
    assert sorted(vendor.by_connection) == [1, 2, 2]
    await transport.close()


async def test_one_that_was_closed_meanwhile_costs_nothing(transport: HttpTransport) -> None:
    """Also where the loop had other things to do than to see it: nothing is sent into a connection that has ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        for _ in range(3):
            sending = asyncio.create_task(transport.send("POST", url, JSON, b"{}"))
            connection, _ = await asyncio.to_thread(server.accept)
            connection.settimeout(10)
            assert await asyncio.to_thread(connection.recv, 10_000)
            connection.sendall(OK)
            assert isinstance(await sending, Answer)
            connection.close()


@pytest.mark.parametrize(
    "more",
    [b"garbage", OK, OK[:20], b"HTTP/1.1 200 OK\r\n\r\n", b"\x00"],
    ids=["word", "answer", "part", "open", "nul"],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_nobody_asked_for_answers_nothing(
    transport: HttpTransport, vendor: Vendor, more: bytes, at_once: bool
) -> None:
    """More than one answer to a request: the next request must not be told that this was its own."""
    second = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
    gone = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal gone
        vendor.by_connection.append(1)
        await read_request(reader)
        if vendor.connections == 2:
            writer.write(second)
        elif at_once:
            writer.write(OK + more)
        else:
            writer.write(OK)
            await asyncio.sleep(0.05)
            writer.write(more)
        await reader.read()
        gone += 1
        writer.close()

    url = await vendor.talk(talk)
    await ok(transport, url)
    await until(lambda: gone == 1)
    assert await transport.send("POST", url, JSON, b"{}") == Answer(201, {"content-length": "0"}, b"")


async def test_closed_by_half_after_an_answer(transport: HttpTransport, vendor: Vendor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        vendor.by_connection.append(1)
        await read_request(reader)
        writer.write(OK)
        writer.write_eof()
        await reader.read()
        writer.close()

    url = await vendor.talk(talk)
    await ok(transport, url)
    await ok(transport, url)
    assert vendor.connections == 2


async def test_one_who_speaks_before_being_asked(transport: HttpTransport, vendor: Vendor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    result = await transport.send("POST", await vendor.talk(talk), JSON, b"{}")
    failed(result, "protocol", sent=getattr(result, "sent", False))  # the request may have been out already


# -- addresses ---------------------------------------------------------------------------------------------------------


async def test_an_ipv6_address(transport: HttpTransport, vendor: Vendor) -> None:
    heads = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await read_request(reader))
        writer.write(OK)
        writer.close()

    url = await vendor.talk(talk, host="::1")
    await ok(transport, url)
    assert f"\r\nHost: {url.split('/')[2]}\r\n".encode() in heads[0]


def test_the_families_are_tried_in_turn() -> None:
    found: list[Address] = [(V6, "a"), (V6, "b"), (V6, "c"), (V4, "d"), (V4, "e")]
    assert [address for _, address in in_turn(found)] == ["a", "d", "b", "e", "c"]


async def test_where_ipv6_leads_nowhere_ipv4_is_taken(
    transport: HttpTransport, vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await vendor.serve(OK)
    with socket.create_server(("::1", 0), family=V6) as closed:
        refused = closed.getsockname()[:2]
    addresses: list[Address] = [(V6, refused), (V4, ("127.0.0.1", int(url.split(":")[2].split("/")[0])))]

    async def both(_: object) -> list[Address]:
        return addresses

    monkeypatch.setattr(dialling, "_addresses", both)
    await ok(transport, url)


async def test_an_address_that_does_not_answer_is_not_waited_for(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await vendor.serve()
    connect, ended = dialling._connect, []

    async def connect_or_hang(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
        if family == V4:
            return await connect(family, address)
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.append(address)

    monkeypatch.setattr(dialling, "_connect", connect_or_hang)
    dead: list[Address] = [(V6, ("::1", number)) for number in (1, 2)]
    live = (V4, ("127.0.0.1", int(url.split(":")[2].split("/")[0])))
    (await connect_first([dead[0], live, dead[1]])).close()
    await until(lambda: ended == [("::1", 1)])


async def test_the_later_of_two_that_answer_is_hung_up_on(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialling, "NEXT_AFTER", 0.0)
    url = await vendor.serve()
    address: Address = (V4, ("127.0.0.1", int(url.split(":")[2].split("/")[0])))
    connected = await connect_first([address] * 3)
    await until(lambda: vendor.ended == vendor.connections - 1)
    connected.close()


async def test_no_address_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()
    with pytest.raises(ConnectionRefusedError):
        await connect_first([(V4, nobody)] * 3)
