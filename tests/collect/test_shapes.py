"""Shapes that programs write without meaning them: PHP's empty arrays, byte order marks, libraries for user agents."""

import codecs
import gzip
from typing import Any

import pytest
from tests.collect.client import Client, dumps, item


@pytest.mark.parametrize("empty", [[], None, {}])
async def test_an_empty_array_is_an_empty_object(client: Client, empty: Any) -> None:
    """PHP writes `[]` for both."""
    fields = dict.fromkeys(("properties", "traits", "context", "integrations"), empty)
    assert (await client.track(**fields)).status == 200
    assert (await client.batch(item(0), context=empty, integrations=empty)).status == 200
    for event in client.log.events:
        assert (event.properties, event.traits, event.context, event.integrations) == ({}, {}, {}, {})


@pytest.mark.parametrize("part", ["page", "traits", "consent", "ids", "device", "os", "app", "library", "cmp"])
async def test_so_it_is_within_a_context(client: Client, part: str) -> None:
    await client.track(context={part: []})
    await client.batch(item(0), context={part: []})
    assert all(event.context.get(part, {}) == {} for event in client.log.events)


async def test_so_it_is_within_consent(client: Client) -> None:
    await client.track(context={"consent": {"categories": [], "tcf": [], "gpc": False}})
    assert client.log.events[0].context["consent"] == {"categories": {}, "tcf": {}, "gpc": False}


@pytest.mark.parametrize("field", ["properties", "traits", "context", "integrations"])
@pytest.mark.parametrize("value", [[1], "x", 5, True])
async def test_what_is_no_object_is_refused_by_its_place(client: Client, field: str, value: Any) -> None:
    """Its values may be prices or consent: nobody guesses at them."""
    answer = await client.batch(item(0), item(1, **{field: value}))
    assert answer.rejected == [(1, "field_invalid", f"$.batch[1].{field}")]


@pytest.mark.parametrize("field", ["properties", "traits", "context", "integrations"])
@pytest.mark.parametrize(
    ("text", "read"), [("", {}), (" ", {}), ("null", {}), ("[]", {}), ("{}", {}), ('{"a": {"b": 1}}', {"a": {"b": 1}})]
)
async def test_an_object_in_a_text_is_read(client: Client, field: str, text: str, read: dict[str, Any]) -> None:
    """Forms and tag managers make text of everything."""
    await client.track(**{field: text})
    assert getattr(client.log.events[0], field) == read


async def test_so_are_the_parts_of_a_context_and_of_its_consent(client: Client) -> None:
    page, refused = '{"url": "https://shop.example/"}', '{"marketing": false}'
    await client.track(context={"page": page, "consent": {"categories": refused, "tcf": "{"}})
    await client.track(context={"consent": '{"categories": {"marketing": false}}', "app": "{x}"})
    first, second = (event.context for event in client.log.events)
    assert first == {
        "page": {"url": "https://shop.example/"},
        "consent": {"categories": {"marketing": False}, "tcf": "{"},
    }
    assert second == {"consent": {"categories": {"marketing": False}}, "app": "{x}"}


@pytest.mark.parametrize("consent", [False, "denied", "opt_out", 0])
async def test_a_bare_no_is_one_to_advertising(client: Client, consent: Any) -> None:
    await client.track(context={"consent": consent})
    assert client.log.events[0].context["consent"] == {"categories": {"marketing": False}}


@pytest.mark.parametrize("consent", [True, "granted", 1, "unknown", None])
async def test_a_bare_yes_is_none_to_anything(client: Client, consent: Any) -> None:
    await client.track(context={"consent": consent})
    assert client.log.events[0].context["consent"] == consent


@pytest.mark.parametrize("text", ["{", '{"a": NaN}', "[1]", "All", "5", '"x"', '{"a":' + "[" * 70 + "]" * 70 + "}"])
async def test_any_other_text_is_none(client: Client, text: str) -> None:
    answer = await client.batch(item(0), item(1, properties=text))
    assert [(index, path) for index, _, path in answer.rejected] == [(1, "$.batch[1].properties")]


@pytest.mark.parametrize(("sent", "kept"), [(7, "7"), (1.5, "1.5"), (True, None), (["a"], None), ({"a": 1}, None)])
async def test_a_name_or_category_that_is_no_text_costs_no_event(client: Client, sent: Any, kept: str | None) -> None:
    assert (await client.track(name=sent, category=sent)).status == 200
    assert (client.log.events[0].name, client.log.events[0].category) == (kept, kept)


# -- characters --------------------------------------------------------------------------------------------------------

HALVES = [
    ("Lamp \\ud83d", "Lamp \ufffd"),
    ("\\uDE00 Lamp", "\ufffd Lamp"),
    ("\\ud83d\\ud83d\\ude00", "\ufffd\U0001f600"),
    ("\\\\ud83d \\ud83d", "\\ud83d \ufffd"),
]


