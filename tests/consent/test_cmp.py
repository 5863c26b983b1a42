"""What consent tools write, and what it means: each tool's own format, the site's mapping, and whatever else comes."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING

from firsthand.config import Cmp
from firsthand.consent.cmp import complete
from firsthand.consent.codes import pairs


def completed(
    cmp: dict[str, Any] | None = None,
    cookies: dict[str, str] | None = None,
    *,
    gpc: bool = False,
    rule: Cmp | None = None,
    consent: Any = None,
) -> dict[str, Any]:
    """The consent of an event after it was completed."""
    context = {} if cmp is None else {"cmp": cmp}
    if consent is not None:
        context["consent"] = consent
    complete(context, cookies or {}, gpc, rule or Cmp())
    assert "cmp" not in context
    found = context.get("consent", {})
    assert isinstance(found, dict)
    return found


def categories(*args: Any, **kwargs: Any) -> dict[str, bool]:
    found = completed(*args, **kwargs).get("categories", {})
    assert isinstance(found, dict)
    return found


# -- OneTrust ----------------------------------------------------------------------------------------------------------

ONETRUST = (
    "isGpcEnabled=0&datestamp=Sun+Feb+23+2025+18%3A04%3A43+GMT%2B0100+(Central+European+Time)&version=202411.2.0"
    "&browserGpcFlag=0&isIABGlobal=false&hosts=&consentId=0&interactionCount=1&isAnonUser=1"
    "&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A0%2CC0003%3A1%2CC0004%3A1&AwaitingReconsent=false"
)
ANSWERED = {"essential": True, "functional": True, "analytics": False, "marketing": True, "personalization": True}


@pytest.mark.parametrize("where", ["cookie", "page"])
def test_onetrust(where: str) -> None:
    given = ({}, {"OptanonConsent": ONETRUST}) if where == "cookie" else ({"onetrust": ONETRUST}, {})
    assert categories(*given) == ANSWERED


@pytest.mark.parametrize(
    "value",
    [
        "groups=C0001%3A1%2CC0002%3A0%2CC0003%3A1%2CC0004%3A1",
        "groups=C0001:1,C0002:0,C0003:1,C0004:1",
        "groups%3DC0001%253A1%252CC0002%253A0%252CC0003%253A1%252CC0004%253A1",
        "C0001:1,C0002:0,C0003:1,C0004:1",
        '{"C0001": true, "C0002": false, "C0003": true, "C0004": true}',
        '{"groups": {"C0001": 1, "C0002": 0, "C0003": 1, "C0004": 1}}',
    ],
)
def test_onetrust_however_it_is_written(value: str) -> None:
    assert categories({"onetrust": value}) == ANSWERED


def test_onetrust_before_the_answer_refuses_nothing() -> None:
    unanswered = ONETRUST.replace("interactionCount=1", "interactionCount=0").replace("C0004%3A1", "C0004%3A0")
    assert categories({"onetrust": unanswered}) == {"essential": True, "functional": True, "personalization": True}
    assert categories({"onetrust": ",C0001,C0003,"}) == {"essential": True, "functional": True, "personalization": True}


@pytest.mark.parametrize(
    ("targeting", "social", "granted"), [(1, 1, True), (1, 0, False), (0, 1, False), (0, 0, False)]
)
def test_several_codes_on_one_category_must_all_be_granted(targeting: int, social: int, granted: bool) -> None:
    assert categories({"onetrust": f"C0001:1,C0004:{targeting},C0005:{social}"})["marketing"] is granted
    any_of = Cmp(combine="any")
    given = categories({"onetrust": f"C0001:1,C0004:{targeting},C0005:{social}"}, rule=any_of)["marketing"]
    assert given is bool(targeting or social)


@pytest.mark.parametrize("flag", ["browserGpcFlag=0", "isGpcEnabled=0"])
def test_onetrust_says_that_global_privacy_control_is_on(flag: str) -> None:
    assert "gpc" not in completed({"onetrust": ONETRUST})
    assert completed({"onetrust": ONETRUST.replace(flag, flag[:-1] + "1")})["gpc"] is True


# -- Cookiebot ---------------------------------------------------------------------------------------------------------

COOKIEBOT = (
    "{stamp:%27x3Kq==%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:true%2Cmarketing:false"
    "%2Cmethod:%27explicit%27%2Cver:1%2Cutc:1740000000000%2Cregion:%27de%27}"
)


def test_onetrust_reads_no_answer_from_the_address_of_the_page() -> None:
    address = "https%3A%2F%2Fshop.example%2F%3Fa%3D1%26groups%3DC0004%3A1"
    assert categories(cookies={"OptanonConsent": f"groups=C0004%3A0&landingPath={address}"})["marketing"] is False


def test_cookiebot() -> None:
    expected = {"essential": True, "functional": False, "analytics": True, "marketing": False, "personalization": False}
    assert categories(cookies={"CookieConsent": COOKIEBOT}) == expected
    assert categories({"cookiebot": COOKIEBOT}) == expected
    page = {"necessary": True, "preferences": False, "statistics": True, "marketing": False, "method": "explicit"}
    assert categories({"cookiebot": page}) == expected
    assert categories({"cookiebot": json.dumps(page)}) == expected


def test_cookiebot_where_no_consent_is_needed() -> None:
    assert set(categories(cookies={"CookieConsent": "-1"}).values()) == {True}


def test_cookiebot_before_the_answer_refuses_nothing() -> None:
    page = {"necessary": True, "preferences": False, "statistics": False, "marketing": False, "method": None}
    assert categories({"cookiebot": page}) == {"essential": True}
    answered = {**page, "method": "explicit"}
    assert categories({"cookiebot": {**answered, "hasResponse": False}}) == {"essential": True}
    assert categories({"cookiebot": {**answered, "hasResponse": True}})["marketing"] is False
    assert categories(
        {"cookiebot": COOKIEBOT.replace("x3Kq==", "0").replace("statistics:true", "statistics:false")}
    ) == {"essential": True}


# -- Didomi ------------------------------------------------------------------------------------------------------------


def didomi(enabled: list[str], disabled: list[str]) -> str:
    token = {
        "user_id": "178-4114c",
        "created": "2021-03-17T16:46:32.344Z",
        "updated": "2021-03-17T16:46:32.344Z",
        "vendors": {"enabled": ["google"], "disabled": ["marketing"]},
        "purposes": {"enabled": enabled, "disabled": disabled},
        "vendors_li": {"enabled": ["google"]},
        "version": 2,
    }
    return base64.b64encode(json.dumps(token).encode()).decode()


def test_didomi() -> None:
    token = didomi(["analytics", "advertising_personalization"], ["content_personalization"])
    expected = {"analytics": True, "marketing": True, "personalization": False}
    assert categories(cookies={"didomi_token": token}) == expected
    assert categories(cookies={"didomi_token": token.replace("=", "%3D")}) == expected
    assert categories({"didomi": token}) == expected


def test_didomi_before_the_answer_says_nothing() -> None:
    assert categories(cookies={"didomi_token": didomi([], [])}) == {}


def test_a_sites_own_purposes_are_named_by_its_rule() -> None:
    rule = Cmp(categories={"marketing": ("ads-X9SDWkg2", "retargeting-VFep")})
    assert categories({"didomi": didomi(["ads-X9SDWkg2", "retargeting-VFep"], [])}, rule=rule) == {"marketing": True}
    assert categories({"didomi": didomi(["ads-X9SDWkg2"], ["retargeting-VFep"])}, rule=rule) == {"marketing": False}
    assert categories({"didomi": didomi(["ads-X9SDWkg2"], [])}, rule=rule) == {}


# -- Osano -------------------------------------------------------------------------------------------------------------


def test_osano() -> None:
    page = {
        "ESSENTIAL": "ACCEPT",
        "MARKETING": "DENY",
        "PERSONALIZATION": "ACCEPT",
        "ANALYTICS": "ACCEPT",
        "OPT_OUT": "DENY",
    }
    expected = {"essential": True, "functional": True, "analytics": True, "marketing": False, "personalization": True}
    assert categories({"osano": page}) == expected
    assert categories(cookies={"osano_consentmanager": json.dumps(page)}) == expected


def test_osanos_opt_out_of_sale_is_a_refusal_of_marketing() -> None:
    assert categories({"osano": {"MARKETING": "ACCEPT", "OPT_OUT": "ACCEPT"}}) == {"marketing": False}
    assert categories({"osano": {"MARKETING": "ACCEPT", "OPT_OUT": "DENY"}}) == {"marketing": True}


def test_osanos_cookie_is_encrypted_and_says_nothing() -> None:
    cookie = "t5e_8v4OumSWIPLrZ4C41VM5pbZtizjk9iq9tINRnyNKTilP8TdS6VVw4LRuPqu7bFZzr58O7_e5GBbGnbTXLx7I2txKIn9Kehv="
    assert completed(cookies={"osano_consentmanager": cookie}) == {}


# -- a tool that is not known by name ----------------------------------------------------------------------------------

OWN = Cmp(cookie="shop_consent")


@pytest.mark.parametrize(
    "value",
    [
        '{"marketing": true, "analytics": false}',
        "%7B%22marketing%22%3Atrue%2C%22analytics%22%3Afalse%7D",
        '{"categories": {"marketing": "granted", "analytics": "denied"}}',
        "marketing:1,analytics:0",
        "marketing=true;analytics=false",
        "marketing:yes|analytics:no",
        base64.b64encode(b'{"marketing": true, "analytics": false}').decode(),
    ],
)
def test_an_own_cookie_of_pairs(value: str) -> None:
    assert categories(cookies={"shop_consent": value}, rule=OWN) == {"marketing": True, "analytics": False}


@pytest.mark.parametrize(
    "value", ["analytics,marketing", "analytics;marketing", "analytics%2Cmarketing", '["analytics","marketing"]']
)
def test_an_own_cookie_that_lists_what_was_granted(value: str) -> None:
    found = categories(cookies={"shop_consent": value}, rule=OWN)
    assert {name for name, granted in found.items() if granted} == {"analytics", "marketing"}
    assert found["personalization"] is False


@pytest.mark.parametrize(
    "value",
    [
        '{"analytics": true, "marketing": "perhaps", "personalization": 2}',
        '{"enabled": ["analytics", 5, null], "disabled": [{}]}',
    ],
)
def test_what_cannot_be_understood_says_nothing_and_spoils_nothing_else(value: str) -> None:
    assert completed(cookies={"shop_consent": value}, rule=OWN) == {"categories": {"analytics": True}}


@pytest.mark.parametrize("key", ["level", "categories", "services", "accepted"])
def test_an_own_cookie_that_lists_them_under_a_name(key: str) -> None:
    cookie = json.dumps({key: ["necessary", "marketing"], "revision": 3, "consentId": "c-1"})
    found = categories(cookies={"shop_consent": cookie}, rule=OWN)
    assert {name for name, granted in found.items() if granted} == {"essential", "marketing"}
    assert found["analytics"] is False


def test_an_own_cookie_that_lists_both_answers() -> None:
    cookie = json.dumps({"accepted": ["marketing"], "rejected": ["analytics"]})
    found = categories(cookies={"shop_consent": cookie}, rule=OWN)
    assert (found["marketing"], found["analytics"]) == (True, False)


def test_an_own_cookie_whose_list_is_empty_refuses_everything() -> None:
    assert set(categories(cookies={"shop_consent": '{"categories": []}'}, rule=OWN).values()) == {False}


def test_pairs_with_a_second_sign_in_the_value() -> None:
    assert dict(pairs("a:1,b=0;c:x=y|d=x:y,e,:,f=")) == {"a": "1", "b": "0", "c": "x=y", "d": "x:y", "": "", "f": ""}


def test_an_own_cookie_with_own_codes() -> None:
    rule = Cmp(cookie="shop_consent", categories={"marketing": ("3", "4"), "analytics": ("2",)})
    assert categories(cookies={"shop_consent": "1,2,3"}, rule=rule) == {"marketing": False, "analytics": True}
    assert categories(cookies={"shop_consent": "2"}, rule=rule)["analytics"] is True, "a list of one"
    any_of = Cmp(cookie="shop_consent", categories={"marketing": ("3", "4")}, combine="any")
    assert categories(cookies={"shop_consent": "1,2,3"}, rule=any_of) == {"marketing": True}


def test_with_an_own_cookie_no_other_tool_is_read() -> None:
    assert categories({"onetrust": ONETRUST}, {"CookieConsent": COOKIEBOT}, rule=OWN) == {}


# -- several at once ---------------------------------------------------------------------------------------------------


def test_the_tool_that_the_page_saw_counts_and_not_what_another_one_left_behind() -> None:
    old = COOKIEBOT.replace("marketing:false", "marketing:true")
    refused = ONETRUST.replace("C0004%3A1", "C0004%3A0")
    assert categories({"onetrust": refused}, {"CookieConsent": old})["marketing"] is False


def test_where_nothing_says_which_one_is_in_use_a_refusal_wins() -> None:
    assert categories(cookies={"OptanonConsent": ONETRUST, "CookieConsent": COOKIEBOT})["marketing"] is False


def test_what_the_event_says_explicitly_wins() -> None:
    consent = {"categories": {"marketing": False}, "usPrivacy": "1YNN", "tcf": {"tcString": GRANTS_NOTHING}}
    cookies = {"usprivacy": "1YYN", "euconsent-v2": GRANTS_CRITEO}
    found = completed({"onetrust": ONETRUST}, cookies, consent=consent)
    assert found["categories"] == {**ANSWERED, "marketing": False}
    assert (found["usPrivacy"], found["tcf"]) == ("1YNN", {"tcString": GRANTS_NOTHING})


def test_segments_preferences_are_explicit_too() -> None:
    found = completed({"onetrust": ONETRUST}, consent={"categoryPreferences": {"C0004": False, "marketing": False}})
    assert found["categories"]["marketing"] is False
    assert completed(consent={"categoryPreferences": {"marketing": True}})["categories"] == {"marketing": True}


def test_segments_consent_manager_wrote_categories_among_the_destinations() -> None:
    given = {"destinationPreferences": {"advertising": True, "marketingAndAnalytics": False, "Criteo": True}}
    assert completed(consent=given) == {**given, "categories": {"marketing": False, "analytics": False}}


# -- RudderStack's words -----------------------------------------------------------------------------------------------


def rudderstack(rule: Cmp | None = None, **given: Any) -> dict[str, bool]:
    context: dict[str, Any] = {"consentManagement": given}
    complete(context, {}, False, rule or Cmp())
    found: dict[str, bool] = context.get("consent", {}).get("categories", {})
    return found


@pytest.mark.parametrize(
    "allowed",
    [["C0001", "C0004"], {"C0001": "Strictly Necessary", "C0004": "Targeting"}, {"0": "C0001", "1": "C0004"},
     {"C0001": True, "C0002": False, "C0004": True}],
)  # fmt: skip
def test_allowed_and_denied(allowed: Any) -> None:
    found = rudderstack(provider="oneTrust", allowedConsentIds=allowed, deniedConsentIds=["C0002"])
    assert found == {"essential": True, "marketing": True, "analytics": False}


def test_canonical_names_and_a_sites_own() -> None:
    assert rudderstack(allowedConsentIds=["analytics"], deniedConsentIds=["Marketing"]) == {
        "analytics": True,
        "marketing": False,
    }
    rule = Cmp(categories={"marketing": ("7",)})
    assert rudderstack(rule, provider="iubenda", allowedConsentIds=["7"], deniedConsentIds=[]) == {"marketing": True}


def test_both_lists_refuse() -> None:
    assert rudderstack(allowedConsentIds=["marketing"], deniedConsentIds=["marketing"]) == {"marketing": False}


@pytest.mark.parametrize("given", [{}, {"allowedConsentIds": [], "deniedConsentIds": []}, {"allowedConsentIds": 5}])
def test_before_the_answer_nothing_is_said(given: dict[str, Any]) -> None:
    assert rudderstack(**given) == {}


@pytest.mark.parametrize("given", [None, {"gpc": False}])
def test_global_privacy_control_is_on_where_it_is_on_anywhere(given: Any) -> None:
    assert completed(gpc=True, consent=given) == {"gpc": True}
    assert completed(gpc=False, consent={"gpc": True}) == {"gpc": True}


def test_tc_string_and_us_privacy_come_from_their_cookies() -> None:
    cookies = {"euconsent-v2": GRANTS_CRITEO, "usprivacy": "1YNN"}
    assert completed(cookies=cookies) == {"tcf": {"tcString": GRANTS_CRITEO}, "usPrivacy": "1YNN"}
    waiting = {"tcf": {"gdprApplies": True}}
    assert completed(cookies=cookies, consent=waiting)["tcf"] == {"gdprApplies": True, "tcString": GRANTS_CRITEO}
    waiting["tcf"]["tcString"] = ""
    assert completed(cookies=cookies, consent=waiting)["tcf"] == {"gdprApplies": True, "tcString": GRANTS_CRITEO}


def test_an_event_of_which_nothing_is_known_is_left_as_it_is() -> None:
    for nothing in ({"page": {}}, {"cmp": {}, "page": {}}):
        context: dict[str, Any] = dict(nothing)
        complete(context, {}, False, Cmp())
        assert context == {"page": {}}


# -- whatever it holds -------------------------------------------------------------------------------------------------

HOSTILE = [
    "", " ", "{", "[", "%", "%7B", "{{{{", "[" * 5000, '{"a":' * 3000, "eyJ", "ey" + "A" * 8000, "a:1," * 2000,
    "=" * 8000, "groups=" + "C0004%3A1%2C" * 600, "\x00\ud800", "-" * 8192, "a" * 8191 + ":", "a" * 100_000,
    "%25" * 2700, "C0004:1", "null", "1e999",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_do_no_harm(value: str) -> None:
    names = (
        "OptanonConsent",
        "CookieConsent",
        "didomi_token",
        "osano_consentmanager",
        "euconsent-v2",
        "usprivacy",
        "own",
    )
    for rule in (Cmp(), Cmp(cookie="own"), Cmp(categories={"marketing": ("x",)})):
        found = completed(
            dict.fromkeys(("onetrust", "cookiebot", "didomi", "osano"), value), dict.fromkeys(names, value), rule=rule
        )
        assert len(json.dumps(found, default=str)) < 25_000


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([ONETRUST, COOKIEBOT, "a:1", "-1"]),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["groups", "enabled", "purposes"]), inner)
    ),
    max_leaves=8,
)
tools = st.dictionaries(st.sampled_from(["onetrust", "cookiebot", "didomi", "osano", "other"]), values)
jars = st.dictionaries(
    st.sampled_from(["OptanonConsent", "CookieConsent", "didomi_token", "osano_consentmanager", "euconsent-v2", "own"]),
    st.text() | st.sampled_from([ONETRUST, COOKIEBOT]),
)


@given(values | tools, jars, values, st.booleans(), st.sampled_from([Cmp(), Cmp(cookie="own"), Cmp(combine="any")]))
def test_whatever_comes_it_never_raises(cmp: Any, cookies: dict[str, str], consent: Any, gpc: bool, rule: Cmp) -> None:
    context = {"cmp": cmp, "consent": consent}
    complete(context, cookies, gpc, rule)
    assert "cmp" not in context
    if gpc:
        assert context["consent"]["gpc"] is True
