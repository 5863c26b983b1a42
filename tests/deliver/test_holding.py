"""Events whose visitor has not answered yet: held, then sent with their own times or shredded, and never in the way."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING, REFUSES_VENDOR
from tests.deliver.clock import NOW_MS
from tests.deliver.toys import VENDORS, build_one, says
from tests.deliver.world import Consent, World, event, toy

from firsthand.deliver import holding
from firsthand.event import Event, decoder
from firsthand.ledger.records import Delivery
from firsthand.vendors.base import Built, Input

ASK = Consent(basis="categories")
TCF = Consent(basis="tcf")
ANONYMISE = Consent(basis="categories", on_refusal="anonymise")
YES: dict[str, Any] = {"categories": {"marketing": True}}
NO: dict[str, Any] = {"categories": {"marketing": False}}


def silent(message_id: str, visitor: str = "v", **more: Any) -> Event:
    """An event of a visitor who has not answered."""
    return event(message_id, visitor=visitor, **more)


def answer(consent: dict[str, Any], message_id: str = "answer", visitor: str = "v", **more: Any) -> Event:
    """What the page sends when the visitor has answered. No vendor takes it."""
    return event(message_id, "Consent Updated", visitor, context={"consent": consent}, **more)


def decision(world: World, message_id: str) -> tuple[str, str, object]:
    found = world.delivery(message_id).delivery.detail.consent
    assert found is not None
    return found.decision, found.basis, found.answered_at


# -- the answer comes --------------------------------------------------------------------------------------------------


async def test_an_answer_releases_what_was_held_with_its_own_time(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1"), silent("m2"))
    await world.advance(40)
    assert [world.state(m) for m in ("m1", "m2")] == [("held", None)] * 2
    await world.collect(answer(YES))
    await world.settle()
    assert world.sent() == ["m1", "m2"]
    assert world.state("m1") == world.state("m2") == ("delivered", None)
    assert world.state("answer") == ("filtered", "no_counterpart")
    assert world.delivery("m1").delivery.received_ms == NOW_MS
    assert decision(world, "m1") == ("allow", "categories", "2026-11-22T12:00:40.000Z")
    counts = await world.counts()
    assert (counts.delivered, counts.filtered, counts.held, counts.balanced) == (2, 1, 0, True)


async def test_a_refusal_shreds_what_was_held(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1", context={"ids": {"toy_id": "abc"}}))
    await world.advance(40)
    await world.collect(answer(NO))
    await world.settle()
    assert world.calls == []
    assert world.state("m1") == ("filtered", "consent_refused")
    assert world.message("m1") == "categories: marketing refused, answered at 2026-11-22T12:00:40.000Z"
    stored = world.delivery("m1").delivery
    assert (stored.event, stored.message_id, stored.detail.identity) == (None, None, None)


async def test_after_a_refusal_it_may_go_anonymous(world: World) -> None:
    await world.start(toy(consent=ANONYMISE))
    await world.collect(silent("m1"))
    await world.advance(1)
    await world.collect(answer(NO))
    await world.settle()
    assert world.calls[0].json["consent"] == "anonymise"


async def test_the_answer_may_come_with_any_event_and_goes_after_what_waited(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1"), silent("m2"))
    await world.settle()
    await world.collect(event("m3", visitor="v", context={"consent": YES}))
    await world.settle()
    assert world.sent() == ["m1", "m2", "m3"]


async def test_the_answer_of_the_proposed_id_comes_under_the_cookies(world: World) -> None:
    """A page's first events go by an id that it proposed; the collector then knows the visitor by the cookie's."""
    await world.start(toy(consent=ASK, concurrency=32))
    await world.collect(silent("m1", "proposed"), silent("m2", "proposed"), silent("other", "somebody"))
    await world.settle()
    await world.collect(
        event("m3", visitor="cookie", previous_id="proposed", context={"consent": YES}),
        event("m4", visitor="cookie", context={"consent": YES}),
    )
    await world.settle()
    assert world.sent() == ["m1", "m2", "m3", "m4"]
    assert world.state("other") == ("held", None)


async def test_the_answer_of_a_user_releases_what_the_user_did(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(event("m1", visitor="tablet", user_id="u1"), event("m2", visitor="u1"))
    await world.settle()
    await world.collect(event("answer", "Consent Updated", "phone", user_id="u1", context={"consent": YES}))
    await world.settle()
    assert world.state("m1") == ("delivered", None)
    assert world.state("m2") == ("held", None), "an anonymous id that reads like the user's is somebody else"


async def test_an_answer_that_says_nothing_of_what_is_asked_changes_nothing(world: World) -> None:
    await world.start(toy(consent=TCF))
    await world.collect(silent("m1"))
    await world.settle()
    await world.collect(answer({"categories": {"analytics": True}}), answer({"usPrivacy": "1YNN"}, "answer-2"))
    await world.settle()
    assert world.state("m1") == ("held", None)
    await world.collect(answer({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}, "answer-3"))
    await world.settle()
    assert world.state("m1") == ("delivered", None)


async def test_another_sources_visitor_is_somebody_else(tmp_path: Any) -> None:
    async with World(tmp_path, sources=["shop", "app"]) as world:
        await world.start(toy(consent=ASK))
        await world.collect(silent("m1"))
        await world.collect(answer(YES), source="app")
        await world.settle()
        assert world.state("m1") == ("held", None)


async def test_an_answer_that_is_already_known_counts_at_once(world: World) -> None:
    """A back end's events carry no consent; what the visitor said in the browser holds for them."""
    await world.start(toy(consent=TCF))
    await world.collect(answer({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}))
    await world.advance(3600)
    await world.collect(silent("m1"))
    await world.settle()
    assert world.state("m1") == ("delivered", None)
    assert decision(world, "m1") == ("allow", "tcf", "2026-11-22T12:00:00.000Z")


