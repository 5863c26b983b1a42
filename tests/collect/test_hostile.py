"""Whatever is sent: an answer, never an error of ours, and nothing that costs the events beside it."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.collect.client import Client, dumps, item

from firsthand.collect.parse import BATCH_EVENTS, REQUEST_BYTES

NESTED = b"[" * 5000 + b"]" * 5000
SINGLE_PATHS = ["/v1/track", "/v1/page", "/v1/identify", "/v1/alias"]


@pytest.mark.parametrize("path", ["/v1/track", "/v1/batch"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b" ", "malformed_json"),
        (b"null", "field_invalid"),
        (b"true", "field_invalid"),
        (b"7", "field_invalid"),
        (b'"text"', "field_invalid"),
        (b"[]", "field_invalid"),
        (b'[{"event":"E"}]', "field_invalid"),
        (b"{", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"writeKey":"caf\xe9","batch":[]}', "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":Infinity}', "malformed_json"),
        (b'{"a":01}', "malformed_json"),
        (b"\0", "malformed_json"),
        (b"<xml/>", "malformed_json"),
        (b"event=Order+Completed", "malformed_json"),
    ],
    ids=repr,
)
async def test_what_is_no_event_is_refused(client: Client, path: str, body: bytes, code: str) -> None:
    answer = await client.post(path, body=body)
    assert answer.status == 400
    assert answer.error[0] == code
    assert client.log.records == []


async def test_ten_megabytes_are_refused_at_the_door(client: Client) -> None:
    answer = await client.post("/v1/track", {"event": "E", "userId": "x" * 10_000_000})
    assert (answer.status, answer.error[0]) == (413, "request_too_large")


@pytest.mark.parametrize("field", ["properties", "context", "traits", "integrations"])
async def test_five_thousand_levels_are_refused(client: Client, field: str) -> None:
    deep = b'{"event":"E","userId":"u","%s":{"a":%s}}' % (field.encode(), NESTED)
    answer = await client.post("/v1/track", body=deep)
    assert (answer.status, answer.error) == (400, ("too_deep", "$"))


async def test_levels_within_a_text_are_none(client: Client) -> None:
    assert (await client.track(properties={"note": "[" * 5000, "more": '\\"' + "{" * 100})).status == 200


@pytest.mark.parametrize("field", ["context", "integrations"])
@pytest.mark.parametrize("levels", [100, 900, 5000])
async def test_what_a_batch_says_for_all_may_not_be_deep_either(client: Client, field: str, levels: int) -> None:
    deep = b"[" * levels + b"]" * levels
    body = b'{"batch":[%s],"%s":{"a":%s}}' % (dumps(item(0)), field.encode(), deep)
    answer = await client.post("/v1/batch", body=body)
    assert (answer.status, answer.error[0]) == (400, "too_deep")


async def test_ten_thousand_products_fit_or_are_refused_by_size(client: Client) -> None:
    products = [{"product_id": str(n)} for n in range(10_000)]
    answer = await client.track(properties={"products": products})
    assert (answer.status, answer.error) == (413, ("event_too_large", "$"))
    assert (await client.track(properties={"products": [{}] * 10_000})).status == 200


async def test_nul_is_a_character_like_any_other(client: Client) -> None:
    event = {"event": "a\0b", "userId": "u\0", "messageId": "m\0", "properties": {"\0": "\0"}}
    assert (await client.post("/v1/track", event)).status == 200
    assert client.log.events[0].properties == {"\0": "\0"}


@pytest.mark.parametrize("number", [b"1" * 4000, b"-" + b"9" * 400, b"1" * 20, b"0.1e-400", b"1e308"])
async def test_large_numbers_are_kept_or_refused(client: Client, number: bytes) -> None:
    body = b'{"event":"E","userId":"u","properties":{"total":%s}}' % number
    assert (await client.post("/v1/track", body=body)).status in (200, 400)


# -- wrong types -------------------------------------------------------------------------------------------------------

TEXTS = ["event", "type", "writeKey"]
IDS = ["messageId"]
OBJECTS = ["properties", "traits", "context", "integrations"]
VALUES: list[Any] = [True, 1.5, [], [1], "text", {}, {"a": 1}, 7]


def _fits(field: str, value: Any) -> bool:
    if field in TEXTS:
        return isinstance(value, str)
    if field in OBJECTS:
        return isinstance(value, dict) or value == []
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))


WRONG = [(field, value) for field in (*TEXTS, *IDS, *OBJECTS) for value in VALUES if not _fits(field, value)]


@pytest.mark.parametrize(("field", "value"), WRONG)
async def test_a_field_of_the_wrong_type_is_named(client: Client, field: str, value: Any) -> None:
    answer = await client.track(**{field: value})
    assert (answer.status, answer.error) == (400, ("field_invalid", f"$.{field}"))
    answer = await client.batch(item(0), item(1, **{field: value}))
    assert answer.rejected == [(1, "field_invalid", f"$.batch[1].{field}")]


@pytest.mark.parametrize("batch", [None, "text", 7, True, {}, {"a": 1}])
async def test_a_batch_is_an_array(client: Client, batch: Any) -> None:
    answer = await client.post("/v1/batch", {"batch": batch})
    assert (answer.status, answer.error) == (400, ("field_invalid", "$.batch"))


@pytest.mark.parametrize(("field", "value"), [("context", 5), ("integrations", "All"), ("writeKey", 7)])
async def test_what_a_batch_says_for_all_has_its_type(client: Client, field: str, value: Any) -> None:
    answer = await client.batch(item(0), **{field: value})
    assert (answer.status, answer.error) == (400, ("field_invalid", f"$.{field}"))


# -- one bad item ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"type":"track","event":"caf\xe9","userId":"u"}', "malformed_json"),
        (b'{"type":"track","event":"E","userId":"u","properties":{"total":NaN}}', "malformed_json"),
        (b'{"type":"track","event":"E","userId":"u","properties":{"a":%s}}' % NESTED, "too_deep"),
        (b'{"type":"track","event":"E","userId":"u","properties":{"a":%s}}' % (b"[" * 70 + b"]" * 70), "too_deep"),
        (b"null", "field_invalid"),
        (b"[]", "field_invalid"),
    ],
    ids=["no utf-8", "NaN", "5000 levels", "70 levels", "null", "array"],
)
async def test_one_bad_item_costs_no_other(client: Client, bad: bytes, code: str) -> None:
    good = [dumps(item(n)) for n in range(2)]
    answer = await client.post("/v1/batch", body=b'{"batch":[%s,%s,%s]}' % (good[0], bad, good[1]))
    assert answer.status == 200
    assert [(index, what) for index, what, _ in answer.rejected] == [(1, code)]
    assert [event.message_id for event in client.log.events] == ["m0", "m1"]


@pytest.mark.parametrize("field", ["context", "integrations"])
async def test_what_a_batch_says_for_all_must_be_sound(client: Client, field: str) -> None:
    answer = await client.post("/v1/batch", body=dumps({"batch": [item(0)], field: {"a": float("nan")}}))
    assert (answer.status, answer.error[0]) == (400, "malformed_json")
    assert client.log.records == []


async def test_the_worst_batch_there_is_gets_an_answer(client: Client) -> None:
    """As many deep items as fit, cut off in the middle of a text."""
    items = b",".join([b'{"a":' + b"[" * 400 + b"]" * 400 + b"}"] * BATCH_EVENTS)
    answer = await client.post("/v1/batch", body=(b'{"batch":[' + items)[: REQUEST_BYTES - 10] + b'"\\')
    assert answer.status == 400


# -- anything at all ---------------------------------------------------------------------------------------------------

texts = st.one_of(st.text(max_size=20), st.sampled_from(["track", "page", "2026-11-22T12:00:00Z", "\0", ""]))
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
FIELDS = ["batch", "type", *TEXTS, *IDS, *OBJECTS]
events = st.dictionaries(st.sampled_from(FIELDS), json, max_size=8) | st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "identify"]), "event": texts, "userId": texts},
    optional={name: json for name in FIELDS if name not in ("type", "event", "userId")},
)


def post(path: str, body: bytes) -> int:
    client = Client()
    answer = asyncio.run(client.post(path, body=body))
    assert answer.json["success"] is (answer.status == 200)
    for record in client.log.records:
        msgspec.json.decode(record.body)  # what is kept can be read
    return answer.status


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SINGLE_PATHS), json | events)
def test_no_json_is_an_error_of_ours(path: str, sent: Any) -> None:
    assert post(path, dumps(sent)) < 500


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries({"batch": st.lists(json | events, max_size=5)}, optional=dict.fromkeys(FIELDS[2:], json)))
def test_no_batch_is_an_error_of_ours(sent: Any) -> None:
    assert post("/v1/batch", dumps(sent)) < 500


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["/v1/track", "/v1/batch"]), st.binary(max_size=200), st.integers(0, 120))
def test_no_bytes_are_an_error_of_ours(path: str, noise: bytes, at: int) -> None:
    """Noise, and a sound batch with noise in it."""
    sound = dumps({"batch": [item(0), item(1)], "event": "E", "userId": "u"})
    assert post(path, noise) < 500
    assert post(path, sound[:at] + noise + sound[at:]) < 500
    assert post(path, sound[:at]) < 500
