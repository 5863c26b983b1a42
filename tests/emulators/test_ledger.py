"""The ledger: pages, counts, bounds, and the routes that read and empty it."""

import msgspec
import pytest

from firsthand.emulators.ledger import CHUNK, Entry, Ledger


def entry(number: int, size: int = 0) -> Entry:
    body = b'{"n": %d}' % number if not size else b" " * size
    return Entry(at=1_000 * number, method="POST", url="", body=body, body_is_json=not size, accepted=number % 2 == 0)


def read(ledger: Ledger, since: int = 0, limit: int | None = None):
    page = msgspec.json.decode(b"".join(ledger.page(since, limit)))
    return page, [one["index"] for one in page["received"]]


def test_pages():
    ledger = Ledger()
    for number in range(7):
        ledger.add(entry(number))
    page, indexes = read(ledger, limit=3)
    assert indexes == [0, 1, 2]
    assert {name: page[name] for name in ("total", "accepted", "redirects", "first", "next")} == {
        "total": 7,
        "accepted": 4,
        "redirects": 0,
        "first": 0,
        "next": 3,
    }
    assert page["received"][1]["body"] == {"n": 1}
    assert page["received"][1]["at"] == "1970-01-01T00:00:01.000Z"
    assert read(ledger, since=3, limit=3)[1] == [3, 4, 5]
    assert read(ledger, since=6)[1] == [6]
    assert read(ledger, since=7)[1] == []
    assert read(ledger, since=99)[0]["next"] == 7
    assert read(ledger, limit=0)[1] == []


def test_only_the_last_entries_are_kept():
    ledger = Ledger(max_entries=3)
    for number in range(10):
        ledger.add(entry(number))
    page, indexes = read(ledger)
    assert (indexes, page["first"], page["total"], page["accepted"]) == ([7, 8, 9], 7, 10, 5)
    assert read(ledger, since=2, limit=2)[1] == [7, 8]


def test_only_so_many_bytes_are_kept():
    ledger = Ledger(max_bytes=1000)
    for number in range(5):
        ledger.add(entry(number, size=400))
    assert read(ledger)[1] == [3, 4]
    ledger.add(entry(5, size=5000))
    assert read(ledger)[1] == [5]
    ledger.add(entry(6, size=400))
    assert read(ledger)[1] == [6]


def test_a_long_ledger_comes_in_pieces_and_may_change_meanwhile():
    ledger = Ledger(max_entries=2 * CHUNK)
    for number in range(2 * CHUNK):
        ledger.add(entry(number))
    pieces = ledger.page()
    read_so_far = [next(pieces), next(pieces)]
    for number in range(CHUNK + 10):
        ledger.add(entry(number))
    page = msgspec.json.decode(b"".join([*read_so_far, *pieces]))
    assert [one["index"] for one in page["received"]] == [*range(CHUNK), *range(CHUNK + 10, 2 * CHUNK)]


async def test_over_http(client, envelope):
    for _ in range(3):
        await client.post(envelope())
    await client.post(envelope(account=None))
    ledger = (await client.send("GET", "/_control/criteo-s2s/ledger?since=1&limit=2")).json()
    assert [one["index"] for one in ledger["received"]] == [1, 2]
    assert (ledger["total"], ledger["accepted"], ledger["next"]) == (4, 3, 3)
    assert {name: ledger[name] for name in ("faults", "privacy_violation", "duplicate")} == {
        "faults": 0,
        "privacy_violation": 0,
        "duplicate": 0,
    }
    emptied = await client.control("DELETE", "ledger")
    assert (emptied["received"], emptied["total"]) == ([], 0)
    assert (await client.control("GET", "ledger")) == emptied


async def test_emptying_forgets_the_sales(client, envelope):
    sale = {"event": "trackTransaction", "id": "ORD-1", "item": [{"id": "A", "price": 1, "quantity": 1}]}
    await client.post(envelope(sale))
    await client.control("DELETE", "ledger")
    await client.post(envelope(sale))
    assert [one["duplicate"] for one in await client.received()] == [False]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "criteo-s2s/ledger?since=-1", 400, "since must be a whole number, 0 or more; it is '-1'"),
        ("GET", "criteo-s2s/ledger?limit=all", 400, "limit must be a whole number, 0 or more; it is 'all'"),
        ("GET", "criteo-s2s/ledger?page=2", 400, "unknown parameter page; accepted: since, limit"),
        ("PUT", "criteo-s2s/ledger", 405, "ledger takes GET, DELETE"),
        ("POST", "criteo-s2s/faults", 405, "faults takes GET, PUT, DELETE"),
        ("GET", "criteo-s2s/log", 404, "there is no 'log' here; there are ledger, faults, settings"),
        ("GET", "criteo/ledger", 404, "there is no emulator 'criteo'; there are criteo-s2s, raptor"),
    ],
)
async def test_control_requests_that_are_refused(client, method, path, status, message):
    answered = await client.send(method, f"/_control/{path}")
    assert (answered.status, answered.json()["error"]["message"]) == (status, message)


async def test_health(client):
    answered = await client.send("GET", "/healthz")
    assert (answered.status, answered.json()) == (200, {"status": "ok", "emulators": ["criteo-s2s", "raptor"]})
