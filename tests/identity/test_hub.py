"""What the hub learns from events, and what it says of a visitor."""

import stat
from pathlib import Path
from typing import Any

import pytest
from tests.identity.shop import DAY, GUM, NAMES, NOW_MS, SECOND, Shop, event, sync

from firsthand.identity import Hub
from firsthand.identity import hub as module
from firsthand.identity.closure import closure
from firsthand.identity.profile import Ref
from firsthand.vendors.base import Identity

YES: dict[str, Any] = {"categories": {"marketing": True}}
NO: dict[str, Any] = {"categories": {"marketing": False}}


# -- vendor ids --------------------------------------------------------------------------------------------------------


def test_nothing_is_known_of_a_stranger(shop: Shop) -> None:
    known = shop.known("a-1", "u-1")
    assert (shop.answer("a-1", "u-1"), known.email, known.user_id, known.identity("criteo_gum_id", "123")) == (
        None,
        None,
        "u-1",
        Identity(user_id="u-1"),
    )


def test_an_id_on_an_event_is_known_from_then_on(shop: Shop) -> None:
    shop.see(event(anonymous_id="a-1", ids={GUM: "gum-1"}))
    assert shop.gum("a-1") == "gum-1"
    assert shop.gum("a-2") is None
    assert shop.known("a-1").identity("criteo_gum_id", "123").vendor_ids == {"criteo_gum_id": "gum-1"}


def test_an_id_without_a_caller_is_of_the_account_that_its_source_feeds(shop: Shop) -> None:
    shop.hub.close()
    shop.hub = Hub(shop.folder, NAMES._replace(callers={"shop": {"criteo_gum_id": "123"}}))
    shop.see(event(anonymous_id="a-1", ids={"criteo_gum_id": "gum-1"}))
    assert shop.gum("a-1") == "gum-1"
    shop.see(event(anonymous_id="a-1", ids={"criteo_gum_id": "gum-2"}), source="app")
    assert shop.known("a-1", source="app").vendor_id(GUM, NOW_MS, lambda consent: False) is None


def test_identify_may_carry_registered_names_as_traits(shop: Shop) -> None:
    shop.see(event(type="identify", anonymous_id="a-1", traits={GUM: "gum-1", "name": "Ann", "shoe_size": "38"}))
    profile = shop.known("a-1")._browser[0]
    assert list(profile.ids) == [GUM]
    assert shop.gum("a-1") == "gum-1"


def test_traits_of_other_calls_are_no_ids(shop: Shop) -> None:
    shop.see(event(anonymous_id="a-1", traits={GUM: "gum-1"}))
    assert shop.gum("a-1") is None


def test_the_id_seen_last_counts_and_the_others_are_kept_as_history(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", ids={GUM: "old"}), event(2, anonymous_id="a", ids={GUM: "new"}))
    shop.see(event(0, anonymous_id="a", ids={GUM: "late"}))  # an event that was kept offline
    assert shop.gum("a") == "new"
    history = shop.known("a")._browser[0].ids[GUM].values
    assert {value: seen.first_ms for value, seen in history.items()} == {
        "old": NOW_MS + 1 * SECOND,
        "new": NOW_MS + 2 * SECOND,
        "late": NOW_MS,
    }


def test_an_id_from_a_sync_holds_three_days(shop: Shop) -> None:
    shop.see(sync(0, "OK", "gum-1", anonymous_id="a"))
    assert shop.gum("a", at=3 * 86_400 - 1) == "gum-1"
    assert shop.gum("a", at=3 * 86_400) is None
    shop.see(sync(2 * 86_400, "OK", "gum-1", anonymous_id="a"))
    assert shop.gum("a", at=4 * 86_400) == "gum-1"


def test_an_opt_out_removes_the_id_and_those_that_come_late(shop: Shop) -> None:
    shop.see(sync(1, "OK", "gum-1", anonymous_id="a"), sync(5, "OptOut", anonymous_id="a"))
    assert shop.gum("a", at=6) is None
    shop.see(event(3, anonymous_id="a", ids={GUM: "gum-1"}), event(7, anonymous_id="a", ids={GUM: "gum-1"}))
    assert shop.gum("a", at=8) is None, "the cookie of a page may still hold it"
    assert b"gum-1" not in b"".join(row[0] for row in shop.hub._store._db.execute("SELECT profile FROM profiles"))
    shop.see(sync(9, "OK", "gum-1", anonymous_id="a"))
    assert shop.gum("a", at=10) == "gum-1", "the vendor itself gave it again"


def test_an_event_after_an_opt_out_may_bring_another_id(shop: Shop) -> None:
    shop.see(sync(1, "OK", "gum-1", anonymous_id="a"), sync(5, "OptOut", anonymous_id="a"))
    known = shop.known("a")
    assert known.opted_out(GUM, "gum-1", NOW_MS + 9 * SECOND)
    assert known.opted_out(GUM, "gum-2", NOW_MS + 4 * SECOND)
    assert not known.opted_out(GUM, "gum-2", NOW_MS + 9 * SECOND)


def test_after_an_opt_out_no_other_browser_lends_its_id(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="phone", user_id="u", ids={GUM: "gum-phone"}))
    shop.see(event(2, anonymous_id="laptop", user_id="u"))
    assert shop.gum("laptop", "u") == "gum-phone"
    shop.see(sync(3, "OptOut", anonymous_id="laptop"))
    assert shop.gum("laptop", "u", at=4) is None


