"""Raptor: what its case files can't show. Every parameter and rule has one of those."""

import json
from base64 import b64decode
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand import config
from firsthand.config import ConfigError
from firsthand.consent.decision import Decision
from firsthand.emulators.raptor_checks import judge as judge_strictly
from firsthand.emulators.raptor_rules import Settings
from firsthand.event import Event
from firsthand.placeholders import clean_id, trimmed
from firsthand.vendors.base import UNVERIFIABLE, Answer, Identity, Input, Setup
from firsthand.vendors.raptor import VENDOR
from firsthand.vendors.raptor.settings import Raptor
from firsthand.vendors.raptor.tables import PARAMETERS

IDS = {"raptor_coid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "raptor_sid": "0A1B" * 8}
CASES = Path(VENDOR.build.__code__.co_filename).parent / "cases"


def build(name: str, properties: dict[str, Any], settings: Raptor | None = None, **fields: Any) -> list[str]:
    event = Event(type="track", event=name, properties=properties, context={"ids": IDS}, **fields)
    settings = settings or Raptor(customer_id="1234")
    setup = Setup(settings, VENDOR.endpoints(settings, None))
    given = Input(event, name, Identity(), Decision("allow", "none"))
    return [request.url for request in VENDOR.build(setup, [given]).requests]


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True))


@pytest.mark.parametrize(
    ("base", "tracking"),
    [(None, "https://t.raptorsmartadvisor.com"), ("http://127.0.0.1:9090/", "http://127.0.0.1:9090/raptor")],
)
def test_endpoints(base: str | None, tracking: str) -> None:
    assert VENDOR.endpoints(Raptor(customer_id="1234"), base) == {"tracking": tracking}


@pytest.mark.parametrize("endpoint", ["https://proxy.example/r", "https://proxy.example/r/"])
def test_another_endpoint_is_a_base(endpoint: str) -> None:
    event = Event(type="page", context={"ids": IDS})
    given = Input(event, "Page Viewed", Identity(), Decision("allow", "none"))
    (request,) = VENDOR.build(Setup(Raptor(customer_id="1234"), {"tracking": endpoint}), [given]).requests
    assert request.url.startswith("https://proxy.example/r/1234.rsa?p1=pageview&")
    assert (request.method, request.body, request.headers) == ("GET", None, {})


@pytest.mark.parametrize(
    ("status", "verdicts"), [(200, [UNVERIFIABLE]), (204, [UNVERIFIABLE]), (404, None), (503, None)]
)
def test_an_answer_proves_nothing(status: int, verdicts: Any) -> None:
    setup = Setup(Raptor(customer_id="1234"), {"tracking": "https://t.raptorsmartadvisor.com"})
    given = Input(Event(type="page", context={"ids": IDS}), "Page Viewed", Identity(), Decision("allow", "none"))
    (request,) = VENDOR.build(setup, [given]).requests
    assert VENDOR.judge(setup, request, Answer(status, {}, b"GIF89a")) == verdicts


def test_a_sale_is_tried_once_where_nobody_knows_whether_it_arrived() -> None:
    settings = Raptor(customer_id="1234")
    setup = Setup(settings, VENDOR.endpoints(settings, None))
    sale = {"order_id": "1", "products": [{"product_id": "A", "price": 1}, {"product_id": "B", "price": 1}]}
    for name, properties, tries in (("Order Completed", sale, [1, 1]), ("Cart Cleared", {}, [3])):
        given = Input(Event(type="track", properties=properties, context={"ids": IDS}), name, Identity(), ALLOW)
        assert [request.max_uncertain for request in VENDOR.build(setup, [given]).requests] == tries


ALLOW = Decision("allow", "none")
COOKIES = {
    "rsa": ("raptor_coid", 31_536_000, "uuid", "", True),
    "rsaSession": ("raptor_sid", 1_200, "uuid", "", True),
    "rsaRuid": ("raptor_ruid", 31_536_000, "email", "", False),
    "rsaReaId": ("raptor_reaid", 31_536_000, "query", "reaid", False),
    "rsaXuid": ("raptor_xuid", 31_536_000, "query", "xuid", False),
}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["rsa", "rsaSession", "rsaReaId"]),
        ({"ruid_storage": "cookie"}, ["rsa", "rsaSession", "rsaRuid", "rsaReaId"]),
        ({"identifiers": ["ruid"]}, ["rsa", "rsaSession"]),
        ({"identifiers": ["xuid"]}, ["rsa", "rsaSession", "rsaXuid"]),
        ({"identifiers": []}, ["rsa", "rsaSession"]),
    ],
)
def test_cookies(settings: dict[str, Any], names: list[str]) -> None:
    found = VENDOR.cookies(Raptor(customer_id="1234", **settings))
    assert {c.name: (c.id, c.max_age, c.make, c.query, c.renew) for c in found} == {n: COOKIES[n] for n in names}


def install(settings: dict[str, Any]) -> None:
    integration = {"key": "raptor", "vendor": "raptor", "settings": {"customer_id": "1234", **settings}}
    config.parse(json.dumps({"sources": [{"key": "web", "write_key": "key-1"}], "integrations": [integration]}), env={})


