"""Ids that name nobody link nobody, also in events and profiles from before they were known as such."""

import pytest
from tests.identity.shop import NOW_MS, Shop, event

from firsthand.event import encoder
from firsthand.identity.closure import closure
from firsthand.identity.profile import Answer, Profile, Ref, Seen, VendorId
from firsthand.placeholders import read_event

YES = {"categories": {"marketing": True}}


@pytest.mark.parametrize("id", ["0", "undefined", "NULL", '"guest"', "00000000-0000-0000-0000-000000000000"])
def test_two_guests_are_two_people(shop: Shop, id: str) -> None:
    shop.see(event(0, anonymous_id="a", user_id=id, email="ann@example.com", consent=YES, ids={"criteo_gum_id": "g"}))
    shop.see(event(1, anonymous_id="b", user_id=id))
    guest = shop.known("b", None)
    assert (guest.email, guest.user_id, shop.answer("b")) == (None, None, None)
    assert guest.vendor_id("criteo_gum_id", NOW_MS, lambda consent: False) is None
    assert closure(lambda ref: shop.hub.get("shop", ref), Ref("a", "b")).ids == {Ref("a", "b")}
    assert shop.known("a", None).email == "ann@example.com"


@pytest.mark.parametrize(
    "email", ["none@none", "null@null.com", "guest@shop.example", "noreply@shop.example", "***@shop.de"]
)
def test_what_shops_write_where_they_know_no_address_links_nobody(shop: Shop, email: str) -> None:
    shop.see(event(0, anonymous_id="a", user_id="ann", email=email, consent=YES))
    shop.see(event(1, anonymous_id="b", user_id="ben", email=email))
    assert closure(lambda ref: shop.hub.get("shop", ref), Ref("a", "b")).ids == {Ref("a", "b"), Ref("u", "ben")}
    assert (shop.known("b", "ben").email, shop.answer("b")) == (None, None)


def test_an_address_is_the_same_whatever_stands_around_it(shop: Shop) -> None:
    shop.see(event(0, anonymous_id="a", email="Ann <ann@example.com>"))
    shop.see(event(1, anonymous_id="b", email="mailto:Ann@example.com"))
    known = closure(lambda ref: shop.hub.get("shop", ref), Ref("e", "ann@example.com")).ids
    assert known == {Ref("a", "a"), Ref("a", "b"), Ref("e", "ann@example.com")}


def test_a_vendors_id_that_is_nobodys_is_not_learned(shop: Shop) -> None:
    shop.see(event(0, "identify", anonymous_id="a", ids={"other": "null"}, traits={"criteo_gum_id": "undefined"}))
    for name in ("other", "criteo_gum_id"):
        assert shop.known("a").vendor_id(name, NOW_MS, lambda consent: False) is None


def test_what_an_older_version_linked_by_them_is_linked_no_more(shop: Shop) -> None:
    browser = {"source": "shop", "links": {"u:0": NOW_MS}}
    ann = Profile(ref=Ref("a", "a"), emails={"0": (NOW_MS, "ann@example.com")}, **browser)
    ann.answers = [Answer(YES, NOW_MS, NOW_MS, "0")]
    ann.ids = {"criteo_gum_id": VendorId({"undefined": Seen(NOW_MS, NOW_MS)})}
    ben, zero = (
        Profile(ref=Ref("a", "b"), **browser),
        Profile(ref=Ref("u", "0"), source="shop", links={"a:a": 1, "a:b": 1}),
    )
    profiles = [("shop", one.ref, one) for one in (ann, ben, zero) if one.ref is not None]
    shop.hub._store.write(profiles, {})
    shop.reopen()
    assert (shop.known("b").email, shop.answer("b"), shop.known("b").user_id) == (None, None, None)
    assert shop.known("a").email == "ann@example.com"
    assert shop.answer("a") is not None
    assert shop.known("a").vendor_id("criteo_gum_id", NOW_MS, lambda consent: False) is None


def test_an_older_event_is_read_as_it_would_be_kept_today() -> None:
    first, second = event(0, user_id="0"), event(0, user_id="null", ids={"criteo_gum_id": " 0 "})
    first.message_id, second.message_id = "m1", "m2"
    one, again, other = (read_event(encoder.encode(sent)) for sent in (first, first, second))
    assert one.user_id is other.user_id is None
    assert one.anonymous_id == again.anonymous_id != other.anonymous_id
    assert other.context["ids"] == {}


def test_an_erased_event_stays_without_a_visitor() -> None:
    assert read_event(encoder.encode(event(0))).anonymous_id is None
