"""What the pages of a shop get from the collector: an identity that lasts, once the visitor has agreed."""

import re
from uuid import UUID

import msgspec
import pytest
from tests.collect.client import NOW
from tests.collect.pages import GRANTED, OTHER_PROPOSAL, PROPOSAL, RAPTOR, REFUSED, WEB, Shop
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING

from firsthand.config import Cookies

ID = "5e0b7c1d-9a8f-4e6d-b3c2-a1908f7e6d5c"
SESSION = "d2c1b0a9-8f7e-4d6c-9b5a-483726150403"
DAY = 86_400
YEAR = 365 * DAY


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def raptor() -> Shop:
    return Shop(integrations=[RAPTOR])


def attributes(header: str) -> set[str]:
    return set(header.split("; ")[1:])


# -- consent first ---------------------------------------------------------------------------------------------------


async def test_nothing_is_set_before_the_visitor_has_answered(raptor: Shop) -> None:
    answer = await raptor.sends()
    assert (answer.status, answer.set_cookies) == (200, [])
    assert raptor.last["anonymousId"] == PROPOSAL
    assert "sessionId" not in raptor.last["context"]
    assert "ids" not in raptor.last["context"]


async def test_with_consent_the_proposal_becomes_the_visitors_id(shop: Shop) -> None:
    answer = await shop.sends(consent=GRANTED)
    assert answer.cookies.keys() == {"fh_aid", "fh_sid"}
    assert answer.cookies["fh_aid"] == PROPOSAL == shop.last["anonymousId"]
    assert answer.cookies["fh_sid"] == shop.last["context"]["sessionId"]
    assert UUID(answer.cookies["fh_sid"]).version == 4


async def test_cookies_are_for_the_whole_site_and_for_no_script(shop: Shop) -> None:
    answer = await shop.sends(consent=GRANTED)
    everywhere = {"Domain=.shop.example", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
    anonymous, session = answer.set_cookies
    assert attributes(anonymous) == everywhere | {f"Max-Age={400 * DAY}"}
    assert attributes(session) == everywhere | {"Max-Age=1200"}


@pytest.mark.parametrize(
    ("consent", "kept"),
    [
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}, True),
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_NOTHING}}, False),
        ({"tcf": {"gdprApplies": False}}, True),
        ({"categories": {"analytics": True}}, True),
        ({"categories": {"essential": True}}, False),
        ({"gpc": True, "categories": {"marketing": True}}, True),
        ({"gpc": True}, False),
        ("yes", False),
        (["marketing"], False),
        ({"categories": "all"}, False),
        ({"tcf": {"tcString": "nonsense"}}, False),
        ({}, False),
    ],
)
async def test_what_allows_cookies(shop: Shop, consent: object, kept: bool) -> None:
    answer = await shop.sends(consent=consent)
    assert answer.status == 200
    assert bool(answer.set_cookies) is kept


async def test_a_source_may_need_no_consent() -> None:
    shop = Shop(msgspec.structs.replace(WEB, cookies=Cookies(requires="none")))
    assert (await shop.sends()).cookies["fh_aid"] == PROPOSAL


async def test_the_consent_tools_own_cookie_is_read(shop: Shop) -> None:
    shop.jar["OptanonConsent"] = "interactionCount=1&groups=C0001%3A1%2CC0004%3A1"
    assert "fh_aid" in (await shop.sends()).cookies
    assert shop.last["context"]["consent"]["categories"]["marketing"] is True


async def test_what_the_page_saw_of_its_consent_tool_is_read_and_not_kept(shop: Shop) -> None:
    raw = "interactionCount=1&groups=C0001%3A1%2CC0004%3A0"
    assert (await shop.sends({"context": {"cmp": {"onetrust": raw}}})).set_cookies == []
    assert shop.last["context"]["consent"]["categories"]["marketing"] is False
    assert "cmp" not in shop.last["context"]


