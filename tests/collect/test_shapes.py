"""Shapes that programs write without meaning them: PHP's empty arrays, byte order marks, libraries for user agents."""

import codecs
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
