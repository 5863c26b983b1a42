"""What is sent at all: mapping, the event's own wish, age, consent, and whose the visitor's ids are."""

from typing import Any

import pytest
from tests.consent.tc_strings import GRANTS_CRITEO, GRANTS_NOTHING
from tests.deliver.clock import NOW_MS
from tests.deliver.toys import ToySettings, ok, says
from tests.deliver.world import Consent, EventMapping, World, event, toy

from firsthand.config import EventRule, Integration

HOUR_MS = 3_600_000
TCF = Consent(basis="tcf")
ASK = Consent(basis="categories")
OFF = EventMapping(events={"Order Completed": EventRule(enabled=False)})
ONLY = EventMapping(default="disabled", events={"Order Completed": EventRule()})
ANONYMISE = Consent(basis="categories", on_refusal="anonymise")


def consent(**parts: Any) -> dict[str, Any]:
    return {"context": {"consent": parts}}


# -- what an integration takes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mapping", "integrations", "expected"),
    [
        ("Order Completed", EventMapping(), {}, ("delivered", None)),
        ("Never Heard Of", EventMapping(), {}, ("filtered", "not_mapped")),
        ("Signed In", EventMapping(), {}, ("filtered", "no_counterpart")),
        ("Consent Updated", EventMapping(), {}, ("filtered", "no_counterpart")),
        ("Order Completed", OFF, {}, ("filtered", "disabled_event")),
        ("Product Viewed", EventMapping(default="disabled"), {}, ("filtered", "disabled_event")),
        ("Order Completed", ONLY, {}, ("delivered", None)),
        ("Order Completed", EventMapping(), {"All": False}, ("filtered", "condition")),
        ("Order Completed", EventMapping(), {"All": False, "Toy": True}, ("delivered", None)),
        ("Order Completed", EventMapping(), {"All": False, "toy": {"some": "option"}}, ("delivered", None)),
        ("Order Completed", EventMapping(), {"Toy": False}, ("filtered", "condition")),
        ("Order Completed", EventMapping(), {"Another": False}, ("delivered", None)),
        ("Order Completed", EventMapping(), {"TOY": False}, ("filtered", "condition")),
        ("Order Completed", EventMapping(), {"toy_": "false"}, ("filtered", "condition")),
        ("Order Completed", EventMapping(), {"Toymakers": False}, ("filtered", "condition")),
        ("Order Completed", EventMapping(), {"Toymakers": False, "toy": True}, ("delivered", None)),
        ("Order Completed", EventMapping(), {"toy": None, "Toymakers": False}, ("filtered", "condition")),
        ("Order Completed", EventMapping(), {"all": False}, ("filtered", "condition")),
    ],
)  # fmt: skip
async def test_an_integration_takes_what_is_meant_for_it(
    world: World, name: str, mapping: EventMapping, integrations: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    await world.start(toy(mapping=mapping))
    await world.collect(event("m1", name, integrations=integrations))
    await world.settle()
    assert world.state("m1") == expected
    assert len(world.calls) == (expected[0] == "delivered")


@pytest.mark.parametrize("name", ["Order Complete", "order_completed", "orderCompleted", "Ordr Completed"])
async def test_a_name_that_is_nearly_one_says_which(world: World, name: str) -> None:
    await world.start(toy())
    await world.collect(event("m1", name), event("m2", "Newsletter Read"))
    await world.settle()
    assert world.message("m1") == f"{name!r} is not mapped to anything at Toy; did you mean 'Order Completed'?"
    assert world.message("m2") == "'Newsletter Read' is not mapped to anything at Toy"


async def test_which_events_met_a_reason_of_late(world: World) -> None:
    await world.start(toy())
    await world.collect(*(event(f"m{n}", "Order Complete" if n % 3 else "Newsletter Read") for n in range(9)))
    await world.collect(event("sale"), event("m9", "Signed In"))
    await world.settle()
    assert world.reader.names(1) == {
        "not_mapped": {"Order Complete": 6, "Newsletter Read": 3},
        "no_counterpart": {"Signed In": 1},
    }


async def test_a_lane_takes_only_the_sources_it_is_meant_for(tmp_path: Any) -> None:
    async with World(tmp_path, sources=["shop", "app"]) as world:
        await world.start(toy(sources=("app",)))
        await world.collect(*(event() for _ in range(300)))
        await world.collect(event("m1"), source="app")
        await world.settle()
        assert world.sent() == ["m1"]
        counts = await world.counts()
        assert (counts.received, counts.balanced) == (1, True)
        assert world.reader.cursors(1) == {0: 301}


# -- age ---------------------------------------------------------------------------------------------------------------


async def test_what_is_too_old_before_any_attempt_is_filtered(world: World) -> None:
    await world.start(toy(settings=ToySettings(max_age=3600.0)))
    await world.collect(event("old", at_ms=NOW_MS - HOUR_MS - 1), event("young", at_ms=NOW_MS - HOUR_MS))
    await world.settle()
    assert world.state("old") == ("filtered", "too_old")
    assert world.message("old") == "1 h old; the limit is 1 h"
    assert world.state("young") == ("delivered", None)


async def test_what_becomes_too_old_after_an_attempt_is_dead(world: World) -> None:
    world.answer = lambda call: says({"later": 1})
    await world.start(toy(settings=ToySettings(max_age=3600.0)))
    await world.collect(event("m1", at_ms=NOW_MS - HOUR_MS + 500))
    await world.advance(1)
    assert world.state("m1") == ("dead", "too_old")
    assert len(world.calls) == 1


async def test_age_is_judged_before_consent(world: World) -> None:
    await world.start(toy(settings=ToySettings(max_age=60.0), consent=ASK))
    await world.collect(event("m1", at_ms=NOW_MS - HOUR_MS, **consent(categories={"marketing": False})))
    await world.settle()
    assert world.state("m1") == ("filtered", "too_old")


# -- consent -----------------------------------------------------------------------------------------------------------

TC = {"gdprApplies": True}


@pytest.mark.parametrize(
    ("rule", "given", "expected", "basis"),
    [
        (TCF, {"tcf": {**TC, "tcString": GRANTS_CRITEO}}, ("delivered", None), "tcf"),
        (TCF, {"tcf": {**TC, "tcString": GRANTS_NOTHING}}, ("filtered", "consent_refused"), "tcf"),
        (TCF, {"tcf": {"gdprApplies": False}}, ("delivered", None), "tcf"),
        (ASK, {"categories": {"marketing": True}}, ("delivered", None), "categories"),
        (ASK, {"categories": {"marketing": False}}, ("filtered", "consent_refused"), "categories"),
        (ASK, {"categories": {"marketing": True}, "gpc": True}, ("filtered", "consent_refused"), "gpc"),
        (ANONYMISE, {"categories": {"marketing": False}}, ("delivered", None), "categories"),
        (None, {}, ("delivered", None), "none"),
        (None, {"gpc": True}, ("filtered", "consent_refused"), "gpc"),
        (None, {"tcf": {**TC, "tcString": GRANTS_NOTHING}}, ("filtered", "consent_refused"), "tcf"),
    ],
)
async def test_consent_decides_and_its_basis_is_recorded(
    world: World, rule: Consent | None, given: dict[str, Any], expected: tuple[str, str | None], basis: str
) -> None:
    await world.start(toy(consent=rule))
    await world.collect(event("m1", **consent(**given)))
    await world.settle()
    assert world.state("m1") == expected
    decision = world.delivery("m1").delivery.detail.consent
    assert decision is not None
    assert decision.basis == basis


async def test_a_refusal_may_leave_an_event_anonymous(world: World) -> None:
    await world.start(toy(consent=ANONYMISE))
    await world.collect(event("m1", **consent(categories={"marketing": False})))
    await world.settle()
    assert world.calls[0].json["consent"] == "anonymise"


async def test_an_unknown_consent_is_waited_for_a_quarter_of_an_hour(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(event("m1"))
    await world.advance(899)
    assert world.state("m1") == ("held", None)
    assert world.delivery("m1").delivery.next_ms == NOW_MS + 900_000
    await world.advance(1)
    assert world.state("m1") == ("filtered", "consent_unknown")
    assert world.calls == []


async def test_after_the_wait_it_may_go_anonymous(world: World) -> None:
    await world.start(toy(consent=ANONYMISE))
    await world.collect(event("m1"))
    await world.advance(900)
    assert world.state("m1") == ("delivered", None)
    assert world.calls[0].json["consent"] == "anonymise"


async def test_the_wait_can_be_set(world: World) -> None:
    await world.start(toy(consent=Consent(basis="tcf", hold=30.0)))
    await world.collect(event("m1"))
    await world.advance(30)
    assert world.state("m1") == ("filtered", "consent_unknown")


async def test_a_held_event_goes_on_waiting_after_a_restart(world: World) -> None:
    await world.start(toy(consent=ASK))
    await world.collect(event("m1"))
    await world.advance(600)
    await world.crash()
    await world.start(toy(consent=ASK))
    await world.advance(299)
    assert world.state("m1") == ("held", None)
    await world.advance(1)
    assert world.state("m1") == ("filtered", "consent_unknown")


# -- whose id ----------------------------------------------------------------------------------------------------------


def caller(key: str, caller: str) -> Integration:
    return toy(key, settings=ToySettings(host=f"{key}.example", caller=caller))


async def test_an_id_belongs_to_the_only_caller(world: World) -> None:
    await world.start(caller("one", "111"))
    await world.collect(event("m1", context={"ids": {"toy_id": "abc"}}))
    await world.settle()
    assert world.calls[0].json["ids"] == {"toy_id": "abc"}


async def test_two_integrations_of_one_caller_share_its_id(world: World) -> None:
    await world.start(caller("one", "111"), caller("two", "111"))
    await world.collect(event("m1", context={"ids": {"toy_id": "abc"}}))
    await world.settle()
    assert [call.json["ids"] for call in world.calls] == [{"toy_id": "abc"}] * 2


async def test_with_several_callers_an_event_must_say_whose_id_it_is(world: World) -> None:
    await world.start(caller("one", "111"), caller("two", "222"))
    await world.collect(event("m1", context={"ids": {"toy_id": "abc"}}))
    await world.settle()
    for key in ("one", "two"):
        assert world.state("m1", key) == ("dead", "field_invalid")
        assert "toy_id@CALLER" in world.message("m1", key)
    assert world.calls == []


async def test_each_caller_is_given_its_own_id(world: World) -> None:
    await world.start(caller("one", "111"), caller("two", "222"))
    await world.collect(event("m1", context={"ids": {"toy_id@111": "abc", "toy_id@222": "def"}}))
    await world.settle()
    ids = {call.url: call.json["ids"]["toy_id"] for call in world.calls}
    assert ids == {"https://one.example/events": "abc", "https://two.example/events": "def"}


async def test_an_id_of_another_caller_is_not_used(world: World) -> None:
    await world.start(caller("one", "111"), caller("two", "222"))
    await world.collect(event("m1", context={"ids": {"toy_id@222": "def"}}))
    await world.settle()
    ids = {call.url: call.json["ids"] for call in world.calls}
    assert ids == {"https://one.example/events": {}, "https://two.example/events": {"toy_id": "def"}}


async def test_an_integration_that_the_source_does_not_feed_has_no_say(world: World) -> None:
    await world.start(caller("one", "111"), toy("two", sources=("elsewhere",), settings=ToySettings(caller="222")))
    await world.collect(event("m1", context={"ids": {"toy_id": "abc"}}))
    await world.settle()
    assert world.state("m1", "one") == ("delivered", None)


@pytest.mark.parametrize("ids", [{"toy_id": 7}, {"toy_id": ""}, {"toy_id": None}, {"toy_id": {"a": 1}}, [], "abc", 3])
async def test_an_id_that_is_none_is_left_out(world: World, ids: Any) -> None:
    await world.start(toy())
    await world.collect(event("m1", context={"ids": ids}))
    await world.settle()
    assert world.calls[0].json["ids"] == {}


async def test_the_id_is_frozen_at_the_first_attempt(world: World) -> None:
    world.answer = lambda call: says({"later": 1}) if len(world.calls) == 1 else ok()
    await world.start(caller("one", "111"))
    await world.collect(event("m1", context={"ids": {"toy_id": "abc"}}))
    await world.settle()
    await world.crash()
    await world.start(caller("one", "111"), caller("two", "222"))  # today, the same event would be refused
    await world.advance(1)
    assert world.state("m1", "one") == ("delivered", None)
    assert world.calls[0].body == world.calls[1].body
