"""The same behind a proxy that speaks https."""

from pathlib import Path

from tests.browser.https import VISITOR, Proxy
from tests.browser.shop import CALLER, Scene, cookies_of
from tests.browser.site import STUB
from tests.browser.test_vendors import ORDER, YES, sync_of
from tests.gateway import until


def test_cookies_are_secure_and_everything_works(scene: Scene, tmp_path: Path) -> None:
    ports = {"www.shopname.com": scene.site.port, "collect.shopname.com": scene.gateway.port}
    with Proxy(tmp_path, ports) as proxy:
        tag = scene.tag().replace(scene.collector, f"https://collect.shopname.com:{proxy.port}")
        scene.put(head=STUB + YES + tag)
        visitor = scene.visitor()
        page = visitor.new_page()
        page.goto(f"https://www.shopname.com:{proxy.port}{scene.prefix}")
        assert page.evaluate("() => isSecureContext")
        (view,) = scene.until("page")
        assert view["context"]["ip"] == VISITOR
        scene.answered()
        kept = cookies_of(visitor)
        assert {"fh_aid", "fh_sid", "rsa", "rsaSession"} <= kept.keys()
        assert all(cookie["secure"] and cookie["httpOnly"] for cookie in kept.values())
        assert f"criteo_gum_id@{CALLER}" in sync_of(scene)["context"]["ids"]
        page.evaluate(ORDER)
        page.close()
        until("the order has come", lambda: "Order Completed" in scene.names(), 15)
        order = scene.event("Order Completed")
        assert order["anonymousId"] == view["anonymousId"]
        assert scene.delivery(order, "criteo")["state"] == "delivered"