def test_a_sync_without_an_id_teaches_that_the_vendor_knew_none(shop: Shop) -> None:
    shop.see(sync(9, "unknown", anonymous_id="a"), sync(5, "unknown", anonymous_id="a"))
    assert shop.gum("a") is None
    assert shop.known("a").unknown_ms([GUM]) == NOW_MS + 9 * SECOND
    assert shop.known("b").unknown_ms([GUM]) == 0


# -- who belongs together ----------------------------------------------------------------------------------------------


def test_a_back_end_event_of_a_user_gets_the_browsers_id(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", ids={GUM: "gum-1"}), event(2, "identify", anonymous_id="a", user_id="u"))
    assert shop.gum(None, "u") == "gum-1"


def test_previous_ids_are_the_same_browser(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="proposal", ids={GUM: "gum-1"}, consent=YES))
    shop.see(event(2, anonymous_id="cookie", previous_id="proposal"))
    assert shop.gum("cookie") == "gum-1"
    assert shop.answer("cookie") == (YES, NOW_MS + SECOND)


@pytest.mark.parametrize("previous", [{"anonymous_id": "x"}, {"user_id": "x"}])
def test_alias_links_an_anonymous_id_or_a_former_user_id(shop: Shop, previous: dict[str, str]) -> None:
    shop.see(event(1, **previous, email="ann@example.com"))
    shop.see(event(2, "alias", previous_id="x", user_id="u"))
    assert shop.known(None, "u").email == "ann@example.com"


def test_users_of_one_browser_are_not_mixed_up(shop: Shop) -> None:
    shop.see(event(1, "identify", anonymous_id="family", user_id="ann", email="ann@example.com"))
    shop.see(event(2, "identify", anonymous_id="family", user_id="bob"))
    assert shop.known("family", "bob").email is None
    assert shop.known("family", "ann").email == "ann@example.com"
    assert shop.known("family").user_id == "bob", "the newest"
    assert shop.known("family").email is None


def test_another_address_is_known_after_a_crash(shop: Shop) -> None:
    shop.see(event(1, user_id="ann", email="ann@example.com"))
    shop.see(event(2, user_id="ann", email="ann@new.example"))
    shop.crash()
    assert shop.known(None, "ann").email == "ann@new.example"


def test_a_guests_address_on_the_users_browser_is_not_the_users(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="pc", user_id="ann", email="ann@example.com"))
    shop.see(event(2, anonymous_id="pc", email="guest@example.com"), event(3, anonymous_id="phone", user_id="ann"))
    assert shop.known("phone", "ann").email == "ann@example.com"
    assert shop.known(None, "ann").email == "ann@example.com"


def test_an_address_without_a_name_on_a_shared_browser_is_nobodys(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="pc", user_id="ann"), event(2, anonymous_id="pc", user_id="bob"))
    shop.see(event(3, anonymous_id="pc", email="guest@example.com"))
    assert shop.known("pc", "ann").email is None
    assert shop.known(None, "bob").email is None


def test_what_another_user_of_a_browser_answered_is_not_the_users(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="phone", user_id="ann", consent=NO), event(2, anonymous_id="pc", user_id="ann"))
    shop.see(event(3, anonymous_id="pc", user_id="bob", consent=YES))
    assert shop.answer(None, "ann") == (NO, NOW_MS + SECOND)
    assert shop.answer(None, "bob") == (YES, NOW_MS + 3 * SECOND)
    assert shop.answer("pc") == (YES, NOW_MS + 3 * SECOND), "an event that names nobody is the browser's"
    assert shop.answer("pc", "ann") == (NO, NOW_MS + SECOND)


