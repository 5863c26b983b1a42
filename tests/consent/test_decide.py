"""When an event may be sent. Reads as the decision table: what the visitor said, what the shop set, what happens."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.consent.tc_strings import (
    GRANTS_CRITEO,
    GRANTS_CRITEO_RANGES,
    GRANTS_CRITEO_V1,
    GRANTS_NOTHING,
    REFUSES_PURPOSES,
    REFUSES_VENDOR,
    encode,
)

from firsthand.consent import Decision, GivenAnswer, Policy, decide, decide_again, decide_unknown, is_answer
from firsthand.event import Event

TCF = Policy(basis="tcf", vendor_id=91)
CATEGORIES = Policy(basis="categories", vendor_id=91)
NONE = Policy(basis="none", vendor_id=91)
NOT_ADVERTISING = Policy(basis="none", advertising=False)

BASES = pytest.mark.parametrize("policy", [TCF, CATEGORIES, NONE], ids=["tcf", "categories", "none"])


def event(consent: object) -> Event:
    return Event(type="track", event="Order Completed", context={"consent": consent})


def tcf(text: object, applies: object = True) -> dict[str, Any]:
    return {"tcf": {"gdprApplies": applies, "tcString": text, "policyVersion": 4}}


def anonymising(policy: Policy) -> Policy:
    return Policy(basis=policy.basis, vendor_id=policy.vendor_id, on_refusal="anonymise")


def assert_not_sent_as_it_is(consent: object, policy: Policy, basis: str, detail: str) -> None:
    """Not sent at all, and without identity where the shop asked for anonymous events."""
    assert decide(event(consent), policy) == Decision("refuse", basis, detail)
    assert decide(event(consent), anonymising(policy)) == Decision("anonymise", basis, detail)


# GDPR does not apply


def test_sent_where_gdpr_does_not_apply() -> None:
    allowed = Decision("allow", "tcf", "GDPR does not apply")
    assert decide(event({"tcf": {"gdprApplies": False}}), TCF) == allowed
    assert decide(event(tcf(GRANTS_NOTHING, applies=False)), TCF) == allowed
    assert decide(event(tcf("garbage", applies=False)), TCF) == allowed


# GDPR applies, and the TC string grants the vendor and its purposes


@pytest.mark.parametrize("text", [GRANTS_CRITEO, GRANTS_CRITEO_RANGES, GRANTS_CRITEO + ".YAAAAAAAAAAA"])
def test_sent_when_vendor_and_purposes_are_granted(text: str) -> None:
    assert decide(event(tcf(text)), TCF) == Decision("allow", "tcf", "vendor 91, purposes 1 3 4")


def test_a_vendor_without_an_iab_id_needs_its_purposes_alone() -> None:
    policy = Policy(basis="tcf", purposes=(1,))
    assert decide(event(tcf(REFUSES_VENDOR)), policy) == Decision("allow", "tcf", "purpose 1")
    assert decide(event(tcf(GRANTS_NOTHING)), policy) == Decision("refuse", "tcf", "purpose 1 not granted")


# GDPR applies, and the TC string refuses


@BASES
@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (REFUSES_VENDOR, "vendor 91 not granted"),
        (REFUSES_PURPOSES, "purposes 3 4 not granted"),
        (GRANTS_NOTHING, "vendor 91 not granted, purposes 1 3 4 not granted"),
        (encode([1, 3, 4], [91], restrictions=[(4, 0, [91])]), "purpose 4 not granted"),
    ],
    ids=["vendor", "purposes", "nothing granted", "restricted by the publisher"],
)
def test_a_tc_string_that_refuses_is_honoured_on_every_basis(policy: Policy, text: str, detail: str) -> None:
    assert_not_sent_as_it_is(tcf(text) | {"categories": {"marketing": True}}, policy, "tcf", detail)


@BASES
def test_a_tc_string_without_gdpr_applies_counts_as_if_it_applied(policy: Policy) -> None:
    assert_not_sent_as_it_is({"tcf": {"tcString": REFUSES_VENDOR}}, policy, "tcf", "vendor 91 not granted")
    assert decide(event({"tcf": {"tcString": GRANTS_CRITEO}}), TCF).decision == "allow"


@BASES
def test_a_tc_string_that_cannot_be_read_is_a_refusal(policy: Policy) -> None:
    detail = "the TC string can't be read: it is of version 54, and only 2 is in use"
    assert_not_sent_as_it_is(tcf("2YNN"), policy, "tcf", detail)


# GDPR applies, and there is no string yet: unknown


@pytest.mark.parametrize("text", [None, "", " ", 5, ["C"], {}, GRANTS_CRITEO_V1])
def test_held_while_the_consent_dialog_is_open(text: object) -> None:
    assert decide(event(tcf(text)), TCF) == Decision("hold", "tcf", "GDPR applies, no TC string yet")


def test_a_hold_that_ran_out_ends_as_the_shop_chose() -> None:
    unknown = "consent stayed unknown"
    assert decide_unknown(TCF) == Decision("refuse", "tcf", unknown)
    assert decide_unknown(anonymising(TCF)) == Decision("anonymise", "tcf", unknown)
    assert decide_unknown(CATEGORIES) == Decision("refuse", "categories", unknown)
    early = "it was made room for"
    assert decide_unknown(TCF, early) == Decision("refuse", "tcf", f"{unknown}; {early}"), "and why before its time"


# No consent signal, region unknown


@pytest.mark.parametrize("consent", [None, {}, {"tcf": {}}, {"tcf": {"policyVersion": 4}}, {"categories": {}}])
def test_no_signal_at_all_is_unknown_to_a_shop_that_asked_for_consent(consent: object) -> None:
    assert decide(event(consent), TCF) == Decision("hold", "tcf", "no TCF signal yet")
    assert decide(event(consent), CATEGORIES) == Decision("hold", "categories", "marketing not known yet")


def test_sent_when_the_shop_asks_for_no_consent_and_nothing_was_refused() -> None:
    sent = Decision("allow", "none")
    assert decide(Event(type="track"), NONE) == sent
    assert decide(event({"tcf": {"gdprApplies": True}}), NONE) == sent
    assert decide(event({"gpc": False, "usPrivacy": "1YNN"} | tcf(GRANTS_CRITEO)), NONE) == sent


# The shop's own consent categories


@pytest.mark.parametrize("key", ["categories", "categoryPreferences"])
def test_sent_when_each_category_asked_for_is_granted(key: str) -> None:
    policy = Policy(basis="categories", categories=("marketing", "personalisation"))
    answers = {"marketing": True, "personalisation": True, "analytics": False}
    assert decide(event({key: answers}), policy) == Decision("allow", "categories", "marketing personalisation")


@pytest.mark.parametrize("key", ["categories", "categoryPreferences"])
def test_not_sent_when_a_category_is_refused(key: str) -> None:
    assert_not_sent_as_it_is(
        {key: {"marketing": False, "analytics": True}}, CATEGORIES, "categories", "marketing refused"
    )


def test_any_category_that_the_integration_names_may_be_refused() -> None:
    policy = Policy(basis="categories", categories=("analytics", "personalization"))
    refused = {"categories": {"marketing": True, "analytics": False, "personalization": False}}
    assert decide(event(refused), policy) == Decision("refuse", "categories", "analytics personalization refused")


def test_one_refused_category_outweighs_others_not_known() -> None:
    policy = Policy(basis="categories", categories=("personalisation", "marketing"))
    assert decide(event({"categories": {"marketing": False}}), policy).decision == "refuse"


@pytest.mark.parametrize("answer", [None, "perhaps", 2, 0.5, []])
def test_held_while_a_category_is_not_known(answer: object) -> None:
    consent = {"categories": {"analytics": True, "marketing": answer}}
    assert decide(event(consent), CATEGORIES) == Decision("hold", "categories", "marketing not known yet")


# Global Privacy Control, and opting out of sale in the United States


@BASES
def test_global_privacy_control_is_honoured_on_every_basis(policy: Policy) -> None:
    consent = tcf(GRANTS_CRITEO) | {"categories": {"marketing": True}, "gpc": True}
    assert_not_sent_as_it_is(consent, policy, "gpc", "Global Privacy Control is on")


@BASES
@pytest.mark.parametrize("us_privacy", ["1YYN", "1YYY", "1NYN", "1YY-", "1NNN", "1-Y-", "2YNN", "1ynn", "opt-out"])
def test_an_opt_out_of_sale_is_honoured_on_every_basis(policy: Policy, us_privacy: str) -> None:
    consent = tcf(GRANTS_CRITEO) | {"categories": {"marketing": True}, "usPrivacy": us_privacy}
    assert_not_sent_as_it_is(consent, policy, "us_privacy", "the US Privacy string does not allow sale")


@BASES
@pytest.mark.parametrize("us_privacy", ["1YNY", "1YNN", "1YN-", "1-N-", "1---", "", None, 1, ["1YYN"]])
def test_sent_without_an_opt_out_of_sale(policy: Policy, us_privacy: object) -> None:
    consent = tcf(GRANTS_CRITEO) | {"categories": {"marketing": True}, "usPrivacy": us_privacy, "gpc": False}
    assert decide(event(consent), policy).decision == "allow"


def test_these_opt_outs_are_about_advertising_and_stop_no_other_vendor() -> None:
    assert decide(event({"gpc": True, "usPrivacy": "1YYN"}), NOT_ADVERTISING) == Decision("allow", "none")


# The visitor refused marketing in the shop's own banner


@BASES
def test_marketing_refused_is_honoured_by_advertising_vendors_on_every_basis(policy: Policy) -> None:
    consent = tcf(GRANTS_CRITEO) | {"categories": {"marketing": False}}
    assert_not_sent_as_it_is(consent, policy, "categories", "marketing refused")
    assert_not_sent_as_it_is({"categoryPreferences": {"marketing": False}}, policy, "categories", "marketing refused")
    no_gdpr = {"tcf": {"gdprApplies": False}, "categories": {"marketing": False}}
    assert_not_sent_as_it_is(no_gdpr, policy, "categories", "marketing refused")


def test_marketing_refused_is_no_refusal_of_another_vendor_or_purpose() -> None:
    assert decide(event({"categories": {"marketing": False}}), NOT_ADVERTISING) == Decision("allow", "none")
    assert decide(event({"categories": {"analytics": False}}), NONE) == Decision("allow", "none")


# Decided again at sending, with what the visitor has answered since

YES, NO = {"categories": {"marketing": True}}, {"categories": {"marketing": False}}
NOON, AT_NOON = 1_795_348_800_000, "2026-11-22T12:00:00.000Z"


def again(own: object, *answers: tuple[dict[str, Any], int], policy: Policy = CATEGORIES) -> tuple[str, object]:
    circle = [GivenAnswer(*answer) for answer in answers]
    decided, counted = decide_again(event(own), NOON - 10, [circle], policy)
    assert (counted is None) == (not decided.answered_at)
    return decided.decision, decided.answered_at or None


def test_what_the_event_does_not_say_a_later_answer_does() -> None:
    assert again({}) == ("hold", None)
    assert again({}, (YES, NOON)) == ("allow", AT_NOON)
    assert again({}, (NO, NOON)) == ("refuse", AT_NOON)


def test_the_newest_answer_that_says_something_counts() -> None:
    assert again({}, (NO, NOON - 2), (YES, NOON), ({"categories": {"analytics": True}}, NOON + 1)) == ("allow", AT_NOON)
    assert again({}, (YES, NOON - 2), (NO, NOON)) == ("refuse", AT_NOON)
    assert again({}, (NO, NOON - 2), (tcf(GRANTS_CRITEO), NOON), policy=NONE) == ("allow", None)
    analytics = Policy(basis="categories", categories=("analytics",), advertising=False)
    assert again({}, ({"categories": {"analytics": True}}, NOON), policy=analytics) == ("allow", AT_NOON)
    assert again({}, ({"usPrivacy": "1YNN"}, NOON)) == ("hold", None)


def test_a_refusal_of_the_event_stands() -> None:
    assert again(NO, (YES, NOON)) == ("refuse", None)


def test_a_withdrawal_wins_over_what_the_event_allowed() -> None:
    assert again(YES, (NO, NOON)) == ("refuse", AT_NOON)
    assert again(YES, ({"gpc": True}, NOON)) == ("refuse", AT_NOON)
    assert again(YES, (YES, NOON)) == ("allow", None)
    assert again({}, (NO, NOON), policy=NONE) == ("refuse", AT_NOON)
    assert again({}, (YES, NOON), policy=NONE) == ("allow", None)


def test_what_says_nothing_of_what_is_asked_hides_no_refusal() -> None:
    silent = [({"usPrivacy": "1YNN"}, NOON + 1), ({"categories": {"analytics": True}}, NOON + 2)]
    assert again(YES, (NO, NOON), *silent) == ("refuse", AT_NOON)
    assert again({}, (NO, NOON), *silent, policy=NONE) == ("refuse", AT_NOON)
    assert again({}, (NO, NOON - 1), (YES, NOON), *silent, policy=NONE) == ("allow", None)
    assert again({}, (tcf(REFUSES_VENDOR), NOON), *silent, policy=TCF) == ("refuse", AT_NOON)


def test_of_a_yes_and_a_no_of_the_same_moment_the_no_counts() -> None:
    assert again({}, (YES, NOON), (NO, NOON)) == again({}, (NO, NOON), (YES, NOON)) == ("refuse", AT_NOON)


def test_what_was_refused_before_the_event_allowed_it_is_past() -> None:
    assert again(YES, (NO, NOON - 20)) == ("allow", None)


def test_what_holds_abroad_does_not_hold_where_gdpr_applies() -> None:
    abroad = ({"tcf": {"gdprApplies": False}}, NOON)
    assert again({"tcf": {"gdprApplies": True}}, abroad, policy=TCF) == ("hold", None)
    assert again({}, abroad, policy=TCF) == ("allow", AT_NOON)


def circles(own: object, *around: list[tuple[dict[str, Any], int]]) -> str:
    answers = [[GivenAnswer(*answer) for answer in circle] for circle in around]
    return decide_again(event(own), NOON - 10, answers, CATEGORIES)[0].decision


def test_the_browsers_own_answer_counts_before_those_of_the_users_other_browsers() -> None:
    assert circles({}, [(NO, NOON)], [], [(YES, NOON + 1)]) == "refuse"
    assert circles({}, [(YES, NOON)], [], [(NO, NOON - 1)]) == "allow"
    assert circles({}, [], [], [(YES, NOON)]) == "allow"


def test_a_newer_refusal_counts_from_wherever_it_comes() -> None:
    assert circles({}, [(YES, NOON)], [(NO, NOON + 1)]) == "refuse"
    assert circles(YES, [(YES, NOON)], [], [(NO, NOON + 1)]) == "refuse"
    assert circles({}, [], [(YES, NOON)], [(NO, NOON + 1)]) == "refuse"
    assert circles({}, [(YES, NOON)], [(NO, NOON)]) == "refuse", "of two answers of one moment the no counts, here too"
    assert circles({}, [(YES, NOON)], [(NO, NOON + 2)], [(YES, NOON + 9)]) == "refuse"
    assert circles(YES, [], [(NO, NOON - 10)]) == "refuse", "the moment of the event is not before it"


def test_a_time_that_is_none_does_no_harm() -> None:
    assert again({}, (YES, 10**20))[0] == "allow"


@pytest.mark.parametrize(
    "consent",
    [
        {"tcf": {"tcString": GRANTS_NOTHING}},
        {"tcf": {"gdprApplies": 0}},
        {"gpc": True},
        {"usPrivacy": "1YNN"},
        {"categories": {"analytics": False}},
        {"categoryPreferences": {"C0004": True}},
    ],
)
def test_an_answer_is_one(consent: object) -> None:
    assert is_answer(consent)


@pytest.mark.parametrize(
    "consent",
    [
        None,
        [],
        {},
        {"gpc": False},
        {"tcf": {"gdprApplies": True}},
        {"tcf": {"gdprApplies": True, "tcString": "none of that"}},
        {"categories": {"essential": True, "a": "perhaps"}},
        {"usPrivacy": "1---"},
    ],
)
def test_what_says_nothing_is_no_answer(consent: object) -> None:
    assert not is_answer(consent)


# Consent withdrawn later


def test_a_withdrawal_wins_when_it_is_decided_again_at_sending() -> None:
    later = event(tcf(GRANTS_CRITEO))
    assert decide(later, TCF).decision == "allow"
    later.context["consent"] = tcf(REFUSES_PURPOSES)
    assert decide(later, TCF).decision == "refuse"


# Events hold what clients send


@pytest.mark.parametrize("junk", ["granted", 1, 1.5, True, [], ["tcf"], [[{}]]])
def test_a_wrong_type_counts_as_absent_wherever_it_is(junk: object) -> None:
    assert decide(event(junk), TCF).decision == "hold"
    assert decide(event({"tcf": junk}), TCF).decision == "hold"
    assert decide(event({"categories": junk, "categoryPreferences": junk}), CATEGORIES).decision == "hold"
    assert decide(event({"tcf": junk, "categories": junk, "gpc": junk is True and None}), NONE).decision == "allow"


@pytest.mark.parametrize("applies", [True, 1, "1", "true"])
def test_gdpr_applies_may_be_a_number_as_apps_keep_it(applies: object) -> None:
    assert decide(event({"tcf": {"gdprApplies": 0}}), TCF) == Decision("allow", "tcf", "GDPR does not apply")
    assert decide(event(tcf(GRANTS_NOTHING, applies=0)), TCF).decision == "allow"
    assert decide(event({"tcf": {"gdprApplies": applies}}), TCF).detail == "GDPR applies, no TC string yet"


@pytest.mark.parametrize("applies", ["perhaps", 2, 1.0, None, []])
def test_gdpr_applies_of_a_wrong_type_counts_as_absent(applies: object) -> None:
    assert decide(event({"tcf": {"gdprApplies": applies}}), TCF).decision == "hold"
    assert decide(event(tcf(GRANTS_CRITEO, applies)), TCF).decision == "allow"
    assert decide(event(tcf(REFUSES_VENDOR, applies)), TCF).decision == "refuse"


@pytest.mark.parametrize("gpc", [2, "?", None, {}])
def test_global_privacy_control_of_a_wrong_type_counts_as_absent(gpc: object) -> None:
    assert decide(event({"gpc": gpc}), NONE) == Decision("allow", "none")


@pytest.mark.parametrize(
    "consent",
    [
        {"gpc": 1},
        {"gpc": "1"},
        {"gpc": "true"},
        {"categories": {"marketing": "false"}},
        {"categories": {"marketing": 0}},
        {"categories": {"marketing": "denied"}},
        {"categories": {}, "categoryPreferences": {"marketing": False}},
        {"categories": {"marketing": True}, "categoryPreferences": {"marketing": False}},
        {"usPrivacy": "1yyn"},
    ],
)
def test_a_refusal_is_one_however_it_is_written(consent: object) -> None:
    assert decide(event(consent), NONE).decision == "refuse"


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([GRANTS_CRITEO, "1YYN"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["gdprApplies", "tcString", "marketing"]), inner),
    max_leaves=8,
)
consents = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("tcf", "categories", "categoryPreferences", "gpc", "usPrivacy"), json)
)


@given(json | consents, st.sampled_from([TCF, CATEGORIES, NONE, NOT_ADVERTISING, anonymising(TCF)]))
def test_whatever_an_event_holds_there_is_a_decision(consent: object, policy: Policy) -> None:
    assert isinstance(decide(event(consent), policy), Decision)


@given(json | consents, json | consents, st.integers(), st.sampled_from([TCF, CATEGORIES, NONE, anonymising(TCF)]))
def test_whatever_an_answer_holds_there_is_a_decision(own: object, other: Any, at_ms: int, policy: Policy) -> None:
    is_answer(other)
    decided, _ = decide_again(event(own), NOON, [[GivenAnswer(other, at_ms)]], policy)
    assert isinstance(decided, Decision)
