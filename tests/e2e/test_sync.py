"""From the page to the vendor: an id that only the vendor's cookie knows arrives with the visitor's next order."""

import json
import re
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tests.consent.tc_strings import GRANTS_CRITEO
from tests.gateway import WRITE_KEY, Emulator, Gateway, call, config, criteo, order, until

Json = dict[str, Any]
VISITOR = "6f1d3a9e-2b4c-4d5e-8f60-718293a4b5c6"
CONSENT: Json = {"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}


class Browser:
    """Follows redirects and keeps cookies, those of vendors too. On this machine they need no https."""

    def __init__(self, gateway: Gateway) -> None:
        self.base = f"http://127.0.0.1:{gateway.port}"
        self.jar = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))

    def cookie(self, name: str) -> str | None:
        return next((cookie.value for cookie in self.jar if cookie.name == name), None)

    def get(self, url: str, **headers: str) -> str:
        with self._opener.open(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return str(answer.read().decode("latin-1"))

    def syncs(self) -> list[Json]:
        query = {"writeKey": WRITE_KEY, "anonymousId": VISITOR, "consent": json.dumps(CONSENT)}
        found: Json = json.loads(self.get(f"{self.base}/v1/settings?{urlencode(query)}", Origin="http://127.0.0.1"))
        return list(found["syncs"])

    def runs(self, sync: Json) -> Json:
        """What the script that the page loads calls back with."""
        script = self.get(sync["url"].replace("{callback}", "cb_1"))
        match = re.fullmatch(r"cb_1\((.*)\);", script)
        assert match is not None
        answer: Json = json.loads(match[1])
        return answer

    def reports(self, sync: Json, answer: Json) -> None:
        body = {"writeKey": WRITE_KEY, "anonymousId": VISITOR, "callerId": sync["callerId"], "consent": CONSENT}
        body |= {"status": answer["status"], "id": answer.get("userid")}
        headers = {"Origin": "http://127.0.0.1", "content-type": "text/plain"}
        request = urllib.request.Request(f"{self.base}/v1/sync/{sync['name']}", json.dumps(body).encode(), headers)
        with self._opener.open(request, timeout=20) as taken:
            assert json.loads(taken.read()) == {"success": True}


@pytest.fixture
def gateway(tmp_path: Path, vendor: Emulator) -> Iterator[Gateway]:
    tcf = {"basis": "tcf"}
    settings = {"partner_id": "12345", "mapping_key": "777"}
    other = criteo("other", settings=settings, consent=tcf)
    with Gateway(tmp_path, config(criteo(consent=tcf), other), vendor) as made:
        yield made


def bought(gateway: Gateway, id: str) -> dict[str, Json]:
    """What the vendor got of an order that the shop's server sends, by caller: it knows the visitor, and no id."""
    sent = order(id, anonymousId=VISITOR)
    sent["context"] = {**sent["context"], "consent": CONSENT}
    gateway.send(sent)

    def received() -> dict[str, Json]:
        ledger = call(gateway.vendor.port, "GET", "/_control/criteo-s2s/ledger")["received"]
        events = [entry for entry in ledger if "sync" not in entry and entry["body"]["full_url"].endswith(f"/{id}")]
        return {entry["body"]["id"]["mapping_key"]: entry for entry in events}

    until("the order is at both accounts", lambda: len(received()) == 2)
    return received()


def test_a_script_asks_and_the_next_order_is_matched(gateway: Gateway) -> None:
    browser = Browser(gateway)
    before = bought(gateway, "before")
    assert [entry["user"] for entry in before.values()] == [None, None]
    answers = {}
    for sync in browser.syncs():
        answers[sync["callerId"]] = browser.runs(sync)
        browser.reports(sync, answers[sync["callerId"]])
    assert answers["123"]["userid"] != answers["777"]["userid"], "each account has its own"
    assert browser.syncs() == []
    assert browser.cookie("fh_aid") == VISITOR
    after = bought(gateway, "after")
    for caller, entry in after.items():
        assert entry["body"]["id"]["mapped_user_id"] == answers[caller]["userid"]
        assert entry["user"] == browser.cookie("uid")
        assert (entry["errors"], entry["matched"], entry["consent"]) == ([], True, "granted")


def test_a_page_without_scripts_is_led_to_the_vendor_and_back(gateway: Gateway) -> None:
    browser = Browser(gateway)
    query = {"writeKey": WRITE_KEY, "anonymousId": VISITOR, "consent": json.dumps(CONSENT)}
    for _ in range(3):
        image = browser.get(f"{browser.base}/v1/sync/criteo?{urlencode(query)}", Referer="http://127.0.0.1/")
        assert image.startswith("GIF89a")
    calls = call(gateway.vendor.port, "GET", "/_control/criteo-s2s/ledger")["received"]
    assert [(entry["caller"], entry["response"], entry["sync"]) for entry in calls] == [
        ("123", "1", "OK"),
        ("777", "1", "OK"),
    ]
    for entry in bought(gateway, "after").values():
        assert entry["user"] == browser.cookie("uid")


def test_who_opts_out_at_the_vendor_is_forgotten(gateway: Gateway) -> None:
    browser = Browser(gateway)
    syncs = browser.syncs()
    for sync in syncs:
        browser.reports(sync, browser.runs(sync))
    assert {entry["user"] for entry in bought(gateway, "before").values()} == {browser.cookie("uid")}
    browser.reports(syncs[0], {"status": "OptOut"})
    after = bought(gateway, "after")
    assert "mapped_user_id" not in after[syncs[0]["callerId"]]["body"]["id"]
    assert after[syncs[1]["callerId"]]["user"] == browser.cookie("uid"), "the other account is another matter"
