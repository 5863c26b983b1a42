"""What the script keeps in the browser, by the collector's word, and what becomes of it in other tabs and pages."""

import asyncio
from typing import Any

import pytest
from tests.browser.shop import FREE_KEY, SHORT_KEY, Json, Scene, cookies_of, proposal, stored
from tests.browser.site import STUB
from tests.browser.test_vendors import YES
from tests.gateway import until

NO = "() => firsthand.consent({categories: {marketing: false}})"


def agreeing(scene: Scene, *paths: str, key: str | None = None) -> None:
    for path in paths:
        scene.put(path, head=STUB + YES + (scene.tag(key) if key else scene.tag()))


def local(page: Any) -> Json:
    kept: Json = stored(page)["local"]
    return kept


def told(scene: Scene, page: Any, event: str) -> Json:
    """The page tells an event, and has the answer to it."""
    page.evaluate("(name) => firsthand.track(name)", event)
    found = scene.event(event)
    scene.answered()
    return found


def syncs(scene: Scene) -> list[Json]:
    return [event for event in scene.all_events() if "sync" in event.get("properties", {}) and scene.knows(event)]


# -- the collector's word --------------------------------------------------------------------------------------------


def test_nothing_is_kept_before_the_collector_has_said_yes(scene: Scene) -> None:
    agreeing(scene, "")
    page = scene.visitor().new_page()
    waiting: list[Any] = []
    page.route("**/v1/visitor", lambda route: waiting.append(route))
    page.goto(scene.url())
    until("it has asked", lambda: waiting, 15)
    page.context.set_offline(True)
    page.evaluate("() => firsthand.track('Offline')")
    assert local(page) == {}
    assert syncs(scene) == []


@pytest.mark.parametrize(
    ("key", "cookie"), [(FREE_KEY, None), (None, "CookieConsent=-1"), (None, "CookieConsent={marketing:true}")]
)
def test_what_the_collector_allows_is_kept_whatever_the_script_understands(
    scene: Scene, key: str | None, cookie: str | None
) -> None:
    head = f"<script>document.cookie = '{cookie}'</script>" if cookie else ""
    scene.put(head=head + STUB + (scene.tag(key) if key else scene.tag()))
    visitor = scene.visitor()
    page = scene.open(visitor)
    (view,) = scene.until("page")
    scene.answered()
    assert proposal(page) == cookies_of(visitor)["fh_aid"]["value"] == view["anonymousId"]
    until("the vendor is asked", lambda: syncs(scene), 15)


def test_after_a_yes_the_next_page_may_keep_at_once(scene: Scene) -> None:
    agreeing(scene, "", "next")
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    scene.answered()
    id = proposal(page)
    page.route("**/v1/batch", lambda route: None)  # never answered
    page.goto(scene.url("next"))
    page.wait_for_function("() => window.firsthand?.version")
    visitor.set_offline(True)
    page.evaluate("() => firsthand.track('Offline')")
    (queue,) = [value for key, value in local(page).items() if key.startswith("fh_queue_")]
    assert f'"anonymousId":"{id}"' in queue


def test_a_withdrawal_offline(scene: Scene) -> None:
    agreeing(scene, "")
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    scene.answered()
    visitor.set_offline(True)
    page.evaluate(NO)
    page.evaluate("() => firsthand.track('After')")
    assert set(local(page)) == {"fh_proposal"}, "nothing more is kept"
    visitor.set_offline(False)
    scene.until("page", "Consent Updated", "After")
    scene.answered()
    assert local(page) == {}
    assert not {"fh_aid", "fh_sid"} & cookies_of(visitor).keys()


# -- reset -----------------------------------------------------------------------------------------------------------


def test_a_reset_outlives_the_page(scene: Scene) -> None:
    agreeing(scene, "", "next")
    visitor = scene.visitor()
    page = scene.open(visitor)
    before = told(scene, page, "Before")
    page.evaluate(f"() => {{ firsthand.reset(); location.href = '{scene.url('next')}' }}")
    page.wait_for_url("**/next")
    after = scene.until("page", "Before", "page")[-1]
    scene.answered()
    assert after["anonymousId"] == cookies_of(visitor)["fh_aid"]["value"] != before["anonymousId"]
    assert after["context"]["sessionId"] != before["context"]["sessionId"]
    assert "previousId" not in after
    last = told(scene, page, "Last")
    assert last["anonymousId"] == after["anonymousId"]
    assert local(page)["fh_proposal"].endswith("\n"), "once is enough"


def test_a_reset_holds_for_all_tabs(scene: Scene) -> None:
    agreeing(scene, "")
    visitor = scene.visitor()
    one = scene.open(visitor)
    scene.until("page")
    scene.answered()
    two = scene.open(visitor)
    for page, event in ((one, "One"), (two, "Two")):
        page.evaluate("() => firsthand.identify('user-1', {vip: true})")
        told(scene, page, event)
    one.evaluate("() => firsthand.reset()")
    out = told(scene, one, "Out")
    two.evaluate("() => firsthand.identify({club: 1})")
    other = told(scene, two, "Other")
    for event in (out, other):
        assert "userId" not in event
        assert "previousId" not in event
    assert out["anonymousId"] == other["anonymousId"] != scene.event("One")["anonymousId"]
    assert [event["traits"] for event in scene.events() if event["type"] == "identify"][-1] == {"club": 1}
    two.evaluate("() => firsthand.reset()")
    ids = [told(scene, page, f"Later {n}")["anonymousId"] for n, page in enumerate((two, one, two, one))]
    assert len({*ids, cookies_of(visitor)["fh_aid"]["value"]}) == 1
    assert out["anonymousId"] not in ids
    assert not any("previousId" in event for event in scene.events()), "nobody is linked to anybody"


