"""What must not leave with an event whose visitor is not to be named: nothing that says who it was."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.consent.decision import Decision
from firsthand.event import Event
from firsthand.reasons import Dead, Filtered
from firsthand.vendors import criteo_s2s, raptor
from firsthand.vendors.anonymity import anonymous_url, ids_of
from firsthand.vendors.base import Identity, Input, Setup
from firsthand.vendors.criteo_s2s.settings import CriteoS2S
from firsthand.vendors.raptor.settings import Raptor

ADDRESS = "ann@shop.example"
VISITOR: dict[str, Any] = {
    "anonymous_id": "v-4711-a",
    "user_id": "Customer 42/7",
    "previous_id": "before-login-9",
    "traits": {"email": ADDRESS, "phone": "+49 170 1234567", "loyalty_id": "LOY-77123"},
}
IDS = {"criteo_gum_id": "k-gum-abcdef", "raptor_coid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301"}
DEVICE = {"id": "device-1234", "advertisingId": "6d92078a-8246-4ba4-ae5b-76104861e7dc", "type": "ios"}
NAMES = [
    *("v-4711-a", "Customer 42/7", "before-login-9", ADDRESS, "LOY-77123", "device-1234", DEVICE["advertisingId"]),
    *(*IDS.values(), "+49 170 1234567"),
    *(getattr(hashlib, kind)(ADDRESS.encode()).hexdigest() for kind in ("md5", "sha256")),
    hashlib.sha256(hashlib.md5(ADDRESS.encode()).hexdigest().encode()).hexdigest(),
    base64.b64encode(ADDRESS.encode()).decode(),
    base64.urlsafe_b64encode(b"v-4711-a").decode().rstrip("="),
]


def visit(url: str | None = None, **fields: Any) -> Event:
    context = {"ids": IDS, "device": DEVICE, "page": {"url": url, "referrer": url}}
    return Event(type="page", context={**context, **fields.pop("context", {})}, **{**VISITOR, **fields})


def sent(event: Event, name: str = "Page Viewed", decision: Any = "anonymise") -> dict[str, Any]:
    settings = CriteoS2S(partner_id="12345", mapping_key="123")
    setup = Setup(settings, criteo_s2s.VENDOR.endpoints(settings, None))
    (request,) = criteo_s2s.VENDOR.build(setup, [Input(event, name, Identity(), Decision(decision, "tcf"))]).requests
    body: dict[str, Any] = json.loads(request.body or b"")
    return body


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["{}", "id-{}", "{}.html", "x_{};v=2"])
def test_no_id_of_the_visitor_is_in_an_address(name: str, part: str) -> None:
    written = quote(part, safe="{};=").format(quote(name, safe=""))
    url = f"https://shop.example/account/{written}/orders?uid={quote(name)}&gclid=Cj0K#{name}"
    assert anonymous_url(url, ids_of(visit())) == "https://shop.example/account/orders"
    body = sent(visit(url))
    assert body["full_url"] == body["previous_url"]
    assert name not in unquote(body["full_url"])
    assert "gclid" not in body["full_url"]


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://shop.example/", "https://shop.example/"),
        ("https://shop.example/men/shoes/?fbclid=x", "https://shop.example/men/shoes/"),
        ("https://shop.example/men;jsessionid=ABC/shoes", "https://shop.example/men/shoes"),
        ("https://shop.example:8443/%E2%82%AC/a%2Fb", "https://shop.example:8443/%E2%82%AC/a%2Fb"),
        ("https://ann:secret@shop.example/a?b#c", "https://shop.example/a"),
        ("shop-app://cart/v-4711-a?x=1", "shop-app://cart"),
        ("https://shop.example/a%2Fv-4711-a%2Fb/c", "https://shop.example/c"),
        ("https://shop.example/a/Customer 42/7/b", "https://shop.example"),
        ("https://shop.example/V-4711-A", "https://shop.example"),
        ("https://shop.example/v%252D4711%252Da", "https://shop.example"),
        ("https://[broken/v-4711-a?x", None),
    ],
)
def test_what_is_left_of_an_address(url: str, left: str | None) -> None:
    assert anonymous_url(url, ids_of(visit())) == left


def test_a_short_id_takes_no_part_that_merely_has_its_digits() -> None:
    found = ids_of(visit(user_id="42"))
    assert anonymous_url("https://shop.example/p/14200/42/u-42", found) == "https://shop.example/p/14200"


@pytest.mark.parametrize("name", NAMES)
def test_no_id_of_the_visitor_is_in_any_other_text(name: str) -> None:
    event = visit(
        properties={"category": f"Shoes {name}", "query": f"orders of {name}", "url": f"https://shop.example/{name}"},
        context={"userAgent": f"ShopApp/1.0 (uid:{name}) Mobile"},
    )
    event.properties["products"] = [{"product_id": "A"}]
    body = sent(event, "Products Searched")
    assert name not in json.dumps(body)
    assert body["id"] == {"mapping_key": "123"}
    assert not {"ip", "retailer_visitor_id"} & body.keys()


def test_a_named_visitor_keeps_the_address_as_it_is() -> None:
    url = "https://shop.example/account/v-4711-a?gclid=Cj0K#top"
    assert sent(visit(url), decision="allow")["full_url"] == url


@given(name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=4), times=st.integers(1, 3))
def test_whatever_an_id_looks_like(name: str, times: int) -> None:
    written = name
    for _ in range(times):
        written = quote(written, safe="")
    left = anonymous_url(f"https://shop.example/u/{written}/x", ids_of(Event(type="page", user_id=name)))
    assert left == ("https://shop.example/u/x" if name.strip() else f"https://shop.example/u/{written}/x")


def test_raptor_is_sent_nothing_of_a_visitor_who_is_not_to_be_named() -> None:
    settings = Raptor(customer_id="1234")
    setup = Setup(settings, raptor.VENDOR.endpoints(settings, None))
    with pytest.raises(Filtered):
        raptor.VENDOR.build(setup, [Input(visit(), "Page Viewed", Identity(), Decision("anonymise", "tcf"))])


# Vendor ids


PERSONS = ["ann@shop.example", "ann%40shop.example", "YW5uQHNob3AuZXhhbXBsZQ==", "+49 170 1234567", "tel:01701234567"]


@pytest.mark.parametrize("person", PERSONS)
@pytest.mark.parametrize(("vendor", "id"), [("criteo", "criteo_gum_id"), ("raptor", "raptor_reaid")])
def test_an_id_that_is_an_address_or_a_number_never_leaves(person: str, vendor: str, id: str) -> None:
    event, known = visit(), Identity({**IDS, "raptor_sid": "0a1b" * 8, id: person})
    settings: Any = CriteoS2S(partner_id="12345", mapping_key="123") if vendor == "criteo" else Raptor(customer_id="1")
    module: Any = criteo_s2s.VENDOR if vendor == "criteo" else raptor.VENDOR
    setup = Setup(settings, module.endpoints(settings, None))
    with pytest.raises(Dead) as refusal:
        module.build(setup, [Input(event, "Page Viewed", known, Decision("allow", "none"))])
    assert (refusal.value.reason.code, refusal.value.reason.field) == ("field_invalid", f"context.ids.{id}")
    assert person not in str(refusal.value)
