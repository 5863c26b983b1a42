"""From a page to the vendors: what they receive, whose it is, and when nothing leaves."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from tests.browser.shop import CALLER, SHORT_KEY, TCF_KEY, Json, Scene, cookies_of
from tests.browser.site import STUB
from tests.browser.test_consent import CMP
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING
from tests.gateway import call, until

from firsthand.event import parse_time

YES = "<script>firsthand.consent({categories: {marketing: true}})</script>"
ORDER = """() => firsthand.track("Order Completed", {
    order_id: "ORD-001", total: 129.99, currency: "GBP",
    products: [{product_id: "SKU-A", name: "Widget", quantity: 2, price: 49.99},
               {product_id: "SKU-B", name: "Gadget", quantity: 1, price: 30.01}]})"""
LINES = [("SKU-A", "99.98"), ("SKU-B", "30.01")]


def agreeing(scene: Scene, **page: str) -> None:
    scene.put(head=STUB + YES + scene.tag(), **page)


def sync_of(scene: Scene) -> Json:
    """The GUM answer that the page reported."""
    until("the sync has been reported", lambda: _syncs(scene), 15)
    (event,) = _syncs(scene)
    return event


def _syncs(scene: Scene) -> list[Json]:
    return [event for event in scene.all_events() if "sync" in event.get("properties", {}) and scene.knows(event)]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def criteo(scene: Scene, event: str) -> list[Json]:
    """The bodies that Criteo's emulator accepted for this scene's pages, of one event."""
    entries = [entry for entry in scene.ledger("criteo-s2s") if entry["accepted"] and isinstance(entry["body"], dict)]
    return [entry["body"] for entry in entries if entry["body"]["events"][0]["event"] == event]


def raptor(scene: Scene, event: str) -> list[Json]:
    return [entry for entry in scene.ledger("raptor") if entry["event"] == event]


@pytest.fixture
def settings(scene: Scene) -> Iterator[Any]:
    """Changes how Criteo's emulator behaves, for one test."""

    def change(**values: Any) -> None:
        call(scene.vendor.port, "PUT", "/_control/criteo-s2s/settings", values)

    yield change
    call(scene.vendor.port, "PUT", "/_control/criteo-s2s/settings", {})


# -- a purchase ------------------------------------------------------------------------------------------------------


def test_a_purchase_reaches_both_vendors_with_the_right_ids(scene: Scene) -> None:
    agreeing(scene)
    scene.put("checkout", head=STUB + YES + scene.tag())
    visitor = scene.visitor()
    page = scene.open(visitor)
    page.evaluate("() => firsthand.identify('customer-7', {email: ' Ada@Example.com'})")
    gum = sync_of(scene)["context"]["ids"][f"criteo_gum_id@{CALLER}"]
    page.goto(scene.url("checkout", "basket.shopname.com"))
    page.evaluate(ORDER)
    order = scene.event("Order Completed")
    kept = cookies_of(visitor)
    assert order["anonymousId"] == kept["fh_aid"]["value"]
    assert order["context"]["ids"]["raptor_coid"] == kept["rsa"]["value"]

    assert scene.delivery(order, "criteo")["certainty"] == "accepted"
    assert scene.delivery(order, "raptor")["certainty"] == "unverifiable"
    (sent,) = criteo(scene, "trackTransaction")
    assert sent["retailer_visitor_id"] == kept["fh_aid"]["value"]
    assert sent["id"]["mapped_user_id"] == gum
    assert sent["id"]["mapping_key"] == CALLER
    assert sent["id"]["email"]["sha256"] == sha256("ada@example.com")
    assert sent["full_url"] == scene.url("checkout", "basket.shopname.com")
    assert sent["events"][0]["item"] == [
        {"id": "SKU-A", "price": 49.99, "quantity": 2},
        {"id": "SKU-B", "price": 30.01, "quantity": 1},
    ]
    bought = raptor(scene, "buy")
    assert [(entry["body"]["p2"], entry["body"]["p5"]) for entry in bought] == LINES
    for entry in bought:
        assert (entry["cookie_id"], entry["session_id"]) == (kept["rsa"]["value"], kept["rsaSession"]["value"])
        assert entry["body"]["ruid"] == base64.b64encode(b"Ada@Example.com").decode()
        assert entry["accepted"], entry["errors"]


def test_the_snippets_of_a_page_written_for_another_name(scene: Scene) -> None:
    calls = f"""<script>
_df.consent({{categories: {{marketing: true}}}});
_df.identify({{ criteo_gum_id: "abc123-def456-ghi789" }});
({ORDER.replace("firsthand", "_df")})();
</script>"""
    scene.put(head=STUB.replace("firsthand", "_df") + scene.tag(**{"global": "_df"}) + calls)
    visitor = scene.visitor()
    visitor.route("**/v1/settings**", lambda route: route.abort())  # no sync, whose id would be newer than this one
    scene.open(visitor)
    order = scene.event("Order Completed")
    assert scene.delivery(order, "criteo")["state"] == "delivered"
    (sent,) = criteo(scene, "trackTransaction")
    assert sent["id"]["mapped_user_id"] == "abc123-def456-ghi789"


