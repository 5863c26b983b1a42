"""Over a real socket: what a client sees when the connection is closed, and that the server's log stays quiet."""

import http.client
import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec
import pytest
from typer.testing import CliRunner

from firsthand.cli import app
from firsthand.emulators.server import create_app, serving

REGIONAL = "/criteo-s2s/eu/m/event?version=s2s_v0"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def url():
    with serving(create_app()) as url:
        yield url


@pytest.fixture
def connection(url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    for resource in ("ledger", "faults"):
        ask(connection, "DELETE", f"/_control/criteo-s2s/{resource}")
    yield connection
    connection.close()


def ask(connection, method, path, json=None):
    body = None if json is None else msgspec.json.encode(json)
    connection.request(method, path, body, JSON if body else {})
    response = connection.getresponse()
    return response, response.read()


def put_fault(connection, kind, **fields):
    assert ask(connection, "PUT", "/_control/criteo-s2s/faults", {"kind": kind, **fields})[0].status == 200


def received(connection):
    return msgspec.json.decode(ask(connection, "GET", "/_control/criteo-s2s/ledger")[1])["received"]


def test_many_requests_on_one_connection(connection, envelope):
    ask(connection, "GET", "/healthz")
    before = connection.sock.getsockname()
    for _ in range(3):
        response, body = ask(connection, "POST", REGIONAL, envelope())
        assert (response.status, body) == (200, b'{"errors":[],"warnings":[]}')
    assert connection.sock.getsockname() == before
    assert [entry["accepted"] for entry in received(connection)] == [True, True, True]


def test_the_redirect_leads_to_this_server(connection, envelope, url):
    response, _ = ask(connection, "POST", "/criteo-s2s/m/event?version=s2s_v0", envelope())
    assert (response.status, response.getheader("location")) == (307, url + REGIONAL)


@pytest.mark.parametrize(("kind", "recorded"), [("cut", 1), ("cut_early", 0), ("down", 0)])
@pytest.mark.parametrize("size", [10, 900_000])
def test_no_answer(connection, envelope, kind, recorded, size, caplog):
    put_fault(connection, kind)
    with caplog.at_level(logging.INFO), pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(connection, "POST", REGIONAL, envelope(useragent="x" * size))
    connection.close()
    entries = received(connection)
    assert [(entry["accepted"], entry["fault"], entry["status"]) for entry in entries] == [
        (True, kind, None)
    ] * recorded
    assert caplog.records == []


def test_cut_early_closes_while_the_client_still_sends(connection, url):
    put_fault(connection, "cut_early")
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as client:
        head = f"POST {REGIONAL} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        client.sendall(head.encode() + b'{"account":')
        with suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_garbage_is_not_http(connection, envelope, caplog):
    put_fault(connection, "garbage")
    with caplog.at_level(logging.INFO), pytest.raises(http.client.BadStatusLine):
        ask(connection, "POST", REGIONAL, envelope())
    connection.close()
    assert [entry["fault"] for entry in received(connection)] == ["garbage"]
    assert caplog.records == []


def test_slow(connection, envelope):
    put_fault(connection, "slow", seconds=0.3)
    started = time.monotonic()
    _, body = ask(connection, "POST", REGIONAL, envelope())
    assert time.monotonic() - started >= 0.3
    assert body == b'{"errors":[],"warnings":[]}'


def test_slow_holds_up_nobody_and_is_recorded_at_once(connection, envelope, url):
    put_fault(connection, "slow", seconds=1, count=1)
    parts = urlsplit(url)
    with ThreadPoolExecutor(1) as pool:
        other = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
        waiting = pool.submit(ask, other, "POST", REGIONAL, envelope())
        while not received(connection):
            time.sleep(0.01)
        _, body = ask(connection, "POST", REGIONAL, envelope())
        assert body == b'{"errors":[],"warnings":[]}'
        assert not waiting.done()
        waiting.result()
        other.close()


def test_a_client_that_leaves_in_the_middle_of_its_request_is_not_recorded(connection, url, caplog):
    parts = urlsplit(url)
    with caplog.at_level(logging.INFO):
        with socket.create_connection((parts.hostname, parts.port)) as client:
            client.sendall(f"POST {REGIONAL} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode() + b"{")
        time.sleep(0.1)
    assert received(connection) == []
    assert caplog.records == []


def test_a_body_in_many_pieces(connection, envelope):
    body = msgspec.json.encode(envelope(useragent="x" * 500_000))
    connection.request("POST", REGIONAL, iter([body[:10], body[10:300_000], body[300_000:]]), JSON, encode_chunked=True)
    assert connection.getresponse().read() == b'{"errors":[],"warnings":[]}'


def test_a_body_over_the_limit_is_read_and_let_go(connection, envelope):
    _, body = ask(connection, "POST", REGIONAL, envelope(useragent="x" * 3_000_000))
    assert b"BodyTooLarge" in body
    assert [entry["body"] for entry in received(connection)] == [""]


def test_stopping_does_not_wait_for_slow_answers(envelope):
    app = create_app()
    app.inject({"kind": "slow", "seconds": 60})
    with ThreadPoolExecutor(1) as pool:
        with serving(app) as url:
            parts = urlsplit(url)
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
            waiting = pool.submit(ask, connection, "POST", REGIONAL, envelope())
            while not received(http.client.HTTPConnection(parts.hostname, parts.port)):
                time.sleep(0.01)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        assert isinstance(waiting.exception(), (http.client.RemoteDisconnected, ConnectionError))


def test_a_port_that_is_taken_is_said_in_a_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(app, ["emulate", "--port", str(port)])
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port" in result.output
