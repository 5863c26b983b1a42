"""Pages of others, forged headers and cookies nobody would send: no identity is read, set or told to them."""

import msgspec
import pytest
from tests.collect.client import SITE, Client
from tests.collect.pages import GRANTED, PROPOSAL, RAPTOR, REFUSED, WEB, Shop
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

ID = "5e0b7c1d-9a8f-4e6d-b3c2-a1908f7e6d5c"
ALLOW, CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"
LISTED = msgspec.structs.replace(WEB, origins=("https://www.shop.example", "https://shop.elsewhere.example"))


# -- pages of others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://shop.example.evil.example", "https://evilshop.example", "x"]
)
async def test_a_page_of_others_is_without_identity(origin: str) -> None:
    shop = Shop(integrations=[RAPTOR])
    shop.jar = {"fh_aid": ID, "rsa": ID, "OptanonConsent": "interactionCount=1&groups=C0004:1"}
    answer = await shop.sends(consent=GRANTED, headers={"origin": origin})
    assert (answer.status, answer.set_cookies) == (200, [])
    assert shop.last["anonymousId"] == PROPOSAL
    assert shop.last["context"]["consent"] == GRANTED
    assert ID not in str(shop.last)
    assert (answer.headers[ALLOW], CREDENTIALS in answer.headers) == (origin, False)
    assert "x-firsthand-keep" not in answer.headers
    assert (await shop.sends(consent=REFUSED, headers={"origin": origin})).set_cookies == []


@pytest.mark.parametrize("origin", ["https://evil.example", "https://events.shop.example", "null"])
async def test_where_origins_are_named_a_page_of_others_is_refused(origin: str) -> None:
    shop = Shop(LISTED)
    shop.jar = {"fh_aid": ID}
    answer = await shop.sends(consent=GRANTED, headers={"origin": origin})
    assert (answer.status, answer.error[0], answer.set_cookies) == (403, "origin_not_allowed", [])
    # That it was refused the page may read, else it tries for ever.
    assert answer.headers[ALLOW] == origin
    assert (CREDENTIALS in answer.headers) == (origin == "https://events.shop.example"), "as a page of our own site"
    assert ID not in answer.body.decode()
    assert shop.kept == []


@pytest.mark.parametrize("origin", LISTED.origins)
async def test_a_page_that_is_named_has_cookies_from_wherever_it_is(origin: str) -> None:
    shop = Shop(LISTED, page=origin)
    answer = await shop.sends(consent=GRANTED)
    assert answer.cookies["fh_aid"] == PROPOSAL
    assert (answer.headers[ALLOW], answer.headers[CREDENTIALS], answer.headers["vary"]) == (origin, "true", "Origin")


async def test_a_page_of_our_own_site_may_send_cookies() -> None:
    shop = Shop()
    answer = await shop.asks("OPTIONS", "/v1/batch")
    assert (answer.status, answer.headers[ALLOW]) == (204, "https://www.shop.example")
    assert answer.headers[CREDENTIALS] == "true"
    assert CREDENTIALS not in (await shop.asks("OPTIONS", "/v1/batch", headers={"origin": "https://x.example"})).headers


async def test_an_image_on_a_page_of_others_is_without_identity() -> None:
    shop = Shop()
    shop.jar = {"fh_aid": ID}
    del shop.headers["origin"]
    query = "writeKey=web-key&anonymousId=v1&context.consent.categories.marketing=true"
    answer = await shop.asks("GET", "/v1/pixel/page", None, {"referer": "https://evil.example/"}, query=query)
    assert (answer.status, answer.set_cookies) == (200, [])


@pytest.mark.parametrize("site", ["same-origin", "same-site", "cross-site", "none", None])
async def test_a_page_without_a_name_is_of_our_site_where_the_browser_says_so(site: str | None) -> None:
    """As pages with `Referrer-Policy: no-referrer` are: the origin of beacons is `null` then, images have none."""
    headers = {"sec-fetch-site": site} if site else {}
    ours = site in ("same-origin", "same-site")
    for source in (WEB, LISTED):
        shop = Shop(source)
        shop.jar = {"fh_aid": ID}
        answer = await shop.sends(consent=GRANTED, headers={"origin": "null", **headers})
        assert answer.status == (200 if ours or source is WEB else 403)
        assert answer.cookies.get("fh_aid") == (ID if ours else None)
        del shop.headers["origin"]
        query = "writeKey=web-key&anonymousId=v1&context.consent.categories.marketing=true"
        image = await shop.asks("GET", "/v1/pixel/page", headers=headers, query=query)
        assert image.status == 200
        assert ("fh_sid" in image.cookies) is ours
    elsewhere = Shop(msgspec.structs.replace(WEB, origins=("https://shop.elsewhere.example",)))
    answer = await elsewhere.sends(consent=GRANTED, headers={"origin": "null", "sec-fetch-site": "same-site"})
    assert answer.status == 403, "no page of our site is named"


