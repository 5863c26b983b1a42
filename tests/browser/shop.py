"""A shop at www.shopname.com with its collector at collect.shopname.com, and visitors with a real browser."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

from tests.browser.chromium import Chromium
from tests.browser.site import STUB, Site
from tests.gateway import WRITE_KEY, Emulator, Gateway, call, until

from firsthand.eventlog.base import Row
from firsthand.eventlog.sqlite_reader import SqliteLogReader

Json = dict[str, Any]
TCF_KEY = "key-of-the-shop-with-tcf"
SHORT_KEY = "key-of-the-shop-with-short-sessions"
FREE_KEY = "key-of-the-shop-that-needs-no-consent"
CALLER = "123"


def shop_config() -> Json:
    """Sources that differ in how their visitors are asked, with the same vendors."""
    criteo = {"vendor": "criteo-s2s", "settings": {"partner_id": "12345", "mapping_key": CALLER}}
    by_category = {"basis": "categories", "categories": ["marketing"]}
    return {
        "trusted_proxies": ["127.0.0.1"],
        "sources": [
            {"key": "web-shop", "write_key": WRITE_KEY},
            {"key": "tcf-shop", "write_key": TCF_KEY},
            {"key": "sample-shop", "write_key": "demo-shop-key"},
            {"key": "short-shop", "write_key": SHORT_KEY, "cookies": {"session_max_age": "3s"}},
            {"key": "free-shop", "write_key": FREE_KEY, "cookies": {"requires": "none"}},
        ],
        "integrations": [
            {"key": "criteo", "sources": ["web-shop", "sample-shop"], "consent": by_category, **criteo},
            {"key": "criteo-tcf", "sources": ["tcf-shop"], "consent": {"basis": "tcf"}, **criteo},
            {"key": "criteo-free", "sources": ["free-shop"], "consent": {"basis": "none"}, **criteo},
            {
                "key": "raptor",
                "vendor": "raptor",
                "sources": ["web-shop", "sample-shop"],
                "consent": by_category,
                "settings": {"customer_id": "1234"},
            },
        ],
    }


class Scene:
    """One test's part of the shop: pages below a path of its own, visitors of its own, and what became of them."""

    def __init__(self, name: str, chromium: Chromium, site: Site, gateway: Gateway, vendor: Emulator) -> None:
        self.gateway = gateway
        self.vendor = vendor
        self.site = site
        self.prefix = f"/{name}/"
        self._chromium = chromium
        self._visitors: list[Any] = []
        self._under_way: set[Any] = set()

    # -- pages -----------------------------------------------------------------------------------------------------

    @property
    def collector(self) -> str:
        return f"http://collect.shopname.com:{self.gateway.port}"

    def tag(self, key: str = WRITE_KEY, **data: str) -> str:
        said = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in data.items())
        return f'<script async src="{self.collector}/firsthand.js" data-write-key="{key}"{said}></script>'

    def put(
        self, path: str = "", body: str = "", *, head: str | None = None, title: str = "Shop", **headers: str
    ) -> None:
        """A page; `head` is the stub and the script where nothing else is said."""
        head = STUB + self.tag() if head is None else head
        text = f"<!doctype html><html><head><title>{title}</title>{head}</head><body>{body}</body></html>"
        self.site.put(self.prefix + path, text, **headers)

    def url(self, path: str = "", host: str = "www.shopname.com") -> str:
        return f"http://{host}:{self.site.port}{self.prefix}{path}"

    # -- visitors --------------------------------------------------------------------------------------------------

    def visitor(self, **options: Any) -> Any:
        """A browser that has never been here."""
        context = self._chromium.new_context(**options)
        self._visitors.append(context)
        context.on("request", lambda request: self._under_way.add(request) if request.method == "POST" else None)
        for over in ("requestfinished", "requestfailed"):
            context.on(over, lambda request: self._under_way.discard(request))
        return context

    def answered(self) -> None:
        """Until the pages have the answers to all that they sent, and the cookies that come with them."""
        until("all is answered", lambda: not self._under_way, 10)
        for page in (page for visitor in self._visitors for page in visitor.pages):
            # The browser has the answer; the page's script has it when it is next at rest.
            page.evaluate("() => new Promise((done) => setTimeout(done, 100))")

    def open(self, visitor: Any, path: str = "", host: str = "www.shopname.com") -> Any:
        """A new tab at a page, its script loaded."""
        page = visitor.new_page()
        page.goto(self.url(path, host))
        page.wait_for_function("() => window.firsthand?.version || window._df?.version")
        return page

    def close(self) -> None:
        for context in self._visitors:
            with contextlib.suppress(Exception):
                context.close()

    # -- what came of it -------------------------------------------------------------------------------------------

    def events(self) -> list[Json]:
        """The events of this scene's pages, as the log has them."""
        return [event for event in self.all_events() if self._mine(event)]

    def knows(self, event: Json) -> bool:
        """Whether an event is of a visitor of this scene, as what the script reports of a sync has no page."""
        return event.get("anonymousId") in {one["anonymousId"] for one in self.events()}

    def all_events(self) -> list[Json]:
        with contextlib.closing(SqliteLogReader(self.gateway.data)) as log:
            return [json.loads(row.body) for row in log.entries(0, 100_000) if isinstance(row, Row)]

    def _mine(self, event: Json) -> bool:
        page = event.get("context", {}).get("page")
        return isinstance(page, dict) and str(page.get("path", "")).startswith(self.prefix)

    def names(self) -> list[str]:
        return [name(event) for event in self.events()]

    def until(self, *names: str) -> list[Json]:
        """The scene's events, once there are as many as these names, which they have, in this order."""
        with contextlib.suppress(AssertionError):
            until("the events have come", lambda: len(self.events()) >= len(names), 15)
        assert self.names() == list(names), f"these came: {self.names()}"
        return self.events()

    def event(self, wanted: str) -> Json:
        """The only event with this name, once it has come."""
        until(f"{wanted} has come", lambda: wanted in self.names(), 15)
        (found,) = [event for event in self.events() if name(event) == wanted]
        return found

    def delivery(self, event: Json, integration: str, until_state: Callable[[str], bool] | None = None) -> Json:
        """What became of an event at an integration, once it is settled (or as `until_state` wants it)."""
        settled = until_state or (lambda state: state not in ("pending", "retrying", "held"))

        def found() -> Json | None:
            rows = self.gateway.trace(event["messageId"])["deliveries"]
            row = next((row for row in rows if row["integration"] == integration and not row["superseded"]), None)
            return row if row and settled(row["state"]) else None

        return until(f"{name(event)} is settled at {integration}", found, 20)

    def ledger(self, vendor: str) -> list[Json]:
        """What the emulator of a vendor received of this scene's pages."""
        entries: list[Json] = call(self.vendor.port, "GET", f"/_control/{vendor}/ledger?limit=10000")["received"]
        return [entry for entry in entries if self.prefix in json.dumps(entry) or self._escaped in json.dumps(entry)]

    @property
    def _escaped(self) -> str:
        return self.prefix.replace("/", "%2F")


def name(event: Json) -> str:
    return str(event.get("event") or event["type"])


def stored(page: Any) -> Json:
    """What the page's site keeps in the browser, besides cookies."""
    return dict(
        page.evaluate(
            """async () => ({local: {...localStorage}, session: {...sessionStorage},
                             databases: window.indexedDB.databases ? (await indexedDB.databases()).length : 0})"""
        )
    )


def proposal(page: Any) -> str | None:
    """The anonymous id that the script keeps, with what it needs to know of it."""
    kept: str | None = stored(page)["local"].get("fh_proposal")
    return kept.partition("\n")[0] if kept else None


def cookies_of(visitor: Any) -> dict[str, Json]:
    """The browser's cookies of the shop, by name."""
    return {cookie["name"]: cookie for cookie in visitor.cookies() if cookie["domain"].endswith("shopname.com")}