def test_an_answer_from_before_the_login_is_the_users(shop: Shop) -> None:
    refusal = (NO, NOW_MS + 1 * SECOND)
    shop.see(event(1, anonymous_id="pc", consent=NO), event(2, anonymous_id="pc", user_id="ann"))
    assert shop.answer("pc", "ann") == refusal
    assert shop.answer("phone", "ann") == refusal, "nobody else was seen on the pc"
    shop.see(event(3, anonymous_id="pc", user_id="bob"))
    assert shop.answer("pc", "ann") == shop.answer("pc", "bob") == refusal, "given in this browser"
    assert shop.answer("phone", "ann") is None, "on a shared browser it may have been anybody"


def test_what_a_user_answered_on_a_shared_browser_is_the_users(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="pc", user_id="ann", consent=NO), event(2, anonymous_id="pc", user_id="bob"))
    shop.crash()
    assert shop.answer(None, "ann") == (NO, NOW_MS + SECOND)
    assert shop.answer(None, "bob") is None


def test_a_shared_browser_lends_its_vendor_ids_to_no_other_browser(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="pc", user_id="ann"), event(2, anonymous_id="pc", user_id="bob", ids={GUM: "gum-b"}))
    assert shop.gum("phone", "ann") is None
    assert shop.gum(None, "ann") is None
    assert shop.gum("pc", "ann") == "gum-b", "it is the browser's"


