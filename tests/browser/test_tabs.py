"""A new visitor who has agreed is one visitor, with however many pages they begin."""

from typing import Any

import pytest
from tests.browser.shop import FREE_KEY, Json, Scene, proposal
from tests.browser.site import STUB
from tests.browser.test_vendors import YES, sync_of
from tests.gateway import until


@pytest.fixture(params=["locks", "no locks"])
def host(request: pytest.FixtureRequest) -> str:
    """Browsers have locks over tabs only for pages that came by https, or from this machine."""
    return "localhost" if request.param == "locks" else "www.shopname.com"


def head(scene: Scene, host: str, said: str = YES, **tag: str) -> str:
    collector = f"http://localhost:{scene.gateway.port}" if host == "localhost" else scene.collector
    return STUB + said + scene.tag(**tag).replace(scene.collector, collector)


def at_once(visitor: Any, pages: int) -> None:
    """Nobody gets the script before all have asked for it."""
    waiting: list[Any] = []

    async def hold(route: Any) -> None:
        waiting.append(route)
        if len(waiting) == pages:
            for one in waiting:
                await one.continue_()

    visitor.route("**/firsthand.js", hold)


def cookie(visitor: Any, name: str) -> str | None:
    return next((one["value"] for one in visitor.cookies() if one["name"] == name), None)


def is_one(events: list[Json], visitor: Any) -> None:
    assert {event["anonymousId"] for event in events} == {cookie(visitor, "fh_aid")}
    assert {event["context"]["sessionId"] for event in events} == {cookie(visitor, "fh_sid")}
    assert {event["context"]["ids"]["raptor_coid"] for event in events} == {cookie(visitor, "rsa")}


@pytest.mark.parametrize("tabs", [2, 3])
def test_tabs_that_are_opened_at_once(scene: Scene, host: str, tabs: int) -> None:
    scene.put(head=head(scene, host))
    visitor = scene.visitor()
    at_once(visitor, tabs)
    pages = [visitor.new_page() for _ in range(tabs)]
    for page in pages:
        page.goto(scene.url(host=host), wait_until="commit")
    assert pages[0].evaluate("() => Boolean(navigator.locks)") is (host == "localhost")
    events = scene.until(*["page"] * tabs)
    scene.answered()
    is_one(events, visitor)
    for number, page in enumerate(pages):
        page.evaluate("(name) => firsthand.track(name)", f"E{number}")
        later = scene.event(f"E{number}")
        is_one([later], visitor)
        assert "previousId" not in later or host != "localhost"


@pytest.mark.parametrize("inner", ["same page", "another subdomain"])
def test_a_first_page_with_another_one_in_it(scene: Scene, inner: str) -> None:
    frame = scene.url("frame", "www.shopname.com" if inner == "same page" else "basket.shopname.com")
    scene.put(body=f'<iframe src="{frame}"></iframe>', head=head(scene, ""))
    scene.put("frame", head=head(scene, ""))
    visitor = scene.visitor()
    at_once(visitor, 2)
    visitor.new_page().goto(scene.url(), wait_until="commit")
    events = scene.until("page", "page")
    scene.answered()
    is_one(events, visitor)


def test_a_slow_first_tab_is_waited_for(scene: Scene) -> None:
    scene.put(head=head(scene, "localhost"))
    visitor = scene.visitor()
    asked: list[Any] = []

    async def slowly(route: Any) -> None:
        asked.append(route)
        if len(asked) > 1:
            await route.continue_()

    visitor.route("**/v1/visitor", slowly)
    one, two = visitor.new_page(), visitor.new_page()
    one.goto(scene.url(host="localhost"))
    until("the first tab has asked", lambda: asked, 15)
    two.goto(scene.url(host="localhost"))
    two.evaluate("() => new Promise((later) => setTimeout(later, 1000))")
    assert len(asked) == 1, "the second one is held back"
    scene._chromium.run(asked[0].continue_())
    events = scene.until("page", "page")
    scene.answered()
    is_one(events, visitor)
    assert not any("previousId" in event for event in events)
    assert proposal(one) == proposal(two) == cookie(visitor, "fh_aid")


def test_where_the_first_tab_hangs_the_second_one_goes_on(scene: Scene) -> None:
    scene.put(head=head(scene, "localhost"))
    visitor = scene.visitor()
    asked: list[Any] = []

    async def never(route: Any) -> None:
        asked.append(route)
        if len(asked) > 1:
            await route.continue_()

    visitor.route("**/v1/visitor", never)
    visitor.new_page().goto(scene.url(host="localhost"))
    until("the first tab has asked", lambda: asked, 15)
    visitor.new_page().goto(scene.url(host="localhost"))
    scene.until("page")
    is_one(scene.events(), visitor)


@pytest.mark.parametrize("status", [0, 404, 503])
def test_where_nobody_says_who_it_is_the_events_go_all_the_same(scene: Scene, status: int) -> None:
    scene.put(head=head(scene, ""))
    visitor = scene.visitor()
    answer = (lambda route: route.fulfill(status=status)) if status else (lambda route: route.abort())
    visitor.route("**/v1/visitor", answer)
    page = scene.open(visitor)
    events = scene.until("page")
    scene.answered()
    is_one(events, visitor)
    assert proposal(page) == cookie(visitor, "fh_aid")


def test_a_source_that_needs_no_consent(scene: Scene, host: str) -> None:
    scene.put(head=head(scene, host, "", key=FREE_KEY))
    visitor = scene.visitor()
    at_once(visitor, 2)
    for page in [visitor.new_page() for _ in range(2)]:
        page.goto(scene.url(host=host), wait_until="commit")
    events = scene.until("page", "page")
    scene.answered()
    assert {event["anonymousId"] for event in events} == {cookie(visitor, "fh_aid")}


