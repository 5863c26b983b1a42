"""Cookie syncs: what pages are offered, what is taken as an answer, and what strangers get of it."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest
from tests.collect.client import NOW, Answered
from tests.collect.pages import GRANTED, OTHER_PROPOSAL, PROPOSAL, REFUSED, WEB, Shop
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING

from firsthand.collect.pixel import GIF
from firsthand.config import Consent, Cookies, Integration, Source
from firsthand.vendors import registry

HOUR = 3600
DAY = 24 * HOUR
ID = "5e0b7c1d-9a8f-4e6d-b3c2-a1908f7e6d5c"
TCF: dict[str, Any] = {"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}
TCF_REFUSED: dict[str, Any] = {"tcf": {"gdprApplies": True, "tcString": GRANTS_NOTHING}}


def criteo(caller: str = "123", key: str = "criteo", basis: Any = "tcf", **fields: Any) -> Integration:
    settings = registry()["criteo-s2s"].settings(partner_id="12345", mapping_key=caller)
    consent = Consent(basis=basis)
    return Integration(
        **{"key": key, "vendor": "criteo-s2s", "settings": settings, "consent": consent, "environment": "production"}
        | fields
    )


class Page(Shop):
    """A page that asks for syncs and reports what they answered."""

    def __init__(self, *integrations: Integration, source: Source = WEB, **more: Any) -> None:
        super().__init__(source, integrations=integrations or [criteo()], **more)

    async def settings(self, consent: Any = None, **query: str) -> Answered:
        asked = {"writeKey": self.key, "anonymousId": self.proposal} | query
        if consent is not None:
            asked["consent"] = consent if isinstance(consent, str) else json.dumps(consent)
        return await self.asks("GET", "/v1/settings", query=urlencode(asked))

    async def due(self, consent: Any = TCF) -> list[str]:
        """The callers to ask for."""
        answer = await self.settings(consent)
        assert answer.status == 200
        return [sync["callerId"] for sync in answer.json["syncs"]]

    async def report(
        self, status: str = "OK", id: str | None = "gum-1", name: str = "criteo", **fields: Any
    ) -> Answered:
        body = {"writeKey": self.key, "anonymousId": self.proposal, "callerId": "123", "status": status, "id": id}
        return await self.asks("POST", f"/v1/sync/{name}", body | fields)

    async def goes(self, consent: Any = TCF, headers: Mapping[str, str] | None = None, **query: str) -> Answered:
        """The page shows the image that leads to the vendor: the browser names the page, not its origin."""
        self.headers.pop("origin", None)
        asked = {"writeKey": self.key, "anonymousId": self.proposal} | query
        if consent is not None:
            asked["consent"] = json.dumps(consent)
        sent = {"referer": "https://www.shop.example/lamps", **(headers or {})}
        return await self.asks("GET", "/v1/sync/criteo", headers=sent, query=urlencode(asked))

    async def comes_back(
        self, location: str, id: str, referer: str | None = "https://www.shop.example/", **headers: str
    ) -> Answered:
        """As the vendor's redirect leads: the id is in place of the macro."""
        back = parse_qs(urlsplit(location).query)["u"][0].replace("@USERID@", id)
        sent = {"sec-fetch-site": "cross-site"} | ({"referer": referer} if referer else {})
        return await self.asks("GET", urlsplit(back).path, headers=sent | headers)


@pytest.fixture
def page() -> Page:
    return Page()


def error(answer: Answered) -> tuple[int, str]:
    """Status and code, of JSON and of images alike."""
    if answer.body == GIF:
        return answer.status, answer.headers["x-firsthand-error"].partition(":")[0]
    return answer.status, answer.json["error"]["code"]


def age(answer: Answered, name: str) -> int:
    (header,) = [header for header in answer.set_cookies if header.startswith(f"{name}=")]
    (found,) = re.findall("Max-Age=([0-9]+)", header)
    return int(found)


# -- what is due -----------------------------------------------------------------------------------------------------


