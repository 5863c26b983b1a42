"""A page's first event may wait a moment for the vendor's id, which the page learns a moment later."""

from typing import Any

from tests.deliver.clock import NOW_MS
from tests.deliver.world import Consent, World, event, toy

from firsthand.event import Event

YES: dict[str, Any] = {"categories": {"marketing": True}}
NO: dict[str, Any] = {"categories": {"marketing": False}}
WAITING = ("held", "waiting_for_id")


def viewed(message_id: str, visitor: str = "v", **context: Any) -> Event:
    """An event of a page."""
    page = {"url": "https://shop.example/"}
    return event(message_id, "Product Viewed", visitor, context={"page": page, "consent": YES, **context})


def synced(status: str, visitor: str = "v", message_id: str = "sync", **context: Any) -> Event:
    """What the collector makes of the answer to a sync."""
    sync = {"vendor": "toy", "caller": "caller-1", "status": status}
    sent = event(message_id, visitor=visitor, properties={"sync": sync}, context={"consent": YES, **context})
    sent.type, sent.event = "identify", None
    return sent


def ids(world: World) -> dict[str, Any]:
    """The vendor ids that each event was sent with, in the order of sending."""
    return {call.json["id"]: call.json["ids"] for call in world.calls}


async def test_events_of_a_page_wait_for_the_id_and_go_with_it_in_their_order(world: World) -> None:
    await world.start(toy(wait_for_id=5.0))
    await world.collect(viewed("m1"), viewed("m2"), viewed("other", "somebody"))
    await world.settle()
    assert [world.state(m) for m in ("m1", "m2", "other")] == [WAITING] * 3
    assert world.delivery("m1").delivery.next_ms == NOW_MS + 5_000
    await world.collect(synced("OK", ids={"toy_id@caller-1": "abc"}), viewed("m3"))
    await world.settle()
    assert world.sent() == ["m1", "m2", "m3"]
    assert ids(world) == {"m1": {"toy_id": "abc"}, "m2": {"toy_id": "abc"}, "m3": {"toy_id": "abc"}}
    assert world.state("m1") == ("delivered", None)
    assert world.state("other") == WAITING
    counts = await world.counts()
    assert (counts.delivered, counts.held, counts.balanced) == (3, 1, True)
    assert counts.reasons["waiting_for_id"] == 1


async def test_an_id_that_the_page_names_itself_is_as_good(world: World) -> None:
    await world.start(toy(wait_for_id=5.0))
    await world.collect(viewed("m1"))
    named = event("named", visitor="v", traits={"toy_id": "abc"})
    named.type, named.event = "identify", None
    await world.collect(named)
    await world.settle()
    assert ids(world) == {"m1": {"toy_id": "abc"}}


async def test_when_the_wait_is_over_it_goes_without(world: World) -> None:
    await world.start(toy(wait_for_id=5.0))
    await world.collect(viewed("m1"))
    await world.advance(4.9)
    assert world.state("m1") == WAITING
    await world.advance(0.2)
    assert ids(world) == {"m1": {}}
    assert world.state("m1") == ("delivered", None)


async def test_a_visitor_whom_the_vendor_does_not_know_is_not_waited_for_again_for_a_day(world: World) -> None:
    await world.start(toy(wait_for_id=5.0))
    await world.collect(viewed("m1"))
    await world.settle()
    await world.collect(synced("unknown"))
    await world.settle()
    assert ids(world) == {"m1": {}}
    await world.collect(viewed("m2"))
    await world.settle()
    assert world.state("m2") == ("delivered", None)
    await world.advance(86_400)
    await world.collect(viewed("m3"))
    await world.settle()
    assert world.state("m3") == WAITING


async def test_only_pages_wait_and_only_where_it_is_asked_for(world: World) -> None:
    await world.start(toy(wait_for_id=5.0), toy("no-wait"))
    await world.collect(event("from-a-server", visitor="v"), viewed("m1"))
    await world.settle()
    assert world.state("from-a-server") == ("delivered", None)
    assert world.state("m1", "no-wait") == ("delivered", None)
    assert world.state("m1", "toy") == WAITING


async def test_after_the_answer_on_consent_the_page_has_its_time_again(world: World) -> None:
    """A sync is not made before the visitor has agreed; by then the first event's own time is long over."""
    await world.start(toy(wait_for_id=5.0, consent=Consent(basis="categories")))
    await world.collect(viewed("m1", consent={}))
    await world.advance(40)
    assert world.state("m1") == ("held", None)
    await world.collect(event("answer", "Consent Updated", "v", context={"consent": YES}))
    await world.settle()
    assert world.state("m1") == WAITING
    assert world.delivery("m1").delivery.next_ms == NOW_MS + 45_000
    await world.advance(1)
    await world.collect(synced("OK", ids={"toy_id@caller-1": "abc"}))
    await world.settle()
    assert ids(world) == {"m1": {"toy_id": "abc"}}


async def test_who_withdraws_consent_meanwhile_is_not_sent(world: World) -> None:
    await world.start(toy(wait_for_id=5.0, consent=Consent(basis="categories")))
    await world.collect(viewed("m1"))
    await world.advance(1)
    await world.collect(event("answer", "Consent Updated", "v", context={"consent": NO}))
    await world.settle()
    await world.advance(5)
    assert world.calls == []
    assert world.state("m1") == ("filtered", "consent_refused")


async def test_without_identity_there_is_nothing_to_wait_for(world: World) -> None:
    await world.start(toy(wait_for_id=5.0, consent=Consent(basis="categories", on_refusal="anonymise")))
    await world.collect(viewed("m1", consent=NO))
    await world.settle()
    assert ids(world) == {"m1": {}}


async def test_the_wait_outlives_the_process(world: World) -> None:
    await world.start(toy(wait_for_id=5.0))
    await world.collect(viewed("m1"), viewed("m2", "w"))
    await world.settle()
    await world.stop()
    world.clock.passed += 1
    await world.start(toy(wait_for_id=5.0))
    await world.settle()
    assert world.state("m1") == WAITING
    await world.collect(synced("OK", "w", ids={"toy_id@caller-1": "abc"}))
    await world.settle()
    assert ids(world) == {"m2": {"toy_id": "abc"}}
    await world.advance(4)
    assert ids(world) == {"m2": {"toy_id": "abc"}, "m1": {}}
    assert (await world.counts()).balanced
