"""Pages that a source does not name, with a gateway whose only source names others."""

from pathlib import Path
from typing import Any

from tests.browser.chromium import Chromium
from tests.browser.shop import Scene
from tests.browser.site import STUB, Site
from tests.browser.test_sending import Answers, logged
from tests.gateway import Emulator, Gateway, config, criteo, until


def asks_in_vain(page: Any, url: str) -> int:
    """How often a page asks that is refused, until it has stopped."""
    lines, asked = logged(page), Answers(page)
    page.goto(url)
    until("it is told", lambda: any("origin_not_allowed" in line for line in lines), 20)
    page.evaluate("() => new Promise((later) => setTimeout(later, 3000))")
    return len(asked.bodies)


def test_a_page_that_is_not_named_learns_why_and_stops(
    tmp_path: Path, chromium: Chromium, site: Site, vendor: Emulator
) -> None:
    sources = [{"key": "named-shop", "write_key": "named-key", "origins": ["https://shop.example"]}]
    with Gateway(tmp_path, config(criteo(), sources=sources), vendor) as gateway:
        scene = Scene("not-named", chromium, site, gateway, vendor)
        scene.put(head=STUB + scene.tag("named-key", debug=""))
        for host, requests in (("www.shopname.com", 1), ("www.elsewhere.net", 3)):
            assert asks_in_vain(scene.visitor().new_page(), scene.url(host=host)) == requests
        assert scene.events() == []
        scene.close()