# -- consent ---------------------------------------------------------------------------------------------------------


def test_what_happened_before_the_yes_goes_out_with_its_own_time(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    page.evaluate("() => firsthand.track('Product Viewed', {product_id: 'lamp-7', price: 49.9})")
    view, viewed = scene.until("page", "Product Viewed")
    for event in (view, viewed):
        for integration in ("criteo", "raptor"):
            scene.delivery(event, integration, lambda state: state == "held")
    assert scene.ledger("criteo-s2s") == scene.ledger("raptor") == []

    page.evaluate("() => new Promise((later) => setTimeout(later, 1100))")
    page.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    for event in (view, viewed):
        assert scene.delivery(event, "criteo")["state"] == "delivered"
    (sent,) = criteo(scene, "viewItem")
    assert parse_time(sent["events"][0]["timestamp"]) == parse_time(viewed["timestamp"]) // 1000 * 1000
    assert sent["retailer_visitor_id"] == viewed["anonymousId"]
    updated = scene.event("Consent Updated")
    assert scene.delivery(updated, "criteo")["state"] == "filtered"


def test_a_no_keeps_everything_here(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    page.evaluate("() => firsthand.track('Product Viewed', {product_id: 'lamp-7', price: 49.9})")
    view, viewed = scene.until("page", "Product Viewed")
    for event in (view, viewed):
        scene.delivery(event, "criteo", lambda state: state == "held")
    page.evaluate("() => firsthand.consent({categories: {marketing: false}})")
    page.evaluate(ORDER)
    order = scene.event("Order Completed")
    for event in (view, viewed, order):
        for integration in ("criteo", "raptor"):
            delivery = scene.delivery(event, integration)
            assert (delivery["state"], delivery["reason"]["code"]) == ("filtered", "consent_refused")
            assert delivery["attempts"] == []
    assert scene.ledger("criteo-s2s") == scene.ledger("raptor") == []
    assert _syncs(scene) == []


def test_the_consent_string_of_iabs_framework(scene: Scene) -> None:
    scene.put(head=CMP + STUB + scene.tag(TCF_KEY))
    page = scene.open(scene.visitor())
    page.evaluate("(tcString) => answer({eventStatus: 'useractioncomplete', tcString})", GRANTS_CRITEO)
    page.evaluate(ORDER)
    order = scene.event("Order Completed")
    assert scene.delivery(order, "criteo-tcf")["state"] == "delivered"
    urls = [entry["url"] for entry in scene.ledger("criteo-s2s") if "m/event" in entry["url"]]
    assert any(f"gra=1&grs={GRANTS_CRITEO}&grv=2" in url for url in urls)
    gum = sync_of(scene)
    assert f"criteo_gum_id@{CALLER}" in gum["context"]["ids"]

    other = scene.open(scene.visitor())
    other.evaluate("(tcString) => answer({eventStatus: 'useractioncomplete', tcString})", GRANTS_NOTHING)
    other.evaluate(ORDER.replace("ORD-001", "ORD-002"))
    until("the second order has come", lambda: scene.names().count("Order Completed") == 2, 15)
    refused = scene.events()[-1]
    assert scene.delivery(refused, "criteo-tcf")["reason"]["code"] == "consent_refused"


# -- the sync --------------------------------------------------------------------------------------------------------


def test_without_consent_the_vendor_is_not_asked(scene: Scene) -> None:
    scene.put()
    page = scene.visitor().new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(scene.url())
    scene.until("page")
    page.evaluate("() => firsthand.consent({categories: {marketing: false}})")
    scene.until("page", "Consent Updated")
    page.evaluate("() => firsthand.track('Last')")
    scene.until("page", "Consent Updated", "Last")
    assert not [url for url in asked if "/sync" in url or "/v1/settings" in url]


def test_it_is_asked_once_and_leaves_nothing_on_the_page(scene: Scene) -> None:
    agreeing(scene)
    visitor = scene.visitor()
    page = scene.open(visitor)
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url))
    gum = sync_of(scene)
    scene.answered()
    assert gum["anonymousId"] == cookies_of(visitor)["fh_aid"]["value"]
    asked.clear()
    assert page.evaluate("() => [...document.scripts].filter((script) => script.src.includes('sync')).length") == 0
    page.reload()
    scene.until("page", "page")
    page.evaluate("() => firsthand.track('Last')")
    scene.event("Last")
    assert [url for url in asked if "/criteo-s2s/sync" in url] == []


def test_third_party_cookies_blocked(scene: Scene, settings: Any) -> None:
    settings(sync={"third_party_cookies": False})
    agreeing(scene)
    page = scene.open(scene.visitor())
    event = sync_of(scene)
    assert event["properties"]["sync"]["status"] == "unknown"
    page.evaluate(ORDER)
    order = scene.event("Order Completed")
    assert scene.delivery(order, "criteo")["state"] == "delivered"
    (sent,) = criteo(scene, "trackTransaction")
    assert "mapped_user_id" not in sent["id"]
    assert sent["retailer_visitor_id"] == order["anonymousId"]


