"""What a client may ask of the collector and how it is answered: keys, origins, limits, methods, trouble."""

import base64
import gzip
from typing import Any

import pytest
from tests.collect.client import BROWSER, SITE, SLOW, Client, item

from firsthand.collect.parse import BATCH_EVENTS, EVENT_BYTES, REQUEST_BYTES

EVENT = {"event": "Order Completed", "userId": "u1"}


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "fields"),
    [
        ("track", {"event": "Order Completed"}),
        ("page", {"name": "Home"}),
        ("screen", {"name": "Home"}),
        ("identify", {"traits": {"email": "ann@example.com"}}),
        ("group", {"groupId": "g1"}),
        ("alias", {"previousId": "a1"}),
    ],
)
async def test_one_event_is_taken(client: Client, type: str, fields: dict[str, Any]) -> None:
    answer = await client.post(f"/v1/{type}", {"userId": "u1"} | fields)
    assert (answer.status, answer.json) == (200, {"success": True})
    (event,) = client.log.events
    assert (event.type, event.user_id) == (type, "u1")


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/import"])
async def test_a_batch_is_taken(client: Client, path: str) -> None:
    answer = await client.post(path, {"batch": [item(0), item(1)]})
    assert (answer.status, answer.json) == (200, {"success": True, "accepted": 2, "rejected": []})


async def test_a_batch_names_each_refused_item(client: Client) -> None:
    answer = await client.batch(item(0), item(1, event=None), item(2), {"type": "track", "messageId": 7}, "text")
    assert answer.status == 200
    assert (answer.json["success"], answer.json["accepted"]) == (True, 2)
    assert answer.rejected == [
        (1, "field_missing", "$.batch[1].event"),
        (3, "field_missing", "$.batch[3].event"),
        (4, "field_invalid", "$.batch[4]"),
    ]
    assert [entry["messageId"] for entry in answer.json["rejected"]] == ["m1", 7, None]
    assert all(entry["message"] for entry in answer.json["rejected"])
    assert client.log.refusals == {"shop": 3}


async def test_a_batch_with_nothing_to_take_is_refused(client: Client) -> None:
    answer = await client.batch(item(0, type="scream"), item(1, userId=None))
    assert answer.status == 400
    assert (answer.json["success"], answer.json["accepted"]) == (False, 0)
    assert answer.rejected == [(0, "invalid_type", "$.batch[0].type"), (1, "field_missing", "$.batch[1].anonymousId")]
    assert answer.error == ("invalid_type", "$.batch[0].type")


async def test_a_duplicate_counts_as_accepted(client: Client) -> None:
    await client.track(messageId="m1")
    assert (await client.track(messageId="m1")).json == {"success": True}
    answer = await client.batch(item(1), item(1), item(2))
    assert answer.json == {"success": True, "accepted": 3, "rejected": []}
    assert len(client.log.records) == 2


async def test_an_empty_batch_is_no_fault(client: Client) -> None:
    assert (await client.batch()).json == {"success": True, "accepted": 0, "rejected": []}


async def test_a_fault_says_what_where_and_what_else(client: Client) -> None:
    answer = await client.post("/v1/track", {"userId": "u1"})
    assert answer.status == 400
    assert answer.json == {
        "success": False,
        "error": {"code": "field_missing", "message": "a track call needs the name of the event", "path": "$.event"},
    }


