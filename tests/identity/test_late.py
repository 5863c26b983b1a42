"""Events from before an erasure that arrive after it."""

from typing import Any

import pytest
from tests.identity.shop import NOW_MS, SECOND, Shop, event

from firsthand.event import Event
from firsthand.identity.profile import Ref
from firsthand.vendors.hashing import sha256

ANN = "ann@example.com"
IDS = [Ref("a", "anns"), Ref("u", "ann"), Ref("e", ANN)]
LATE = [
    {"anonymous_id": "anns", "user_id": "bob"},
    {"user_id": "ann"},
    {"anonymous_id": "x", "email": ANN},
    {"anonymous_id": "x", "email": sha256(ANN)},
    {"user_id": "Ann@Example.com"},
    {"anonymous_id": "x", "url": "https://shop.example/?m=ann%40example.com"},
    {"anonymous_id": "family"},
    {"anonymous_id": "family", "email": "both@example.com"},
]
OTHERS = [
    {"anonymous_id": "x"},
    {"anonymous_id": "x", "url": "https://shop.example/?m=joann%40example.com"},
    {"anonymous_id": "family", "user_id": "bob"},
    {"user_id": "bob", "email": "both@example.com"},
    {"user_id": "bob", "email": ANN},
    {"user_id": "bob", "url": "https://shop.example/admin?customer=ann@example.com"},
]


def made(at: float, fields: dict[str, Any]) -> Event:
    fields = dict(fields)
    properties = {"url": fields.pop("url")} if "url" in fields else {}
    return event(at, properties=properties, **fields)


@pytest.fixture(autouse=True)
def _erased(shop: Shop) -> None:
    """Ann was erased ten seconds after noon; she shared a browser and an address with Bob."""
    shop.hub.erase({"shop": IDS}, {"shop": [Ref("a", "family"), Ref("e", "both@example.com")]}, NOW_MS + 10 * SECOND)
    shop.reopen()


@pytest.mark.parametrize("fields", LATE)
def test_what_is_the_visitors_by_any_rule_of_the_erasure_is_erased(shop: Shop, fields: dict[str, Any]) -> None:
    shop.see(made(20, fields), made(5, fields), made(4, fields))
    assert shop.hub.late() == [(0, 2), (0, 3)]
    assert shop.hub.erased("shop", made(5, fields), NOW_MS + 60 * SECOND)
    assert not shop.hub.erased("shop", made(20, fields), NOW_MS + 60 * SECOND), "that is a new visitor's"


@pytest.mark.parametrize("fields", OTHERS)
def test_what_names_somebody_else_is_not(shop: Shop, fields: dict[str, Any]) -> None:
    shop.see(made(5, fields))
    assert shop.hub.late() == []
    assert not shop.hub.erased("shop", made(5, fields), NOW_MS + 60 * SECOND)


def test_a_late_event_of_somebody_else_does_not_bring_the_address_back(shop: Shop) -> None:
    shop.see(made(5, {"user_id": "bob", "email": ANN}))
    assert shop.known(None, "bob").email is None
    assert shop.hub.get("shop", Ref("e", ANN)) is None