async def test_the_browsers_own_objection_is_noted(shop: Shop) -> None:
    await shop.sends(headers={"sec-gpc": "1"})
    assert shop.last["context"]["consent"] == {"gpc": True}


# -- the visitor's id ------------------------------------------------------------------------------------------------


async def test_the_cookie_wins_over_a_proposal_and_the_two_are_linked(shop: Shop) -> None:
    await shop.sends(consent=GRANTED)
    shop.proposal = OTHER_PROPOSAL  # another page load
    answer = await shop.sends(consent=GRANTED)
    assert (shop.last["anonymousId"], shop.last["previousId"]) == (PROPOSAL, OTHER_PROPOSAL)
    assert answer.cookies["fh_aid"] == PROPOSAL


async def test_the_proposal_that_became_the_cookie_is_linked_to_nothing(shop: Shop) -> None:
    await shop.sends(consent=GRANTED)
    await shop.sends(consent=GRANTED)
    assert "previousId" not in shop.last


async def test_after_a_reset_the_next_visitor_is_somebody_else(raptor: Shop) -> None:
    await raptor.sends({"type": "identify", "traits": {"email": "ann@shop.example"}}, consent=GRANTED)
    before = dict(raptor.jar)
    raptor.proposal = OTHER_PROPOSAL
    await raptor.sends({"context": {"reset": True}}, consent=GRANTED)
    assert raptor.last["anonymousId"] == raptor.jar["fh_aid"] == OTHER_PROPOSAL
    assert raptor.jar["fh_sid"] != before["fh_sid"]
    assert "rsaRuid" not in raptor.jar
    assert not {"previousId", "reset"} & {*raptor.last, *raptor.last["context"]}
    await raptor.sends({"context": {"reset": True}}, consent=GRANTED)  # as all events until the next page
    assert raptor.last["anonymousId"] == OTHER_PROPOSAL


async def test_before_the_answer_an_old_cookie_is_neither_read_nor_removed(shop: Shop) -> None:
    shop.jar["fh_aid"] = ID
    answer = await shop.sends()
    assert answer.set_cookies == []
    assert shop.last["anonymousId"] == PROPOSAL


async def test_an_answer_in_the_middle_of_a_batch_holds_from_there_on(shop: Shop) -> None:
    shop.jar["fh_aid"] = ID
    answer = await shop.sends({}, {"context": {"consent": GRANTED}})
    before, after = shop.kept
    assert before["anonymousId"] == PROPOSAL
    assert (after["anonymousId"], after["previousId"]) == (ID, PROPOSAL)
    assert answer.cookies["fh_aid"] == ID


async def test_a_withdrawal_removes_what_was_set(raptor: Shop) -> None:
    await raptor.sends(consent=GRANTED)
    raptor.jar |= {"fh_sync_criteo": "1795348800", "cart": "42"}
    answer = await raptor.sends(consent=REFUSED)
    gone = {"fh_aid", "fh_sid", "rsa", "rsaSession", "fh_sync_criteo"}
    assert answer.cookies == dict.fromkeys(gone, "")
    assert all({"Max-Age=0", "Domain=.shop.example", "Path=/"} <= attributes(header) for header in answer.set_cookies)
    assert raptor.jar == {"cart": "42"}
    assert raptor.last["anonymousId"] == PROPOSAL
    assert "ids" not in raptor.last["context"]
    assert (await raptor.sends(consent=REFUSED)).set_cookies == []


async def test_the_last_answer_of_a_batch_is_the_visitors(shop: Shop) -> None:
    shop.jar["fh_aid"] = ID
    answer = await shop.sends({"context": {"consent": GRANTED}}, {"context": {"consent": REFUSED}})
    assert answer.cookies == {"fh_aid": ""}
    assert [event["anonymousId"] for event in shop.kept] == [ID, PROPOSAL]