async def test_a_page_is_told_which_script_to_load(page: Page) -> None:
    answer = await page.settings(TCF)
    (sync,) = answer.json["syncs"]
    url = f"https://gum.criteo.com/sync?c=123&a=1&r=2&gdpr=1&gdpr_consent={GRANTS_CRITEO}&j={{callback}}"
    assert sync == {"name": "criteo", "callerId": "123", "url": url}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "https://www.shop.example"
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert page.kept == []


OFFERS = [
    ("tcf", None, False),
    ("tcf", TCF, True),
    ("tcf", TCF_REFUSED, False),
    ("tcf", {"tcf": {"gdprApplies": True}}, False),
    ("tcf", {"tcf": {"gdprApplies": False}}, True),
    ("tcf", {**TCF, "gpc": True}, False),
    ("categories", None, False),
    ("categories", GRANTED, True),
    ("categories", REFUSED, False),
    ("categories", {**GRANTED, "tcf": {"gdprApplies": True}}, False),
    ("categories", {"cmp": {"cookiebot": "{marketing:true}"}}, True),
    ("none", None, True),
    ("none", TCF_REFUSED, False),
    ("none", {"gpc": True}, False),
    ("none", {"usPrivacy": "1YYN"}, False),
    ("none", [], True),
]


@pytest.mark.parametrize(("basis", "consent", "offered"), OFFERS)
async def test_only_consent_that_allows_the_integration_brings_an_offer(
    basis: str, consent: Any, offered: bool
) -> None:
    assert await Page(criteo(basis=basis)).due(consent) == (["123"] if offered else [])


async def test_global_privacy_control_of_the_browser_counts(page: Page) -> None:
    page.headers["sec-gpc"] = "1"
    assert await page.due() == []
    del page.headers["origin"]
    assert await page.due() == []


async def test_consent_may_stand_in_the_tools_cookies(page: Page) -> None:
    page.jar["euconsent-v2"] = GRANTS_CRITEO
    (sync,) = (await page.settings()).json["syncs"]
    assert f"gdpr_consent={GRANTS_CRITEO}" in sync["url"]


async def test_each_caller_is_asked_for_once() -> None:
    others = criteo("123", "again"), criteo("777", "other"), criteo("888", "off", enabled=False)
    page = Page(criteo(), *others, criteo("999", "elsewhere", sources=("another",)))
    assert await page.due() == ["123", "777"]


async def test_of_two_integrations_with_one_caller_it_is_enough_that_one_is_allowed() -> None:
    page = Page(criteo(basis="categories"), criteo(key="again"))
    (sync,) = (await page.settings(TCF)).json["syncs"]
    assert sync["callerId"] == "123"


async def test_a_vendor_without_syncs_has_none() -> None:
    raptor = Integration(key="raptor", vendor="raptor", settings=registry()["raptor"].settings(customer_id="1234"))
    assert await Page(raptor).due() == []


# -- a script's report -----------------------------------------------------------------------------------------------


async def test_an_id_becomes_an_event_of_the_visitor(page: Page) -> None:
    page.jar["fh_aid"] = ID
    page.headers["user-agent"] = "Mozilla/5.0"
    answer = await page.report(id="gum/1 +é%2F", consent=TCF, anonymousId=ID)
    assert (answer.status, answer.json) == (200, {"success": True})
    event = page.last
    assert (event["type"], event["anonymousId"], event.get("previousId")) == ("identify", ID, None)
    assert event["properties"] == {"sync": {"vendor": "criteo", "caller": "123", "status": "OK"}}
    assert event["context"]["ids"] == {"criteo_gum_id@123": "gum/1 +é%2F"}
    assert event["context"]["consent"] == TCF
    assert (event["context"]["ip"], event["context"]["userAgent"]) == ("203.0.113.9", "Mozilla/5.0")