async def test_an_answer_read_with_the_event_counts_at_once(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1"), answer(YES))
    await world.settle()
    assert world.state("m1") == ("delivered", None)


async def test_the_vendor_is_told_on_which_string(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def build(setup: Any, inputs: Sequence[Input]) -> Built:
        told.extend(input.event.get("context", "consent") for input in inputs)
        return build_one(setup, inputs)

    monkeypatch.setitem(VENDORS, "toy", dataclasses.replace(VENDORS["toy"], build=build))
    await world.start(toy(consent=TCF))
    await world.collect(silent("m1", context={"consent": {"tcf": {"gdprApplies": True}}}))
    await world.advance(1)
    granted = {"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}
    await world.collect(answer(granted))
    await world.advance(1)
    own = granted | {"usPrivacy": "1YNN"}
    await world.collect(silent("m2", context={"consent": own}))
    await world.settle()
    assert told == [granted, own]


# -- the answer changes ------------------------------------------------------------------------------------------------


async def test_a_withdrawal_stops_what_waits_for_its_next_try(world: World) -> None:
    world.answer = lambda call: says({"later": 1})
    await world.start(toy(consent=ASK))
    await world.collect(event("m1", visitor="v", context={"consent": YES, "ids": {"toy_id": "abc"}}))
    await world.settle()
    assert world.state("m1") == ("retrying", None)
    await world.advance(0.5)
    await world.collect(answer(NO))
    await world.advance(60)
    assert len(world.calls) == 1
    assert world.state("m1") == ("filtered", "consent_refused")
    stored = world.delivery("m1").delivery
    assert (stored.event, stored.detail.identity) == (None, None)


@pytest.mark.parametrize("rule", [None, TCF, ASK])
async def test_a_withdrawal_is_kept_to_under_every_basis(world: World, rule: Consent | None) -> None:
    world.answer = lambda call: says({"later": 1})
    await world.start(toy(consent=rule))
    tcf = {"gdprApplies": True, "tcString": GRANTS_CRITEO}
    await world.collect(event("m1", visitor="v", context={"consent": YES | {"tcf": tcf}}))
    await world.advance(0.5)
    await world.collect(answer({"gpc": True}))
    await world.advance(60)
    assert world.state("m1") == ("filtered", "consent_refused")


async def test_a_refusal_of_the_event_stands_whatever_comes_later(world: World) -> None:
    await world.start(toy(consent=TCF))
    refused = {"tcf": {"gdprApplies": True, "tcString": REFUSES_VENDOR}}
    await world.collect(event("m1", visitor="v", context={"consent": refused}))
    await world.collect(answer({"tcf": {"gdprApplies": True, "tcString": GRANTS_CRITEO}}))
    await world.settle()
    assert world.state("m1") == ("filtered", "consent_refused")
    assert decision(world, "m1")[0] == "refuse"


async def test_the_newest_answer_counts_in_between_and_after(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(answer(NO, "no"))
    await world.advance(1)
    await world.collect(silent("m1"))
    await world.advance(1)
    await world.collect(answer(YES, "yes"))
    await world.advance(1)
    await world.collect(silent("m2"))
    await world.settle()
    assert world.state("m1") == ("filtered", "consent_refused")
    assert world.state("m2") == ("delivered", None)


async def test_what_was_refused_since_is_not_sent_where_nothing_is_asked(world: World) -> None:
    await world.start(toy())
    await world.collect(answer({"tcf": {"gdprApplies": True, "tcString": GRANTS_NOTHING}}))
    await world.advance(1)
    await world.collect(silent("m1"))
    await world.settle()
    assert world.state("m1") == ("filtered", "consent_refused")
    assert decision(world, "m1") == ("refuse", "tcf", "2026-11-22T12:00:00.000Z")


# -- what the vendor knows ---------------------------------------------------------------------------------------------


async def test_an_id_obtained_under_consent_serves_events_without_an_answer_of_their_own(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(event("m1", "Identify", "v", context={"consent": YES, "ids": {"toy_id": "abc"}}))
    await world.advance(60)
    await world.collect(silent("m2"))
    await world.settle()
    assert world.calls[-1].json["ids"] == {"toy_id": "abc"}


def opt_out(message_id: str = "sync", visitor: str = "v") -> Event:
    """What the page learned from the vendor's sync."""
    sync = {"vendor": "toy", "caller": "caller-1", "status": "OptOut"}
    one = event(message_id, visitor=visitor, properties={"sync": sync}, context={"consent": YES})
    one.type, one.event = "identify", None
    return one


@pytest.mark.parametrize("rule", [ASK, ANONYMISE, None])
async def test_after_an_opt_out_at_the_vendor_nobody_is_recognised(world: World, rule: Consent | None) -> None:
    await world.start(toy(consent=rule))
    await world.collect(opt_out())
    await world.advance(60)
    await world.collect(event("m1", visitor="v", context={"consent": YES, "ids": {}}))
    await world.settle()
    assert [call.json["consent"] for call in world.calls] == ["anonymise"]
    assert decision(world, "m1")[1:] == ("opt_out", "2026-11-22T12:00:00.000Z")


async def test_a_newer_id_ends_the_opt_out(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(opt_out())
    await world.advance(60)
    await world.collect(event("m1", visitor="v", context={"consent": YES, "ids": {"toy_id@caller-1": "new"}}))
    await world.settle()
    assert world.calls[0].json["ids"] == {"toy_id": "new"}


# -- a process ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["stop", "crash"])
async def test_held_events_are_found_again_after_a_restart(world: World, end: str) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1", "proposed"), silent("m2", "other", user_id="u1"))
    await world.settle()
    await getattr(world, end)()
    await world.start(toy(consent=ASK))
    await world.collect(answer(YES, visitor="cookie", previous_id="proposed", user_id="u1"))
    await world.settle()
    assert world.state("m1") == world.state("m2") == ("delivered", None)
    assert (await world.counts()).balanced


async def test_an_answer_while_the_vendor_is_down_counts_when_it_is_back(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1"))
    await world.settle()
    world.answer = lambda call: says({}, status=503)
    await world.collect(*(event(f"x{n}", context={"consent": YES}) for n in range(40)))
    await world.settle()
    assert world.lanes["toy"].breaker.open
    await world.collect(answer(NO))
    world.answer = lambda call: says({"ok": 1})
    await world.advance(120)
    assert world.state("m1") == ("filtered", "consent_refused")
    assert "m1" not in world.sent()


# -- most visitors never answer ----------------------------------------------------------------------------------------


async def test_held_events_do_not_stay_in_memory(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(*(silent(f"m{n}", f"v{n}", properties={"text": "x" * 500}) for n in range(300)))
    await world.settle()
    await world.collect(silent("last"))
    await world.settle()
    held = world.lanes["toy"]._holding
    assert len(held) == 301
    assert sum(one.delivery is not None for one in held._held.values()) <= 1


async def test_a_lane_reads_on_however_many_are_held(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firsthand.deliver.openset.MOST_OPEN", 10)
    await world.start(toy(consent=ASK))
    await world.collect(*(silent(f"m{n}", f"v{n}") for n in range(100)))
    await world.collect(event("m100", context={"consent": YES}))
    await world.settle()
    assert world.sent() == ["m100"]
    assert (await world.counts()).held == 100


async def test_what_is_held_uses_up_nothing_of_the_rate(world: World) -> None:
    await world.start(toy(consent=ASK, rate_per_second=1))
    await world.collect(*(silent(f"m{n}", f"v{n}") for n in range(50)))
    await world.collect(*(event(id, visitor="v", context={"consent": YES}) for id in ("m50", "m51")))
    await world.settle()
    assert world.sent() == ["m50"]
    await world.advance(1)
    assert world.sent() == ["m50", "m51"]


async def test_beyond_the_bound_the_oldest_are_decided_as_if_their_time_was_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "MOST_HELD", 10)
    await world.start(toy(consent=ASK))
    for n in range(25):
        await world.collect(silent(f"m{n}", f"v{n}"))
        await world.advance(0.1)
    await world.settle()
    counts = await world.counts()
    assert (counts.held, counts.filtered, counts.balanced) == (10, 15, True)
    assert world.state("m14") == ("filtered", "consent_unknown")
    assert world.message("m14").startswith("consent stayed unknown; decided before its time, as more than ")
    assert world.state("m15") == ("held", None)


async def test_all_whose_time_is_up_together_are_decided(world: World) -> None:
    await world.start(toy(consent=ASK), window=8)
    await world.collect(*(silent(f"m{n}", f"v{n}") for n in range(100)))
    await world.advance(901)
    counts = await world.counts()
    assert (counts.held, counts.filtered, counts.balanced) == (0, 100, True)
    lane = world.lanes["toy"]
    assert (len(lane._holding), lane._holding.leaving) == (0, 0)


async def test_a_held_delivery_that_somebody_else_settled_is_left_alone(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(silent("m1"))
    await world.settle()
    await world.collect(silent("m2", "other"))
    await world.settle()
    world.ledger._db.execute("UPDATE deliveries SET state = 'filtered', event = NULL WHERE position = 1")
    await world.collect(answer(YES))
    await asyncio.sleep(0.01)
    await world.settle()
    assert world.calls == []
    assert world.lanes["toy"]._holding.leaving == 0


# -- the finding itself ------------------------------------------------------------------------------------------------


def kept(position: int, visitor: str, until: int) -> tuple[Delivery, Event]:
    one = decoder.decode(b'{"type":"track","anonymousId":"%s"}' % visitor.encode())
    delivery = Delivery(
        shard=0, position=position, source="shop", visitor=hash(visitor), received_ms=0, state="held", next_ms=until
    )
    return delivery, one


def test_what_has_left_leaves_nothing_behind() -> None:
    store = holding.Holding(lambda key: None, lambda: 10**9)
    for n in range(20_000):
        delivery, one = kept(n, f"v{n}", 1_000_000 + n)
        store.add(delivery, one, 1)
        given = holding.GivenAnswer(YES, 0)
        for item in store.take_of("shop", one, given, id=False):
            store.left(item)
    assert (len(store), store.leaving, len(store._named)) == (0, 0, 0)
    assert len(store._due) <= 1_001
