"""What the script learns of the visitor's consent, and what may be kept on their device by it."""

import json
from typing import Any

import pytest
from tests.browser.shop import TCF_KEY, Json, Scene, cookies_of, proposal, stored
from tests.browser.site import STUB
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING, REFUSES_PURPOSES, encode
from tests.gateway import until

NOTHING = {"local": {}, "session": {}, "databases": 0}

CMP = """<script>
  const listeners = [];
  let state = {gdprApplies: true, eventStatus: "cmpuishown", tcString: "", tcfPolicyVersion: 5};
  window.answer = (more) => { state = {...state, ...more}; listeners.forEach((heard) => heard(state, true)); };
  window.__tcfapi = (command, version, heard) => {
    if (command === "addEventListener" && version === 2) { listeners.push(heard); heard(state, true); }
  };
</script>"""
"""A consent tool by IAB's framework, whose dialog is open until `answer` is called."""


def keeps_nothing(scene: Scene, visitor: Any, page: Any) -> bool:
    scene.answered()
    return visitor.cookies() == [] and stored(page) == NOTHING


def cookies(scene: Scene, visitor: Any) -> Json:
    scene.answered()
    return cookies_of(visitor)


# -- the shop's own banner -------------------------------------------------------------------------------------------


def test_before_an_answer_nothing_is_kept_and_each_page_is_somebody_new(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    page = scene.open(visitor)
    page.evaluate("() => firsthand.track('One')")
    scene.until("page", "One")
    page.reload()
    first, _, second = scene.until("page", "One", "page")
    assert keeps_nothing(scene, visitor, page)
    assert first["anonymousId"] != second["anonymousId"]
    assert "consent" not in first["context"]


def test_a_yes_lets_the_visitor_be_recognised(scene: Scene) -> None:
    scene.put()
    scene.put("next")
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    page.evaluate("() => firsthand.consent({categories: {analytics: true, marketing: false}})")
    page.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    first, one, two = scene.until("page", "Consent Updated", "Consent Updated")
    assert one["context"]["consent"] == {"categories": {"analytics": True, "marketing": False}}
    assert two["context"]["consent"] == {"categories": {"analytics": True, "marketing": True}}
    assert set(stored(page)["local"]) == {"fh_proposal"}
    kept = cookies(scene, visitor)
    assert {"fh_aid", "fh_sid"} <= kept.keys()
    for cookie in kept.values():
        assert (cookie["domain"], cookie["path"], cookie["sameSite"]) == (".shopname.com", "/", "Lax")
        assert cookie["httpOnly"]
    assert kept["fh_aid"]["value"] == first["anonymousId"] == one["anonymousId"]

    page.goto(scene.url("next", "basket.shopname.com"))
    later = scene.until("page", "Consent Updated", "Consent Updated", "page")[-1]
    # On this page nobody has answered yet, so that the cookies are not used either.
    assert later["anonymousId"] != first["anonymousId"]
    page.evaluate("() => firsthand.consent({categories: {analytics: true, marketing: true}})")
    last = scene.until("page", "Consent Updated", "Consent Updated", "page", "Consent Updated")[-1]
    assert (last["anonymousId"], last["previousId"]) == (first["anonymousId"], later["anonymousId"])
    assert last["context"]["sessionId"] == kept["fh_sid"]["value"]


def test_an_answer_that_is_known_from_the_start_goes_with_the_page_view(scene: Scene) -> None:
    scene.put(head=STUB + "<script>firsthand.consent({categories: {marketing: true}})</script>" + scene.tag())
    visitor = scene.visitor()
    scene.open(visitor)
    (view,) = scene.until("page")
    assert view["context"]["consent"] == {"categories": {"marketing": True}}
    assert cookies(scene, visitor)["fh_aid"]["value"] == view["anonymousId"]


def test_the_same_answer_again_is_not_told_again(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    scene.until("page")
    for _ in range(3):
        page.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    page.evaluate("() => firsthand.track('Last')")
    scene.until("page", "Consent Updated", "Last")


def test_a_no_keeps_nothing(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    page.evaluate("() => firsthand.consent({categories: {marketing: false, analytics: false}})")
    page.evaluate("() => firsthand.track('One')")
    events = scene.until("page", "Consent Updated", "One")
    assert events[-1]["context"]["consent"] == {"categories": {"marketing": False, "analytics": False}}
    assert keeps_nothing(scene, visitor, page)


def test_a_withdrawal_removes_what_was_kept(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    page.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    scene.until("page", "Consent Updated")
    assert "fh_aid" in cookies(scene, visitor)
    page.evaluate("() => firsthand.consent({categories: {marketing: false}})")
    scene.until("page", "Consent Updated", "Consent Updated")
    until("the cookies are gone", lambda: keeps_nothing(scene, visitor, page), 5)


def test_two_tabs_of_a_new_visitor_at_once_are_one_from_the_next_event_on(scene: Scene) -> None:
    """Neither may keep its proposal before the collector has said so; the cookie that stays links the other to it."""
    scene.put(head=STUB + "<script>firsthand.consent({categories: {marketing: true}})</script>" + scene.tag())
    visitor = scene.visitor()
    pages = [visitor.new_page(), visitor.new_page()]
    for page in pages:
        page.evaluate("(url) => { setTimeout(() => { location.href = url }, 50) }", scene.url())
    until("both have come", lambda: len(scene.events()) == 2, 15)
    id = cookies(scene, visitor)["fh_aid"]["value"]
    for number, page in enumerate(pages):
        page.evaluate(f"() => firsthand.track('E{number}')")
        assert scene.event(f"E{number}")["anonymousId"] == id
    linked = {id, *(event.get("previousId") for event in scene.events())}
    assert {event["anonymousId"] for event in scene.events()} <= linked
    assert cookies(scene, visitor)["fh_aid"]["value"] == id


def test_after_a_reset_whoever_comes_next_is_somebody_else(scene: Scene) -> None:
    scene.put(head=STUB + "<script>firsthand.consent({categories: {marketing: true}})</script>" + scene.tag())
    visitor = scene.visitor()
    page = scene.open(visitor)
    (first,) = [event for event in scene.until("page") if event["type"] == "page"]
    page.evaluate("() => { firsthand.reset(); firsthand.track('Another') }")
    another = scene.until("page", "Another")[-1]
    assert another["anonymousId"] != first["anonymousId"]
    assert "previousId" not in another
    assert proposal(page) == another["anonymousId"]
    assert cookies(scene, visitor)["fh_aid"]["value"] == another["anonymousId"]


# -- IAB's framework -------------------------------------------------------------------------------------------------


def test_a_dialog_that_is_open_is_no_answer(scene: Scene) -> None:
    scene.put(head=CMP + STUB + scene.tag(TCF_KEY))
    visitor = scene.visitor()
    page = scene.open(visitor)
    assert "consent" not in scene.until("page")[0]["context"]
    assert keeps_nothing(scene, visitor, page)
    page.evaluate("(tcString) => answer({eventStatus: 'useractioncomplete', tcString})", GRANTS_CRITEO)
    page_view, updated = scene.until("page", "Consent Updated")
    said = {"gdprApplies": True, "tcString": GRANTS_CRITEO, "policyVersion": 5}
    assert updated["context"]["consent"] == {"tcf": said}
    assert cookies(scene, visitor)["fh_aid"]["value"] == page_view["anonymousId"]
    assert set(stored(page)["local"]) == {"fh_proposal"}


@pytest.mark.parametrize(
    ("string", "kept"),
    [
        (GRANTS_CRITEO, True),
        (REFUSES_PURPOSES, True),  # of what matters here it grants purpose 1
        (GRANTS_NOTHING, False),
        (encode(purposes=range(2, 11), vendors=[91]), False),
        (encode(purposes=[1]), True),
    ],
)
def test_storing_is_purpose_1(scene: Scene, string: str, kept: bool) -> None:
    scene.put(
        head=CMP + f"<script>answer({{eventStatus: 'tcloaded', tcString: '{string}'}})</script>" + STUB + scene.tag()
    )
    visitor = scene.visitor()
    page = scene.open(visitor)
    (event,) = scene.until("page")
    assert event["context"]["consent"]["tcf"]["tcString"] == string
    assert ("fh_aid" in cookies(scene, visitor)) is kept
    assert ("fh_proposal" in stored(page)["local"]) is kept


def test_where_gdpr_does_not_apply(scene: Scene) -> None:
    scene.put(head=CMP + "<script>answer({gdprApplies: false})</script>" + STUB + scene.tag(TCF_KEY))
    visitor = scene.visitor()
    scene.open(visitor)
    (event,) = scene.until("page")
    assert event["context"]["consent"]["tcf"]["gdprApplies"] is False
    assert "fh_aid" in cookies(scene, visitor)


def test_a_consent_tool_that_comes_late(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag(TCF_KEY) + CMP.replace("window.__tcfapi", "window.later"))
    page = scene.open(scene.visitor())
    scene.until("page")
    page.evaluate("(tcString) => { __tcfapi = later; answer({eventStatus: 'tcloaded', tcString}) }", GRANTS_CRITEO)
    assert scene.until("page", "Consent Updated")[1]["context"]["consent"]["tcf"]["tcString"] == GRANTS_CRITEO


# -- tools with cookies of their own ---------------------------------------------------------------------------------

ONETRUST = "isGpcEnabled=0&datestamp={0}&interactionCount={1}&groups=C0001%3A1%2CC0002%3A{2}%2CC0004%3A{2}"
COOKIEBOT = (
    "{{stamp:%27x%27%2Cnecessary:true%2Cpreferences:{0}%2Cstatistics:{0}%2Cmarketing:{0}%2Cmethod:%27explicit%27}}"
)
TOLD = "dispatchEvent(new Event"
TOOLS = {
    "onetrust": (
        f"document.cookie = 'OptanonConsent={ONETRUST.format('Mon', 0, 0)}'",
        f"document.cookie = 'OptanonConsent={ONETRUST.format('Tue', 1, 1)}'; {TOLD}('OneTrustGroupsUpdated'))",
        f"document.cookie = 'OptanonConsent={ONETRUST.format('Wed', 2, 0)}'; {TOLD}('OneTrustGroupsUpdated'))",
    ),
    "cookiebot": (
        "0",
        f"document.cookie = 'CookieConsent={COOKIEBOT.format('true')}'; {TOLD}('CookiebotOnAccept'))",
        f"document.cookie = 'CookieConsent={COOKIEBOT.format('false')}'; {TOLD}('CookiebotOnDecline'))",
    ),
    "didomi": (
        "0",
        "document.cookie = 'didomi_token=' + btoa(JSON.stringify({purposes: {enabled: ['marketing', 'analytics']}}));",
        "document.cookie = 'didomi_token=' + btoa(JSON.stringify({purposes: {disabled: ['marketing', 'analytics']}}));",
    ),
    "osano": (
        "0",
        "Osano = {cm: {getConsent: () => ({MARKETING: 'ACCEPT', ANALYTICS: 'ACCEPT'})}}",
        "Osano = {cm: {getConsent: () => ({MARKETING: 'DENY', ANALYTICS: 'DENY'})}}",
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_the_answers_of_a_consent_tool(scene: Scene, tool: str) -> None:
    unanswered, yes, no = TOOLS[tool]
    scene.put(head=f"<script>{unanswered}</script>" + STUB + scene.tag())
    visitor = scene.visitor()
    page = scene.open(visitor)
    (first,) = scene.until("page")
    assert first["context"].get("consent", {}).get("categories", {}).get("marketing") is None
    assert "fh_aid" not in cookies(scene, visitor)
    page.evaluate(f"() => {{ {yes} }}")
    agreed = scene.until("page", "Consent Updated")[1]
    assert agreed["context"]["consent"]["categories"]["marketing"] is True
    assert "cmp" not in agreed["context"]
    assert cookies(scene, visitor)["fh_aid"]["value"] == first["anonymousId"]
    until("the script keeps its proposal", lambda: "fh_proposal" in stored(page)["local"], 5)
    page.evaluate(f"() => {{ {no} }}")
    refused = scene.until("page", "Consent Updated", "Consent Updated")[2]
    assert refused["context"]["consent"]["categories"]["marketing"] is False
    until("nothing is kept any more", lambda: not cookies(scene, visitor).keys() & {"fh_aid", "fh_sid"}, 5)
    assert stored(page) == NOTHING


# -- signals of the browser ------------------------------------------------------------------------------------------


def test_global_privacy_control_and_the_string_for_the_usa(scene: Scene) -> None:
    signals = """<script>
        Object.defineProperty(navigator, "globalPrivacyControl", {value: true});
        window.__uspapi = (command, version, heard) => heard({version: 1, uspString: "1YYN"}, true);
        </script>"""
    scene.put(head=signals + STUB + scene.tag())
    visitor = scene.visitor()
    page = scene.open(visitor)
    (event,) = scene.until("page")
    assert event["context"]["consent"] == {"gpc": True, "usPrivacy": "1YYN"}
    assert keeps_nothing(scene, visitor, page)


@pytest.mark.parametrize(
    ("ping", "heard"),
    [
        ({"signalStatus": "ready", "gppString": "DBABBg~BAoAAABA.QA", "applicableSections": [8]}, True),
        ({"gppString": "DBABBg~BAoAAABA.QA", "applicableSections": [8]}, True),
        ({"signalStatus": "not ready", "gppString": "DBABBg~BAoAAABA.QA", "applicableSections": [8]}, False),
        (None, False),
    ],
)
def test_the_global_privacy_platform(scene: Scene, ping: Json | None, heard: bool) -> None:
    tool = f"window.__gpp = (command, heard) => command === 'ping' && heard({json.dumps(ping)}, true)"
    scene.put(head=f"<script>{tool}</script>" + STUB + scene.tag())
    scene.open(scene.visitor())
    (event,) = scene.until("page")
    said = {"gpp": "DBABBg~BAoAAABA.QA", "gppSid": [8]}
    assert event["context"].get("consent") == (said if heard else None)
