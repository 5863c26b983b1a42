"""What pages are told about keeping something in the browser, which their scripts hold to."""

from typing import Any

import msgspec
import pytest
from tests.collect.pages import GRANTED, REFUSED, WEB, Shop
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING

from firsthand.config import Cmp, Cookies

KEEP = "x-firsthand-keep"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize(
    ("consent", "said"),
    [
        (None, None),
        (GRANTED, "1"),
        (REFUSED, "0"),
        ({"categories": {"essential": True}}, None),
        ({"gpc": True}, None),
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}, "1"),
        ({"tcf": {"gdprApplies": True, "tcString": GRANTS_NOTHING}}, "0"),
        ({"tcf": {"gdprApplies": False}}, "1"),
        ("nonsense", None),
    ],
)
async def test_by_the_visitors_answer(shop: Shop, consent: Any, said: str | None) -> None:
    answer = await shop.sends(consent=consent)
    assert answer.headers.get(KEEP) == said
    assert KEEP in answer.headers["access-control-expose-headers"].lower()
    single = await shop.asks("POST", "/v1/page", {"writeKey": shop.key, **shop.event(consent)})
    assert single.headers.get(KEEP) == said


async def test_what_the_page_says_now_counts_more_than_what_its_events_said(shop: Shop) -> None:
    """Events may have waited since before a withdrawal, or since before the visitor's answer was forgotten."""
    for now, said in ((REFUSED, "0"), (GRANTED, "1"), (None, None)):
        context = {"consent": now} if now else {}
        body = {"writeKey": shop.key, "context": context, "batch": [shop.event(GRANTED)]}
        assert (await shop.asks("POST", "/v1/batch", body)).headers.get(KEEP) == said


async def test_where_no_consent_is_needed() -> None:
    shop = Shop(msgspec.structs.replace(WEB, cookies=Cookies(requires="none")))
    assert (await shop.sends()).headers[KEEP] == "1"


async def test_what_only_the_collector_understands(shop: Shop) -> None:
    assert (await shop.sends({"context": {"cmp": {"cookiebot": "-1"}}})).headers[KEEP] == "1"
    own = Shop(msgspec.structs.replace(WEB, cmp=Cmp(categories={"marketing": ("ads",)})))
    for granted in "10":
        raw = {"onetrust": f"interactionCount=1&groups=ads:{granted}"}
        assert (await own.sends({"context": {"cmp": raw}})).headers[KEEP] == granted


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"host": "co.uk"}, {"cookie": "a=1; " * 5000}])
async def test_who_can_have_no_cookies_is_told_nothing(shop: Shop, headers: dict[str, str]) -> None:
    assert KEEP not in (await shop.sends(consent=GRANTED, headers=headers)).headers


async def test_a_server_is_told_nothing(shop: Shop) -> None:
    del shop.headers["origin"]
    assert KEEP not in (await shop.sends(consent=GRANTED)).headers
