"""Where things begin and end: the end of a hold, whose rows an erasure takes, which lanes have work left."""

from tests.deliver.clock import NOW_MS
from tests.deliver.toys import VENDORS, ok, says
from tests.deliver.world import World, event, toy

from firsthand.config import Consent
from firsthand.deliver.item import Item
from firsthand.deliver.permission import Permission
from firsthand.deliver.planning import make_plan
from firsthand.deliver.process import working
from firsthand.event import Event
from firsthand.identity.erasure import Wanted
from firsthand.ledger.records import Delivery

HOLD = 60_000


def held(early: str = "") -> tuple[Permission, Item, Event]:
    permission = Permission(toy(consent=Consent(basis="tcf", hold=HOLD / 1000)), VENDORS["toy"], None)
    asked = event(at_ms=NOW_MS)
    item = Item(Delivery(shard=0, position=1, source="shop", visitor=1, received_ms=NOW_MS), asked, "Order Completed")
    item.early = early
    return permission, item, asked


def test_a_hold_lasts_to_its_last_millisecond() -> None:
    permission, item, asked = held()
    assert permission.decide(item, asked, NOW_MS + HOLD - 1) is None
    assert (item.delivery.state, item.delivery.next_ms) == ("held", NOW_MS + HOLD)
    reason = permission.decide(item, asked, NOW_MS + HOLD)
    assert reason is not None
    assert reason.code == "consent_unknown"
    assert (item.delivery.state, item.delivery.next_ms) == ("pending", None)


def test_one_that_is_decided_early_says_so_and_only_then() -> None:
    permission, item, asked = held(early="too many waited")
    reason = permission.decide(item, asked, NOW_MS + HOLD - 1)
    assert reason is not None
    assert (reason.code, "too many waited" in (reason.message or "")) == ("consent_unknown", True)
    permission, item, asked = held(early="too many waited")
    reason = permission.decide(item, asked, NOW_MS + HOLD)
    assert reason is not None
    assert "too many waited" not in (reason.message or "")


async def test_a_plan_takes_the_visitors_events_and_no_others(world: World) -> None:
    await world.start(toy())
    theirs = {"traits": {"email": "ann@example.com"}, "visitor": "ann"}
    await world.collect(event("t1", **theirs), event("other", visitor="bob"), event("t2", **theirs))
    await world.collect(
        event("mentions", visitor="carl", user_id="carl", properties={"gift_to": "ann@example.com"}),
    )
    await world.settle()
    plan = await make_plan(Wanted("a", "ann"), world.log, world.tail, world.hub, NOW_MS)
    places = {id: world.log.find("shop", id) for id in ("t1", "t2", "mentions")}
    assert plan.events == [places["t1"], places["t2"]]
    assert plan.mentions == {"shop": [places["mentions"]]}
    assert (plan.since, plan.upto, plan.erased_ms) == ({0: 1}, {0: 4}, NOW_MS)


async def test_lanes_have_work_that_are_behind_or_retry(world: World) -> None:
    """By these it is told whether a process that died got any further: one that has nothing to do cannot."""
    world.answer = lambda call: says({"later": 1}) if "retries.example" in call.url else ok()
    await world.start(toy("idle"), toy("retries"))
    assert working(world.reader, world.log) == {}
    await world.collect(event("m1"))
    await world.settle()
    assert working(world.reader, world.log) == {"retries": {0: 1}}
    await world.stop()
    await world.start(toy("retries"))
    await world.collect(event("m2"))
    await world.settle()
    assert working(world.reader, world.log) == {"idle": {0: 1}, "retries": {0: 2}}