async def test_without_permission_for_cookies_the_id_belongs_to_the_proposal(page: Page) -> None:
    answer = await page.report()
    assert (answer.set_cookies, page.last["anonymousId"]) == ([], PROPOSAL)
    assert "consent" not in page.last["context"]


@pytest.mark.parametrize(
    ("status", "id", "kept", "seconds"),
    [
        ("OK", "gum-1", "OK", 3 * DAY),
        ("OptOut", None, "OptOut", 3 * DAY),
        ("OptOut", "gum-1", "OptOut", 3 * DAY),
        ("unknown", None, "unknown", DAY),
        ("Whatever", "gum-1", "unknown", DAY),
    ],
)
async def test_the_browser_remembers_for_how_long_none_is_due(
    page: Page, status: str, id: str | None, kept: str, seconds: int
) -> None:
    answer = await page.report(status, id, consent=TCF)
    assert age(answer, "fh_sync_criteo") == seconds
    assert page.last["properties"]["sync"]["status"] == kept
    assert ("ids" in page.last["context"]) == (kept == "OK")
    assert await page.due() == []
    page.client.now = NOW + seconds - 1
    assert await page.due() == []
    page.client.now = NOW + seconds
    assert await page.due() == ["123"]


async def test_callers_are_remembered_one_by_one() -> None:
    page = Page(criteo(), criteo("777", "other"))
    await page.report("unknown", None, consent=TCF)
    assert await page.due() == ["777"]
    answer = await page.report(callerId="777", consent=TCF)
    assert age(answer, "fh_sync_criteo") == 3 * DAY
    assert await page.due() == []
    page.client.now = NOW + DAY + 1
    assert await page.due() == ["123"]


@pytest.mark.parametrize(
    "value",
    ["", "1", "123", "123:", "123:x", "123:99999999999", f"123:{NOW - 1:.0f}", f"999:{NOW + 9:.0f}", "é:1", "/" * 900],
)
async def test_a_marker_that_is_not_ours_counts_for_none(page: Page, value: str) -> None:
    page.jar["fh_sync_criteo"] = quote(value, safe=":/")
    assert await page.due() == ["123"]


async def test_a_withdrawal_removes_the_marker(page: Page) -> None:
    await page.report(consent=TCF)
    assert "fh_sync_criteo" in page.jar
    await page.sends(consent=TCF_REFUSED)
    assert "fh_sync_criteo" not in page.jar


async def test_without_permission_no_marker_is_set_and_none_read() -> None:
    page = Page(criteo(basis="none"))
    assert (await page.report("unknown", None)).set_cookies == []
    page.jar["fh_sync_criteo"] = f"123:{NOW + HOUR:.0f}"
    assert await page.due(None) == ["123"]
    page = Page(criteo(basis="none"), source=Source(key="web", write_key="web-key", cookies=Cookies(requires="none")))
    await page.report("unknown", None)
    assert await page.due(None) == []


@pytest.mark.parametrize(
    ("consent", "code"),
    [(TCF_REFUSED, "consent_refused"), (REFUSED, "consent_refused"), ({"gpc": True}, "consent_refused")],
)
async def test_an_id_is_not_taken_against_consent(page: Page, consent: Any, code: str) -> None:
    assert error(await page.report(consent=consent)) == (403, code)
    assert page.kept == []


FORGED = [
    ({"callerId": "777"}, (400, "field_invalid")),
    ({"callerId": None}, (400, "field_invalid")),
    ({"callerId": ["123"]}, (400, "field_invalid")),
    ({"status": None}, (400, "field_invalid")),
    ({"id": None}, (400, "field_invalid")),
    ({"id": ""}, (400, "field_invalid")),
    ({"id": "x" * 257}, (400, "field_invalid")),
    ({"id": "a\nb"}, (400, "field_invalid")),
    ({"id": "\u202egum"}, (400, "field_invalid")),
    ({"id": "   "}, (400, "field_invalid")),
    ({"id": "@USERID@"}, (400, "field_invalid")),
    ({"id": 5}, (400, "field_invalid")),
    ({"id": {"toString": 1}}, (400, "field_invalid")),
    ({"anonymousId": None}, (400, "field_missing")),
    ({"anonymousId": ""}, (400, "field_missing")),
    ({"anonymousId": "x" * 513}, (400, "field_invalid")),
    ({"writeKey": "wrong"}, (401, "invalid_write_key")),
    ({"writeKey": None}, (401, "missing_write_key")),
    ({"name": "other"}, (404, "not_found")),
    ({"name": "crit%65o/x"}, (404, "not_found")),
    ({"consent": [[[]]] * 20_000}, (413, "event_too_large")),
]