# -- keys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization", ["Bearer shop-key", "bearer shop-key", basic("shop-key:"), basic("shop-key:x"), basic("shop-key")]
)
async def test_a_key_may_come_in_a_header(client: Client, authorization: str) -> None:
    answer = await client.post("/v1/track", EVENT, key=None, headers={"authorization": authorization})
    assert answer.status == 200
    assert client.log.records[0].source == "shop"


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_a_key_may_come_in_the_body(client: Client, path: str) -> None:
    body = {"writeKey": "site-key"} | (EVENT if path == "/v1/track" else {"batch": [item(0)]})
    assert (await client.post(path, body, key=None)).status == 200
    assert client.log.records[0].source == "site"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Bearer wrong", "invalid_write_key"),
        (basic("wrong:"), "invalid_write_key"),
        (basic(""), "invalid_write_key"),
        ("Basic not-base-64!", "invalid_write_key"),
        ("Basic " + base64.b64encode(b"\xff\xfe").decode(), "invalid_write_key"),
        ("Digest shop-key", "invalid_write_key"),
        ("shop-key", "invalid_write_key"),
        ("Bearer", "invalid_write_key"),
        ("", "invalid_write_key"),
        ("Bearer caf\xe9", "invalid_write_key"),
        (None, "missing_write_key"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_without_a_right_key_nothing_is_taken(
    client: Client, path: str, authorization: str | None, code: str
) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    body = EVENT if path == "/v1/track" else {"batch": [item(0)]}
    answer = await client.post(path, body, key=None, headers=headers)
    assert (answer.status, answer.error[0]) == (401, code)
    assert client.log.records == []


async def test_a_wrong_key_in_the_body_is_refused(client: Client) -> None:
    answer = await client.post("/v1/track", EVENT | {"writeKey": "wrong"}, key=None)
    assert (answer.status, answer.error[0]) == (401, "invalid_write_key")


async def test_keys_that_differ_in_their_password_fill_no_memory(client: Client) -> None:
    """Keys stand in web pages for all to read; whoever has one may not use it against us."""
    for number in range(1500):
        await client.post("/v1/track", EVENT, {"authorization": basic(f"shop-key:{number}")}, key=None)
    assert len(client.collector._access._by_header) <= 1000


# -- origins -----------------------------------------------------------------------------------------------------------


async def test_a_page_of_the_source_may_send(client: Client) -> None:
    answer = await client.post("/v1/track", EVENT, key="site-key", headers=BROWSER)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["vary"] == "Origin"


async def test_a_page_of_others_may_not(client: Client) -> None:
    answer = await client.post("/v1/track", EVENT, key="site-key", headers={"origin": "https://evil.example"})
    assert (answer.status, answer.error[0]) == (403, "origin_not_allowed")
    assert client.log.records == []


async def test_where_no_origins_are_named_any_page_may_send(client: Client) -> None:
    answer = await client.post("/v1/track", EVENT, headers={"origin": "https://anywhere.example"})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://anywhere.example")


async def test_a_server_has_no_origin(client: Client) -> None:
    answer = await client.post("/v1/track", EVENT, key="site-key")
    assert answer.status == 200
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_may_read_why_it_was_refused(client: Client) -> None:
    answer = await client.post("/v1/track", {}, key="site-key", headers=BROWSER)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (400, "https://shop.example")


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch", "/v1/identify"])
async def test_a_browser_may_ask_first(client: Client, path: str) -> None:
    headers = {"origin": "https://shop.example", "access-control-request-headers": "authorization, x-other"}
    answer = await client.send("OPTIONS", path, headers)
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "authorization, x-other"


async def test_a_stranger_that_asks_first_is_not_encouraged() -> None:
    answer = await Client(SITE).send("OPTIONS", "/v1/track", {"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


# -- limits ------------------------------------------------------------------------------------------------------------


async def test_a_request_has_a_limit(client: Client) -> None:
    answer = await client.post("/v1/batch", body=b" " * (REQUEST_BYTES + 1))
    assert (answer.status, answer.error) == (413, ("request_too_large", None))


async def test_a_request_that_does_not_say_how_large_it_is_has_the_same_limit(client: Client) -> None:
    headers = {"authorization": "Bearer shop-key", "transfer-encoding": "chunked"}
    for chunks in ([b" " * 65_536] * 9, [b" " * (REQUEST_BYTES + 1)]):
        answer = await client.send("POST", "/v1/batch", headers, chunks=chunks)
        assert (answer.status, answer.error[0]) == (413, "request_too_large")


async def test_a_body_in_pieces_is_put_together(client: Client) -> None:
    chunks = [b'{"event":"Order', b' Completed","userId"', b"", b':"u1"}']
    answer = await client.send("POST", "/v1/track", {"authorization": "Bearer shop-key"}, chunks=chunks)
    assert answer.status == 200


async def test_an_event_has_a_limit(client: Client) -> None:
    large = {"note": "x" * EVENT_BYTES}
    answer = await client.track(properties=large)
    assert (answer.status, answer.error) == (413, ("event_too_large", "$"))
    answer = await client.batch(item(0), item(1, properties=large))
    assert (answer.status, answer.json["accepted"]) == (200, 1)
    assert answer.rejected == [(1, "event_too_large", "$.batch[1]")]


async def test_what_a_batch_says_for_all_its_events_counts_for_each(client: Client) -> None:
    """Or a small request would make a large log: 500 events, each with the whole context."""
    context = {"note": "x" * 30_000}
    answer = await client.batch(item(0), item(1, properties={"note": "y" * 3_000}), context=context)
    assert answer.rejected == [(1, "event_too_large", "$.batch[1]")]
    assert (await client.batch(*(item(n) for n in range(100)), context={"note": "x" * 300_000})).status == 400
    assert sum(len(record.body) for record in client.log.records) < REQUEST_BYTES


async def test_a_batch_has_a_limit(client: Client) -> None:
    answer = await client.batch(*({"type": "page", "userId": "u"} for _ in range(BATCH_EVENTS)))
    assert answer.json["accepted"] == BATCH_EVENTS
    answer = await client.batch(*({"type": "page", "userId": "u"} for _ in range(BATCH_EVENTS + 1)))
    assert (answer.status, answer.error) == (400, ("batch_too_long", "$.batch"))


async def test_a_source_has_a_rate(client: Client) -> None:
    for number in range(10):
        assert (await client.post("/v1/track", EVENT | {"messageId": str(number)}, key="slow-key")).status == 200
    answer = await client.post("/v1/track", EVENT, key="slow-key")
    assert (answer.status, answer.error[0]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await client.post("/v1/track", EVENT)).status == 200  # the others are not slowed down


async def test_a_rate_counts_events_and_not_requests() -> None:
    client = Client(SLOW)
    assert (await client.post("/v1/batch", {"batch": [item(n) for n in range(10)]}, key="slow-key")).status == 200
    assert (await client.post("/v1/batch", {"batch": [item(11)]}, key="slow-key")).status == 429


async def test_the_time_to_wait_is_never_too_short() -> None:
    client = Client(SLOW)
    await client.post("/v1/batch", {"batch": [item(n) for n in range(34)]}, key="slow-key")
    answer = await client.post("/v1/track", EVENT, key="slow-key")  # 2.5 s until there is room for one
    assert answer.headers["retry-after"] == "3"


# -- methods and paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_events_come_by_post(client: Client, method: str) -> None:
    answer = await client.send(method, "/v1/track", {"authorization": "Bearer shop-key"})
    assert (answer.status, answer.error[0]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "OPTIONS, POST"


async def test_health_is_asked_for_by_get(client: Client) -> None:
    answer = await client.send("POST", "/healthz", {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/tracks", "/v2/track", "/v1/track//", "/" + "x" * 9000])
async def test_elsewhere_there_is_nothing(client: Client, path: str) -> None:
    answer = await client.send("POST", path, {}, b"{}")
    assert (answer.status, answer.error[0]) == (404, "not_found")
    assert len(answer.body) < 300


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_it_says_that_it_is_well(client: Client, path: str, method: str) -> None:
    assert (await client.send(method, path, {})).status == 200


# -- trouble -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_a_full_log_refuses_and_says_when_to_come_again(client: Client, path: str) -> None:
    client.log.full = True
    answer = await client.post(path, EVENT if path == "/v1/track" else {"batch": [item(0)]})
    assert (answer.status, answer.error[0]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "7"
    assert (await client.send("GET", "/readyz", {})).status == 503
    assert (await client.send("GET", "/healthz", {})).status == 200


async def test_an_error_of_ours_says_that_nothing_was_kept(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.log, "append", None)
    answer = await client.track()
    assert (answer.status, answer.error[0]) == (500, "internal_error")


async def test_a_client_that_goes_away_is_no_error(client: Client) -> None:
    headers = {"authorization": "Bearer shop-key", "content-length": "500"}
    answer = await client.send("POST", "/v1/track", headers, chunks=[b'{"event":'], hangs_up=True)
    assert (answer.status, answer.error[0]) == (400, "incomplete_body")
    assert client.log.records == []


# -- gzip --------------------------------------------------------------------------------------------------------------


GZIPPED = gzip.compress(b'{"event":"E","userId":"u","properties":{"note":"%s"}}' % (b"x" * 1000), mtime=0)


async def test_gzip_is_unpacked(client: Client) -> None:
    answer = await client.post("/v1/track", body=GZIPPED, headers={"content-encoding": "gzip"})
    assert answer.status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (gzip.compress(b" " * (50 << 20), mtime=0), 413, "request_too_large"),  # 50 kB that would become 50 MB
        (GZIPPED[:-1], 400, "malformed_gzip"),
        (GZIPPED[:20], 400, "malformed_gzip"),
        (GZIPPED[:-8] + b"\0\0\0\0\0\0\0\0", 400, "malformed_gzip"),
        (b"not gzip at all", 400, "malformed_gzip"),
        (b"", 400, "malformed_gzip"),
    ],
    ids=["bomb", "cut", "cut early", "wrong sum", "something else", "nothing"],
)
async def test_what_cannot_be_unpacked_is_refused(client: Client, body: bytes, status: int, code: str) -> None:
    answer = await client.post("/v1/track", body=body, headers={"content-encoding": "gzip"})
    assert (answer.status, answer.error[0]) == (status, code)


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd"])
async def test_other_encodings_are_refused_by_name(client: Client, encoding: str) -> None:
    answer = await client.post("/v1/track", EVENT, headers={"content-encoding": encoding})
    assert (answer.status, answer.error[0]) == (415, "unsupported_encoding")
    assert encoding.partition(",")[0] in answer.json["error"]["message"]
