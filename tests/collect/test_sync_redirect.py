"""Cookie syncs by redirect: the browser is led to the vendor and back, to an address that is for one visitor."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collect.client import NOW
from tests.collect.pages import OTHER_PROPOSAL, PROPOSAL
from tests.collect.test_sync import DAY, EVIL, ID, TCF, TCF_REFUSED, Page, age, criteo, error
from tests.consent.tc_strings import GRANTS_CRITEO

from firsthand.collect.pixel import GIF
from firsthand.config import Source
from firsthand.secret import Secret


@pytest.fixture
def page() -> Page:
    return Page()


# -- without a script ------------------------------------------------------------------------------------------------


async def test_the_browser_is_led_to_the_vendor_and_back(page: Page) -> None:
    page.jar["fh_aid"] = ID
    led = await page.goes()
    assert (led.status, led.body) == (302, b"")
    assert age(led, "fh_sync_criteo") == DAY, "should the vendor never lead back"
    location = led.headers["location"]
    query = parse_qs(urlsplit(location).query)
    assert location.startswith(f"https://gum.criteo.com/sync?c=123&a=1&r=1&gdpr=1&gdpr_consent={GRANTS_CRITEO}&u=")
    assert query["u"][0].startswith("https://events.shop.example/v1/sync/criteo/return/")
    assert query["u"][0].endswith("/@USERID@")
    assert ID not in location
    assert led.cookies["fh_aid"] == ID
    back = await page.comes_back(location, "gum%2F1%20%C3%A9?x")
    assert (back.status, back.body, back.headers["content-type"]) == (200, GIF, "image/gif")
    event = page.last
    assert (event["anonymousId"], event["properties"]["sync"]["status"]) == (ID, "OK")
    assert event["context"]["ids"] == {"criteo_gum_id@123": "gum/1 é"}
    assert event["context"]["consent"] == TCF
    assert age(back, "fh_sync_criteo") == 3 * DAY
    assert back.cookies.keys() == {"fh_sync_criteo"}


async def test_where_the_browser_blocks_its_cookies_the_page_that_asked_is_enough(page: Page) -> None:
    led = await page.goes()
    page.jar = {}
    back = await page.comes_back(led.headers["location"], "gum-1")
    assert (back.status, page.last["anonymousId"]) == (200, PROPOSAL)
    assert page.last["context"]["ids"] == {"criteo_gum_id@123": "gum-1"}
    assert back.set_cookies == [], "nobody knows whose browser it is"


@pytest.mark.parametrize("referer", ["https://www.shop.example/", "https://evil.example/", None])
async def test_where_the_browser_names_no_page_its_cookie_is_enough(page: Page, referer: str | None) -> None:
    led = await page.goes()
    back = await page.comes_back(led.headers["location"], "gum-1", referer)
    assert (back.status, age(back, "fh_sync_criteo")) == (200, 3 * DAY)
    assert page.last["anonymousId"] == PROPOSAL == page.jar["fh_aid"]


@pytest.mark.parametrize("cookies", [{}, {"fh_aid": OTHER_PROPOSAL}, {"fh_aid": "no id"}])
@pytest.mark.parametrize("referer", ["https://evil.example/", None])
async def test_an_address_for_somebody_else_is_refused(
    page: Page, cookies: dict[str, str], referer: str | None
) -> None:
    """Anybody gets one for an id of their own, and could show it to the shop's visitors."""
    location = (await page.goes()).headers["location"]
    page.jar = cookies
    back = await page.comes_back(location, "victims-gum", referer)
    assert (error(back), back.set_cookies, page.kept) == ((403, "address_invalid"), [], [])


async def test_a_visitor_who_has_become_somebody_else_is_not_who_asked(page: Page) -> None:
    location = (await page.goes()).headers["location"]
    page.jar["fh_aid"] = OTHER_PROPOSAL
    assert error(await page.comes_back(location, "gum-1")) == (403, "address_invalid")


async def test_an_address_for_somebody_who_keeps_no_cookie_is_not_for_a_browser_that_has_one() -> None:
    """Anybody can be shown it by a page of the shop that takes images from its visitors."""
    page = Page(criteo(basis="none"))
    location = (await page.goes(None)).headers["location"]
    page.jar["fh_aid"] = OTHER_PROPOSAL
    assert error(await page.comes_back(location, "victims-gum")) == (403, "address_invalid")
    assert page.kept == []


