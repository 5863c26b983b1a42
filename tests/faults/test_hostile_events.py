"""What a client may throw at us: a clear refusal, or a clear reason in the trace; and the event behind it goes through.

All of it meets one gateway, one after the other, as it would in life.
"""

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.checker import check
from tests.gateway import WRITE_KEY, Emulator, Gateway, Json, config, criteo, order, page, until

ADDRESS = "127.0.0.1"
TRACK = b'{"type":"track","event":"Order Completed","anonymousId":"a","writeKey":"%s",' % WRITE_KEY.encode()
DEEP = b"[" * 5_000 + b"]" * 5_000
BIG = b"x" * 10_000_000
PRODUCT = b'{"product_id":"lamp-7"},'


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("hostile")
    with Emulator(directory) as vendor, Gateway(directory, config(criteo()), vendor) as running:
        yield running


@pytest.fixture
def behind(gateway: Gateway, request: pytest.FixtureRequest) -> Iterator[None]:
    """A good event comes after the hostile one, and is delivered."""
    yield
    id = f"good-{abs(hash(request.node.name))}"
    gateway.send(order(id))
    gateway.settle()
    assert gateway.delivery(id)["state"] == "delivered"
    check(gateway, {id}, gateway.vendor)


def post(gateway: Gateway, path: str, body: bytes, **headers: str) -> tuple[int, Json]:
    """Status and JSON of the answer, to a client that first sends everything and then listens."""
    with closing(http.client.HTTPConnection(ADDRESS, gateway.port, timeout=20)) as connection:
        connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def refusal(found: tuple[int, Json]) -> tuple[int, str]:
    """Status and code of an answer, which must say in JSON what is wrong."""
    status, answer = found
    assert answer["success"] is False
    assert answer["error"]["message"]
    return status, answer["error"]["code"]


REFUSED = {
    "10 MB of text": (TRACK + b'"name":"' + BIG + b'"}', 413, "request_too_large"),
    "an event of 40 kB": (TRACK + b'"name":"' + BIG[:40_000] + b'"}', 413, "event_too_large"),
    "10,000 products": (
        TRACK + b'"properties":{"products":[' + b'{"id":"lamp"},' * 9_999 + b"{}]}}",
        413,
        "event_too_large",
    ),
    "5,000 levels": (TRACK + b'"properties":{"a":' + DEEP + b"}}", 400, "too_deep"),
    "5,000 levels without end": (TRACK + b'"properties":{"a":' + DEEP[:5_000], 400, "too_deep"),
    "a raw NUL": (TRACK + b'"name":"\0"}', 400, "malformed_json"),
    "bytes that are no UTF-8": (TRACK + b'"name":"\xff\xfe"}', 400, "malformed_json"),
    "NaN": (TRACK + b'"properties":{"price":NaN}}', 400, "malformed_json"),
    "Infinity": (TRACK + b'"properties":{"price":-Infinity}}', 400, "malformed_json"),
    "a number without bounds": (TRACK + b'"properties":{"price":1e999}}', 400, None),
    "a user id of 5,000 digits": (TRACK + b'"userId":' + b"9" * 5_000 + b"}", 400, None),
    "no body": (b"", 400, "malformed_json"),
    "a body of blanks": (b" " * 1000, 400, "malformed_json"),
    "a list": (b"[]", 400, "field_invalid"),
    "null": (b"null", 400, "field_invalid"),
    "text": (b'"hello"', 400, "field_invalid"),
    "half of an event": (TRACK[:40], 400, "malformed_json"),
    "properties as a list": (TRACK + b'"properties":[1]}', 400, "field_invalid"),
    "an event's name as a number": (
        b'{"event":5,"anonymousId":"a","writeKey":"%s"}' % WRITE_KEY.encode(),
        400,
        "field_invalid",
    ),
    "a context as text": (TRACK + b'"context":"here"}', 400, "field_invalid"),
    "an id as an object": (TRACK + b'"messageId":{}}', 400, "field_invalid"),
    "an id as long as a book": (TRACK + b'"messageId":"' + BIG[:10_000] + b'"}', 400, "field_invalid"),
    "no name": (b'{"anonymousId":"a","writeKey":"%s"}' % WRITE_KEY.encode(), 400, "field_missing"),
    "nobody": (b'{"event":"Order Completed","writeKey":"%s"}' % WRITE_KEY.encode(), 400, "field_missing"),
    "no key": (b'{"event":"Order Completed","anonymousId":"a"}', 401, "missing_write_key"),
    "another's key": (b'{"event":"x","anonymousId":"a","writeKey":"\\u0000"}', 401, "invalid_write_key"),
}


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(gateway: Gateway, name: str):
    body, status, code = REFUSED[name]
    found = refusal(post(gateway, "/v1/track", body))
    assert found == (status, code or found[1])


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (gzip.compress(b"0" * 100_000_000, mtime=0), 413, "request_too_large"),
        (b"this is no gzip", 400, "malformed_gzip"),
        (gzip.compress(b'{"event":"x"}' * 100, mtime=0)[:-20], 400, "malformed_gzip"),
        (b"", 400, "malformed_gzip"),
    ],
    ids=["a bomb", "not gzip at all", "cut off", "empty"],
)
def test_gzip(gateway: Gateway, body: bytes, status: int, code: str):
    assert refusal(post(gateway, "/v1/batch", body, content_encoding="gzip")) == (status, code)


