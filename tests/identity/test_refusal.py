"""What is not kept any more of who refuses to be recognised: addresses, and what vendors call them."""

import pytest
from tests.identity.shop import GUM, NOW_MS, Shop, event, sync

from firsthand.identity.profile import Ref

YES = {"categories": {"marketing": True, "analytics": True}}
NO = {"categories": {"marketing": False, "analytics": False}}
REFUSALS = (NO, {"categoryPreferences": {"Advertising": False, "marketing": "denied"}})


def kept(shop: Shop, *, user: str | None = None) -> tuple[str | None, str | None]:
    return shop.known("a-1", user).email, shop.gum("a-1", user)


@pytest.mark.parametrize("no", REFUSALS)
def test_who_takes_a_yes_back_is_known_by_nothing_more(shop: Shop, no: dict[str, object]) -> None:
    shop.see(event(anonymous_id="a-1", user_id="u-1", email="ann@example.com", ids={GUM: "gum-1"}, consent=YES))
    assert kept(shop, user="u-1") == ("ann@example.com", "gum-1")
    shop.see(event(at=1, anonymous_id="a-1", user_id="u-1", consent=no))
    for _ in range(2):
        assert kept(shop, user="u-1") == (None, None)
        stored = [shop.hub.get("shop", ref) for ref in (Ref("a", "a-1"), Ref("u", "u-1"))]
        assert "gum-1" not in repr(stored)
        assert all(profile is not None and not profile.emails for profile in stored)
        shop.reopen()


def test_what_comes_late_from_before_the_no_is_not_kept_either(shop: Shop) -> None:
    shop.see(event(at=5, anonymous_id="a-1", consent=NO))
    shop.see(event(at=1, anonymous_id="a-1", email="ann@example.com", ids={GUM: "gum-1"}, consent=YES))
    assert kept(shop) == (None, None)


def test_a_new_yes_begins_anew(shop: Shop) -> None:
    shop.see(event(anonymous_id="a-1", email="ann@example.com", ids={GUM: "gum-1"}, consent=YES))
    shop.see(event(at=1, anonymous_id="a-1", consent=NO))
    shop.see(event(at=2, anonymous_id="a-1", consent=YES))
    assert kept(shop) == (None, None), "what was known before the no is not known again by itself"
    shop.see(event(at=3, anonymous_id="a-1", email="ann@example.com", ids={GUM: "gum-1"}, consent=YES))
    assert kept(shop) == ("ann@example.com", "gum-1")


def test_a_no_that_is_said_again_takes_what_came_in_between(shop: Shop) -> None:
    """As from a back end, which knows an address and not what the visitor says in the page."""
    shop.see(event(anonymous_id="a-1", consent=NO))
    shop.see(event(at=1, anonymous_id="a-1", email="ann@example.com"))
    shop.see(event(at=2, anonymous_id="a-1", consent=NO))
    assert kept(shop) == (None, None)


@pytest.mark.parametrize(
    "consent",
    [
        {"categories": {"marketing": False, "personalization": True}},
        {"gpc": True, "categories": {"marketing": True}},
        {"tcf": {"gdprApplies": True, "tcString": ""}},
        {},
    ],
)
def test_a_no_to_some_of_it_or_no_answer_takes_nothing(shop: Shop, consent: dict[str, object]) -> None:
    shop.see(event(anonymous_id="a-1", email="ann@example.com", ids={GUM: "gum-1"}, consent=YES))
    shop.see(event(at=1, anonymous_id="a-1", consent=consent))
    assert shop.known("a-1").email == "ann@example.com"
    assert "gum-1" in repr(shop.hub.get("shop", Ref("a", "a-1")))


def test_an_opt_out_at_the_vendor_outlives_the_no(shop: Shop) -> None:
    shop.see(event(anonymous_id="a-1", ids={GUM: "gum-1"}, consent=YES), sync(1, "OptOut", anonymous_id="a-1"))
    shop.see(event(at=2, anonymous_id="a-1", consent=NO), event(at=3, anonymous_id="a-1", consent=YES))
    assert shop.known("a-1").opted_out(GUM, "gum-1", NOW_MS + 4_000)