@pytest.mark.parametrize(("fields", "refused"), FORGED)
async def test_forged_reports_are_refused(page: Page, fields: dict[str, Any], refused: tuple[int, str]) -> None:
    assert error(await page.report(**fields)) == refused
    assert page.kept == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"consent":' + b"[" * 10_000])
async def test_what_is_no_report_is_refused(page: Page, body: bytes) -> None:
    status, code = error(await page.asks("POST", "/v1/sync/criteo", body))
    assert status == 400
    assert code in ("malformed_json", "field_invalid", "too_deep")


async def test_the_caller_may_be_a_number(page: Page) -> None:
    assert (await page.report(callerId=123, consent=TCF)).status == 200


@pytest.mark.parametrize("consent", [TCF, None])
async def test_an_id_for_another_visitor_than_the_browsers_is_refused(page: Page, consent: Any) -> None:
    """Whoever has somebody's anonymous id could give them an id of their own."""
    page.jar["fh_aid"] = ID
    answer = await page.report(consent=consent, anonymousId=OTHER_PROPOSAL)
    assert (error(answer), answer.set_cookies, page.kept) == ((403, "visitor_mismatch"), [], [])


async def test_a_report_that_names_nobody_is_the_browsers_own(page: Page) -> None:
    page.jar["fh_aid"] = ID
    assert (await page.report(consent=TCF, anonymousId=None)).status == 200
    assert page.last["anonymousId"] == ID


# -- pages of others -------------------------------------------------------------------------------------------------

EVIL = "https://evil.example"


@pytest.mark.parametrize("origins", [(), ("https://www.shop.example",)])
@pytest.mark.parametrize("origin", [None, "null", "", "https://shop.example.evil.example", "https://shop.exampl"])
@pytest.mark.parametrize("more", [{}, {"authorization": "Bearer web-key"}, {"referer": "https://www.shop.example/"}])
async def test_only_pages_report(origins: tuple[str, ...], origin: str | None, more: dict[str, str]) -> None:
    page = Page(source=Source(key="web", write_key="web-key", origins=origins))
    del page.headers["origin"]
    if origin is not None:
        page.headers["origin"] = origin
    page.headers |= more
    for cookies in ({}, {"fh_aid": PROPOSAL}):
        page.jar = cookies
        assert error(await page.report(consent=TCF)) == (403, "origin_not_allowed")
    assert page.kept == []


async def test_a_page_without_a_name_reports_where_the_browser_vouches_for_its_site(page: Page) -> None:
    """A page with the policy `no-referrer`, on the collector's own host."""
    page.headers |= {"origin": "null", "sec-fetch-site": "same-origin"}
    assert (await page.report(consent=TCF)).status == 200


@pytest.mark.parametrize("origins", [(), ("https://www.shop.example",)])
async def test_a_page_elsewhere_gets_nothing_and_can_report_nothing(origins: tuple[str, ...]) -> None:
    page = Page(source=Source(key="web", write_key="web-key", origins=origins), page=EVIL)
    page.jar |= {"fh_aid": ID, "fh_sync_criteo": f"123:{NOW - 1:.0f}"}
    assert error(await page.report(consent=TCF)) == (403, "origin_not_allowed")
    answer = await page.settings(TCF)
    assert answer.status == (403 if origins else 200)
    assert b"gum" not in answer.body
    assert "access-control-allow-credentials" not in answer.headers
    asked = await page.goes(headers={"referer": f"{EVIL}/"})
    assert error(asked) == (403, "origin_not_allowed")
    asked = await page.goes(headers={"referer": "", "sec-fetch-site": "cross-site"})
    assert error(asked) == (403, "origin_not_allowed")
    assert page.kept == []
    assert not answer.set_cookies + asked.set_cookies


