"""A page behind a proxy that speaks https: its cookies in a jar that keeps the rules, the gateway as it is served."""

import http.client
import http.cookiejar
import json
import urllib.request
import uuid
from pathlib import Path
from typing import Any, NamedTuple

from tests.gateway import WRITE_KEY, Emulator, Gateway, config, criteo, until

GRANTED = {"categories": {"marketing": True}}
REFUSED = {"categories": {"marketing": False}}
RAPTOR = {"key": "raptor", "vendor": "raptor", "settings": {"customer_id": "1234"}}


class Said(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    set_cookies: list[str]


class Visitor:
    """A browser on `www.shop.co.uk`, whose events go to `events.shop.co.uk`."""

    def __init__(self, port: int, **headers: str) -> None:
        self._port = port
        self._headers = headers
        self.jar = http.cookiejar.CookieJar()
        self.proposal = str(uuid.uuid4())

    def views(self, id: str, consent: Any = None, **headers: str) -> Said:
        context = {"library": {"name": "firsthand.js", "version": "1"}} | ({"consent": consent} if consent else {})
        event = {"type": "page", "messageId": id, "anonymousId": self.proposal, "context": context}
        body = json.dumps({"writeKey": WRITE_KEY, "batch": [event]}).encode()
        return self.asks("POST", "/v1/batch", body, {"content-type": "text/plain;charset=UTF-8", **headers})

    def asks(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Said:
        asked = urllib.request.Request(f"https://events.shop.co.uk{path}")
        self.jar.add_cookie_header(asked)
        sent = {"Host": "events.shop.co.uk", "Origin": "https://www.shop.co.uk", **self._headers}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request(method, path, body, {**sent, **dict(asked.header_items()), **headers})
            answer = connection.getresponse()
            answer.read()
            self.jar.extract_cookies(answer, asked)
            return Said(answer.status, answer.headers, answer.headers.get_all("set-cookie") or [])
        finally:
            connection.close()

    @property
    def cookies(self) -> dict[str, str | None]:
        return {cookie.name: cookie.value for cookie in self.jar}


def test_a_visitor_is_known_for_as_long_as_they_agree(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo(), RAPTOR, trusted_proxies=["127.0.0.1"]), vendor) as gateway:
        visitor = Visitor(gateway.port, **{"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"})

        first = visitor.views("p-1")
        assert (first.status, first.set_cookies, visitor.cookies) == (200, [], {})
        assert first.headers["access-control-allow-credentials"] == "true"
        assert gateway.event("p-1")["anonymousId"] == visitor.proposal

        second = visitor.views("p-2", GRANTED)
        assert all(
            header.endswith("; Domain=.shop.co.uk; Path=/; Secure; HttpOnly; SameSite=Lax")
            for header in second.set_cookies
        )
        assert visitor.cookies.keys() == {"fh_aid", "fh_sid", "rsa", "rsaSession"}
        assert {cookie.domain for cookie in visitor.jar} == {".shop.co.uk"}
        assert visitor.cookies["fh_aid"] == visitor.proposal

        known, before = visitor.proposal, visitor.cookies
        visitor.proposal = str(uuid.uuid4())  # another page load
        visitor.views("p-3", GRANTED)
        assert visitor.cookies == before
        event = gateway.event("p-3")
        assert (event["anonymousId"], event["previousId"]) == (known, visitor.proposal)
        assert event["context"]["sessionId"] == before["fh_sid"]
        assert event["context"]["ids"] == {"raptor_coid": before["rsa"], "raptor_sid": before["rsaSession"]}
        assert event["context"]["ip"] == "198.51.100.7"

        visitor.views("p-4", REFUSED)
        assert visitor.cookies == {}
        event = gateway.event("p-4")
        assert event["anonymousId"] == visitor.proposal
        assert "ids" not in event["context"]


def test_who_is_no_proxy_is_not_believed_and_others_pages_get_nothing(tmp_path: Path, vendor: Emulator):
    sources = [{"key": "web-shop", "write_key": WRITE_KEY, "origins": ["https://www.shop.co.uk"]}]
    with Gateway(tmp_path, config(criteo(), sources=sources), vendor) as gateway:
        visitor = Visitor(gateway.port, **{"X-Forwarded-Proto": "https"})
        said = visitor.views("p-1", GRANTED)
        assert [("Secure" in header) for header in said.set_cookies] == [False, False]

        evil = visitor.views("p-2", GRANTED, Origin="https://evil.example")
        assert (evil.status, evil.set_cookies) == (403, [])
        assert "access-control-allow-credentials" not in evil.headers
        assert not gateway.knows("p-2")


HUGE = "; ".join(f"cookie-{number}={'x' * 40}" for number in range(3_000))


HOSTILE: dict[str, dict[str, str]] = {
    "thousands of cookies": {"Cookie": HUGE},
    "a huge cookie": {"Cookie": "x" * 60_000},
    "a line's end": {"Cookie": "fh_aid=%0d%0aSet-Cookie: a=b"},
    "a public suffix": {"Host": "co.uk", "Origin": "https://co.uk"},
    "an attribute": {"Host": "shop.co.uk;Domain=.co.uk", "Origin": "https://shop.co.uk"},
    "no host": {"Host": "[::", "Origin": "null"},
}


def test_hostile_headers(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        for name, headers in HOSTILE.items():
            said = Visitor(gateway.port).views(name, GRANTED, **headers)
            assert said.status == 200, name
            assert not any("a=b" in header or "Domain=.co.uk" in header for header in said.set_cookies)
            assert said.set_cookies == [] or name == "a line's end"


def test_bots_are_counted_and_sent_to_nobody(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        agent = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
        Visitor(gateway.port).views("p-1", **{"User-Agent": agent})
        gateway.settle()
        delivery = until("the event is decided on", lambda: gateway.delivery("p-1"))
        assert (delivery["state"], delivery["reason"]["code"]) == ("filtered", "bot")
        assert gateway.counts()["reasons"] == {"bot": 1}
        assert vendor.received_of("p-1") == []