async def test_a_page_that_the_source_does_not_name_any_more_is_not_enough() -> None:
    named = Source(key="web", write_key="web-key", origins=("https://www.shop.example",))
    page = Page(source=named)
    location = (await page.goes()).headers["location"]
    page.jar = {}
    back = await page.comes_back(location, "gum-1", "https://user-content.shop.example/")
    assert (error(back), page.kept) == ((403, "address_invalid"), [])
    assert (await page.comes_back(location, "gum-1", "https://www.shop.example/")).status == 200


async def test_who_has_withdrawn_on_the_way_has_withdrawn(page: Page) -> None:
    location = (await page.goes()).headers["location"]
    page.client.now = NOW + 5
    await page.sends(consent=TCF_REFUSED, headers={"origin": "https://www.shop.example"})
    assert "fh_aid" not in page.jar
    page.client.now = NOW + 9
    back = await page.comes_back(location, "gum-1")
    assert back.set_cookies == []
    withdrawal, late = page.kept
    assert late["timestamp"] < withdrawal["timestamp"], "the consent in it is the older one"


@pytest.mark.parametrize("site", ["same-origin", "same-site"])
async def test_a_page_that_sends_no_referrer_is_known_by_what_the_browser_says_of_its_site(
    page: Page, site: str
) -> None:
    page.jar["fh_aid"] = ID
    del page.headers["origin"]
    page.headers["sec-fetch-site"] = site
    assert await page.due() == ["123"]
    led = await page.goes(headers={"referer": ""})
    assert led.status == 302
    back = await page.comes_back(led.headers["location"], "gum-1", None)
    assert (back.status, page.last["anonymousId"]) == (200, ID)
    assert await page.due() == [], "it is remembered"
    page.headers["sec-fetch-site"] = "none"
    assert await page.due() == ["123"], "no cookie is read for who types the address"


@pytest.mark.parametrize("id", ["", "@USERID@", "%40USERID%40"])
async def test_back_without_an_id_is_unknown(page: Page, id: str) -> None:
    back = await page.comes_back((await page.goes()).headers["location"], id)
    assert (back.status, age(back, "fh_sync_criteo")) == (200, DAY)
    assert page.last["properties"]["sync"]["status"] == "unknown"
    assert "ids" not in page.last["context"]


async def test_the_way_is_not_gone_again_before_its_time(page: Page) -> None:
    await page.comes_back((await page.goes()).headers["location"], "gum-1")
    again = await page.goes()
    assert (again.status, again.body) == (200, GIF)
    page.client.now = NOW + 3 * DAY
    assert (await page.goes()).status == 302


async def test_several_callers_take_turns() -> None:
    page = Page(criteo(), criteo("777", "other"))
    callers = [parse_qs(urlsplit((await page.goes()).headers["location"]).query)["c"] for _ in range(2)]
    assert callers == [["123"], ["777"]]
    assert (await page.goes()).status == 200
    page = Page(criteo(), criteo("777", "other"))
    assert "c=777&" in (await page.goes(callerId="777")).headers["location"]
    assert error(await page.goes(callerId="888")) == (400, "field_invalid")


@pytest.mark.parametrize(
    ("consent", "code"),
    [(None, "consent_unknown"), (TCF_REFUSED, "consent_refused"), ({"gpc": True}, "consent_refused")],
)
async def test_nobody_is_led_away_without_consent(page: Page, consent: Any, code: str) -> None:
    assert error(await page.goes(consent)) == (403, code)


async def test_nobody_is_led_away_without_an_id_to_come_back_with() -> None:
    page = Page(criteo(basis="none"))
    assert error(await page.goes(None, anonymousId="")) == (400, "field_missing")


@pytest.mark.parametrize("host", ["evil.example/x", "a b", "user@evil.example", "", "com"])
async def test_a_host_that_is_none_is_not_led_back_to(page: Page, host: str) -> None:
    page.headers["host"] = host
    answer = await page.goes(headers={"referer": ""})
    assert "location" not in answer.headers
    assert answer.status in (400, 403)


