"""What the page's calls become: the event as the log has it."""

import gzip
import re
from importlib import metadata
from pathlib import Path

import pytest
from tests.browser.shop import Scene
from tests.browser.site import STUB
from tests.browser.test_sending import faults
from tests.gateway import until

from firsthand import collect
from firsthand.collect.script import served
from firsthand.event import parse_time

ROOT = Path(__file__).parents[2]
SCRIPT = Path(collect.__path__[0]) / "assets" / "firsthand.js"


def test_it_is_small_and_needs_nothing_that_a_strict_policy_forbids() -> None:
    text = served().decode()
    assert len(gzip.compress(served(), 9)) <= 5000
    assert not re.search(r"\beval\b|new Function|innerHTML|document\.write|document\.cookie\s*=[^=]|import\b", text)


def test_it_names_the_version_that_it_belongs_to() -> None:
    assert f'const version = "{metadata.version("firsthand")}"' in SCRIPT.read_text()


def test_the_stub_that_is_documented_is_the_one_that_is_tested() -> None:
    body = STUB.removeprefix("<script>\n").removesuffix("\n</script>")
    assert body in (ROOT / "docs" / "browser.md").read_text()
    lines = [line.strip() for line in body.splitlines()]
    shop = (ROOT / "examples" / "shop" / "assets" / "stub.js").read_text()
    assert [line.strip() for line in shop.splitlines() if not line.startswith("//")] == lines


def test_a_page_view_by_itself(scene: Scene) -> None:
    scene.put("list", '<a href="product?utm_source=mail&utm_campaign=spring&gclid=abc#top">on</a>')
    scene.put("product", title="A lamp")
    page = scene.open(scene.visitor(), "list")
    page.click("a")
    _, event = scene.until("page", "page")
    context = event["context"]
    assert context["library"]["name"] == "firsthand.js"
    query = "?utm_source=mail&utm_campaign=spring&gclid=abc"
    assert context["page"] == {
        "url": scene.url("product" + query + "#top"),
        "path": scene.prefix + "product",
        "search": query,
        "referrer": scene.url("list"),
        "title": "A lamp",
    }
    assert context["campaign"] == {"source": "mail", "name": "spring"}
    assert context["locale"] == "en-GB"
    assert "Chrome/" in context["userAgent"]
    assert context["ip"] == "127.0.0.1"


