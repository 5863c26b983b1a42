"""How long what visitors are known by is kept: since it was last seen."""

import pytest
from tests.identity.shop import DAY, GUM, NOW_MS, SECOND, Shop, event

from firsthand.identity import hub as module
from firsthand.identity.profile import Ref

DAYS = DAY / SECOND
NO = {"categories": {"marketing": False}}


def test_who_was_not_seen_for_long_is_forgotten_and_others_are_not(shop: Shop) -> None:
    shop.see(event(anonymous_id="old", user_id="u-old", email="old@example.com", ids={GUM: "gum-old"}, consent=NO))
    shop.see(event(at=2 * DAYS, anonymous_id="new", user_id="u-new", email="new@example.com", ids={GUM: "gum-new"}))
    assert shop.hub.forget(NOW_MS + DAY) == 3  # the browser, the user and the address
    for _ in range(2):
        assert shop.known("old").user_id is None
        assert shop.known("old", "u-old").email is None
        assert shop.gum("old") is None
        assert shop.answer("old") is None
        assert (shop.known("new").user_id, shop.known("new").email, shop.gum("new")) == (
            "u-new",
            "new@example.com",
            "gum-new",
        )
        shop.reopen()
    assert shop.hub.forget(NOW_MS + DAY) == 0


def test_of_who_comes_back_goes_what_was_not_seen_again(shop: Shop) -> None:
    """An old browser of a user, an address they had; but not their no, which counts until there is another answer."""
    shop.see(event(anonymous_id="old", user_id="u-1", email="old@example.com"))
    shop.see(event(at=1, user_id="u-1", consent=NO))
    shop.see(event(at=2 * DAYS, anonymous_id="new", user_id="u-1"))
    shop.hub.forget(NOW_MS + DAY)
    for _ in range(2):
        profile = shop.hub.get("shop", Ref("u", "u-1"))
        assert profile is not None
        assert set(profile.links) == {"a:new"}
        assert profile.emails == {}
        assert shop.answer("new", "u-1") == (NO, NOW_MS + SECOND)
        shop.reopen()


def test_what_was_seen_again_and_is_not_written_yet_counts(shop: Shop) -> None:
    shop.see(event(anonymous_id="a-1", ids={GUM: "gum-1"}))
    shop.see(event(at=60, anonymous_id="a-1", ids={GUM: "gum-1"}))
    assert shop.hub.forget(NOW_MS + 30 * SECOND) == 0
    assert shop.gum("a-1") == "gum-1"


def test_who_was_erased_stays_so_and_nothing_else_of_them_does(shop: Shop) -> None:
    shop.see(event(anonymous_id="a-1", email="ann@example.com"))
    shop.hub.erase({"shop": [Ref("a", "a-1"), Ref("e", "ann@example.com")]}, {}, NOW_MS + SECOND)
    shop.see(event(at=2, anonymous_id="a-1", ids={GUM: "gum-1"}))  # came back, and then no more
    assert shop.hub.forget(NOW_MS + DAY) == 0
    for _ in range(2):
        assert shop.gum("a-1") is None
        assert shop.hub.erased("shop", event(anonymous_id="a-1"), NOW_MS)
        assert shop.hub.get("shop", Ref("a", "a-1")) is None
        shop.reopen()


def test_all_profiles_are_come_past_step_by_step(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP", 3)
    shop.see(*(event(at=DAYS * (n % 2) * 2, anonymous_id=f"a-{n}", ids={GUM: f"gum-{n}"}) for n in range(10)))
    assert sum(shop.hub.forget(NOW_MS + DAY) for _ in range(4)) == 5
    assert [n for n in range(10) if shop.gum(f"a-{n}", at=DAYS * 2)] == [1, 3, 5, 7, 9]
    assert sum(shop.hub.forget(NOW_MS + 3 * DAY) for _ in range(9)) == 5  # from the beginning again