# -- forged hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("co.uk", "com", "github.io", "", "shop.example; Secure", "a b", "[::1", "shop.example:99999999", "x" * 9000),
        *("shop.example, evil.example", "shop.example%0d%0aX: y", "1.2.3.4.5", "\xe9.example", "."),
    ],
)
async def test_a_host_that_cannot_have_cookies_gets_none(host: str) -> None:
    shop = Shop(host=host, page=f"https://{host}")
    answer = await shop.sends(consent=GRANTED)
    assert (answer.status, answer.set_cookies) == (200, [])
    assert CREDENTIALS not in answer.headers


async def test_whoever_makes_up_a_host_sets_no_cookie_of_the_shop() -> None:
    shop = Shop(host="evil.com")
    shop.jar = {"fh_aid": ID}
    answer = await shop.sends(consent=GRANTED)
    assert answer.set_cookies == []
    assert ID not in str(shop.last)
    # Its own page gets cookies for its own domain: it can set those anyway.
    answer = await shop.sends(consent=GRANTED, headers={"origin": "https://evil.com", "cookie": ""})
    assert all("Domain=.evil.com;" in header for header in answer.set_cookies)


async def test_without_a_host_there_are_no_cookies() -> None:
    shop = Shop()
    del shop.headers["host"]
    assert (await shop.sends(consent=GRANTED)).set_cookies == []


@pytest.mark.parametrize(
    ("host", "page", "domain"),
    [
        ("EVENTS.Shop.Example:8443", "https://WWW.shop.example", "; Domain=.shop.example"),
        ("events.shop.co.uk.", "https://www.shop.co.uk", "; Domain=.shop.co.uk"),
        ("localhost:8080", "http://localhost:8000", ""),
        ("127.0.0.1:8080", "http://127.0.0.1:8000", ""),
        ("[::1]:8080", "http://[::1]:8000", ""),
    ],
)
async def test_hosts_as_they_may_be_written(host: str, page: str, domain: str) -> None:
    answer = await Shop(host=host, page=page).sends(consent=GRANTED)
    assert answer.set_cookies[0] == (
        f"fh_aid={PROPOSAL}; Max-Age=34560000{domain}; Path=/; Secure; HttpOnly; SameSite=Lax"
    )


# -- https or not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("peer", "secure"), [("10.0.0.1", True), ("203.0.113.9", False)])
async def test_only_a_trusted_proxy_is_believed_to_speak_https(peer: str, secure: bool) -> None:
    shop = Shop(scheme="http")
    shop.client.app = ProxyHeadersMiddleware(shop.client.collector, ["10.0.0.0/8"])
    shop.client.address = (peer, 1)
    answer = await shop.sends(
        consent=GRANTED, headers={"x-forwarded-proto": "https", "x-forwarded-for": "198.51.100.1"}
    )
    assert ["; Secure" in header for header in answer.set_cookies] == [secure, secure]


# -- cookies nobody would send ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cookie",
    [
        "a=" + "x" * 200_000,
        "a=1; " * 5000,
        ";" * 30_000,
        "=" * 30_000,
        "fh_aid",
        "fh_aid=" + "9" * 8000,
        "fh_aid=\x01\x02\x7f; fh_sid=\xff",
        "fh_aid=%0d%0aSet-Cookie:%20a=b",
        "OptanonConsent=" + "%25" * 2500 + "; euconsent-v2=" + "A" * 8000,
        "OptanonConsent={" + "[" * 8000,
        "rsa=; rsaSession=%; rsaRuid=" + "A" * 1024 + "; rsaReaId=\t",
    ],
)
async def test_any_cookie_header_is_answered(cookie: str) -> None:
    shop = Shop(integrations=[RAPTOR])
    for consent in (None, GRANTED, REFUSED):
        answer = await shop.sends(consent=consent, headers={"cookie": cookie})
        assert answer.status == 200
        assert all(len(header) < 300 and header.isprintable() for header in answer.set_cookies)
        assert shop.last["anonymousId"] == PROPOSAL


async def test_where_the_cookies_are_too_many_to_look_at_none_is_set_over_them() -> None:
    answer = await Shop().sends(consent=GRANTED, headers={"cookie": f"{'a=1; ' * 5000}fh_aid={ID}"})
    assert answer.set_cookies == []


async def test_the_answer_to_a_withdrawal_has_an_end() -> None:
    cookie = "; ".join(f"fh_sync_{number}=1" for number in range(900))
    assert len((await Shop().sends(consent=REFUSED, headers={"cookie": cookie})).set_cookies) == 50


async def test_another_sites_page_cannot_ask_in_the_name_of_a_named_one() -> None:
    answer = await Client(SITE, WEB).post(
        "/v1/track", {"event": "x", "userId": "u"}, {"origin": "https://shop.example"}, key="web-key"
    )
    assert answer.set_cookies == []
