"""What Segment's and RudderStack's clients ask for, by the addresses and in the forms that they use.

The clients themselves send in tests/e2e and tests/browser.
"""

import base64
import gzip
import json
from typing import Any

import pytest
from tests.collect.client import BROWSER, Client, item

KEY = {"authorization": "Basic " + base64.b64encode(b"shop-key:").decode()}
LETTERS = {"t": "track", "p": "page", "i": "identify", "g": "group", "a": "alias", "s": "screen"}
CALL = {"event": "Order Completed", "userId": "u1", "groupId": "g1", "previousId": "u0"}
BATCHES = ["/v1/batch", "/v1/import", "/v1/b", "/b", "/beacon/v1/batch"]
DOCUMENTS = ["/v1/projects/shop-key/settings", "/projects/shop-key/settings", "/sourceConfig"]


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("letter", "type"), LETTERS.items())
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_type_by_its_letter(client: Client, letter: str, type: str, slash: str) -> None:
    answer = await client.post(f"/v1/{letter}{slash}", CALL)
    assert (answer.status, answer.json) == (200, {"success": True})
    assert [event.type for event in client.log.events] == [type]


@pytest.mark.parametrize("path", BATCHES)
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_batch(client: Client, path: str, slash: str) -> None:
    answer = await client.post(path + slash, {"batch": [item(1), item(2)], "writeKey": "shop-key"}, key=None)
    assert (answer.status, answer.json["accepted"]) == (200, 2)


@pytest.mark.parametrize("path", ["/v1/track/", "/v1/events/", "/v1/pixel/track/", "/healthz/", "/readyz/"])
async def test_the_others_with_a_slash(client: Client, path: str) -> None:
    assert (await client.send("GET", path, {}, query="writeKey=shop-key&event=Seen&userId=u1")).status != 404


async def test_a_beacon_says_its_key_in_the_query(client: Client) -> None:
    """RudderStack's, as a page is left: no header may be set, and the body is text to the browser."""
    body = json.dumps({"batch": [item(1)], "sentAt": "2026-11-22T12:00:00.000Z"}).encode()
    headers = BROWSER | {"content-type": "text/plain;charset=UTF-8"}
    answer = await client.send("POST", "/beacon/v1/batch", headers, body, query="writeKey=site-key")
    assert (answer.status, answer.json["accepted"]) == (200, 1)
    assert [record.source for record in client.log.records] == ["site"]
    answer = await client.send("POST", "/beacon/v1/batch", headers, body, query="writeKey=other")
    assert (answer.status, answer.error[0]) == (401, "invalid_write_key")


async def test_a_key_in_a_query_opens_nothing_else(client: Client) -> None:
    """Queries stand in the logs of proxies."""
    answer = await client.send("POST", "/v1/batch", {}, b'{"batch":[]}', query="writeKey=shop-key")
    assert (answer.status, answer.error[0]) == (401, "missing_write_key")


@pytest.mark.parametrize("path", [*(f"/v1/{letter}" for letter in LETTERS), *BATCHES, *DOCUMENTS])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_browser_may_ask_first(client: Client, path: str, slash: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "anonymousid, authorization"}
    answer = await client.send("OPTIONS", path + slash, {"origin": "https://shop.example", **asked})
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-headers"] == "anonymousid, authorization"


# -- the forms of their requests ---------------------------------------------------------------------------------------


TIMES = {"timestamp": "2026-11-22T11:30:00.000Z", "sentAt": "2026-11-22T11:59:59.500Z"}
APP = {"name": "Shop", "version": "1.4.0", "build": "41", "namespace": "example.shop"}
PHONE = {"id": "d-1", "manufacturer": "Google", "model": "Pixel 8", "name": "shiba", "type": "android"}
CONSENT = {"categoryPreferences": {"marketing": True}}


def sold(library: str, **more: Any) -> dict[str, Any]:
    """An order of half an hour ago as a client writes it."""
    order = {"order_id": "o-1", "currency": "EUR", "products": [{"product_id": "p", "price": 5, "quantity": 1}]}
    said = {"type": "track", "event": "Order Completed", "messageId": "m1", "anonymousId": "a1", "userId": "u1"}
    context = {"library": {"name": library, "version": "1.0.0"}, "consent": CONSENT, "app": APP, "device": PHONE}
    return {**said, "properties": order, "context": context, "timestamp": TIMES["timestamp"], **more}