async def test_where_to_come_back_to_is_configured_or_the_requests_own_host(page: Page) -> None:
    page.scheme = "http"
    page.headers["host"] = "127.0.0.1:8080"
    led = await page.goes(headers={"referer": "http://127.0.0.1:8000/"})
    assert "&u=http%3A%2F%2F127.0.0.1%3A8080%2Fv1%2Fsync%2Fcriteo%2Freturn%2F" in led.headers["location"]
    page = Page(public_url="https://collect.shopname.com/fh")
    assert "&u=https%3A%2F%2Fcollect.shopname.com%2Ffh%2Fv1%2Fsync%2F" in (await page.goes()).headers["location"]


@pytest.mark.parametrize("name", ["u", "return", "redirect", "url"])
async def test_the_redirect_leads_to_the_vendor_whatever_is_asked(page: Page, name: str) -> None:
    led = await page.goes(**{name: EVIL})
    assert urlsplit(led.headers["location"]).netloc == "gum.criteo.com"
    assert "evil" not in led.headers["location"]


# -- the signed address ----------------------------------------------------------------------------------------------


def token_of(location: str) -> str:
    back = parse_qs(urlsplit(location).query)["u"][0]
    return back.split("/return/")[1].partition("/")[0]


async def test_an_address_holds_for_ten_minutes_and_counts_once(page: Page) -> None:
    location = (await page.goes()).headers["location"]
    await page.comes_back(location, "gum-1")
    page.client.now = NOW + 600
    assert (await page.comes_back(location, "gum-2")).status == 200
    assert [event["context"]["ids"] for event in page.kept] == [{"criteo_gum_id@123": "gum-1"}]
    page.client.now = NOW + 601
    assert error(await page.comes_back(location, "gum-3")) == (403, "address_expired")
    assert len(page.kept) == 1


async def test_an_address_is_for_one_sync_of_one_gateway() -> None:
    secret = Secret(b"0" * 32)
    page = Page(secret=secret)
    token = token_of((await page.goes()).headers["location"])
    assert error(await page.asks("GET", f"/v1/sync/other/return/{token}/gum-1")) == (403, "address_invalid")
    elsewhere = await Page().asks("GET", f"/v1/sync/criteo/return/{token}/gum-1")
    assert error(elsewhere) == (403, "address_invalid")
    assert elsewhere.body == GIF
    new = Source(key="new", write_key="web-key")
    for other in (Page(criteo("777"), secret=secret), Page(source=new, secret=secret)):
        assert error(await other.asks("GET", f"/v1/sync/criteo/return/{token}/x"))[0] in (400, 404)
        assert other.kept == []


@given(data=st.data())
async def test_a_changed_address_is_refused(data: st.DataObject) -> None:
    page = Page()
    token = token_of((await page.goes()).headers["location"])
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_~.%").filter(lambda one: one != token[at]))
    for forged in (token[:at] + other + token[at + 1 :], token[:at], token + other):
        assert error(await page.asks("GET", f"/v1/sync/criteo/return/{forged}/gum-1"))[0] in (403, 404)
    assert page.kept == []


@pytest.mark.parametrize("id", ["x" * 257, "%0A", "a%00b", "%E2%80%AEx", "%20", "%FF", "%FF" * 300])
async def test_back_with_what_is_no_id_is_refused(page: Page, id: str) -> None:
    back = await page.comes_back((await page.goes()).headers["location"], id)
    assert error(back) == (400, "field_invalid")
    assert (page.kept, back.set_cookies) == ([], [])


@pytest.mark.parametrize("path", ["return", "return/", "return//", "return/x", "returns/x/y", "x", "return/%00/%00"])
async def test_addresses_that_nobody_made(page: Page, path: str) -> None:
    answer = await page.asks("GET", f"/v1/sync/criteo/{path}")
    assert error(answer) in ((403, "address_invalid"), (404, "not_found"))


async def test_a_visitor_without_permission_for_cookies_gets_none_on_the_way() -> None:
    page = Page(criteo(basis="none"))
    led = await page.goes(None)
    back = await page.comes_back(led.headers["location"], "gum-1")
    assert led.set_cookies + back.set_cookies == []
    assert (page.last["anonymousId"], page.last["context"].get("consent")) == (PROPOSAL, None)
