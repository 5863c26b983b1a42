"""A walk through the sample shop of `examples/shop`, as the demo serves it, to the vendors."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.browser.chromium import Chromium
from tests.browser.shop import Scene as Shop
from tests.browser.shop import name
from tests.gateway import Gateway, until

from firsthand.demo.site import Site


@pytest.fixture
def shop(scene: Shop) -> Iterator[str]:
    """The sample shop's address."""
    with Site(0, f"http://127.0.0.1:{scene.gateway.port}", scene.vendor.url) as served:
        yield served.url


def visit(scene: Shop, shop: str, **options: Any) -> tuple[Any, list[str]]:
    """A first-time visitor on the home page, and what went wrong in their browser so far."""
    page = scene.visitor(**options).new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.goto(shop)
    return page, wrong


def mine(scene: Shop, shop: str) -> list[dict[str, Any]]:
    def at(event: dict[str, Any]) -> str:
        return str((event["context"].get("page") or {}).get("url", ""))

    return [event for event in scene.all_events() if at(event).startswith(shop)]


def test_a_customer(scene: Shop, shop: str) -> None:
    page, wrong = visit(scene, shop)
    page.click("[data-answer=all]")
    page.fill("[name=q]", "boots")
    page.press("[name=q]", "Enter")
    page.wait_for_url("**/search.html**")
    page.click("nav a >> text=Camping")
    page.click("main [data-product=tent-2p]")
    page.click("text=Add to basket")
    page.click(".module [data-product=mat-air]")
    page.select_option("[name=quantity]", "2")
    page.click("text=Add to basket")
    page.goto(shop + "cart.html")
    page.click("[data-remove=tent-2p]")
    page.click("text=Check out")
    for field, value in {
        "email": "ada@example.com",
        "name": "Ada",
        "street": "1",
        "postcode": "1",
        "town": "A",
    }.items():
        page.fill(f"[name={field}]", value)
    page.click("text=/^Buy for/")
    page.wait_for_url("**/thanks.html")
    page.reload()
    page.click("text=Sign in")
    page.fill("[name=email]", "ada@example.com")
    page.click("main button")
    page.wait_for_url(shop)
    page.click("text=ada")
    page.click("text=Sign out")
    page.wait_for_url(shop)

    def events() -> Counter[str]:
        return Counter(name(event) for event in mine(scene, shop))

    until("all has come", lambda: events()["Signed Out"] and events()["page"] == 12, 15)
    expected = {"Products Searched": 1, "Product List Viewed": 1, "Product Viewed": 2, "Product Clicked": 2}
    expected |= {"Product Added": 2, "Product Removed": 1, "Cart Viewed": 1, "Checkout Started": 1}
    expected |= {"Payment Info Entered": 1, "Order Completed": 1, "Signed In": 1, "Signed Out": 1}
    assert events().items() >= expected.items()
    assert wrong == []

    order = next(event for event in mine(scene, shop) if name(event) == "Order Completed")
    assert [(one["product_id"], one["quantity"]) for one in order["properties"]["products"]] == [("mat-air", 2)]
    states = Counter[tuple[str, str]]()
    for event in mine(scene, shop):
        for integration in ("criteo", "raptor"):
            delivery = scene.delivery(event, integration)
            states[delivery["state"], integration] += 1
            assert delivery["state"] != "dead", (name(event), delivery["reason"])
    assert states["delivered", "criteo"] > 20
    assert scene.delivery(order, "raptor")["certainty"] == "unverifiable"


def test_somebody_who_refuses_can_shop_all_the_same(scene: Shop, shop: str) -> None:
    page, wrong = visit(scene, shop)
    page.click("[data-answer=choose]")
    page.check("[name=analytics]")
    page.click("[data-answer=choose]")
    page.click("[data-product=pack-25]")
    page.click("text=Add to basket")
    until("all has come", lambda: "Product Added" in {name(event) for event in mine(scene, shop)}, 15)
    added = next(event for event in mine(scene, shop) if name(event) == "Product Added")
    said = {"analytics": True, "personalization": False, "marketing": False}
    assert added["context"]["consent"]["categories"] == said
    assert scene.delivery(added, "criteo")["reason"]["code"] == "consent_refused"
    assert wrong == []