@pytest.mark.parametrize(
    "settings",
    [
        {"identifiers": ["xuid"]},
        {"identifiers": ["reaid", "ruid"], "ruid_storage": "cookie"},
        {"ruid_source": "traits.club_id"},
        {"parameters": {"every": {"p7": None, "oc4": "context.locale"}, "visit": {"p999": "colour.name"}}},
        {"events": {"Newsletter Read": "newsletter"}},
        {"max_age_online": "15m"},
    ],
)
def test_settings_that_can_be_used(settings: dict[str, Any]) -> None:
    install(settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"identifiers": ["xuid", "ruid"]}, "xuid can't be used together with ruid or reaid"),
        ({"identifiers": ["reaid", "xuid"]}, "xuid can't be used together with ruid or reaid"),
        ({"ruid_storage": "cookie", "ruid_source": "user_id"}, "the cookie is for e-mail addresses"),
        ({"ruid_storage": "cookie", "identifiers": ["xuid"]}, "the cookie is for e-mail addresses"),
        *(
            ({"parameters": {"visit": {name: "brand"}}}, f"there is no {name}")
            for name in ("p1", "p0", "p1000", "coid")
        ),
        ({"parameters": {"visit": {"p2": "a b"}}}, "not accepted here"),
        ({"events": {"Newsletter Read": "News Letter"}}, "not accepted here"),
        ({"ruid_source": "phone"}, "not accepted here"),
        ({"basket_separator": ""}, "not accepted here"),
        ({"customer_id": "12/34"}, "not accepted here"),
        ({"customer_id": 1234}, "is a number, not text"),
        ({"xuid": True}, "there is no such field"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        install(settings)


@pytest.mark.parametrize(
    ("event", "meant"),
    [
        ("vist", "did you mean visit\\?"),
        ("Visit", "did you mean visit\\?"),
        ("Product Viewed", "did you mean visit\\?"),
        ("Newsletter Read", "did you mean newsletter\\?"),
        ("newsleter", "did you mean newsletter\\?"),
        ("mailclick", "accepted: basket, buy, contentvisit, every"),
    ],
)
def test_parameters_of_an_event_that_there_is_not(event: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=meant) as refused:
        install({"events": {"Newsletter Read": "newsletter"}, "parameters": {event: {"p5": "query"}}})
    assert f"Raptor has no event {event}" in str(refused.value)


def test_an_event_of_the_shops_own_can_be_enabled_where_the_settings_name_it() -> None:
    integration = {"key": "raptor", "vendor": "raptor", "settings": {"customer_id": "1"}}
    integration["mapping"] = {"default": "disabled", "events": {"Newsletter Read": {}}}  # type: ignore[assignment]
    document = {"sources": [{"key": "web", "write_key": "key-1"}], "integrations": [integration]}
    with pytest.raises(ConfigError, match="takes no such event"):
        config.parse(json.dumps(document), env={})
    integration["settings"]["events"] = {"Newsletter Read": "newsletter"}  # type: ignore[index]
    config.parse(json.dumps(document), env={})


@pytest.mark.parametrize(("length", "events"), [(900, ["mailclick", "pageview"]), (3000, ["pageview"])])
def test_a_click_by_a_link_costs_no_page_view_by_its_length(length: int, events: list[str]) -> None:
    context = {"ids": IDS, "page": {"url": f"https://shop.example/?rchsource=mail&rchitemid={'a' * length}"}}
    setup = Setup(Raptor(customer_id="1234"), {"tracking": "https://t.raptorsmartadvisor.com"})
    given = Input(Event(type="page", context=context), "Page Viewed", Identity(), ALLOW)
    if length == 3000:
        given.event.context["page"]["url"] += "&more=" + "b" * 2500
    assert [query(request.url)["p1"] for request in VENDOR.build(setup, [given]).requests] == events


def test_every_usual_parameter_has_a_case() -> None:
    """Each position of each event, and each name beside them, stands in an address that a case expects."""
    seen: dict[str, set[str]] = {}
    for file in CASES.glob("*.json"):
        for request in json.loads(file.read_text())["expect"].get("requests", []):
            values = query(request["url"])
            seen.setdefault(values["p1"], set()).update(values)
    for event, row in PARAMETERS.items():
        assert (set(row) - set().union(*seen.values())) == set() if event == "every" else row.keys() <= seen[event]
    beside = {"coid", "sid", "ruid", "reaid", "xuid", "am", "v", "url", "source", "oc1", "oc2", "oc3", "oc4"}
    assert beside | {"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"} <= set().union(
        *seen.values()
    )


def test_every_case_is_in_order_for_the_emulator() -> None:
    """Two readings of Raptor's documentation that were made apart from each other agree."""
    for file in sorted(CASES.glob("*.json")):
        case = json.loads(file.read_text())
        settings = case["settings"]
        usual = not settings.keys() & {"parameters", "basket_format", "basket_separator"}
        for request in case["expect"].get("requests", []):
            address, _, sent = request["url"].partition("?")
            strict = Settings(usual_positions=usual, stream_ruid=settings.get("stream_ruid", "base64"))
            assert (file.name, judge_strictly("GET", sent, address.endswith(".stream"), strict).errors) == (
                file.name,
                [],
            )


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_any_text_arrives_as_it_was(name: str, user: str) -> None:
    settings = Raptor(customer_id="1234", ruid_source="user_id")
    (url,) = build("Product Viewed", {"product_id": "A", "name": name}, settings, user_id=user)
    found = query(url)
    if trimmed(name) and "@" not in name and "%" not in name:
        assert found["p3"] == trimmed(name)
    id = clean_id(user)  # blanks around it go, and so does what names nobody
    assert b64decode(found["ruid"]).decode() == id if id else "ruid" not in found
    assert judge_strictly("GET", urlsplit(url).query, False, Settings()).errors == []


@given(st.decimals(0, 10**12, allow_nan=False, places=4), st.integers(1, 10**6))
def test_subtotals_are_exact(price: Decimal, quantity: int) -> None:
    line = {"product_id": "A", "price": str(price), "quantity": quantity}
    (url,) = build("Order Completed", {"order_id": "1", "products": [line]})
    assert Decimal(query(url)["p5"]) == price * quantity