METADATA = {"bundled": [], "unbundled": [], "bundledIds": []}
KOTLIN = {
    "batch": [sold("analytics-kotlin", integrations={}, _metadata=METADATA)],
    "sentAt": TIMES["sentAt"],
    "writeKey": "shop-key",
}
REACT_NATIVE = {
    "batch": [sold("@segment/analytics-react-native", integrations={}, _metadata=METADATA)],
    "sentAt": TIMES["sentAt"],
    "writeKey": "shop-key",
}
GO = {
    "messageId": "batch-1",
    "sentAt": TIMES["sentAt"],
    "batch": [sold("analytics-go", context={"consent": CONSENT})],
    "context": {"library": {"name": "analytics-go", "version": "3.0.0"}},
}
ANDROID_RUDDER = {
    "sentAt": TIMES["sentAt"],
    "batch": [
        {
            **sold("com.rudderstack.android.sdk.core"),
            "timestamp": None,
            "originalTimestamp": TIMES["timestamp"],
            "channel": "mobile",
            "integrations": {"All": True},
        }
    ],
}
TEXT = {"content-type": "text/plain", "content-encoding": "gzip", "user-agent": "analytics-kotlin/1.19.2"}
PLAIN = {"content-type": "application/json; charset=utf-8", "user-agent": "okhttp/4.12.0"}
BY_GO = {**KEY, "content-type": "application/json", "user-agent": "analytics-go (version: 3.0.0)"}
BY_RUDDER = {**KEY, "content-type": "application/json", "content-encoding": "gzip", "anonymousid": "YTE="}


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        ("/v1/b", TEXT, KOTLIN),
        ("/b", PLAIN, REACT_NATIVE),
        ("/v1/batch", BY_GO, GO),
        ("/v1/batch", BY_RUDDER, ANDROID_RUDDER),
    ],
    ids=["kotlin", "react native", "go", "rudderstack android"],
)
async def test_clients_that_cannot_run_here(
    client: Client, path: str, headers: dict[str, str], body: dict[str, Any]
) -> None:
    """Their requests as they are documented: the order has its ids, its time and its consent."""
    sent = json.dumps(body).encode()
    sent = gzip.compress(sent) if headers.get("content-encoding") else sent
    answer = await client.send("POST", path, headers, sent)
    assert (answer.status, answer.json["accepted"], answer.json["rejected"]) == (200, 1, [])
    (event,) = client.log.events
    assert (event.message_id, event.anonymous_id, event.user_id) == ("m1", "a1", "u1")
    assert event.timestamp == TIMES["timestamp"]
    assert event.context["consent"]["categories"] == {"marketing": True}
    assert event.context["library"]["name"]
    assert "bot" not in event.context
    assert event.get("context", "ip") is None  # of a phone, whose address nobody promised to be the visitor's


# -- settings ----------------------------------------------------------------------------------------------------------


async def ask(client: Client, path: str, headers: dict[str, str] | None = None, query: str = "", **more: Any) -> Any:
    given = {"host": "events.shop.example"} | (headers or {})
    return await client.send("GET", path, given, query=query, **more)


@pytest.mark.parametrize("path", ["/v1/projects/shop-key/settings", "/projects/shop-key/settings/"])
async def test_segments_clients_are_told_to_send_here(client: Client, path: str) -> None:
    answer = await ask(client, path, scheme="https")
    assert answer.status == 200
    assert list(answer.json["integrations"]) == ["Segment.io"]
    ours = answer.json["integrations"]["Segment.io"]
    assert (ours["apiKey"], ours["apiHost"], ours["protocol"]) == ("shop-key", "events.shop.example/v1", "https")
    assert answer.json["metrics"] == {"sampleRate": 0}  # nor report to Segment


async def test_a_page_of_https_is_told_to_send_by_https(client: Client) -> None:
    """Its browser lets it send nothing by http; the proxy in front that takes https need not be a trusted one."""
    for headers in ({"origin": "https://shop.example"}, {"referer": "https://shop.example/basket"}):
        answer = await ask(client, "/v1/projects/shop-key/settings", headers)
        assert answer.json["integrations"]["Segment.io"]["protocol"] == "https"


async def test_the_address_that_is_configured_wins() -> None:
    client = Client(public_url="https://shop.example/events")
    answer = await ask(client, "/v1/projects/shop-key/settings")
    ours = answer.json["integrations"]["Segment.io"]
    assert (ours["protocol"], ours["apiHost"]) == ("https", "shop.example/events/v1")


