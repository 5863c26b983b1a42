"""The pixel: what a query means, and an image as the answer to whatever comes."""

import json
import time
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.collect import pixel
from firsthand.collect.app import Collector
from firsthand.config import Source
from firsthand.eventlog.base import LogUnavailable, Record

NOW = 1_795_342_500.0
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"

WEB = Source(key="web-shop", write_key="web-key", origins=("https://shop.example",))
MAIL = Source(key="mail", write_key="mail-key")
STRICT = Source(key="strict", write_key="strict-key", signing_secret="back-end-secret-1", require_signature=True)


class Log:
    def __init__(self) -> None:
        self.full = False
        self.events: list[dict[str, Any]] = []
        self.refusals: list[str] = []

    async def append(self, records: list[Record]) -> int:
        if self.full:
            raise LogUnavailable("the disk is full", retry_after=5)
        self.events += [json.loads(record.body) for record in records]
        return len(records)

    def note(self, source: str, kind: str, value: str, count: int = 1) -> None:
        if kind == "refused":
            self.refusals.append(source)

    async def close(self) -> None: ...


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> str | None:
        return self.headers.get("x-firsthand-error")


class Page:
    """Shows pixels, without a network in between."""

    def __init__(self) -> None:
        self.log = Log()
        self._collector = Collector([WEB, MAIL, STRICT], self.log, clock=lambda: NOW)

    async def show(self, type: str, query: str | bytes | dict[str, str], method: str = "GET", **headers: str) -> Answer:
        if isinstance(query, dict):
            query = urlencode({"writeKey": "mail-key", "anonymousId": "visitor-1"} | query)
        scope = {
            "type": "http",
            "method": method,
            "path": f"/v1/pixel/{type}",
            "query_string": query if isinstance(query, bytes) else query.encode(),
            "client": ("203.0.113.7", 4711),
            "headers": [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            assert method != "GET", "a pixel has no body"
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._collector(scope, receive, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, sent[1]["body"])

    async def kept(self, type: str, query: str | dict[str, str], **headers: str) -> dict[str, Any]:
        """The event that a pixel makes."""
        answer = await self.show(type, query, **headers)
        assert (answer.status, answer.error) == (200, None)
        return self.log.events[-1]


@pytest.fixture
def page() -> Page:
    return Page()


# -- an image, always ------------------------------------------------------------------------------------------------


async def test_the_answer_is_a_transparent_image_that_is_never_cached(page: Page) -> None:
    status, headers, body = await page.show("page", {"name": "Home"})

    assert (status, headers["content-type"], headers["cache-control"]) == (200, "image/gif", "no-store")
    assert headers["content-length"] == str(len(body))
    assert body[:10] == b"GIF89a" + bytes([1, 0, 1, 0])


async def test_what_is_wrong_stands_in_the_status_and_in_a_header(page: Page) -> None:
    answer = await page.show("track", {"writeKey": "mail-key"})

    assert (answer.status, answer.body, answer.headers["cache-control"]) == (400, pixel.GIF, "no-store")
    assert answer.error == "field_missing: a track call needs the name of the event (at $.event)"
    assert page.log.refusals == ["mail"]


KEY = "writeKey=mail-key&anonymousId=visitor-1&event=Opened"

REFUSED: dict[str, tuple[str, int, str]] = {
    "nothing": ("", 401, "missing_write_key"),
    "no key": ("anonymousId=visitor-1&event=Opened", 401, "missing_write_key"),
    "a wrong key": ("writeKey=nobody&anonymousId=visitor-1&event=Opened", 401, "invalid_write_key"),
    "nobody": ("writeKey=mail-key&event=Opened", 400, "field_missing"),
    "a source for back ends": ("writeKey=strict-key&anonymousId=visitor-1&event=Opened", 401, "signature_required"),
    "a long id": (f"{KEY}&messageId={'7' * 513}", 400, "field_invalid"),
    "a name twice": (f"{KEY}&properties.a=1&properties.a=2", 400, "field_invalid"),
    "a field of a text": (f"{KEY}&event.name=Opened", 400, "field_invalid"),
    "a field of nothing we know": (f"{KEY}&integrations.criteo=false", 400, "field_invalid"),
    "a text for an object": (f"{KEY}&properties=a", 400, "field_invalid"),
    "a value and an object": (f"{KEY}&properties.a=1&properties.a.b=2", 400, "field_invalid"),
    "an object and a value": (f"{KEY}&properties.a.b=2&properties.a=1", 400, "field_invalid"),
    "two dots": (f"{KEY}&properties..a=1", 400, "field_invalid"),
    "a dot at the end": (f"{KEY}&properties.=1", 400, "field_invalid"),
    "deep names": (f"{KEY}&properties{'.a' * 64}=1", 400, "too_deep"),
    "very deep names": (f"{KEY}&properties{'.a' * 16_000}=1", 400, "too_deep"),
    "deep JSON": (f"{KEY}&properties.a={'[' * 20_000}", 400, "too_deep"),
    "deep JSON in a deep name": (f"{KEY}&properties{'.a' * 40}={'[' * 40}{']' * 40}", 400, "too_deep"),
    "half a character": (f"{KEY}&properties.a=%C3", 400, "malformed_query"),
    "too long": (f"{KEY}&properties.a={'x' * 33_000}", 413, "event_too_large"),
}


@pytest.mark.parametrize(("query", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_refused(page: Page, query: str, status: int, code: str) -> None:
    answer = await page.show("track", query)

    assert (answer.status, answer.body) == (status, pixel.GIF)
    assert answer.error is not None
    assert answer.error.startswith(f"{code}: ")
    assert page.log.events == []


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
async def test_only_get(page: Page, method: str) -> None:
    answer = await page.show("track", KEY, method)

    assert (answer.status, answer.error) == (405, "method_not_allowed: /v1/pixel/track takes GET")


async def test_only_the_six_types_and_one_line_of_header(page: Page) -> None:
    answer = await page.show("dance\r\nSet-Cookie: a=1", KEY)

    assert answer.status == 404
    assert answer.error is not None
    assert answer.error.startswith("not_found: there is no such address here")


async def test_brackets_and_quotes_without_an_end_take_no_time(page: Page) -> None:
    begun = time.perf_counter()
    answer = await page.show("track", KEY.encode() + b"&properties.a=" + b"[" * 65 + b'"' + b'\\"' * 16_000)

    assert (answer.status, answer.body) == (400, pixel.GIF)
    assert time.perf_counter() - begun < 1


async def test_a_full_disk_says_when_to_come_again(page: Page) -> None:
    page.log.full = True
    answer = await page.show("track", KEY)

    assert (answer.status, answer.headers["retry-after"], answer.body) == (503, "5", pixel.GIF)
    assert answer.error == "unavailable: the disk is full: send it again later"


# -- what a query means ----------------------------------------------------------------------------------------------


async def test_a_whole_event(page: Page) -> None:
    event = await page.kept(
        "track",
        "writeKey=mail-key&event=Product+Viewed&anonymousId=12345&userId=00042&messageId=77"
        "&timestamp=2026-11-22T10:15:00%2B01:00&properties.product_id=0815&properties.price=49.90"
        "&properties.shelf.row=3&context.page.url=https%3A%2F%2Fshop.example%2F%3Fa%3D1&traits.plan=gold&_=981273",
        user_agent=BROWSER,
    )

    assert event | {"receivedAt": ""} == {
        "type": "track",
        "event": "Product Viewed",
        "anonymousId": "12345",
        "userId": "00042",
        "messageId": "77",
        "timestamp": "2026-11-22T09:15:00.000Z",
        "properties": {"product_id": "0815", "price": 49.9, "shelf": {"row": 3}},
        "context": {"page": {"url": "https://shop.example/?a=1"}, "ip": "203.0.113.7", "userAgent": BROWSER},
        "traits": {"plan": "gold"},
        "receivedAt": "",
    }


@pytest.mark.parametrize(
    ("type", "query"),
    [
        ("track", {"event": "Opened"}),
        ("page", {"name": "Home", "category": "Shop"}),
        ("screen", {"name": "Basket"}),
        ("identify", {"userId": "user-42", "traits.plan": "gold"}),
        ("group", {"groupId": "company-7"}),
        ("alias", {"previousId": "visitor-1", "userId": "user-42"}),
    ],
)
async def test_each_type(page: Page, type: str, query: dict[str, str]) -> None:
    event = await page.kept(type, query)

    assert event["type"] == type
    assert event["messageId"]
    assert all(event[name] == value for name, value in query.items() if "." not in name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("49.90", 49.9),
        ("-0.5", -0.5),
        ("007", "007"),
        ("1.", "1."),
        (".5", ".5"),
        ("1e3", "1e3"),
        ("+1", "+1"),
        ("1,5", "1,5"),
        (" 1", " 1"),
        ("١", "١"),
        ("123456789012345", 123456789012345),
        ("1234567890123456", "1234567890123456"),
        ("true", True),
        ("false", False),
        ("True", "True"),
        ("null", "null"),
        ("", ""),
        ('[{"product_id": "1", "price": 2}]', [{"product_id": "1", "price": 2}]),
        ('{"a": null}', {"a": None}),
        ("[Sale] Tent", "[Sale] Tent"),
        ('{"a": ', '{"a": '),
    ],
)
async def test_a_value(page: Page, text: str, value: object) -> None:
    event = await page.kept("track", {"event": "Opened", "properties.value": text})

    found = event["properties"]["value"]
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("name", ["properties.order_id", "properties.sku", "properties.item.id", "properties.lineId"])
async def test_ids_stay_text(page: Page, name: str) -> None:
    event = await page.kept("track", {"event": "Opened", name: "10.10"})

    assert '"10.10"' in json.dumps(event["properties"])


async def test_numbers_are_for_properties(page: Page) -> None:
    event = await page.kept("track", {"event": "7", "context.campaign.name": "2026", "traits.zip": "10115"})

    assert (event["event"], event["context"]["campaign"], event["traits"]) == ("7", {"name": "2026"}, {"zip": "10115"})


async def test_consent(page: Page) -> None:
    """`false` is a refusal, not a text."""
    by_name = await page.kept("page", {"context.consent.categories.marketing": "false", "context.consent.gpc": "true"})
    as_json = await page.kept("page", {"context.consent": '{"categories": {"marketing": false}, "gpc": true}'})

    assert by_name["context"]["consent"] == {"categories": {"marketing": False}, "gpc": True}
    assert as_json["context"]["consent"] == by_name["context"]["consent"]


async def test_an_object_can_be_completed(page: Page) -> None:
    event = await page.kept("page", {"properties": '{"a": {"b": 1}}', "properties.a.c": "2"})

    assert event["properties"] == {"a": {"b": 1, "c": 2}}


# -- origins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # an e-mail
        ({"referer": "https://shop.example/tents?a=1"}, 200),
        ({"referer": "https://shop.example"}, 200),
        ({"referer": "HTTPS://Shop.Example/"}, 200),
        ({"referer": "android-app://com.example.mail/"}, 200),
        ({"referer": "https://elsewhere.example/https://shop.example/"}, 403),
        ({"referer": "https://shop.example.elsewhere.example/"}, 403),
        ({"referer": "https://shop.example@elsewhere.example/"}, 403),
        ({"referer": "https://shop.example:8443/"}, 403),
        ({"referer": "http://shop.example/"}, 403),
        ({"referer": "https://[/"}, 403),
        ({"referer": "https://elsewhere.example/", "origin": "https://shop.example"}, 200),
        ({"referer": "https://shop.example/", "origin": "https://elsewhere.example"}, 403),
    ],
)
async def test_the_referer_is_held_to_the_origins(page: Page, headers: dict[str, str], status: int) -> None:
    answer = await page.show("page", {"writeKey": "web-key"}, **headers)

    assert answer.status == status
    assert (answer.error or "origin_not_allowed").startswith("origin_not_allowed")


# -- whatever comes --------------------------------------------------------------------------------------------------

names = st.one_of(
    st.sampled_from(sorted(pixel.TEXTS)),
    st.builds(
        lambda root, steps: ".".join([root, *steps]), st.sampled_from(pixel.OBJECTS), st.lists(st.text(max_size=5))
    ),
    st.text(max_size=10),
)
values = st.one_of(st.text(), st.from_regex(r"[-0-9.]{1,20}", fullmatch=True), st.from_regex(r"[\[{].{0,40}"))
pairs = st.lists(st.builds(lambda name, value: f"{quote(name)}={quote(value)}", names, values))


@given(query=st.one_of(st.binary(max_size=200), pairs.map("&".join).map(str.encode)), type=st.text(max_size=8))
async def test_no_query_is_a_fault_of_ours(query: bytes, type: str) -> None:
    for kind in (type, "track", "identify"):
        for known in (b"", b"writeKey=mail-key&anonymousId=visitor-1&event=Opened&"):
            answer = await Page().show(kind, known + query)

            assert answer.status in (200, 400, 401, 404, 413), answer.error
            assert answer.body == pixel.GIF
            assert (answer.status == 200) == (answer.error is None)


def test_every_object_comes_back_as_it_was_written() -> None:
    """Names and values of any characters, by the browser's own encoding."""
    event = json.loads(pixel.read(urlencode({"properties.größe & co": "a=b&c +%", "traits.名": "é"}).encode()))

    assert event == {"properties": {"größe & co": "a=b&c +%"}, "traits": {"名": "é"}}
