"""Each kind of fault, as far as it can be seen without a connection, and the switches that choose whom it meets."""

import pytest

from firsthand.emulators.criteo_s2s import CriteoS2S
from firsthand.emulators.faults import COMMON_KINDS, STATUSES
from firsthand.emulators.server import create_app

ENTRY = "/criteo-s2s/m/event?version=s2s_v0"
REGIONAL = "/criteo-s2s/eu/m/event?version=s2s_v0"
INJECTED = "InjectedFault: the emulator was told to answer this"


@pytest.fixture
def put(client):
    async def put(*faults):
        return await client.control("PUT", "faults", list(faults))

    return put


@pytest.mark.parametrize("status", STATUSES)
async def test_statuses(client, envelope, put, status):
    await put({"kind": f"status_{status}"})
    answered = await client.send("POST", REGIONAL, envelope())
    assert answered.status == status
    (entry,) = await client.received()
    assert (entry["accepted"], entry["status"], entry["fault"]) == (False, status, f"status_{status}")


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        ({"kind": "status_429"}, "1"),
        ({"kind": "status_429", "seconds": 5}, "5"),
        ({"kind": "status_503"}, None),
        ({"kind": "status_503", "seconds": 0.5}, "1"),
    ],
)
async def test_retry_after(client, envelope, put, fault, retry_after):
    await put(fault)
    answered = await client.send("POST", REGIONAL, envelope())
    assert answered.headers.get("retry-after") == retry_after


# kind → the body answered with 200, and whether the emulator has the event
BODIES = [
    ("empty", b"", False),
    ("html", b"<!doctype html>", False),
    ("truncated", b'{"errors":[],', True),
    ("errors", b'{"errors":["%s"],"warnings":[]}' % INJECTED.encode(), False),
    ("warnings", b'{"errors":[],"warnings":["%s"]}' % INJECTED.encode(), True),
]


@pytest.mark.parametrize(("kind", "body", "accepted"), BODIES)
async def test_bodies(client, envelope, put, kind, body, accepted):
    await put({"kind": kind})
    answered = await client.send("POST", REGIONAL, envelope())
    assert answered.status == 200
    assert answered.body.startswith(body)
    assert answered.headers["content-length"] == str(len(answered.body))
    (entry,) = await client.received()
    assert (entry["accepted"], entry["fault"]) == (accepted, kind)


async def test_slow_answers_properly_and_records_at_once(client, envelope, put):
    await put({"kind": "slow", "seconds": 2.5})
    assert await client.post(envelope()) == {"errors": [], "warnings": []}
    await put({"kind": "slow"})
    await client.post(envelope())
    assert client.slept == [2.5, 5.0]
    assert [entry["accepted"] for entry in await client.received()] == [True, True]


@pytest.mark.parametrize(("kind", "recorded"), [("cut", 1), ("garbage", 1), ("cut_early", 0), ("down", 0)])
async def test_closed_connections(client, envelope, put, kind, recorded):
    await put({"kind": kind})
    with pytest.raises(ConnectionResetError):
        await client.send("POST", REGIONAL, envelope())
    entries = await client.received()
    assert [(entry["accepted"], entry["status"]) for entry in entries] == [(True, None)] * recorded


BASE = "http://emulator.test/criteo-s2s"
REDIRECTS = [
    (ENTRY, "loop", 307, f"{BASE}/m/event?version=s2s_v0"),
    (REGIONAL, "loop", 307, f"{BASE}/eu/m/event?version=s2s_v0"),
    (ENTRY, "redirect_no_location", 307, None),
    (REGIONAL, "redirect_no_location", 307, None),
    (ENTRY, "redirect_foreign", 307, "http://evil.example/m/event"),
    (REGIONAL, "redirect_foreign", 307, "http://evil.example/m/event"),
    (ENTRY, "redirect_302", 302, f"{BASE}/eu/m/event?version=s2s_v0"),
    (REGIONAL, "redirect_302", 302, f"{BASE}/eu/m/event?version=s2s_v0"),
    (ENTRY, "redirect_http", 307, f"{BASE}/eu/m/event?version=s2s_v0"),
]


@pytest.mark.parametrize(("url", "kind", "status", "location"), REDIRECTS)
async def test_redirects(client, envelope, put, url, kind, status, location):
    await put({"kind": kind})
    answered = await client.send("POST", url, envelope())
    assert (answered.status, answered.headers.get("location")) == (status, location)
    ledger = await client.control("GET", "ledger")
    assert (ledger["total"], ledger["redirects"]) == (0, 1)


async def test_redirect_http_only_concerns_the_entry_host(client, envelope, put):
    await put({"kind": "redirect_http"})
    assert await client.post(envelope()) == {"errors": [], "warnings": []}


async def test_answers_are_spoilt_at_the_host_that_answers(client, envelope, put):
    """The entry host redirects as ever; with `redirect` off it is the one that answers."""
    await put({"kind": "status_500"})
    assert (await client.send("POST", ENTRY, envelope())).status == 307
    await client.control("PUT", "settings", {"redirect": False})
    assert (await client.send("POST", ENTRY, envelope())).status == 500


async def test_a_closed_connection_concerns_every_host(client, envelope, put):
    await put({"kind": "down"})
    with pytest.raises(ConnectionResetError):
        await client.send("POST", ENTRY, envelope())


async def statuses(client, envelope, count):
    return [(await client.send("POST", REGIONAL, envelope())).status for _ in range(count)]


async def test_count_ends_a_fault(client, envelope, put):
    await put({"kind": "status_503", "count": 2})
    assert await statuses(client, envelope, 4) == [503, 503, 200, 200]
    assert (await client.control("GET", "faults"))["faults"][0]["hits"] == 2