async def test_two_first_hits_at_once_are_one_visitor(raptor: Shop) -> None:
    one = await raptor.sends(consent=GRANTED)
    raptor.jar.clear()  # the second one was sent before the answer to the first had come
    two = await raptor.sends(consent=GRANTED)
    assert one.cookies == two.cookies
    assert one.cookies.keys() == {"fh_aid", "fh_sid", "rsa", "rsaSession"}
    assert len(set(one.cookies.values())) == 4
    first, second = raptor.kept
    assert first["context"]["ids"] == second["context"]["ids"]


async def test_first_hits_at_once_of_other_scripts_and_images_are_one_visitor_too(raptor: Shop) -> None:
    query = f"writeKey=web-key&event=Seen&anonymousId={PROPOSAL}&context.consent.categories.marketing=true"
    event = {"context": {"library": {"name": "analytics.js"}, "consent": GRANTED}, "anonymousId": PROPOSAL}
    made = []
    for _ in range(2):
        made.append((await raptor.sends(event)).cookies)
        raptor.jar.clear()
        made.append((await raptor.asks("GET", "/v1/pixel/track", query=query)).cookies)
        raptor.jar.clear()
    assert made == [made[0]] * 4
    assert made[0].keys() == {"fh_sid", "rsa", "rsaSession"}
    assert len({event["context"]["sessionId"] for event in raptor.kept}) == 1


async def test_two_visitors_have_nothing_in_common(raptor: Shop) -> None:
    one = await raptor.sends(consent=GRANTED)
    raptor.jar.clear()
    raptor.proposal = OTHER_PROPOSAL
    two = await raptor.sends(consent=GRANTED)
    assert not set(one.cookies.values()) & set(two.cookies.values())


@pytest.mark.parametrize("library", [None, {"name": "analytics.js"}, "firsthand.js", {"name": ["firsthand.js"]}])
async def test_events_of_other_scripts_keep_their_id(shop: Shop, library: object) -> None:
    shop.jar["fh_aid"] = ID
    await shop.sends({"context": {"library": library, "consent": GRANTED}, "anonymousId": "visitor-1"})
    assert shop.last["anonymousId"] == "visitor-1"
    assert "previousId" not in shop.last
    assert "sessionId" in shop.last["context"]


async def test_a_proposal_that_is_none_becomes_no_cookie(shop: Shop) -> None:
    answer = await shop.sends({"anonymousId": "everyone"}, consent=GRANTED)
    assert answer.cookies.keys() == {"fh_sid"}
    assert shop.last["anonymousId"] == "everyone"


async def test_a_user_without_a_proposal_gets_an_id(shop: Shop) -> None:
    answer = await shop.sends({"anonymousId": None, "userId": "user-1"}, consent=GRANTED)
    assert shop.last["anonymousId"] == answer.cookies["fh_aid"]


@pytest.mark.parametrize(
    "value", ["", "1", "null", ID[:-1], f"{ID}0", f"{ID}%20", "x" * 5000, "../../etc", f'"{ID}"', "%00" * 12, "é" * 36]
)
async def test_a_malformed_id_is_replaced(shop: Shop, value: str) -> None:
    shop.jar |= {"fh_aid": value, "fh_sid": value}
    answer = await shop.sends(consent=GRANTED)
    assert answer.cookies["fh_aid"] == PROPOSAL
    assert UUID(answer.cookies["fh_sid"])


async def test_a_sound_id_is_found_behind_somebody_elses(shop: Shop) -> None:
    shop.headers["cookie"] = f"fh_aid=mine; fh_aid={ID}; fh_aid={OTHER_PROPOSAL}"
    assert (await shop.sends(consent=GRANTED)).cookies["fh_aid"] == ID


# -- the session -----------------------------------------------------------------------------------------------------