def test_an_address_given_before_the_user_signed_in_is_the_users(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", email="Ann@Example.com "), event(2, anonymous_id="a", user_id="u"))
    assert shop.known(None, "u").email == "Ann@Example.com"


def test_of_a_thousand_browsers_the_oldest_and_the_user_forget_each_other(shop: Shop) -> None:
    shop.see(*(event(n, anonymous_id=f"b-{n}", user_id="u", email="u@example.com") for n in range(1_100)))
    assert (shop.known("b-99").user_id, shop.known("b-99").email) == (None, None)
    assert shop.known("b-101").user_id == "u"
    shop.see(event(2_000, anonymous_id="b-99", user_id="u"))
    assert shop.known("b-99").user_id == "u"
    found = closure(lambda ref: shop.hub.get("shop", ref), Ref("u", "u"))
    shop.hub.erase({"shop": found.ids}, {}, NOW_MS + DAY)
    shop.hub.wipe()
    shop.hub.close()
    left = b"".join(path.read_bytes() for path in shop.folder.iterdir())
    assert b"u@example.com" not in left
    assert b"u:u" not in left
    shop.open()


def test_sources_keep_sites_apart(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", user_id="u", ids={GUM: "gum-1"}, email="ann@example.com"))
    other = shop.known("a", "u", source="other")
    assert (other.email, other.identity("criteo_gum_id", "123").vendor_ids) == (None, {})


# -- consent -----------------------------------------------------------------------------------------------------------


def test_the_newest_answer_counts_also_when_an_older_one_comes_late(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", consent=YES), event(5, anonymous_id="a", consent=NO))
    shop.see(event(3, anonymous_id="a", consent=YES))
    assert shop.answer("a") == (NO, NOW_MS + 5 * SECOND)


def test_an_answer_that_is_repeated_is_as_new_as_its_last_time(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", consent=NO), event(5, anonymous_id="a", consent=NO))
    shop.see(event(3, anonymous_id="a", consent=YES))
    assert shop.answer("a") == (NO, NOW_MS + 5 * SECOND)


def test_an_answer_that_is_given_again_after_another_one_outlives_the_process(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", consent=NO), event(60, anonymous_id="a", consent=YES))
    shop.see(event(120, anonymous_id="a", consent=NO))
    shop.crash()
    assert shop.answer("a") == (NO, NOW_MS + 120 * SECOND)


def test_a_user_who_is_back_after_another_one_is_so_after_a_restart(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", user_id="ann"), event(60, anonymous_id="a", user_id="bob"))
    shop.see(event(120, anonymous_id="a", user_id="ann"))
    shop.crash()
    assert shop.known("a").user_id == "ann"


def test_an_id_that_is_back_after_another_one_is_so_after_a_restart(shop: Shop) -> None:
    for at, value in ((1, "gum-1"), (60, "gum-2"), (120, "gum-1")):
        shop.see(event(at, anonymous_id="a", ids={GUM: value}))
    shop.crash()
    assert shop.gum("a", at=130) == "gum-1"


def test_what_is_too_long_for_an_id_or_has_no_name_is_not_kept(shop: Shop) -> None:
    long = "x" * 513
    shop.see(event(1, anonymous_id="a", ids={"": "1", long: "1", GUM: long, "raptor_ruid": "r" * 512}))
    found = [shop.known("a").vendor_id(name, NOW_MS, lambda consent: False) for name in ("", long, GUM, "raptor_ruid")]
    assert found == [None, None, None, "r" * 512]


def test_who_opts_out_of_one_account_has_not_opted_out_of_another(shop: Shop) -> None:
    other = "criteo_gum_id@456"
    shop.see(sync(1, "OK", "gum-1", anonymous_id="a"), event(2, anonymous_id="a", ids={other: "gum-2"}))
    shop.see(sync(5, "OptOut", anonymous_id="a"))
    assert shop.known("a").opt_out_ms([GUM, "criteo_gum_id"]) == NOW_MS + 5 * SECOND
    assert shop.known("a").opt_out_ms([other, "criteo_gum_id"]) is None


def test_an_id_opted_out_of_is_no_new_one_without_its_caller(shop: Shop) -> None:
    shop.see(sync(1, "OK", "gum-1", anonymous_id="a"), sync(5, "OptOut", anonymous_id="a"))
    shop.see(event(9, anonymous_id="a", ids={"criteo_gum_id": "gum-1"}))
    names = [GUM, "criteo_gum_id"]
    assert shop.known("a").opt_out_ms(names) == NOW_MS + 5 * SECOND
    shop.see(event(10, anonymous_id="a", ids={"criteo_gum_id": "gum-2"}))
    assert shop.known("a").opt_out_ms(names) is None


def test_an_opt_out_holds_for_what_a_back_end_sends_of_the_user(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", user_id="u"), sync(5, "OptOut", anonymous_id="a"))
    assert shop.known(None, "u").opt_out_ms([GUM]) == NOW_MS + 5 * SECOND
    shop.see(event(2, anonymous_id="phone", user_id="u", ids={GUM: "gum-1"}))
    assert shop.known(None, "u").opt_out_ms([GUM]) == NOW_MS + 5 * SECOND, "that id is older"
    shop.see(event(9, anonymous_id="phone", user_id="u", ids={GUM: "gum-2"}))
    assert shop.known(None, "u").opt_out_ms([GUM]) is None


@pytest.mark.parametrize("order", [1, -1])
def test_a_refusal_is_not_forgotten_over_many_answers_to_something_else(shop: Shop, order: int) -> None:
    given = [event(1, anonymous_id="a", ids={GUM: "gum-1"}, consent=NO)]
    given += [event(n, anonymous_id="a", consent={"usPrivacy": "1YN-", "gppSid": [n]}) for n in range(2, 40)]
    shop.see(*given[::order])
    assert shop.gum("a") is None
    answers = shop.known("a")._browser[0].answers
    assert [one.consent for one in answers][:2] == [NO, given[-16].context["consent"]]
    assert len(answers) == 17


@pytest.mark.parametrize("order", [1, -1])
def test_an_id_with_many_values_is_the_same_in_any_order(shop: Shop, order: int) -> None:
    seen = [event(0, anonymous_id="a", ids={GUM: "gum"}), sync(4_500, "OptOut", anonymous_id="a")]
    seen += [event(n * 1_000, anonymous_id="a", ids={GUM: f"gum-{n}"}) for n in range(1, 9)]
    seen += [event(20_000, anonymous_id="a", ids={GUM: "gum"})]
    shop.see(*seen[::order])
    assert shop.gum("a", at=30_000) == "gum-8", "that of the beginning was opted out of"


def test_what_is_asked_while_nothing_is_learned_is_not_kept_for_ever(shop: Shop) -> None:
    for number in range(module.MOST_ASKED + 100):
        shop.known(f"a-{number}")
    assert len(shop.hub._answers) <= module.MOST_ASKED


def test_an_event_without_an_answer_changes_none(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", consent=YES), event(2, anonymous_id="a", consent={"gpc": False}))
    assert shop.answer("a") == (YES, NOW_MS + 1 * SECOND)


def test_an_id_from_before_a_withdrawal_is_not_used_again(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", ids={GUM: "gum-1"}, consent=YES))
    shop.see(event(2, anonymous_id="a", ids={GUM: "gum-1"}, consent=NO), event(3, anonymous_id="a", consent=YES))
    assert shop.gum("a", at=4) is None
    shop.see(sync(5, "OK", "gum-1", anonymous_id="a", consent=YES))
    assert shop.gum("a", at=6) == "gum-1"


def test_an_id_that_a_page_shows_again_after_the_visitor_agreed_again_is_used(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", ids={GUM: "gum-1"}, consent=YES), event(2, anonymous_id="a", consent=NO))
    shop.see(event(3, anonymous_id="a", ids={GUM: "gum-1"}, consent=YES))
    assert shop.gum("a", at=4) == "gum-1"


# -- the file ----------------------------------------------------------------------------------------------------------


def test_what_was_learned_outlives_the_process(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", user_id="u", ids={GUM: "gum-1"}, consent=YES, email="ann@example.com"))
    shop.crash()
    known = shop.known("a")
    assert (shop.gum("a"), known.user_id, known.email, shop.answer("a")) == (
        "gum-1",
        "u",
        "ann@example.com",
        (YES, NOW_MS + SECOND),
    )
    assert shop.hub.position(0) == 1


def test_what_was_not_written_is_observed_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.see(event(1, anonymous_id="a", consent=YES))

    def full(*args: object) -> None:
        raise module.apsw.FullError("full")

    with monkeypatch.context() as patch:
        patch.setattr(shop.hub._store, "write", full)
        shop.see(event(2, anonymous_id="a", consent=NO))
    assert shop.answer("a") == (NO, NOW_MS + 2 * SECOND), "in memory it is known"
    shop.crash()
    assert shop.hub.position(0) == 1
    shop.position = 1
    shop.see(event(2, anonymous_id="a", consent=NO))
    shop.crash()
    assert shop.answer("a") == (NO, NOW_MS + 2 * SECOND)


def test_entries_observed_before_undo_nothing(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="a", consent=YES), sync(2, "OptOut", anonymous_id="a"))
    old = [(1, "shop", NOW_MS, event(9, anonymous_id="a", consent=NO))]
    shop.hub.observe(0, old, 1)
    assert shop.answer("a") == (YES, NOW_MS + SECOND)
    assert shop.hub.position(0) == 2


def test_an_event_that_teaches_nothing_writes_nothing(shop: Shop) -> None:
    fields: dict[str, Any] = {"anonymous_id": "a", "user_id": "u", "ids": {GUM: "gum-1"}, "consent": YES}
    shop.see(event(0, **fields))
    before = shop.written()
    shop.see(*(event(n, **fields) for n in range(500)))
    shop.see(*(event(n, anonymous_id=f"stranger-{n}") for n in range(500)))
    assert shop.written() == before


def test_more_visitors_than_fit_into_memory(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHED", 64)
    for start in range(0, 1_000, 50):
        shop.see(*(event(1, anonymous_id=f"a-{n}", ids={GUM: f"gum-{n}"}) for n in range(start, start + 50)))
    assert [shop.gum(f"a-{n}") for n in range(1_000)] == [f"gum-{n}" for n in range(1_000)]
    assert len(shop.hub._nodes) <= 64


def test_a_log_that_was_made_anew_is_observed_from_its_start(shop: Shop) -> None:
    shop.see(*(event(n, anonymous_id="a") for n in range(10)))
    shop.hub.begin(0, 3)
    assert shop.hub.position(0) == 0


def test_a_checkpoint_keeps_the_journal_short(shop: Shop, tmp_path: Path) -> None:
    for n in range(50):
        shop.see(event(n, anonymous_id=f"a-{n}", consent=YES))
        shop.hub.checkpoint()
    assert (tmp_path / "identity.db-wal").stat().st_size < 100_000 < 50 * 4096
    assert (tmp_path / "identity.db").stat().st_size > 8_192


def test_only_the_owner_can_read_the_file(shop: Shop, tmp_path: Path) -> None:
    shop.see(event(1, anonymous_id="a", consent=YES))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("identity.db*")}
    assert set(modes.values()) == {0o600}


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "identity.db").write_bytes(b"this is no database" * 1000)
    shop = Shop(tmp_path)
    shop.see(event(1, anonymous_id="a", consent=YES))
    assert shop.hub.position(0) == 1
    shop.hub.close()


def test_the_time_of_an_event_is_never_later_than_its_arrival(shop: Shop) -> None:
    shop.hub.observe(0, [(1, "shop", NOW_MS, event(30 * DAY, anonymous_id="a", consent=YES))], 1)
    assert shop.answer("a") == (YES, NOW_MS)