async def test_rate_meets_a_share_of_the_requests_the_same_every_time(client, envelope, put):
    await put({"kind": "status_500", "rate": 0.1})
    first = await statuses(client, envelope, 500)
    assert 30 < first.count(500) < 70
    await put({"kind": "status_500", "rate": 0.1})
    assert await statuses(client, envelope, 500) == first
    assert (await client.control("GET", "ledger"))["faults"] == 2 * first.count(500)


async def test_rate_nothing(client, envelope, put):
    await put({"kind": "status_500", "rate": 0})
    assert await statuses(client, envelope, 3) == [200, 200, 200]


async def test_the_first_fault_that_meets_a_request_wins(client, envelope, put):
    await put({"kind": "status_500", "count": 1}, {"kind": "status_503", "count": 1})
    assert await statuses(client, envelope, 3) == [500, 503, 200]


@pytest.mark.parametrize(("url", "kind", "status"), [(REGIONAL, "status_500", 500), (ENTRY, "redirect_302", 302)])
async def test_match_chooses_by_event(client, envelope, put, url, kind, status):
    await put({"kind": kind, "match": {"event": "viewItem"}})
    product = envelope({"event": "viewPage"}, {"event": "viewItem", "item": "A"})
    assert (await client.send("POST", url, product)).status == status
    assert (await client.send("POST", url, envelope())).status == (200 if url == REGIONAL else 307)


async def test_a_lost_answer_leads_to_a_duplicate(client, envelope, put):
    """What a client must reckon with that sends again after a connection was cut."""
    sale = {"event": "trackTransaction", "id": "ORD-1", "item": [{"id": "A", "price": 1, "quantity": 1}]}
    await put({"kind": "status_503", "count": 1}, {"kind": "cut", "count": 1})
    assert (await client.send("POST", REGIONAL, envelope(sale))).status == 503
    with pytest.raises(ConnectionResetError):
        await client.send("POST", REGIONAL, envelope(sale))
    await client.post(envelope(sale))
    entries = await client.received()
    assert [(entry["accepted"], entry["duplicate"]) for entry in entries] == [
        (False, False),
        (True, False),
        (True, True),
    ]


async def test_faults_can_be_read_and_removed(client, envelope, put):
    fault = {"kind": "slow", "rate": 0.5, "seconds": 3.0, "count": 7, "match": {"event": "viewHome"}}
    shown = {"faults": [{**fault, "hits": 0}]}
    assert await client.control("PUT", "faults", fault) == shown
    assert await client.control("GET", "faults") == shown
    assert await client.control("DELETE", "faults") == {"faults": []}
    assert await client.post(envelope()) == {"errors": [], "warnings": []}


REFUSED = [
    ({"kind": "status_599"}, "kind 'status_599' is unknown; accepted: status_400, "),
    ({"rate": 0.1}, 'a fault is an object with a "kind", or a list of such; accepted: status_400, '),
    ("slow", 'a fault is an object with a "kind"'),
    ([{"kind": "slow"}, {"kind": "fast"}], "kind 'fast' is unknown; accepted: "),
    ({"kind": "slow", "rate": 10}, "rate 10.0 is not between 0 and 1"),
    ({"kind": "slow", "rate": "10%"}, "Expected `float`, got `str` - at `$.rate`; accepted: kind, rate, seconds, "),
    ({"kind": "slow", "seconds": -1}, "seconds -1.0 is not 0 or more"),
    ({"kind": "slow", "count": 0}, "count 0 is not 1 or more"),
    (
        {"kind": "slow", "delay": 1},
        "Object contains unknown field `delay`; accepted: kind, rate, seconds, count, match",
    ),
    ({"kind": "slow", "match": {"account": "1"}}, "match can't look at account; accepted: event"),
    ({"kind": "cut_early", "match": {"event": "viewHome"}}, "cut_early closes the connection before the body is read"),
]


@pytest.mark.parametrize(("fault", "message"), REFUSED, ids=lambda value: str(value)[:50])
async def test_faults_that_are_refused(client, put, fault, message):
    await put({"kind": "empty"})
    answered = await client.send("PUT", "/_control/criteo-s2s/faults", fault)
    assert answered.status == 400
    assert answered.json()["error"]["message"].startswith(message)
    assert [kept["kind"] for kept in (await client.control("GET", "faults"))["faults"]] == ["empty"]


async def test_faults_that_are_not_json(client):
    answered = await client.send("PUT", "/_control/criteo-s2s/faults", body=b"slow")
    assert answered.status == 400
    assert answered.json()["error"]["message"].startswith("the body is not JSON: ")


def test_faults_from_a_file():
    app = create_app()
    faults = app.vendors["criteo-s2s"].faults
    app.inject({"criteo-s2s": [{"kind": "slow"}, {"kind": "cut"}]})
    assert [fault["kind"] for fault in faults.show()] == ["slow", "cut"]
    app.inject({"kind": "empty"})
    assert [fault["kind"] for fault in faults.show()] == ["empty"]
    with pytest.raises(ValueError, match="there is no emulator 'criteo-s3s'; there are criteo-s2s"):
        app.inject({"criteo-s3s": {"kind": "slow"}})


def test_every_kind_is_tested():
    tested = {f"status_{status}" for status in STATUSES} | {kind for kind, *_ in BODIES} | {row[1] for row in REDIRECTS}
    assert tested | {"slow", "cut", "garbage", "cut_early", "down"} == {*COMMON_KINDS, *CriteoS2S.fault_kinds}