@pytest.mark.usefixtures("behind")
def test_10_mb_without_saying_so(gateway: Gateway):
    """No Content-Length: what is too much shows while it comes in."""
    with closing(http.client.HTTPConnection(ADDRESS, gateway.port, timeout=20)) as connection:
        connection.request("POST", "/v1/batch", iter([BIG[:100_000]] * 100), encode_chunked=True)
        answer = connection.getresponse()
        assert refusal((answer.status, json.loads(answer.read()))) == (413, "request_too_large")


BAD_ITEMS = {
    "too deep": b'{"type":"track","event":"x","anonymousId":"a","properties":{"a":' + DEEP + b"}}",
    "no UTF-8": b'{"type":"track","event":"\xff","anonymousId":"a"}',
    "NaN": b'{"type":"track","event":"x","anonymousId":"a","properties":{"price":NaN}}',
    "wrong types": b'{"type":"track","event":[],"anonymousId":"a"}',
    "an unknown type": b'{"type":"purchase","anonymousId":"a"}',
    "no event at all": b"17",
}


@pytest.mark.parametrize("name", BAD_ITEMS)
def test_one_bad_item_costs_the_others_of_a_batch_nothing(gateway: Gateway, name: str):
    before, after = page(f"before-{name}"), page(f"after-{name}")
    items = b",".join([json.dumps(before).encode(), BAD_ITEMS[name], json.dumps(after).encode()])
    body = b'{"writeKey":"%s","batch":[%s]}' % (WRITE_KEY.encode(), items)
    status, answer = post(gateway, "/v1/batch", body)
    assert (status, answer["accepted"]) == (200, 2)
    (rejected,) = answer["rejected"]
    assert rejected["index"] == 1
    assert rejected["message"]
    gateway.settle()
    check(gateway, {before["messageId"], after["messageId"]}, gateway.vendor)