async def test_a_session_goes_on_while_there_are_events_and_ends_twenty_minutes_after(shop: Shop) -> None:
    first = (await shop.sends(consent=GRANTED)).cookies["fh_sid"]
    shop.client.now = NOW + 1199
    again = await shop.sends(consent=GRANTED)
    assert again.cookies["fh_sid"] == first
    assert "Max-Age=1200" in again.set_cookies[1]  # counted from here
    del shop.jar["fh_sid"]  # as the browser does when they have passed
    shop.client.now += 1200
    assert (await shop.sends(consent=GRANTED)).cookies["fh_sid"] != first


async def test_all_events_of_a_request_are_of_one_session(shop: Shop) -> None:
    await shop.sends({}, {}, consent=GRANTED)
    first, second = shop.kept
    assert first["context"]["sessionId"] == second["context"]["sessionId"]


async def test_names_and_lifetimes_are_the_sources() -> None:
    cookies = Cookies(anonymous_id="aid", session="sid", max_age=60.0, session_max_age=30.0)
    shop = Shop(msgspec.structs.replace(WEB, cookies=cookies))
    answer = await shop.sends(consent=GRANTED)
    assert answer.cookies.keys() == {"aid", "sid"}
    assert ["Max-Age=60" in answer.set_cookies[0], "Max-Age=30" in answer.set_cookies[1]] == [True, True]


# -- vendors' cookies ------------------------------------------------------------------------------------------------


async def test_a_vendors_cookies_are_made_and_read(raptor: Shop) -> None:
    answer = await raptor.sends(consent=GRANTED)
    made = {"raptor_coid": answer.cookies["rsa"], "raptor_sid": answer.cookies["rsaSession"]}
    assert raptor.last["context"]["ids"] == made
    assert all(UUID(value).version == 4 for value in made.values())
    again = await raptor.sends(consent=GRANTED)
    assert raptor.last["context"]["ids"] == made
    lives = {header.partition("=")[0]: re.search(r"Max-Age=(\d+)", header) for header in again.set_cookies}
    assert {name: int(found[1]) for name, found in lives.items() if found and name in ("rsa", "rsaSession")} == {
        "rsa": YEAR,
        "rsaSession": 1200,
    }


@pytest.mark.parametrize("value", ["0123456789ABCDEF0123456789ABCDEF", ID])
async def test_a_vendors_own_cookie_goes_on(raptor: Shop, value: str) -> None:
    """Raptor's script writes 32 digits without hyphens."""
    raptor.jar["rsa"] = value
    assert (await raptor.sends(consent=GRANTED)).cookies["rsa"] == value


async def test_the_ids_of_a_landing_page_are_kept(raptor: Shop) -> None:
    page = {"url": "https://www.shop.example/tents?utm_source=mail&reaid=a%2Bb&x=1"}
    answer = await raptor.sends({"context": {"page": page}}, consent=GRANTED)
    assert raptor.last["context"]["ids"]["raptor_reaid"] == "a+b"
    assert answer.cookies["rsaReaId"] == "a+b"
    answer = await raptor.sends(consent=GRANTED)
    assert raptor.last["context"]["ids"]["raptor_reaid"] == "a+b"
    assert "rsaReaId" not in answer.cookies  # set when it is in the address, and only then
    page = {"url": "https://www.shop.example/?reaid=newer"}
    await raptor.sends({"context": {"page": page}}, consent=GRANTED)
    assert raptor.jar["rsaReaId"] == raptor.last["context"]["ids"]["raptor_reaid"] == "newer"


async def test_the_landing_page_is_remembered_until_the_answer_comes(raptor: Shop) -> None:
    page = {"url": "https://www.shop.example/?reaid=r1"}
    answer = await raptor.sends({"context": {"page": page}}, {"context": {"consent": GRANTED}})
    assert answer.cookies["rsaReaId"] == "r1"
    before, after = raptor.kept
    assert before["context"]["ids"] == {"raptor_reaid": "r1"}  # it is in the address that the event carries anyway
    assert after["context"]["ids"]["raptor_reaid"] == "r1"