@pytest.mark.parametrize(("headers", "query"), [(KEY, ""), ({}, "p=npm&writeKey=shop-key"), (KEY, "p=android")])
@pytest.mark.parametrize("path", ["/sourceConfig/", "/sourceConfig"])
async def test_rudderstacks_clients_find_nothing_to_load(
    client: Client, path: str, headers: dict[str, str], query: str
) -> None:
    answer = await ask(client, path, headers, query)
    assert answer.status == 200
    source = answer.json["source"]
    assert (source["id"], source["writeKey"], source["enabled"]) == ("shop", "shop-key", True)
    assert source["destinations"] == []
    assert source["config"]["statsCollection"] == {"errors": {"enabled": False}, "metrics": {"enabled": False}}


@pytest.mark.parametrize("path", ["/v1/projects/other/settings", "/projects/other/settings", "/sourceConfig/"])
async def test_a_key_that_nobody_has(client: Client, path: str) -> None:
    answer = await ask(client, path, query="writeKey=other")
    assert (answer.status, answer.error[0]) == (401, "invalid_write_key")
    assert (await ask(client, "/sourceConfig/")).error[0] == "missing_write_key"


async def test_a_page_that_the_source_does_not_name_learns_why(client: Client) -> None:
    answer = await ask(client, "/v1/projects/site-key/settings", {"origin": "https://evil.example"})
    assert (answer.status, answer.error[0]) == (403, "origin_not_allowed")
    assert answer.headers["access-control-allow-origin"] == "https://evil.example"
    answer = await ask(client, "/v1/projects/site-key/settings", {"origin": "https://shop.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")


@pytest.mark.parametrize("path", DOCUMENTS)
async def test_settings_are_asked_for_by_get(client: Client, path: str) -> None:
    answer = await client.post(path, {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, OPTIONS")


async def test_a_host_that_is_none_is_not_repeated(client: Client) -> None:
    answer = await ask(client, "/v1/projects/shop-key/settings", {"host": 'x"/<script>'})
    assert "apiHost" not in answer.json["integrations"]["Segment.io"]


# -- addresses that are none of ours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "query", "body"),
    [
        (KEY, "", b"{}"),
        ({"authorization": "Bearer shop-key"}, "", b"{}"),
        ({}, "a=b&writeKey=shop-key", b"{}"),
        ({}, "", b'{"writeKey": "shop-key", "batch": []}'),
        ({"content-encoding": "gzip"}, "", gzip.compress(b'{"writeKey": "shop-key"}', mtime=0)),
        ({"authorization": "Basic !"}, "", b'{"writeKey": "shop-key"}'),
    ],
)
async def test_who_sends_elsewhere_is_counted(client: Client, headers: dict[str, str], query: str, body: bytes) -> None:
    answer = await client.send("POST", "/v2/track", headers, body, query=query)
    assert (answer.status, answer.error[0]) == (404, "not_found")
    assert client.log.noted == {("unknown_path", "shop", "/v2/track"): 1}


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer other"}])
@pytest.mark.parametrize("body", [b"", b"\xff", b'{"writeKey": 5}', b"[" * 5000, b"x" * 600_000])
async def test_a_stranger_is_not(client: Client, headers: dict[str, str], body: bytes) -> None:
    answer = await client.send("POST", "/wp-login.php", headers, body, query="writeKey=other")
    assert answer.status == 404
    assert not client.log.noted


async def test_a_path_is_kept_without_keys_and_persons(client: Client) -> None:
    for path in ("/v1/KEY/shop-key/site-key", "/users/jane.doe@example.com/x", "/a%0ab", "/" + "x" * 5000):
        await client.send("GET", path, KEY, query="writeKey=shop-key&secret=1")
    paths = [path for _, _, path in client.log.noted]
    assert paths == ["/v1/KEY/KEY/KEY", "/users/j***@example.com/x", "/a?b", "/" + "x" * 99]


async def test_a_page_may_ask_first_there_too(client: Client) -> None:
    """Or its browser would not send the request that is counted, and read the answer that says what is wrong."""
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    assert (await client.send("OPTIONS", "/v2/track", headers)).status == 204
    answer = await client.send("POST", "/v2/track", BROWSER | {"authorization": "Bearer site-key"}, b"{}")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert client.log.noted == {("unknown_path", "site", "/v2/track"): 1}