def test_the_vendor_blocked_by_the_browser(scene: Scene) -> None:
    agreeing(scene)
    page = scene.visitor().new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/criteo-s2s/sync**", lambda route: route.abort("blockedbyclient"))
    page.route("**/v1/sync/criteo?**", lambda route: route.abort("blockedbyclient"))  # it leads there
    page.goto(scene.url())
    page.evaluate("() => firsthand.identify({email: 'ada@example.com'})")
    page.evaluate(ORDER)
    order = scene.event("Order Completed")
    assert scene.delivery(order, "criteo")["state"] == "delivered"
    (sent,) = criteo(scene, "trackTransaction")
    assert "mapped_user_id" not in sent["id"]
    assert sent["id"]["email"]["sha256"] == sha256("ada@example.com")
    assert errors == []


def test_a_policy_that_lets_images_in_and_no_scripts(scene: Scene) -> None:
    policy = (
        f"default-src 'none'; script-src {scene.collector} 'nonce-7'; connect-src {scene.collector};"
        f" img-src {scene.collector} {scene.vendor.url}"
    )
    nonced = (STUB + YES).replace("<script>", '<script nonce="7">')
    scene.put(head=nonced + scene.tag(), Content_Security_Policy=policy)
    scene.open(scene.visitor())
    assert f"criteo_gum_id@{CALLER}" in sync_of(scene)["context"]["ids"]


def test_a_page_of_trusted_types_is_led_there_by_an_image(scene: Scene) -> None:
    agreeing(scene, Content_Security_Policy="require-trusted-types-for 'script'")
    scene.open(scene.visitor())
    assert f"criteo_gum_id@{CALLER}" in sync_of(scene)["context"]["ids"]


FORGED = [
    '{status: "OK", userid: {}}',
    '{status: "OK", userid: ""}',
    '{status: "OK", userid: "x".repeat(300)}',
    '{status: "OK", userid: "a b\\n"}',
    '{status: "OK"}',
    '{status: ["OK"], userid: "k-1"}',
    '{status: "Else", userid: "k-1"}',
]


@pytest.mark.parametrize("answer", FORGED)
def test_an_answer_that_is_none(scene: Scene, answer: str) -> None:
    agreeing(scene)
    page = scene.visitor().new_page()

    async def forge(route: Any) -> None:
        callback = unquote(route.request.url.rpartition("j=")[2])
        await route.fulfill(content_type="text/javascript", body=f"{callback}({answer})")

    page.route("**/criteo-s2s/sync**", forge)
    page.goto(scene.url())
    event = sync_of(scene)
    assert event["properties"]["sync"]["status"] == "unknown"
    assert f"criteo_gum_id@{CALLER}" not in event["context"].get("ids", {})


def test_an_answer_that_comes_too_late(scene: Scene) -> None:
    agreeing(scene)
    page = scene.visitor().new_page()
    errors: list[str] = []
    waiting: list[Any] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/criteo-s2s/sync**", lambda route: waiting.append(route))
    page.goto(scene.url())
    assert sync_of(scene)["properties"]["sync"]["status"] == "unknown"
    callback = unquote(waiting[0].request.url.rpartition("j=")[2])
    page.evaluate(f"() => {callback}({{status: 'OK', userid: 'k-1'}})")
    assert len(_syncs(scene)) == 1
    assert errors == []


# -- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_nothing_happens_for_its_length(scene: Scene) -> None:
    """20 minutes by default; here 3 seconds."""
    scene.put(head=STUB + YES + scene.tag(SHORT_KEY))
    page = scene.open(scene.visitor())
    for number in range(4):
        page.evaluate("(name) => new Promise((later) => setTimeout(later, 1100, firsthand.track(name)))", f"E{number}")
    until("they have come", lambda: "E3" in scene.names(), 15)
    page.evaluate("() => new Promise((later) => setTimeout(later, 3500))")
    page.evaluate("() => firsthand.track('Later')")
    later = scene.event("Later")["context"]["sessionId"]
    sessions = {event["context"]["sessionId"] for event in scene.events() if event.get("event") != "Later"}
    assert len(sessions) == 1
    assert later not in sessions


def test_cookies_end_when_they_should(scene: Scene) -> None:
    agreeing(scene)
    visitor = scene.visitor()
    scene.open(visitor)
    (event,) = scene.until("page")
    scene.answered()
    now = parse_time(event["receivedAt"]) / 1000
    ages = {name: round((cookie["expires"] - now) / 60) for name, cookie in cookies_of(visitor).items()}
    year, day = 365 * 1440, 1440
    assert ages.items() >= {"fh_aid": 400 * day, "fh_sid": 20, "rsa": year, "rsaSession": 20}.items()