@pytest.mark.parametrize(
    "query",
    [
        *("reaid=", "reaid=a%0d%0aSet-Cookie:x", "reaid=%FF", "xreaid=1", f"reaid={'x' * 600}", "reaid=a%20b"),
        *("reaid=ada@example.com", "reaid=ada%40example.com", "reaid=ada%2540example.com"),
    ],
)
async def test_no_id_is_made_of_nonsense_in_an_address(raptor: Shop, query: str) -> None:
    page = {"url": f"https://www.shop.example/?{query}"}
    answer = await raptor.sends({"context": {"page": page}}, consent=GRANTED)
    assert "rsaReaId" not in answer.cookies
    assert "raptor_reaid" not in raptor.last["context"]["ids"]


async def test_an_email_address_is_kept_and_never_in_clear_text(raptor: Shop) -> None:
    answer = await raptor.sends({"type": "identify", "traits": {"email": "ann@shop.example"}}, consent=GRANTED)
    assert raptor.last["context"]["ids"]["raptor_ruid"] == "ann@shop.example"
    assert re.fullmatch(r"[\w-]{40,}", raptor.jar["rsaRuid"])
    assert "ann" not in str(answer.set_cookies)
    await raptor.sends(consent=GRANTED)
    assert raptor.last["context"]["ids"]["raptor_ruid"] == "ann@shop.example"
    await raptor.sends({"type": "identify", "traits": {"email": "bo@shop.example"}}, consent=GRANTED)
    await raptor.sends(consent=GRANTED)
    assert raptor.last["context"]["ids"]["raptor_ruid"] == "bo@shop.example"


async def test_an_email_address_that_somebody_else_encrypted_is_none(raptor: Shop) -> None:
    other = Shop(integrations=[RAPTOR])
    await other.sends({"type": "identify", "traits": {"email": "ann@shop.example"}}, consent=GRANTED)
    for value in (other.jar["rsaRuid"], "ann@shop.example", "é" * 20, "A" * 900):
        raptor.jar["rsaRuid"] = value
        assert (await raptor.sends(consent=GRANTED)).status == 200
        assert "raptor_ruid" not in raptor.last["context"]["ids"]


async def test_the_id_of_the_vendors_own_script_is_taken_over(raptor: Shop) -> None:
    """Whose visitors were known by that script's cookie stay the same when it goes."""
    raptor.jar["1234rsa"] = "0A1B2C3D4E5F60718293A4B5C6D7E8F9"
    answer = await raptor.sends(consent=GRANTED)
    assert answer.cookies["rsa"] == raptor.last["context"]["ids"]["raptor_coid"] == raptor.jar["1234rsa"]
    raptor.jar["1234rsa"] = "F" * 32  # from here on our own counts
    assert (await raptor.sends(consent=GRANTED)).cookies["rsa"] == "0A1B2C3D4E5F60718293A4B5C6D7E8F9"
    assert {"rsa", "1234rsa"} <= (await raptor.sends(consent=REFUSED)).cookies.keys()
    assert not {"rsa", "1234rsa"} & raptor.jar.keys()


@pytest.mark.parametrize(("name", "value"), [("99rsa", "F" * 32), ("1234rsa", "v_42"), ("1234rsaSession", "F" * 32)])
async def test_a_cookie_that_is_not_that_is_not_taken_over(raptor: Shop, name: str, value: str) -> None:
    raptor.jar[name] = value
    answer = await raptor.sends(consent=GRANTED)
    assert value not in answer.cookies.values()
    assert name not in answer.cookies


async def test_what_an_event_says_itself_wins(raptor: Shop) -> None:
    said = {"ids": {"raptor_coid": "own", "criteo_gum_id": "g1"}, "sessionId": "mine"}
    await raptor.sends({"context": said}, consent=GRANTED)
    ids = raptor.last["context"]["ids"]
    assert (ids["raptor_coid"], ids["criteo_gum_id"]) == ("own", "g1")
    assert raptor.last["context"]["sessionId"] == "mine"