ODD: dict[str, Json] = {
    "NUL in the texts": {"properties": {"order_id": "a\0b", "products": [{"product_id": "\0", "price": 1}]}},
    "NUL in the ids": {"anonymousId": "\0", "userId": "\0\0"},
    "thousands of products": {"properties": {"order_id": "o", "products": [{}] * 7_000}},
    "products as text": {"properties": {"order_id": "o", "products": "lamp"}},
    "products within products": {"properties": {"order_id": "o", "products": [[[[{}]]]]}},
    "a price of text": {"properties": {"order_id": "o", "products": [{"product_id": "p", "price": "cheap"}]}},
    "a price beyond reason": {"properties": {"order_id": "o", "products": [{"product_id": "p", "price": 1e300}]}},
    "a number of 4,000 digits": {"properties": {"order_id": 10**4_000}},
    "an order id as an object": {"properties": {"order_id": {"id": "o"}, "products": []}},
    "a page that is none": {"context": {"page": "home", "ip": {}, "userAgent": [], "ids": "none", "device": 7}},
    "a consent that is none": {"context": {"consent": [{"tcf": 1}], "ip": "999.999.999.999"}},
    "a TC string that is none": {"context": {"consent": {"tcf": {"gdprApplies": True, "tcString": "C" * 20_000}}}},
    "an e-mail of 30 kB": {"traits": {"email": "@" * 30_000}},
    "a time before time": {"timestamp": "0001-01-01T00:00:00+14:00"},
    "a time after time": {"timestamp": "9999-12-31T23:59:59.999Z"},
    "integrations as they should not be": {"integrations": {"All": "no", "criteo": None}},
    "every character": {"event": "".join(map(chr, range(1, 2_000))), "properties": {"\u202e": "\ufeff\uffff"}},
}


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("name", ODD)
def test_odd_but_taken(gateway: Gateway, name: str):
    """It may be refused or kept; what is kept is delivered, or ends with a reason that a person can read."""
    event = page(name) | {"type": "track", "event": "Order Completed"} | ODD[name]
    status, answer = post(gateway, "/v1/track", json.dumps(event | {"writeKey": WRITE_KEY}).encode())
    if status != 200:
        assert refusal((status, answer))[0] == 400
        return
    gateway.settle()
    delivery = gateway.delivery(name)
    assert delivery["state"] in ("delivered", "filtered", "dead")
    assert delivery["state"] == "delivered" or delivery["reason"]["message"]
    assert delivery["reason"] is None or delivery["reason"]["code"] != "mapping_error"


# -- clients that behave oddly ---------------------------------------------------------------------------------------


def raw(id: str) -> bytes:
    body = json.dumps({"batch": [page(id)], "writeKey": WRITE_KEY}).encode()
    return b"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def hear(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as answer:
        return answer.readline()


@pytest.mark.usefixtures("behind")
def test_a_slow_client_holds_up_nobody(gateway: Gateway):
    slow = [socket.create_connection((ADDRESS, gateway.port), timeout=20) for _ in range(50)]
    for number, connection in enumerate(slow):
        connection.sendall(raw(f"slow-{number}")[:-1])
    gateway.send(page("meanwhile"))
    for number, connection in enumerate(slow):
        with connection:
            connection.sendall(raw(f"slow-{number}")[-1:])
            assert hear(connection) == b"HTTP/1.1 200 OK\r\n"
    gateway.settle()
    check(gateway, {"meanwhile"} | {f"slow-{number}" for number in range(50)}, gateway.vendor)


@pytest.mark.usefixtures("behind")
def test_a_client_that_hangs_up_halfway(gateway: Gateway):
    for number in range(20):
        with socket.create_connection((ADDRESS, gateway.port), timeout=20) as connection:
            connection.sendall(raw(f"half-{number}")[: -10 - number])


@pytest.mark.usefixtures("behind")
def test_a_client_that_hangs_up_before_the_answer(gateway: Gateway):
    """What it sent is kept, although nobody heard so."""
    with socket.create_connection((ADDRESS, gateway.port), timeout=20) as connection:
        connection.sendall(raw("unheard"))
    until("it is kept", lambda: gateway.knows("unheard"))


@pytest.mark.usefixtures("behind")
def test_a_client_that_closes_its_half(gateway: Gateway):
    """As `nc -N` does: it has said everything, and still listens."""
    with socket.create_connection((ADDRESS, gateway.port), timeout=20) as connection:
        connection.sendall(raw("half-closed"))
        connection.shutdown(socket.SHUT_WR)
        assert hear(connection) in (b"HTTP/1.1 200 OK\r\n", b"")  # or it is closed on us: then nothing was promised