def asks_slowly(scene: Scene) -> tuple[Any, Any]:
    """A visitor's page whose vendor is being asked, and takes a second to answer."""
    agreeing(scene, "")
    visitor = scene.visitor()
    page = visitor.new_page()
    asked: list[Any] = []

    async def slowly(route: Any) -> None:
        asked.append(route)
        await asyncio.sleep(1)
        await route.continue_()

    page.route("**/criteo-s2s/sync**", slowly)
    page.goto(scene.url())
    scene.until("page")
    until("the vendor is asked", lambda: asked, 15)
    return visitor, page


def test_a_sync_from_before_a_reset_says_nothing_of_who_comes_after(scene: Scene) -> None:
    _, page = asks_slowly(scene)
    page.evaluate("() => firsthand.reset()")
    told(scene, page, "Another")
    page.evaluate("() => new Promise((later) => setTimeout(later, 1500))")
    scene.answered()
    assert syncs(scene) == []
    assert not any("previousId" in event for event in scene.events())


# -- withdrawals -----------------------------------------------------------------------------------------------------


def is_forgotten(visitor: Any) -> bool:
    return not {"fh_aid", "fh_sid", "fh_sync_criteo", "rsa"} & cookies_of(visitor).keys()


def test_a_sync_from_before_a_withdrawal_is_not_reported(scene: Scene) -> None:
    visitor, page = asks_slowly(scene)
    page.evaluate(NO)
    scene.until("page", "Consent Updated")
    page.evaluate("() => new Promise((later) => setTimeout(later, 1500))")
    scene.answered()
    assert syncs(scene) == []
    assert is_forgotten(visitor)


def test_a_withdrawal_holds_for_other_tabs(scene: Scene) -> None:
    agreeing(scene, "")
    visitor = scene.visitor()
    one = scene.open(visitor)
    told(scene, one, "Before")
    two = scene.open(visitor)
    scene.until("page", "Before", "page")
    two.evaluate(NO)
    scene.event("Consent Updated")
    scene.answered()
    after = told(scene, one, "After")
    assert "consent" not in after["context"], "the yes of this tab is the older one"
    assert is_forgotten(visitor)
    assert local(one) == {}
    one.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    until("a new yes is one", lambda: "fh_aid" in cookies_of(visitor), 15)


def test_a_withdrawal_holds_for_a_page_that_comes_back(scene: Scene) -> None:
    """From the browser's cache of pages, which Playwright turns off: here the page only hears that it came back."""
    agreeing(scene, "")
    visitor = scene.visitor()
    one = scene.open(visitor)
    told(scene, one, "Before")
    two = scene.open(visitor)
    scene.until("page", "Before", "page")
    two.evaluate(NO)
    scene.event("Consent Updated")
    scene.answered()
    one.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    view = scene.until("page", "Before", "page", "Consent Updated", "page")[-1]
    scene.answered()
    assert "consent" not in view["context"]
    assert is_forgotten(visitor)


# -- the queue -------------------------------------------------------------------------------------------------------


def offline(scene: Scene, visitor: Any, calls: str) -> Any:
    """A page whose visitor has agreed and is offline, after these calls."""
    agreeing(scene, "")
    page = scene.open(visitor)
    scene.until("page")
    scene.answered()
    visitor.set_offline(True)
    page.evaluate(calls)
    return page


def test_what_waits_is_sent_with_its_own_key_only(scene: Scene) -> None:
    visitor = scene.visitor()
    lost = "() => { delete Navigator.prototype.sendBeacon; firsthand.track('Of the first source') }"
    offline(scene, visitor, lost).goto("about:blank")
    visitor.set_offline(False)
    agreeing(scene, "other", key=SHORT_KEY)
    told(scene, scene.open(visitor, "other"), "Of another source")
    assert "Of the first source" not in scene.names()
    agreeing(scene, "same")
    scene.open(visitor, "same")
    scene.event("Of the first source")


def test_a_damaged_line_costs_no_other(scene: Scene) -> None:
    visitor = scene.visitor()
    page = offline(scene, visitor, "() => { firsthand.track('E0'); firsthand.track('E1') }")
    page.evaluate(
        """() => {
            const key = Object.keys(localStorage).find((key) => key.startsWith("fh_queue_"));
            localStorage[key] += '\\n{"timestamp":"2026\\n1795348800000{"type":"track","ev}';
        }"""
    )
    page.close()
    visitor.set_offline(False)
    agreeing(scene, "next")
    scene.open(visitor, "next")
    until("the others have come", lambda: sorted(scene.names()) == ["E0", "E1", "page", "page"], 30)


def test_where_the_storage_is_full_the_newest_are_kept(scene: Scene) -> None:
    visitor = scene.visitor()
    page = offline(
        scene,
        visitor,
        """() => {
            localStorage.big = "x".repeat(5 * 1024 * 1024 - 60000);
            for (let n = 0; n < 20; n++) firsthand.track("E" + n, {text: "x".repeat(9000)});
        }""",
    )
    (queue,) = [value for key, value in local(page).items() if key.startswith("fh_queue_")]
    assert '"event":"E19"' in queue
    assert '"event":"E0"' not in queue


def test_more_than_a_browser_sends_at_the_end_of_a_page(scene: Scene) -> None:
    agreeing(scene, "", "next")
    visitor = scene.visitor()
    page = scene.open(visitor)
    scene.until("page")
    scene.answered()
    page.evaluate("() => { for (let n = 0; n < 20; n++) firsthand.track('E' + n, {text: 'x'.repeat(9000)}) }")
    page.goto(scene.url("next"))
    expected = sorted(["page", "page", *(f"E{n}" for n in range(20))])
    until("all have come", lambda: sorted(scene.names()) == expected, 15)