@pytest.mark.parametrize("change", [{"enabled": False}, {"sources": ("tills",)}])
async def test_an_integration_that_does_not_take_the_source_gets_no_cookies(change: dict[str, object]) -> None:
    shop = Shop(integrations=[msgspec.structs.replace(RAPTOR, **change)])
    assert (await shop.sends(consent=GRANTED)).cookies.keys() == {"fh_aid", "fh_sid"}


# -- every way in ----------------------------------------------------------------------------------------------------


async def test_a_single_event_is_answered_with_cookies(shop: Shop) -> None:
    answer = await shop.asks("POST", "/v1/page", {"writeKey": "web-key", **shop.event(GRANTED)})
    assert (answer.status, answer.json) == (200, {"success": True})
    assert answer.cookies["fh_aid"] == PROPOSAL


async def test_the_context_of_a_batch_holds_for_its_events(shop: Shop) -> None:
    body = {"writeKey": "web-key", "batch": [shop.event(), shop.event()], "context": {"consent": GRANTED}}
    assert (await shop.asks("POST", "/v1/batch", body)).cookies["fh_aid"] == PROPOSAL
    assert [event["context"]["consent"] for event in shop.kept] == [GRANTED, GRANTED]


async def test_a_pixel_on_a_page_is_answered_with_cookies(raptor: Shop) -> None:
    query = "writeKey=web-key&anonymousId=v1&context.consent.categories.marketing=true"
    page = {"referer": "https://www.shop.example/tents"}
    del raptor.headers["origin"]
    answer = await raptor.asks("GET", "/v1/pixel/page", None, page, query=query)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/gif")
    assert answer.cookies.keys() == {"fh_sid", "rsa", "rsaSession"}
    assert raptor.last["context"]["ids"]["raptor_coid"] == answer.cookies["rsa"]
    assert raptor.last["anonymousId"] == "v1"
    # In an e-mail nobody knows whose page it is.
    assert (await raptor.asks("GET", "/v1/pixel/page", query=query)).set_cookies == []


async def test_a_server_neither_gets_cookies_nor_are_its_read(shop: Shop) -> None:
    shop.jar["fh_aid"] = ID
    del shop.headers["origin"]
    assert (await shop.sends(consent=GRANTED)).set_cookies == []
    assert shop.last["anonymousId"] == PROPOSAL


async def test_no_cookie_without_the_event(shop: Shop) -> None:
    shop.client.log.full = True
    answer = await shop.sends(consent=GRANTED)
    assert (answer.status, answer.set_cookies) == (503, [])
    shop.client.log.full = False
    assert (await shop.sends({"type": "scream"}, consent=GRANTED)).set_cookies == []


# -- bots ------------------------------------------------------------------------------------------------------------

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("rule", "noted"),
    [
        ("filter", {"name": "Googlebot", "filtered": True}),
        ("mark", {"name": "Googlebot", "filtered": False}),
        ("ignore", None),
    ],
)
async def test_bots_are_noted(rule: str, noted: object) -> None:
    shop = Shop(msgspec.structs.replace(WEB, bots=rule))
    await shop.sends(headers={"user-agent": GOOGLEBOT})
    assert shop.last["context"].get("bot") == noted


async def test_a_server_may_tell_of_a_bot(shop: Shop) -> None:
    del shop.headers["origin"]
    await shop.sends({"context": {"userAgent": GOOGLEBOT}}, headers={"user-agent": "python-requests/2"})
    assert shop.last["context"]["bot"]["name"] == "Googlebot"
    await shop.sends(headers={"user-agent": "python-requests/2"})
    assert "bot" not in shop.last["context"]


@pytest.mark.parametrize("agent", [7, ["bot"], "", "x" * 9000, "bot" * 3000])
async def test_a_strange_user_agent_is_no_trouble(shop: Shop, agent: object) -> None:
    await shop.sends({"context": {"userAgent": agent}})
    assert len(str(shop.last["context"].get("bot", ""))) < 120