def test_who_refuses_is_not_named(scene: Shop, shop: str) -> None:
    page, wrong = visit(scene, shop)
    page.click("[data-answer=none]")
    page.goto(shop + "product.html?id=pack-25")
    page.click("text=Add to basket")
    page.goto(shop + "checkout.html")
    page.fill("[name=email]", "ada@example.com")
    page.fill("[name=name]", "Ada")
    page.goto(shop + "account.html")
    page.fill("[name=email]", "ada@example.com")
    page.click("main button")
    page.wait_for_url(shop)
    page.goto(shop + "list.html?category=shoes")
    until("all has come", lambda: [name(event) for event in mine(scene, shop)].count("Product List Viewed") == 1, 15)
    assert [event for event in mine(scene, shop) if "ada@" in str(event) or event.get("userId")] == []

    page.click("text=Privacy settings")
    page.click("[data-answer=all]")
    until("the customer is known", lambda: "identify" in {name(event) for event in mine(scene, shop)}, 15)
    assert wrong == []


def test_the_banner_is_reached_by_keys_and_reopened_as_it_was_answered(scene: Shop, shop: str) -> None:
    page, wrong = visit(scene, shop)
    focused = (
        "() => document.activeElement.dataset.answer || document.activeElement.name || document.activeElement.className"
    )
    assert page.evaluate(focused) == "consent"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "all", "who has not answered cannot close it"
    page.click("[data-answer=choose]")
    assert page.evaluate(focused) == "analytics"
    page.keyboard.press("Space")
    page.click("[data-answer=choose]")
    assert page.query_selector(".consent") is None

    page.click("[data-privacy]")
    assert page.evaluate(focused) == "consent"
    boxes = (
        "() => [...document.querySelectorAll('.consent input')].map((box) => box.checked && box.offsetParent !== null)"
    )
    assert page.evaluate(boxes) == [True, False, False]
    page.keyboard.press("Escape")
    assert page.query_selector(".consent") is None
    assert page.evaluate("() => document.activeElement.matches('[data-privacy]')")
    assert wrong == []


def test_any_quantity_and_what_its_delivery_costs(scene: Shop, shop: str) -> None:
    page, wrong = visit(scene, shop)
    page.click("[data-answer=none]")
    page.goto(shop + "product.html?id=bottle-1l")
    for _ in range(3):
        page.select_option("[name=quantity]", "4")
        page.click("text=Add to basket")
    page.goto(shop + "cart.html")
    assert page.input_value("[data-line]") == "12"
    assert "Delivery free" in " ".join(page.inner_text(".summary").split())
    page.select_option("[data-line]", "1")
    assert "Delivery €4.90" in " ".join(page.inner_text(".summary").split())
    page.goto(shop + "checkout.html")
    total = page.inner_text(".summary .total span")
    assert page.inner_text("form button") == f"Buy for {total}"
    assert wrong == []


@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_is_wider_than_the_screen(scene: Shop, shop: str, width: int) -> None:
    page, wrong = visit(scene, shop, viewport={"width": width, "height": 800})
    page.click("[data-answer=none]")
    for path in ("", "list.html?category=shoes", "search.html?q=down", "product.html?id=boots-42", "account.html"):
        page.goto(shop + path)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), path
    page.goto(shop + "product.html?id=boots-42")
    page.click("text=Add to basket")
    for path in ("cart.html", "checkout.html"):
        page.goto(shop + path)
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), path
    assert wrong == []


def test_a_page_that_is_not_there(chromium: Chromium, gateway: Gateway, shop: str) -> None:
    context = chromium.new_context()
    try:
        page = context.new_page()
        assert page.goto(shop + "../../../etc/passwd").status == 404
        page.wait_for_selector("text=There is no such page")
        assert page.query_selector("main [data-product]") is not None
    finally:
        context.close()
