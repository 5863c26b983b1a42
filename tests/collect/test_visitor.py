"""Who a page's visitor is: asked before the first events are sent, and told to a script that proposed somebody else."""

import msgspec
import pytest
from tests.collect.client import Answered
from tests.collect.pages import GRANTED, OTHER_PROPOSAL, PROPOSAL, RAPTOR, REFUSED, WEB, Shop

from firsthand.config import Cookies

LANDING = "https://www.shop.example/tents?reaid=r1&utm_source=mail"
NEXT = "https://www.shop.example/tents/2p"


@pytest.fixture
def shop() -> Shop:
    return Shop(integrations=[RAPTOR])


async def asks(shop: Shop, consent: object = None, **context: object) -> Answered:
    body = {"writeKey": shop.key, **shop.event(consent, context=context)}
    return await shop.asks("POST", "/v1/visitor", body)


async def test_a_visitor_gets_cookies_before_there_are_events(shop: Shop) -> None:
    answer = await asks(shop, GRANTED)
    assert (answer.status, answer.json, shop.kept) == (200, {"success": True}, [])
    assert answer.cookies.keys() == {"fh_aid", "fh_sid", "rsa", "rsaSession"}
    assert answer.cookies["fh_aid"] == PROPOSAL
    assert answer.headers["x-firsthand-keep"] == "1"
    assert "x-firsthand-id" not in answer.headers, "it is the one that was proposed"
    assert "X-Firsthand-Id" in answer.headers["access-control-expose-headers"]


async def test_the_second_page_is_told_who_the_visitor_is(shop: Shop) -> None:
    await asks(shop, GRANTED)
    shop.proposal = OTHER_PROPOSAL
    assert (await asks(shop, GRANTED)).headers["x-firsthand-id"] == PROPOSAL
    answer = await shop.sends(consent=GRANTED)
    assert answer.headers["x-firsthand-id"] == PROPOSAL, "so it is with events"
    assert (shop.last["anonymousId"], shop.last["previousId"]) == (PROPOSAL, OTHER_PROPOSAL)
    shop.proposal = PROPOSAL
    assert "x-firsthand-id" not in (await shop.sends(consent=GRANTED)).headers


async def test_after_a_reset_the_script_is_not_told_of_who_was_here_before(shop: Shop) -> None:
    await asks(shop, GRANTED)
    shop.proposal = OTHER_PROPOSAL
    answer = await shop.sends({"context": {"reset": "1"}}, consent=GRANTED)
    assert "x-firsthand-id" not in answer.headers


@pytest.mark.parametrize("consent", [None, REFUSED])
async def test_nothing_is_told_and_nothing_set_without_consent(shop: Shop, consent: object) -> None:
    await asks(shop, GRANTED)
    shop.proposal = OTHER_PROPOSAL
    answer = await asks(shop, consent)
    assert "x-firsthand-id" not in answer.headers
    assert not any(answer.cookies.values())
    assert answer.headers.get("x-firsthand-keep") == ("0" if consent else None)


async def test_a_source_that_needs_no_consent() -> None:
    shop = Shop(msgspec.structs.replace(WEB, cookies=Cookies(requires="none")))
    assert (await asks(shop)).cookies["fh_aid"] == PROPOSAL


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"origin": "null"}])
async def test_a_page_elsewhere_learns_nothing(shop: Shop, headers: dict[str, str]) -> None:
    await asks(shop, GRANTED)
    shop.proposal = OTHER_PROPOSAL
    shop.headers |= headers
    answer = await asks(shop, GRANTED)
    assert (answer.set_cookies, "x-firsthand-id" in answer.headers) == ([], False)


async def test_what_is_no_page_is_refused_as_an_event_is(shop: Shop) -> None:
    answer = await shop.asks("POST", "/v1/visitor", {"writeKey": "wrong", "anonymousId": PROPOSAL})
    assert (answer.status, answer.error[0]) == (401, "invalid_write_key")
    assert (await shop.asks("POST", "/v1/visitor", b"{")).error[0] == "malformed_json"
    assert (await shop.asks("GET", "/v1/visitor")).status == 405
    assert (await shop.asks("OPTIONS", "/v1/visitor")).status == 204
    assert not shop.client.log.refusals, "no event is lost"


# -- the landing page ------------------------------------------------------------------------------------------------


async def test_a_click_id_survives_until_the_answer_on_the_next_page(shop: Shop) -> None:
    await shop.sends({"context": {"page": {"url": LANDING}}})
    assert shop.jar == {}
    await shop.sends({"context": {"page": {"url": NEXT, "referrer": LANDING}}}, consent=GRANTED)
    assert shop.jar["rsaReaId"] == shop.last["context"]["ids"]["raptor_reaid"] == "r1"


@pytest.mark.parametrize("url", [NEXT, None])
async def test_a_click_id_survives_in_a_page_that_changes_its_address(shop: Shop, url: str | None) -> None:
    """The script tells with which query it was loaded, whatever the address has become."""
    page = {"page": {"url": url, "referrer": f"{NEXT}?x"}} if url else {}
    body = {"writeKey": shop.key, "context": {"landing": "?reaid=r1", "consent": GRANTED}}
    body["batch"] = [shop.event(context=page), shop.event(context=page)]
    answer = await shop.asks("POST", "/v1/batch", body)
    assert answer.cookies["rsaReaId"] == "r1"
    for event in shop.kept:
        assert event["context"]["ids"]["raptor_reaid"] == "r1"
        assert "landing" not in event["context"]
    assert (await asks(Shop(integrations=[RAPTOR]), GRANTED, landing="?reaid=r1")).cookies["rsaReaId"] == "r1"


async def test_the_newest_click_id_counts(shop: Shop) -> None:
    page = {"url": f"{NEXT}?reaid=r3", "referrer": f"{NEXT}?reaid=r2"}
    await shop.sends({"context": {"page": page, "landing": "?reaid=r1"}}, consent=GRANTED)
    assert shop.jar["rsaReaId"] == "r3"
    page = {"url": NEXT, "referrer": f"{NEXT}?reaid=r2"}
    await shop.sends({"context": {"page": page, "landing": "?reaid=r1"}}, consent=GRANTED)
    assert shop.jar["rsaReaId"] == "r2"


@pytest.mark.parametrize(
    "referrer",
    [
        "https://other.example/?reaid=r1",
        "https://www.shop.example.evil.example/?reaid=r1",
        "https://www.shop.example@evil.example/?reaid=r1",
        "https://[/?reaid=r1",
        "//www.shop.example/?reaid=ada@example.com",
        "\ud800?reaid=r1",
        "https://www.shop.example/?reaid=ada%40example.com",
    ],
)
async def test_anothers_address_is_no_landing_page(shop: Shop, referrer: str) -> None:
    body = b'{"writeKey":"web-key","batch":[%b]}'
    event = shop.event(GRANTED, context={"page": {"url": NEXT, "referrer": "REFERRER"}})
    encoded = msgspec.json.encode(event).replace(b"REFERRER", referrer.encode("unicode_escape"))
    await shop.asks("POST", "/v1/batch", body % encoded)
    assert "rsaReaId" not in shop.jar


@pytest.mark.parametrize("landing", [7, ["?reaid=r1"], "", "?reaid=ada@example.com", "?xreaid=1", "?reaid=a%20b"])
async def test_a_landing_query_that_holds_no_id(shop: Shop, landing: object) -> None:
    assert (await shop.sends({"context": {"landing": landing}}, consent=GRANTED)).status == 200
    assert "rsaReaId" not in shop.jar
