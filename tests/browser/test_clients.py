"""Segment's and RudderStack's clients for pages, unchanged, in a page of a shop that has them instead of ours."""

import json
from pathlib import Path

import pytest
from tests.browser.shop import Json, Scene
from tests.clients import FOLDER, npm_clients
from tests.gateway import WRITE_KEY

from firsthand.event import parse_time

ORDER = {"order_id": "o-1", "currency": "EUR", "products": [{"product_id": "lamp-7", "price": 49.9, "quantity": 2}]}
ANALYTICS_NEXT = "@segment/analytics-next/dist/umd/index.js"
RUDDERSTACK = "@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js"
"""The build that brings its plugins along: the other one fetches them from RudderStack."""


@pytest.fixture(autouse=True)
def installed() -> None:
    npm_clients()


def put(scene: Scene, client: str, script: str) -> None:
    """A page with the client and a script that uses it."""
    text = (FOLDER / "node_modules" / Path(client)).read_text()
    scene.site.put(scene.prefix + "client.js", text, "text/javascript; charset=utf-8")
    values = {"KEY": WRITE_KEY, "COLLECTOR": scene.collector, "ORDER": ORDER}
    known = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
    scene.put(head="", body=f'<script src="client.js"></script><script>{known}{script}</script>')


def delivered(scene: Scene) -> Json:
    """The order, once it is at Criteo as it should be."""
    order = scene.event("Order Completed")
    assert order["userId"] == "user-42"
    assert order["properties"] == ORDER
    assert order["context"]["consent"]["categories"]["marketing"] is True
    assert abs(parse_time(order["timestamp"]) - parse_time(order["receivedAt"])) < 60_000
    assert scene.delivery(order, "criteo")["state"] == "delivered"
    bodies = [entry["body"] for entry in scene.ledger("criteo-s2s") if isinstance(entry["body"], dict)]
    (sale,) = [body for body in bodies if body["events"][0]["event"] == "trackTransaction"]
    assert sale["retailer_visitor_id"] == order["anonymousId"]
    assert sale["events"][0]["item"] == [{"id": "lamp-7", "price": 49.9, "quantity": 2}]
    return order


@pytest.mark.parametrize("strategy", ["standard", "batching"])
def test_analytics_next(scene: Scene, strategy: str) -> None:
    put(
        scene,
        ANALYTICS_NEXT,
        """
        const consent = { context: { consent: { categoryPreferences: { marketing: true } } } }
        const deliveryStrategy = { strategy: "STRATEGY", config: { size: 2, timeout: 500 } }
        const analytics = AnalyticsNext.AnalyticsBrowser.load(
          { writeKey: KEY, cdnURL: COLLECTOR },
          { integrations: { "Segment.io": { deliveryStrategy } } },
        )
        analytics.page(undefined, undefined, {}, consent)
        analytics.identify("user-42", { email: "jane.doe@example.com" }, consent)
        analytics.track("Order Completed", ORDER, consent)
        """.replace("STRATEGY", strategy),
    )
    scene.visitor().new_page().goto(scene.url())
    order = delivered(scene)
    assert order["context"]["library"]["name"] == "analytics.js"
    assert sorted(scene.names()) == ["Order Completed", "identify", "page"]


RUDDERSTACK_CALLS = """
    const analytics = new rudderanalytics.RudderAnalytics()
    analytics.load(KEY, COLLECTOR, {
      configUrl: COLLECTOR, OPTIONS
      consentManagement: {
        enabled: true, provider: "custom", allowedConsentIds: ["marketing"], deniedConsentIds: ["analytics"],
      },
    })
    analytics.page()
    analytics.identify("user-42", { email: "jane.doe@example.com" })
    analytics.track("Order Completed", ORDER)
"""


@pytest.mark.parametrize(
    "options",
    [
        "",
        "queueOptions: { batch: { enabled: true, maxItems: 2, flushInterval: 500 } },",
        "useBeacon: true,",
    ],
    ids=["one by one", "batches", "beacon"],
)
def test_rudderstack(scene: Scene, options: str) -> None:
    put(scene, RUDDERSTACK, RUDDERSTACK_CALLS.replace("OPTIONS", options))
    scene.put("next", head="")
    page = scene.visitor().new_page()
    page.goto(scene.url())
    if "Beacon" in options:  # which is sent as the page is left
        page.wait_for_function("() => analytics.getAnonymousId()")
        page.goto(scene.url("next"))
    order = delivered(scene)
    assert order["context"]["library"]["name"] == "RudderLabs JavaScript SDK"
    assert order["context"]["consent"]["categories"] == {"marketing": True, "analytics": False}
    assert sorted(scene.names()) == ["Order Completed", "identify", "page"]
