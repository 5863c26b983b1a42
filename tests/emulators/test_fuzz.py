"""Whatever is sent, the answer is 200 with the two lists, and it is in the ledger as it came."""

import copy
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REGIONAL = "/criteo-s2s/eu/m/event?version=s2s_v0"
WHOLE: dict[str, Any] = {
    "account": "12345",
    "version": "s2s_v1.0.0",
    "site_type": "d",
    "ip": "203.0.113.7",
    "full_url": "https://shop.example/",
    "useragent": "Mozilla/5.0",
    "retailer_visitor_id": "v_42",
    "alternate_ids": [{"type": "email", "value": "x", "hash_method": "md5"}],
    "id": {"mapping_key": "1", "mapped_user_id": "x", "email": {"raw": "x", "md5": "x", "sha256": "x"}},
    "events": [
        {
            "event": "trackTransaction",
            "id": "1",
            "dd": 1,
            "currency": "EUR",
            "timestamp": "2026-11-22T10:15:00Z",
            "user_segment": 19,
            "store_id": "1",
            "delivery": "store",
            "item": [{"id": "A", "price": 1, "quantity": 1}],
        },
        {"event": "viewList", "item": ["A"], "category": "c", "keywords": "k"},
        {"event": "viewItem", "item": "A"},
        {"event": "viewSearch", "checkin_date": "2027-01-01", "checkout_date": "2027-01-02", "nbra": 1},
        {"event": "checkAvailability", "item": "A", "store_id": ["1"]},
    ],
}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(place for key, one in inner for place in places(one, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """The whole request with anything at all in one of its places."""
    payload = copy.deepcopy(WHOLE)
    *way, last = draw(st.sampled_from(places(WHOLE)))
    target: Any = payload
    for step in way:
        target = target[step]
    target[last] = draw(anything)
    return payload


async def check(client: Any, method: str, url: str, body: bytes) -> None:
    answered = await client.send(method, url, body=body, headers={"content-type": "application/json"})
    assert answered.status == 200
    answer = answered.json()
    assert all(isinstance(text, str) for text in [*answer["errors"], *answer["warnings"]])
    entry = (await client.received())[-1]
    assert (entry["errors"], entry["accepted"]) == (answer["errors"], not answer["errors"])


lenient_settings = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@lenient_settings
@given(payload=damaged(), lenient=st.booleans())
async def test_damaged_requests(client: Any, payload: Any, lenient: bool) -> None:
    await client.control("DELETE", "ledger")
    await client.control("PUT", "settings", {"lenient": lenient})
    await check(client, "POST", REGIONAL, msgspec.json.encode(payload))


@lenient_settings
@given(body=st.binary(max_size=60) | anything.map(msgspec.json.encode))
async def test_any_bytes(client: Any, body: bytes) -> None:
    await client.control("DELETE", "ledger")
    await check(client, "POST", REGIONAL, body)


@lenient_settings
@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=60))
async def test_any_query(client: Any, query: str) -> None:
    await client.control("DELETE", "ledger")
    await check(client, "GET", f"{REGIONAL}&{query}&gra=1&grs={query}", b"")