async def test_a_page_elsewhere_that_the_source_names_may_sync() -> None:
    page = Page(source=Source(key="web", write_key="web-key", origins=(EVIL,)), page=EVIL)
    assert await page.due() == ["123"]
    assert (await page.report()).status == 200


async def test_a_source_of_signed_requests_has_no_syncs_for_pages() -> None:
    strict = Source(key="web", write_key="web-key", signing_secret="back-end-secret", require_signature=True)
    page = Page(source=strict)
    assert error(await page.settings(TCF)) == (401, "signature_required")
    assert error(await page.report()) == (401, "signature_required")
    page.headers["authorization"] = "Bearer web-key"
    assert error(await page.report()) == (401, "signature_required")
    assert page.kept == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/settings", "GET, OPTIONS"),
        ("HEAD", "/v1/settings", "GET, OPTIONS"),
        ("PUT", "/v1/sync/criteo", "GET, OPTIONS, POST"),
        ("POST", "/v1/sync/criteo/return/x/y", "GET"),
        ("OPTIONS", "/v1/sync/criteo/return/x/y", "GET"),
    ],
)
async def test_other_methods_are_refused(page: Page, method: str, path: str, allow: str) -> None:
    answer = await page.asks(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)


async def test_browsers_may_ask_first(page: Page) -> None:
    for path in ("/v1/settings", "/v1/sync/criteo"):
        answer = await page.asks("OPTIONS", path)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (204, "https://www.shop.example")


@pytest.mark.parametrize("consent", ["{", "nonsense", "[" * 100])
async def test_consent_that_is_no_json(page: Page, consent: str) -> None:
    assert (await page.settings(consent)).status == 400


async def test_an_overlong_query(page: Page) -> None:
    assert error(await page.settings(TCF, x="x" * 20_000)) == (413, "query_too_large")


# -- the vendor's own cookie -----------------------------------------------------------------------------------------


async def test_an_id_in_the_vendors_first_party_cookie_is_taken_and_not_asked_for(page: Page) -> None:
    page.jar |= {"crto_mapped_user_id": "gum-of-the-tag", "fh_aid": ID}
    answer = await page.settings(TCF)
    assert answer.json["syncs"] == []
    assert (page.last["anonymousId"], page.last["context"]["ids"]) == (ID, {"criteo_gum_id@123": "gum-of-the-tag"})
    assert age(answer, "fh_sync_criteo") == 3 * DAY
    await page.settings(TCF)
    assert len(page.kept) == 1, "once in three days is enough"


@pytest.mark.parametrize("value", ["", "%0A", "x" * 300])
async def test_a_vendors_cookie_that_holds_no_id(page: Page, value: str) -> None:
    page.jar["crto_mapped_user_id"] = value
    assert await page.due() == ["123"]


async def test_whose_id_a_cookie_holds_is_not_guessed() -> None:
    page = Page(criteo(), criteo("777", "other"))
    page.jar["crto_mapped_user_id"] = "gum"
    assert await page.due() == ["123", "777"]


async def test_the_vendors_cookie_is_not_read_before_consent() -> None:
    page = Page(criteo(basis="none"))
    page.jar["crto_mapped_user_id"] = "gum"
    assert await page.due(None) == ["123"]
    assert page.kept == []


async def test_an_opt_out_removes_the_vendors_cookie(page: Page) -> None:
    page.jar["crto_mapped_user_id"] = "gum"
    await page.report("OptOut", None, consent=TCF)
    assert "crto_mapped_user_id" not in page.jar