def test_each_method(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    page.evaluate(
        """() => {
            firsthand.track("Product Viewed", {product_id: "lamp-7", price: 49.9, nothing: undefined, none: null});
            firsthand.identify("customer-7", {email: "ada@example.com"});
            firsthand.identify({criteo_gum_id: "k-1"});
            firsthand.group("club", {level: 2});
            firsthand.alias("customer-8", "customer-7");
            firsthand.page("Lamp", {kind: "product"});
            firsthand.reset();
            firsthand.track("Another");
        }"""
    )
    names = ["Product Viewed", "identify", "identify", "group", "alias", "page", "Another"]
    first, *events = scene.until("page", *names)
    viewed, known, id, group, alias, lamp, another = events
    assert viewed["properties"] == {"product_id": "lamp-7", "price": 49.9, "none": None}
    assert "userId" not in viewed
    assert (known["userId"], known["traits"]) == ("customer-7", {"email": "ada@example.com"})
    assert (id["userId"], id["traits"]) == ("customer-7", {"email": "ada@example.com", "criteo_gum_id": "k-1"})
    assert (group["groupId"], group["traits"], group["userId"]) == ("club", {"level": 2}, "customer-7")
    assert (alias["userId"], alias["previousId"]) == ("customer-8", "customer-7")
    assert (lamp["name"], lamp["properties"], lamp["userId"]) == ("Lamp", {"kind": "product"}, "customer-7")
    assert "userId" not in another
    assert another["anonymousId"] != first["anonymousId"] == lamp["anonymousId"]


def test_an_event_may_say_for_itself_what_the_script_would(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    scene.until("page")
    page.evaluate(
        """() => firsthand.track("Late", {}, {timestamp: "2026-01-02T03:04:05Z", messageId: "mine",
                                            context: {ids: {criteo_gum_id: "k-2"}}, integrations: {All: true}})"""
    )
    late = scene.until("page", "Late")[-1]
    assert (late["messageId"], late["timestamp"][:19]) == ("mine", "2026-01-02T03:04:05")
    assert (late["context"]["ids"], late["integrations"]) == ({"criteo_gum_id": "k-2"}, {"All": True})


def test_another_user_has_none_of_the_last_ones_traits(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    page.evaluate("() => { firsthand.identify('a', {email: 'a@example.com'}); firsthand.identify('b', {vip: true}) }")
    until("both have come", lambda: scene.names().count("identify") == 2, 15)
    assert [event["traits"] for event in scene.events() if event["type"] == "identify"][1] == {"vip": True}


def test_a_property_is_what_it_was_when_it_was_told(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    page.evaluate("() => { const cart = [1]; firsthand.track('Cart', {cart}); cart.push(2) }")
    assert scene.event("Cart")["properties"] == {"cart": [1]}


def test_calls_from_before_the_script_is_there_keep_their_order_and_time(scene: Scene) -> None:
    early = """<script>
        firsthand.identify("customer-7");
        firsthand.track("Product Viewed", {product_id: "lamp-7"});
        firsthand.ready((api) => api.track("Ready", {now: Date.now()}));
        window.called = Date.now();
        </script>"""
    tag = scene.tag().replace("<script ", '<script type="text/plain" ')
    loader = """<script>setTimeout(() => {
        const tag = document.querySelector("[data-write-key]"), script = document.createElement("script");
        Object.assign(script.dataset, tag.dataset); script.src = tag.src; tag.remove(); document.head.append(script);
        }, 1500)</script>"""
    scene.put(head=STUB + early + tag + loader)
    page = scene.open(scene.visitor())
    called = page.evaluate("() => called")
    identify, view, viewed, ready = scene.until("identify", "page", "Product Viewed", "Ready")
    for event in (identify, view, viewed):
        assert abs(called - parse_time(event["timestamp"])) < 500
        assert event["userId"] == "customer-7"
    assert parse_time(ready["timestamp"]) < called + 500 < ready["properties"]["now"]


def test_a_single_page_application(scene: Scene) -> None:
    scene.put(title="Home")
    page = scene.open(scene.visitor())
    page.evaluate("() => { history.pushState({}, '', 'product?id=7'); setTimeout(() => { document.title = 'Lamp' }) }")
    scene.until("page", "page")
    page.evaluate("() => { history.replaceState({scroll: 10}, ''); history.pushState({}, '', 'product?id=7#size') }")
    page.evaluate("() => { location.hash = '#/cart' }")
    scene.until("page", "page", "page")
    page.evaluate("() => { history.go(-3); }")
    page.wait_for_url(scene.url())
    scene.until("page", "page", "page", "page")
    page.evaluate("() => { history.pushState({}, '', 'list'); firsthand.track('List'); firsthand.page('The list') }")
    events = scene.until("page", "page", "page", "page", "page", "List", "page")
    pages = [(event["context"]["page"]["url"], event["context"]["page"]["referrer"]) for event in events[:5]]
    one, two, three, four = scene.url(), scene.url("product?id=7"), scene.url("product?id=7#/cart"), scene.url("list")
    assert pages == [(one, ""), (two, one), (three, two), (one, three), (four, one)]
    assert events[1]["context"]["page"]["title"] == "Lamp"


def test_a_page_that_is_told_takes_the_place_of_the_automatic_one(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag() + "<script>firsthand.page('Home', {first: true})</script>")
    page = scene.open(scene.visitor())
    page.evaluate("() => { history.pushState({}, '', 'two'); firsthand.page('Two') }")
    page.evaluate("() => firsthand.track('Last')")
    events = scene.until("page", "page", "Last")
    assert [event.get("name") for event in events] == ["Home", "Two", None]


def test_automatic_pages_can_be_turned_off(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag(auto_page="false"))
    page = scene.open(scene.visitor())
    page.evaluate("() => { history.pushState({}, '', 'two'); firsthand.track('First') }")
    scene.until("First")
    page.evaluate("() => firsthand.track('Only')")
    scene.until("First", "Only")


def test_the_calls_of_a_page_written_for_another_name(scene: Scene) -> None:
    stub = STUB.replace("firsthand", "_df")
    calls = """<script>
_df.identify({ criteo_gum_id: "abc123-def456-ghi789" });
_df.track("Order Completed", {
  order_id: "ORD-001",
  total: 129.99,
  currency: "GBP",
  products: [
    { product_id: "SKU-A", name: "Widget", quantity: 2, price: 49.99 },
    { product_id: "SKU-B", name: "Gadget", quantity: 1, price: 30.01 }
  ]
});
</script>"""
    scene.put(head=stub + scene.tag(**{"global": "_df"}) + calls)
    scene.open(scene.visitor())
    identify, _, order = scene.until("identify", "page", "Order Completed")
    assert identify["traits"] == {"criteo_gum_id": "abc123-def456-ghi789"}
    assert "userId" not in identify
    assert order["properties"]["products"][1] == {
        "product_id": "SKU-B",
        "name": "Gadget",
        "quantity": 1,
        "price": 30.01,
    }


def test_without_the_stub(scene: Scene) -> None:
    scene.put(head=scene.tag())
    page = scene.open(scene.visitor())
    page.evaluate("() => firsthand.track('Late')")
    scene.until("page", "Late")


def test_a_second_script_tag_changes_nothing(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag() + scene.tag())
    page = scene.open(scene.visitor())
    page.wait_for_load_state()
    page.evaluate("() => firsthand.track('Once')")
    scene.until("page", "Once")


@pytest.mark.parametrize("type", ["text/javascript", "module"])
@pytest.mark.parametrize("key", ["", ' data-write-key="k"'])
def test_a_script_that_is_part_of_the_page_breaks_nothing(scene: Scene, type: str, key: str) -> None:
    scene.put(head=f'<script type="{type}"{key}>{SCRIPT.read_text()}</script>')
    page = scene.visitor().new_page()
    errors = faults(page)
    page.goto(scene.url())
    page.evaluate("() => window.firsthand?.track('One')")
    assert errors == []