@pytest.mark.parametrize(("written", "read"), HALVES)
@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_half_an_emoji_costs_no_event(client: Client, path: str, written: str, read: str) -> None:
    """JavaScript cuts texts in the middle of one: a product's name of 40 characters, a page's title."""
    event = dumps(item(0, properties={"name": "@@"})).replace(b"@@", written.encode())
    body = b'{"batch":[%s]}' % event if path == "/v1/batch" else event
    assert (await client.post(path, body=body)).status == 200
    assert client.log.events[0].properties["name"] == read


async def test_ids_that_were_cut_in_the_middle_of_one_link_nobody(client: Client) -> None:
    for number in range(2):
        event = dumps(item(number, userId="@@")).replace(b"@@", b"Ann \\ud83d")
        assert (await client.post("/v1/track", body=event)).status == 200
    assert [event.user_id for event in client.log.events] == [None, None]


# -- bytes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " gzip ", "x-gzip", "gzip, identity", "", "utf-8", None])
async def test_gzip_is_known_by_its_bytes(client: Client, encoding: str | None) -> None:
    """Clients forget the header, or proxies drop it."""
    headers = {} if encoding is None else {"content-encoding": encoding}
    assert (await client.post("/v1/track", body=gzip.compress(dumps(item(0))), headers=headers)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "utf-8", "UTF-8", "none", "8bit", "identity"])
async def test_json_is_read_whatever_the_header_says(client: Client, encoding: str) -> None:
    """Proxies unpack bodies and leave it, and some programs take it for the charset."""
    sent = await client.post("/v1/track", body=b" \n" + dumps(item(0)), headers={"content-encoding": encoding})
    assert sent.status == 200


async def test_gzip_in_several_parts_is_read_to_its_end(client: Client) -> None:
    body = dumps(item(0))
    parts = gzip.compress(body[:30]) + gzip.compress(body[30:]) + b"\0\0"
    assert (await client.post("/v1/track", body=parts, headers={"content-encoding": "gzip"})).status == 200


@pytest.mark.parametrize("path", ["//v1/track", "///v1/track/"])
async def test_an_address_may_end_with_a_slash_of_its_own(client: Client, path: str) -> None:
    assert (await client.post(path, item(0))).status == 200


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
async def test_a_byte_order_mark_is_no_part_of_the_text(client: Client, path: str) -> None:
    body: Any = {"batch": [item(0)]} if path == "/v1/batch" else item(0)
    assert (await client.post(path, body=codecs.BOM_UTF8 + dumps(body))).status == 200
    assert len(client.log.events) == 1


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
async def test_utf_16_is_named(client: Client, encoding: str) -> None:
    mark = codecs.BOM_UTF16_LE if encoding.endswith("le") else codecs.BOM_UTF16_BE
    answer = await client.post("/v1/track", body=mark + dumps(item(0)).decode().encode(encoding))
    assert (answer.status, answer.error) == (400, ("malformed_json", "$"))
    assert "UTF-16" in answer.json["error"]["message"]


# -- apps --------------------------------------------------------------------------------------------------------------

LIBRARIES = [
    "okhttp/4.12.0",
    "Dart/3.4 (dart:io)",
    "Shop/3.1 okhttp/4.9.0",
    "Shop/12 CFNetwork/1494.0.7 Darwin/23.4.0",
    "Shop/1.0 (com.example.shop; build:1; iOS 17.4.0) Alamofire/5.8.1",
    "ktor-client",
    "Apache-HttpClient/UNAVAILABLE (java 1.4)",
    "axios/1.6.8",
    "UnityPlayer/2022.3.10f1 (UnityWebRequest/1.0, libcurl/8.1.1-DEV)",
    "Cronet/119.0",
]
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize("agent", LIBRARIES)
@pytest.mark.parametrize("device", [{"device": {"type": "android"}}, {"os": {"name": "iOS"}}])
async def test_an_app_that_names_its_library_is_no_bot(client: Client, agent: str, device: dict[str, Any]) -> None:
    await client.track(context={"userAgent": agent} | device)
    assert "bot" not in client.log.events[0].context


@pytest.mark.parametrize("device", [{}, {"os": {"name": "", "version": ""}}, {"device": []}, {"device": "phone"}])
async def test_a_library_without_a_device_is_one(client: Client, device: dict[str, Any]) -> None:
    await client.track(context={"userAgent": "okhttp/4.12.0"} | device)
    assert client.log.events[0].context["bot"]["name"] == "okhttp"


@pytest.mark.parametrize("agent", [GOOGLEBOT, f"okhttp/4.12.0 {GOOGLEBOT}"])
async def test_a_bot_is_one_on_any_device(client: Client, agent: str) -> None:
    await client.track(context={"userAgent": agent, "device": {"type": "android"}, "os": {"name": "Android"}})
    assert client.log.events[0].context["bot"]["name"] == "Googlebot"
