"""Criteo server-to-server: what the case files do not say."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.consent.decision import Decision
from firsthand.event import Event
from firsthand.reasons import DEAD, FILTERED, Dead, Filtered, Reason
from firsthand.vendors.base import ACCEPTED, Answer, Identity, Input, Request, Setup, Verdict
from firsthand.vendors.criteo_s2s import VENDOR
from firsthand.vendors.criteo_s2s.settings import CriteoS2S

ALLOW, ANONYMISE = Decision("allow", "none"), Decision("anonymise", "tcf")


def setup(emulator: str | None = None, **settings: Any) -> Setup[CriteoS2S]:
    made = msgspec.convert({"partner_id": "12345", "mapping_key": "123", **settings}, CriteoS2S)
    return Setup(made, VENDOR.endpoints(made, emulator))


def build(event: Event, name: str, consent: Decision = ALLOW, **settings: Any) -> Request:
    (request,) = VENDOR.build(setup(**settings), [Input(event, name, Identity(), consent)]).requests
    return request


def home(**fields: Any) -> Event:
    return Event(type="track", event="Home Page Viewed", **{"anonymous_id": "v_42", **fields})


# Requests


@given(
    where=st.sampled_from(
        [
            *("anonymousId", "traits.email", "context.ip", "context.locale", "context.userAgent"),
            *("context.page.url", "context.page.referrer", "properties.url", "properties.currency"),
            *("properties.order_id", "properties.category", "properties.query", "properties.store_id"),
            *("properties.product_id", "properties.products.0.product_id"),
        ]
    ),
    before=st.sampled_from(["", "https://shop.example/?e=", "https://shop.example/?u=%3Fe%3D", "a ", "(", "\u00fc"]),
    at=st.sampled_from(["@", "%40", "%2540"]),
    name=st.sampled_from(sorted(VENDOR.events)),
)
def test_no_raw_address_leaves(where: str, before: str, at: str, name: str) -> None:
    properties = {"product_id": "A", "price": 1, "order_id": "1", "products": [{"product_id": "A", "price": 1}]}
    event = {"type": "track", "anonymousId": "v_42", "context": {"page": {}}, "traits": {}, "properties": properties}
    *path, last = where.split(".")
    holder: Any = event
    for step in path:
        holder = holder[int(step) if step.isdigit() else step]
    holder[last] = f"{before}jane.doe{at}example.com"
    try:
        request = build(msgspec.convert(event, Event), name, country_language=True)
    except Filtered:
        return
    assert b"jane.doe" not in (request.body or b"")


def test_an_address_in_a_user_agent_is_taken_out() -> None:
    request = build(home(context={"userAgent": "Bot/1.0 (+https://bot.example; ops@bot.example)"}), "Home Page Viewed")
    assert json.loads(request.body or b"")["useragent"] == "Bot/1.0 (+https://bot.example; )"


@pytest.mark.parametrize(
    ("region", "emulator", "events"),
    [
        ("auto", None, "https://widget.criteo.com/m/event?version=s2s_v0"),
        ("eu", None, "https://widget.eu.criteo.com/m/event?version=s2s_v0"),
        ("us", None, "https://widget.us.criteo.com/m/event?version=s2s_v0"),
        ("as", None, "https://widget.as.criteo.com/m/event?version=s2s_v0"),
        ("auto", "http://127.0.0.1:9090", "http://127.0.0.1:9090/criteo-s2s/m/event"),
        ("as", "http://127.0.0.1:9090/", "http://127.0.0.1:9090/criteo-s2s/as/m/event"),
    ],
)
def test_endpoints(region: str, emulator: str | None, events: str) -> None:
    made = setup(emulator, region=region)
    gum = "http://127.0.0.1:9090/criteo-s2s/sync" if emulator else "https://gum.criteo.com/sync"
    assert made.endpoints == {"events": events, "gum": gum}


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:9090/criteo-s2s/m/event", "http://127.0.0.1:9090/criteo-s2s/m/event?version=s2s_v0"),
        ("https://proxy.example/e?to=criteo", "https://proxy.example/e?to=criteo&version=s2s_v0"),
        ("https://proxy.example/e?version=s2s_v0", "https://proxy.example/e?version=s2s_v0"),
    ],
)
def test_the_version_is_added_to_an_endpoint_without_one(endpoint: str, url: str) -> None:
    made = Setup(setup().settings, {"events": endpoint})
    (request,) = VENDOR.build(made, [Input(home(), "Home Page Viewed", Identity(), ALLOW)]).requests
    assert request.url == url


def test_a_consent_string_is_percent_encoded() -> None:
    event = home(context={"consent": {"tcf": {"gdprApplies": True, "tcString": "C+/=&x=1 \u00fc"}}})
    query = urlsplit(build(event, "Home Page Viewed").url).query
    assert parse_qs(query) == {"version": ["s2s_v0"], "gra": ["1"], "grs": ["C+/=&x=1 \u00fc"], "grv": ["2"]}


def test_a_consent_string_alone_means_that_gdpr_applies() -> None:
    event = home(context={"consent": {"tcf": {"tcString": "CO_7c"}}})
    assert build(event, "Home Page Viewed").url.endswith("?version=s2s_v0&gra=1&grs=CO_7c&grv=2")


@pytest.mark.parametrize(
    "tcf",
    [
        None,
        {},
        "yes",
        {"gdprApplies": True},
        {"gdprApplies": True, "tcString": "garbage"},
        {"gdprApplies": True, "tcString": ["CO_7c"]},
    ],
)
def test_unknown_consent_is_not_on_the_url(tcf: Any) -> None:
    event = home(context={"consent": {"tcf": tcf}})
    assert build(event, "Home Page Viewed").url == "https://widget.criteo.com/m/event?version=s2s_v0"


@pytest.mark.parametrize(
    ("price", "sent"),
    [
        *((49.99, "49.99"), ("49.99", "49.99"), ("49.90", "49.90"), (50, "50"), (1e9, "1000000000.0")),
        *((0, "0"), (0.0, "0.0"), (-0.0, "0.0"), ("0", "0"), (0.00001, "0.00001"), ("0.0000001", "0.0000001")),
    ],
)
def test_prices_keep_their_digits(price: Any, sent: str) -> None:
    event = Event(type="track", anonymous_id="v_42", properties={"product_id": "A", "price": price})
    assert f'"price":{sent},'.encode() in (build(event, "Product Added").body or b"")


@pytest.mark.parametrize(
    "price", [float("nan"), float("inf"), -0.01, 1e-9, 1e15, 10**15, True, [], {}, "1e3", "0x1", "١", "1\n1"]
)
def test_prices_that_are_refused(price: Any) -> None:
    event = Event(type="track", anonymous_id="v_42", properties={"product_id": "A", "price": price})
    with pytest.raises(Dead) as refusal:
        build(event, "Product Added")
    assert (refusal.value.reason.code, refusal.value.reason.field) == ("field_invalid", "properties.price")


def test_text_outside_ascii_is_sent_as_utf8() -> None:
    event = Event(type="track", anonymous_id="v_42", properties={"product_id": "Stra\u00dfe-\U0001f45f"})
    assert "Stra\u00dfe-\U0001f45f".encode() in (build(event, "Product Viewed").body or b"")


@pytest.mark.parametrize(
    ("name", "tries"), [("Home Page Viewed", 3), ("Product Viewed", 3), ("Product Added", 3), ("Order Completed", None)]
)
def test_only_sales_may_arrive_twice(name: str, tries: int | None) -> None:
    """Criteo tells sales apart by their order id; a view or an add to cart that arrives twice counts twice."""
    properties = {"product_id": "A", "price": 1, "order_id": "1", "products": [{"product_id": "A", "price": 1}]}
    event = Event(type="track", anonymous_id="v_42", properties=properties)
    assert build(event, name).max_uncertain == tries


def test_sales_in_a_shop_may_be_older() -> None:
    settings = setup().settings
    assert VENDOR.max_age(settings, home()) == 24 * 3600
    assert VENDOR.max_age(settings, home(properties={"channel": "in_store"})) == 48 * 3600


# Settings and catalogue


@pytest.mark.parametrize(
    "wrong",
    [
        {"partner_id": "12"},
        {"partner_id": "12345\n"},
        {"partner_id": "acme"},
        {"mapping_key": ""},
        {"region": "cn"},
        {"method": "put"},
        {"product_id": "variant."},
        {"hash_forms": ["raw"]},
        {"dd": "yes"},
        {"dd": 2},
        {"dd": "message_id.x"},
        {"price_fallback": -1},
        {"max_age_online": 0},
        {"api_key": "x"},
    ],
)
def test_settings_that_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        setup(**wrong)


def test_every_setting_has_a_help_text() -> None:
    _, parts = msgspec.json.schema_components([CriteoS2S])
    assert [name for name, field in parts["CriteoS2S"]["properties"].items() if not field.get("description")] == []


def test_every_event_of_the_segment_spec_is_placed() -> None:
    spec = """Products Searched, Product List Viewed, Product List Filtered, Promotion Viewed, Promotion Clicked,
        Product Clicked, Product Viewed, Product Added, Product Removed, Cart Viewed, Checkout Started,
        Checkout Step Viewed, Checkout Step Completed, Payment Info Entered, Order Updated, Order Completed,
        Order Refunded, Order Cancelled, Coupon Entered, Coupon Applied, Coupon Denied, Coupon Removed,
        Product Added to Wishlist, Product Removed from Wishlist, Wishlist Product Added to Cart, Product Shared,
        Cart Shared, Product Reviewed"""
    assert {name.strip() for name in spec.split(",")} <= VENDOR.events.keys()


def test_ids_belong_to_the_mapping_key() -> None:
    assert VENDOR.id_caller is not None
    assert (VENDOR.id_name, VENDOR.id_caller(setup().settings)) == ("criteo_gum_id", "123")


# Answers


def judge(answer: bytes, request: Request | None = None, status: int = 200) -> Verdict | None:
    request = request or build(home(), "Home Page Viewed")
    verdicts = VENDOR.judge(setup(), request, Answer(status, {}, answer))
    return verdicts[0] if verdicts else None


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b'{"errors":[],"warnings":[]}', ACCEPTED),
        (b'{"errors":[]}', ACCEPTED),
        (b'{"errors":[],"warnings":null}', ACCEPTED),
        (b'{"errors":[],"warnings":["a","b"]}', Verdict("accepted", "accepted_with_warnings", message="a; b")),
        (b'{"errors":["a"],"warnings":["b"]}', Verdict("rejected", message="a")),
        (b'{"errors":["a",{"code":1}]}', Verdict("rejected", message='a; {"code":1}')),
        (b'{"errors":["UserIdentifierMissing"]}', Verdict("rejected", message="UserIdentifierMissing")),
    ],
)
def test_answers(answer: bytes, verdict: Verdict) -> None:
    assert judge(answer) == verdict


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"<html></html>", b'{"errors":[', b"{}", b'{"warnings":[]}', b'{"errors":null}', b'{"errors":"none"}'),
        *(b"[]", b'"errors"', b"null", b"0", b'{"errors":{}}', b"\xff", b"[" * 100_000),
    ],
)
def test_answers_that_are_none(answer: bytes) -> None:
    verdict = judge(answer)
    assert verdict
    assert verdict.kind == "ambiguous"


@pytest.mark.parametrize("method", ["post", "get"])
def test_a_deliberately_anonymous_event_may_lack_identifiers(method: str) -> None:
    anonymous = build(home(), "Home Page Viewed", ANONYMISE, method=method)
    named = build(home(), "Home Page Viewed", method=method)
    missing = b'{"errors":["events[0].UserIdentifierMissing"],"warnings":[]}'
    both = b'{"errors":["UserIdentifierMissing","ItemMissing"],"warnings":[]}'

    assert judge(missing, anonymous) == Verdict(
        "accepted", "accepted_with_warnings", message="events[0].UserIdentifierMissing"
    )
    assert judge(missing, named) == Verdict("rejected", message="events[0].UserIdentifierMissing")
    assert judge(both, anonymous) == Verdict("rejected", message="UserIdentifierMissing; ItemMissing")


def test_an_empty_success_is_no_answer() -> None:
    assert judge(b"", status=204) == judge(b"")


@pytest.mark.parametrize("status", [301, 307, 400, 429, 500, 503])
def test_other_statuses_are_left_to_delivery(status: int) -> None:
    assert judge(b'{"errors":[],"warnings":[]}', status=status) is None


@given(
    st.binary()
    | st.recursive(st.none() | st.text(), lambda inner: st.lists(inner)).map(
        lambda x: msgspec.json.encode({"errors": x, "warnings": x})
    )
)
def test_no_answer_is_too_odd(answer: bytes) -> None:
    judge(answer)


# Anything at all

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "SKU-A", "https://x.y/"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
product = st.fixed_dictionaries({}, optional=dict.fromkeys(("product_id", "price", "quantity", "position"), anything))
known = (
    "order_id",
    "currency",
    "channel",
    "category",
    "query",
    "store_id",
    "checkin_date",
    "checkout_date",
    "adults",
    "url",
)
properties = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys((*known, "product_id", "price", "quantity", "email"), anything),
        "products": st.lists(product | anything, max_size=4) | anything,
        "store_ids": st.lists(anything, max_size=2) | anything,
        "channel": st.sampled_from(["web", "pickup", "in_store"]) | anything,
    },
)
device = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["ios", "Android"]) | anything,
        "advertisingId": anything,
        "adTrackingEnabled": st.booleans() | anything,
    },
)
tcf = st.fixed_dictionaries({}, optional={"gdprApplies": st.booleans() | anything, "tcString": st.text() | anything})
context = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("ip", "userAgent", "locale", "location", "page"), anything),
        "page": st.fixed_dictionaries({}, optional={"url": anything, "referrer": anything}),
        "device": device | anything,
        "consent": st.fixed_dictionaries({"tcf": tcf | anything}) | anything,
    },
)


@given(
    name=st.sampled_from(sorted(VENDOR.events)) | st.text(),
    properties=properties,
    context=context,
    traits=st.fixed_dictionaries({}, optional={"email": anything}),
    anonymous_id=st.none() | st.text(),
    timestamp=st.text()
    | st.datetimes().map(str)
    | st.sampled_from(["0001-01-01T00:00:00+14:00", "2026-11-22T10:15:00.000Z"]),
    consent=st.sampled_from([ALLOW, ANONYMISE]),
    method=st.sampled_from(["get", "post"]),
    dd=st.sampled_from(["omit", "properties.price"]),
)
def test_whatever_shops_send(
    name: str,
    properties: dict[str, Any],
    context: dict[str, Any],
    traits: dict[str, Any],
    anonymous_id: str | None,
    timestamp: str,
    consent: Decision,
    method: str,
    dd: str,
) -> None:
    """It becomes a request of valid JSON or a reason from the closed list, never anything else."""
    event = Event(type="track", properties=properties, context=context, traits=traits)
    event.anonymous_id, event.timestamp = anonymous_id, timestamp
    request, reason, state = attempt(event, name, consent, method=method, dd=dd, country_language=True)
    if reason:
        assert reason.code in (DEAD if state == "dead" else FILTERED)
        assert reason.field or reason.code in ("identity_missing", "no_counterpart")
    if not request:
        return
    text = request.body or parse_qs(urlsplit(request.url).query)["data"][0]
    sent = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert list(sent)[:2] == ["account", "version"]
    assert not empty(sent), "an absent field is left out"
    if consent is ANONYMISE:
        assert sent["id"] == {"mapping_key": "123"}
        assert not sent.keys() & {"ip", "retailer_visitor_id"}


def attempt(event: Event, name: str, consent: Decision, **settings: Any) -> tuple[Request | None, Reason | None, str]:
    try:
        return build(event, name, consent, **settings), None, "delivered"
    except Filtered as refusal:
        return None, refusal.reason, refusal.state


def empty(value: Any) -> bool:
    if isinstance(value, dict):
        return any(empty(entry) for entry in value.values())
    return any(empty(entry) for entry in value) if isinstance(value, list) and value else value in (None, "", [])


@pytest.mark.parametrize("id", ["+49 176 1234567", "0176 1234567", "jane@example.com", "jane%40example.com"])
def test_a_visitors_pseudonym_names_nobody(id: str) -> None:
    """Shops take an address or a number for one. Neither leaves as it is, not even where nothing else is known."""
    bought = {"order_id": "O-1", "products": [{"product_id": "A", "price": 1}]}
    known = Event(type="track", anonymous_id=id, traits={"email": "jane@example.com"}, properties=bought)
    assert b"retailer_visitor_id" not in (build(known, "Order Completed").body or b"")
    with pytest.raises(Dead, match="anonymousId must be something other than an e-mail address or a phone number"):
        build(Event(type="track", anonymous_id=id, properties=bought), "Order Completed")
