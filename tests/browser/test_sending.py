"""Events reach the log through everything that happens to pages, and the page never notices."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.browser.shop import Json, Scene, name, stored
from tests.browser.site import STUB
from tests.gateway import until

from firsthand.event import parse_time

AGREE = "() => firsthand.consent({categories: {marketing: true}})"


class Answers:
    """Stands between a page and the collector's `/v1/batch`: answers the first requests itself, and remembers all."""

    def __init__(self, page: Any, *answers: Callable[[Any], Any]) -> None:
        self.bodies: list[Json] = []
        self._answers = list(answers)
        page.route("**/v1/batch", self._handle)

    async def _handle(self, route: Any) -> None:
        self.bodies.append(json.loads(route.request.post_data))
        await (self._answers.pop(0)(route) if self._answers else route.continue_())


def status(number: int, body: str = "{}", **headers: str) -> Callable[[Any], Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(route: Any) -> Any:
        shown = {"access-control-allow-origin": route.request.headers["origin"]}
        shown |= {"access-control-allow-credentials": "true", "access-control-expose-headers": "retry-after"}
        return route.fulfill(status=number, body=body, headers={**shown, **named})

    return answer


def cut(route: Any) -> Any:
    return route.abort("connectionreset")


def logged(page: Any) -> list[str]:
    lines: list[str] = []
    page.on("console", lambda message: lines.append(message.text))
    return lines


def faults(page: Any) -> list[str]:
    """What the page's own error reporting would see."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


# -- batches ---------------------------------------------------------------------------------------------------------


def test_calls_that_belong_together_go_together_and_large_ones_do_not(scene: Scene) -> None:
    scene.put()
    page = scene.open(scene.visitor())
    scene.until("page")
    sent = Answers(page)
    page.evaluate("() => { for (let n = 0; n < 60; n++) firsthand.track('E' + n, {text: 'é'.repeat(600)}) }")
    scene.until("page", *(f"E{number}" for number in range(60)))
    assert 1 < len(sent.bodies) < 10
    assert all(len(json.dumps(body, ensure_ascii=False).encode()) < 48_000 for body in sent.bodies)


def test_an_event_that_no_collector_takes_is_dropped_and_costs_no_other(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag(debug=""))
    page = scene.visitor().new_page()
    lines, errors = logged(page), faults(page)
    page.goto(scene.url())
    page.evaluate(
        """() => {
            const around = {}; around.self = around;
            firsthand.track("Too large", {text: "x".repeat(40000)});
            firsthand.track("Around", {around});
            firsthand.track("Broken", {get price() { throw new Error("no price") }});
            firsthand.track("A window", {window});
            firsthand.consent(null); firsthand.ready("nothing"); firsthand.page(() => 1); firsthand.group();
            firsthand.track("Half a character: \\ud83d", {date: new Date(0), big: 10n, none: NaN, f() {}, s: Symbol()});
            firsthand.track("Fine");
        }"""
    )
    until("the last has come", lambda: "Fine" in scene.names(), 15)
    assert scene.event("Half a character: �")["properties"] == {"date": "1970-01-01T00:00:00.000Z", "none": None}
    assert not {"Too large", "Around", "Broken", "A window"} & set(scene.names())
    assert errors == []
    for reason in ("over 32 kB", "circular", "no price", "refused", "groupId"):
        until(f"{reason} is told", lambda: any(reason in line for line in lines), 15)  # noqa: B023 (it waits here)


# -- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [status(503), status(429, retry_after="1"), status(500), cut], ids=str.__class__)
def test_what_was_not_taken_is_sent_again_in_order(scene: Scene, trouble: Callable[[Any], Any]) -> None:
    scene.put()
    page = scene.visitor().new_page()
    sent = Answers(page, trouble)
    page.goto(scene.url())
    page.evaluate("() => firsthand.track('One')")
    until("the first request was made", lambda: sent.bodies, 15)
    page.evaluate("() => firsthand.track('Two')")
    scene.until("page", "One", "Two")
    ids = [event["messageId"] for body in sent.bodies for event in body["batch"]]
    assert ids[0] in ids[1:], "it was sent again, and known again"


def test_the_pause_that_the_collector_asks_for_is_kept(scene: Scene) -> None:
    scene.put()
    page = scene.visitor().new_page()
    sent = Answers(page, status(429, retry_after="3"))
    page.goto(scene.url())
    page.evaluate("() => firsthand.track('One')")
    scene.until("page", "One")
    first, second = (body["sentAt"] for body in sent.bodies)
    assert parse_time(second) - parse_time(first) >= 3000


def test_what_is_refused_is_dropped_and_the_fault_is_told_to_the_developer(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag("no-such-key", debug=""))
    page = scene.visitor().new_page()
    lines, errors = logged(page), faults(page)
    sent = Answers(page)
    page.goto(scene.url())
    until("it is told", lambda: any("invalid_write_key" in line for line in lines), 15)
    page.evaluate("() => firsthand.track('Next')")
    until("the next is told", lambda: sum("invalid_write_key" in line for line in lines) == 2, 15)
    assert [name(event) for body in sent.bodies for event in body["batch"]] == ["page", "Next"]
    assert errors == []


def test_without_debug_nothing_is_said(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag())
    page = scene.visitor().new_page()
    lines = logged(page)
    sent = Answers(page, status(400, '{"success":false,"error":{"code":"malformed_json"}}'))
    page.goto(scene.url())
    until("it was refused", lambda: sent.bodies, 15)
    page.evaluate("() => { firsthand.consent(null); firsthand.track('Fine') }")
    scene.until("Fine")
    assert [line for line in lines if "firsthand" in line.lower()] == []


# -- offline, and the end of pages -----------------------------------------------------------------------------------


def test_offline_and_back(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    visitor.set_offline(True)
    page.evaluate("() => { for (let n = 0; n < 5; n++) firsthand.track('E' + n) }")
    sent = Answers(page)
    called = page.evaluate("() => new Promise((later) => setTimeout(() => later(Date.now()), 600))")
    assert sent.bodies == []
    assert stored(page)["local"] == {}, "no consent: only in memory"
    visitor.set_offline(False)
    events = scene.until("page", "E0", "E1", "E2", "E3", "E4")
    assert len(sent.bodies) == 1
    assert parse_time(events[-1]["timestamp"]) < called - 500, "the time is that of the call"
    assert "originalTimestamp" not in events[-1]


def test_what_waits_offline_outlives_the_page_once_it_may_be_kept(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    page.evaluate(AGREE)
    scene.until("page", "Consent Updated")
    visitor.set_offline(True)
    page.evaluate("() => { firsthand.track('One', {text: 'a\\nb'}); firsthand.track('Two') }")
    kept = stored(page)["local"]
    assert [key.split("-")[0][:9] for key in sorted(kept)] == ["fh_propos", "fh_queue_"]
    page.close()
    visitor.set_offline(False)
    scene.put("next", head=STUB + "<script>firsthand.consent({categories: {marketing: true}})</script>" + scene.tag())
    page = scene.open(visitor, "next")
    events = scene.until("page", "Consent Updated", "One", "Two", "page")
    assert events[2]["properties"] == {"text": "a\nb"}
    assert len({event["anonymousId"] for event in events}) == 1
    scene.answered()
    assert set(stored(page)["local"]) == {"fh_proposal"}


def test_a_tab_that_is_closed_at_once(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    visitor.new_page()  # so that the browser stays
    page = scene.open(visitor)
    page.evaluate("() => firsthand.track('Order Completed', {order_id: 'o-1'})")
    page.close()
    scene.until("page", "Order Completed")


def test_a_link_that_is_followed_at_once(scene: Scene) -> None:
    scene.put(body=f"""<a href="{scene.url("next")}" onclick="firsthand.track('Product Clicked')">next</a>""")
    scene.put("next")
    page = scene.open(scene.visitor())
    page.click("a")
    scene.until("page", "Product Clicked", "page")


def test_much_that_waits_when_the_page_ends(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    visitor.new_page()
    page = scene.open(visitor)
    page.evaluate("() => { for (let n = 0; n < 5; n++) firsthand.track('E' + n, {text: 'x'.repeat(9000)}) }")
    page.close()
    until("all have come", lambda: len(scene.events()) == 6, 15)
    assert sorted(scene.names()) == ["E0", "E1", "E2", "E3", "E4", "page"]


def test_back_from_the_cache_of_pages_is_a_page_view(scene: Scene) -> None:
    scene.put("one")
    scene.put("two", head="")
    page = scene.open(scene.visitor(), "one")
    scene.until("page")
    page.goto(scene.url("two"))
    page.go_back()
    scene.until("page", "page")


# -- pages that are broken themselves --------------------------------------------------------------------------------

SPOILERS = {
    "fetch-throws": "window.fetch = () => { throw new Error('no fetch here') }",
    "fetch-answers-nothing": "window.fetch = async () => undefined",
    "fetch-answers-anything": "window.fetch = async () => new Response('<html>')",
    "json-throws": "JSON.stringify = JSON.parse = () => { throw new Error('no JSON here') }",
    "arrays-have-to-json": """Array.prototype.toJSON = function () { return "[" + this.join() + "]" };
                             String.prototype.toJSON = function () { return '"' + this + '"' };""",
    "prototypes-have-more": "Object.prototype.extra = function () {}; Array.prototype.extra = [];",
    "storage-throws": "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied') }})",
    "a-script-fails": "setTimeout(() => { throw new Error('of the page') }); undefined_thing.call();",
    "an-element-has-the-name": "document.documentElement.id = 'firsthand'",
}


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_a_page_that_is_broken_itself(scene: Scene, spoiler: str) -> None:
    stub = "" if spoiler == "an-element-has-the-name" else STUB
    scene.put(head=f"<script>{SPOILERS[spoiler]}</script>{stub}{scene.tag()}")
    page = scene.visitor().new_page()
    errors = faults(page)
    page.goto(scene.url())
    page.wait_for_function("() => window.firsthand?.version")
    page.evaluate(
        "() => { firsthand.consent({categories: {marketing: true}}); firsthand.track('Cart', {ids: ['a', 'b']}) }"
    )
    assert scene.event("Cart")["properties"] == {"ids": ["a", "b"]}
    own = ["of the page", "undefined_thing is not defined"] if spoiler == "a-script-fails" else []
    assert sorted(error for error in errors) == sorted(own)


POLICY = "default-src 'none'; script-src {0} 'nonce-7'; connect-src {0}; img-src {0}; base-uri 'none'"


def test_a_strict_content_security_policy(scene: Scene) -> None:
    stub = STUB.replace("<script>", '<script nonce="7">')
    scene.put(head=stub + scene.tag(), Content_Security_Policy=POLICY.format(scene.collector))
    page = scene.visitor().new_page()
    lines, errors = logged(page), faults(page)
    page.goto(scene.url())
    scene.until("page")
    page.close()
    assert [line for line in lines if "Content Security" in line] == errors == []


def test_a_policy_that_forbids_the_collector_breaks_nothing(scene: Scene) -> None:
    policy = POLICY.format(scene.collector).replace(f"connect-src {scene.collector}", "connect-src 'none'")
    stub = STUB.replace("<script>", '<script nonce="7">')
    scene.put(head=stub + scene.tag(), Content_Security_Policy=policy)
    page = scene.visitor().new_page()
    lines, errors = logged(page), faults(page)
    page.goto(scene.url())
    until("the browser complains", lambda: any("connect-src" in line for line in lines), 15)
    assert errors == []
    assert scene.events() == []


def test_a_collector_of_another_site_gets_the_events_and_sets_nothing(scene: Scene) -> None:
    tag = scene.tag().replace("collect.shopname.com", "collect.elsewhere.net")
    scene.put(head=STUB + tag)
    visitor = scene.visitor()
    page = scene.open(visitor)
    page.evaluate(AGREE)
    until("the page view has come", lambda: "page" in scene.names(), 20)
    page.evaluate("() => firsthand.track('Next')")
    until("the next has come", lambda: "Next" in scene.names(), 20)
    assert visitor.cookies() == []


# -- what may not go wrong -------------------------------------------------------------------------------------------


def test_requests_that_fail_cost_no_identity(scene: Scene) -> None:
    """The page's own collector is never asked without cookies, whatever the network does."""
    head = STUB + "<script>firsthand.consent({categories: {marketing: true}})</script>" + scene.tag()
    scene.put(head=head)
    scene.put("two", head=head)
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    scene.answered()
    page.goto(scene.url("two", "basket.shopname.com"))  # whose proposal is another one than the cookie
    scene.until("page", "page")
    scene.answered()
    sent = Answers(page, cut, cut)
    page.evaluate("() => firsthand.track('One')")
    scene.event("One")
    assert len(sent.bodies) == 3
    page.evaluate("() => firsthand.track('Two')")
    scene.event("Two")
    assert len({event["anonymousId"] for event in scene.events()}) == 1
    assert len({event["context"]["sessionId"] for event in scene.events()}) == 1


@pytest.mark.parametrize("pause", ["Wed, 21 Oct 2099 07:28:00 GMT", "99999999999", "soon", "-1"])
def test_a_pause_that_is_none_is_no_reason_to_hurry(scene: Scene, pause: str) -> None:
    scene.put(head=STUB + scene.tag(debug=""))
    page = scene.visitor().new_page()
    lines = logged(page)
    sent = Answers(page, *[status(503, retry_after=pause)] * 100)
    page.goto(scene.url())
    until("the first has failed", lambda: any("not sent" in line for line in lines), 15)
    page.evaluate("() => new Promise((later) => setTimeout(later, 2000))")
    assert 1 <= len(sent.bodies) <= 3
    waits = [float(line.split()[-1]) for line in lines if "not sent" in line]
    assert all(500 <= wait <= 3_600_000 for wait in waits)


def test_a_browser_without_beacons(scene: Scene) -> None:
    scene.put(head="<script>delete Navigator.prototype.sendBeacon</script>" + STUB + scene.tag())
    page = scene.open(scene.visitor())
    scene.until("page")
    sent = Answers(page, cut)
    page.evaluate("() => firsthand.track('One')")
    until("it has failed", lambda: sent.bodies, 15)
    page.evaluate("() => dispatchEvent(new Event('pagehide'))")
    scene.until("page", "One")
    page.evaluate("() => firsthand.track('Two')")
    scene.until("page", "One", "Two")


def test_one_event_that_is_no_json_costs_no_other(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag(debug=""))
    page = scene.visitor().new_page()
    lines = logged(page)
    page.goto(scene.url())
    scene.until("page")
    malformed = status(400, '{"success": false, "error": {"code": "malformed_json"}}')
    sent = Answers(page, malformed, malformed)
    page.evaluate("() => { for (let n = 0; n < 4; n++) firsthand.track('E' + n) }")
    scene.until("page", "E1", "E2", "E3")
    assert [len(body["batch"]) for body in sent.bodies][:2] == [4, 1]
    assert any("refused" in line for line in lines)


def test_calls_keep_their_order_whatever_time_they_say(scene: Scene) -> None:
    scene.put()
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    visitor.set_offline(True)
    page.evaluate("() => { firsthand.track('One'); firsthand.track('Two', {}, {timestamp: '2020-01-01T00:00:00Z'}) }")
    visitor.set_offline(False)
    scene.until("page", "One", "Two")


def test_the_size_of_an_event_is_counted_with_the_consent_that_goes_along(scene: Scene) -> None:
    scene.put(head=STUB + scene.tag(debug=""))
    page = scene.visitor().new_page()
    lines = logged(page)
    page.goto(scene.url())
    scene.until("page")
    page.evaluate("() => firsthand.consent({tcf: {gdprApplies: true, tcString: 'C' + 'P'.repeat(1500)}})")
    page.evaluate("() => { firsthand.track('Big', {text: 'x'.repeat(29600)}); firsthand.track('After') }")
    scene.until("page", "Consent Updated", "After")
    assert any("over 32 kB" in line for line in lines)
    assert not any("event_too_large" in line for line in lines)