def test_a_banner_that_is_answered_in_one_of_two_tabs(scene: Scene, host: str) -> None:
    """Both find the answer in the consent tool's cookie, each within a second."""
    scene.put(head=head(scene, host, ""))
    visitor = scene.visitor()
    at_once(visitor, 2)
    pages = [visitor.new_page() for _ in range(2)]
    for page in pages:
        page.goto(scene.url(host=host), wait_until="commit")
    held = scene.until("page", "page")
    assert len({event["anonymousId"] for event in held}) == 2, "nothing could be kept by which one knows the other"
    scene.answered()
    pages[0].evaluate("() => { document.cookie = 'CookieConsent={marketing:true}' }")
    answers = scene.until("page", "page", "Consent Updated", "Consent Updated")[2:]
    scene.answered()
    is_one(answers, visitor)
    own = {event["anonymousId"] for event in held} - {cookie(visitor, "fh_aid")}
    assert {event["previousId"] for event in answers if "previousId" in event} == own, "what was held is linked"
    for number, page in enumerate(pages):
        page.evaluate("(name) => firsthand.track(name)", f"E{number}")
        later = scene.event(f"E{number}")
        is_one([later], visitor)
        assert "previousId" not in later


def test_a_banner_of_ones_own_that_is_answered_in_one_of_two_tabs(scene: Scene, host: str) -> None:
    """The other tab's page learns of it when it is loaded again."""
    own = """<script>if (localStorage.answer) firsthand.consent({categories: {marketing: true}})</script>"""
    scene.put(head=head(scene, host, own))
    visitor = scene.visitor()
    one, two = scene.open(visitor, host=host), scene.open(visitor, host=host)
    scene.until("page", "page")
    one.evaluate("() => { localStorage.answer = 'yes'; firsthand.consent({categories: {marketing: true}}) }")
    answer = scene.event("Consent Updated")
    scene.answered()
    two.reload()
    view = scene.until("page", "page", "Consent Updated", "page")[-1]
    scene.answered()
    is_one([answer, view], visitor)
    assert "previousId" not in view


# -- another subdomain -----------------------------------------------------------------------------------------------


def test_another_subdomain_takes_the_sites_visitor(scene: Scene) -> None:
    """Its storage is its own, the cookie is the site's; vendors' ids are reported for whom the cookie names."""
    scene.put(head=head(scene, ""))
    visitor = scene.visitor()
    visitor.route("**/v1/settings**", lambda route: route.abort())
    page = scene.open(visitor)
    scene.until("page")
    scene.answered()
    visitor.unroute("**/v1/settings**")
    page.goto(scene.url(host="basket.shopname.com"))
    events = scene.until("page", "page")
    is_one(events, visitor)
    assert "previousId" not in events[-1]
    gum = sync_of(scene)
    assert (gum["anonymousId"], gum["properties"]["sync"]["status"]) == (cookie(visitor, "fh_aid"), "OK")


def test_a_reset_before_the_first_contact_is_not_undone_by_the_sites_cookie(scene: Scene) -> None:
    scene.put(head=head(scene, ""))
    scene.put("out", head=head(scene, "", YES + "<script>firsthand.reset()</script>"))
    visitor = scene.visitor()
    page = scene.open(visitor)
    (before,) = scene.until("page")
    scene.answered()
    page.goto(scene.url("out", "account.shopname.com"))
    after = scene.until("page", "page")[-1]
    scene.answered()
    is_one([after], visitor)
    assert after["anonymousId"] != before["anonymousId"]
    assert "previousId" not in after


# -- the landing page ------------------------------------------------------------------------------------------------


def test_a_click_id_when_the_banner_is_answered_a_page_later(scene: Scene) -> None:
    scene.put("", '<a href="next">on</a>', head=head(scene, "", ""))
    scene.put("next", head=head(scene, "", ""))
    visitor = scene.visitor()
    page = scene.open(visitor, "?reaid=r-1")
    scene.until("page")
    page.click("a")
    scene.until("page", "page")
    assert visitor.cookies() == []
    page.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    event = scene.event("Consent Updated")
    scene.answered()
    assert cookie(visitor, "rsaReaId") == event["context"]["ids"]["raptor_reaid"] == "r-1"


@pytest.mark.parametrize("said", [YES, ""])
def test_a_click_id_in_a_single_page_application(scene: Scene, said: str) -> None:
    """Which tidies its address at once, and whose banner is answered views later, or was before."""
    tidy = "<script>history.replaceState(null, '', location.pathname)</script>"
    scene.put(head=head(scene, "", said), body=tidy)
    visitor = scene.visitor()
    page = scene.open(visitor, "?reaid=r-1&x=2")
    views = ["page"]
    scene.until(*views)
    for path in ("lamps", "lamps/7"):
        page.evaluate("(path) => history.pushState(null, '', path)", scene.prefix + path)
        views.append("page")
        scene.until(*views)
    page.evaluate("() => firsthand.consent({categories: {marketing: true}})")
    page.evaluate("() => firsthand.track('Last')")
    event = scene.event("Last")
    scene.answered()
    assert cookie(visitor, "rsaReaId") == event["context"]["ids"]["raptor_reaid"] == "r-1"


def test_a_query_that_is_too_long_to_go_along(scene: Scene) -> None:
    scene.put(head=head(scene, ""))
    page = scene.visitor().new_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or "") if "/v1/batch" in request.url else None)
    page.goto(scene.url(f"?reaid=r-1&x={'x' * 3000}"))
    (view,) = scene.until("page")
    assert all('"landing":""' in body for body in sent)
    assert view["context"]["ids"]["raptor_reaid"] == "r-1", "the page's own address counts all the same"
