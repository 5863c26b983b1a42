"""Which ids go out with an event: its own, else what the hub knows of its visitor at the first attempt."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.deliver.toys import VENDORS, ok, says, status
from tests.deliver.world import Consent, World, event, toy

from firsthand.config import Consent as Rule
from firsthand.ledger.reader import Filter
from firsthand.vendors.base import Cookie, Identity

MINE, OTHERS = "toy_id@caller-1", "toy_id@caller-2"
YES: dict[str, Any] = {"categories": {"marketing": True}}
NO: dict[str, Any] = {"categories": {"marketing": False}}


def identity(world: World, message_id: str) -> Identity | None:
    return world.delivery(message_id).delivery.detail.identity


def sent_ids(world: World) -> dict[str, dict[str, str]]:
    """By message id, the vendor ids that went out."""
    return {call.json["id"]: call.json["ids"] for call in world.calls}


async def sync(world: World, visitor: str, status: str, id: str = "", **fields: Any) -> None:
    context: dict[str, Any] = {"ids": {MINE: id}} if id else {}
    sync = {"vendor": "toy", "caller": "caller-1", "status": status}
    answer = event(visitor=visitor, properties={"sync": sync}, context=context | fields)
    answer.type = "identify"
    await world.collect(answer)


async def test_an_id_that_the_visitor_showed_before_goes_with_later_events(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}}))
    await world.collect(event("m2", visitor="ann"), event("m3", visitor="bob"))
    await world.settle()
    assert sent_ids(world) == {"m1": {"toy_id": "t-1"}, "m2": {"toy_id": "t-1"}, "m3": {}}


async def test_the_events_own_id_wins(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}}))
    await world.collect(event("m2", visitor="ann", context={"ids": {MINE: "t-2"}}, at_ms=world.clock.now_ms() - 1000))
    await world.settle()
    assert sent_ids(world)["m2"] == {"toy_id": "t-2"}


async def test_an_id_that_arrives_late_serves_what_was_not_sent_yet(world: World) -> None:
    """The lane stands still, the log goes on."""
    world.answer = lambda call: status(503, retry_after="60")
    await world.start(toy(concurrency=1), window=4)
    await world.collect(event("m1", visitor="ann"), *(event(f"m{n}", visitor="ann") for n in range(2, 30)))
    await world.settle()
    assert len(world.calls) == 1
    await sync(world, "ann", "OK", "t-1")
    await world.until(lambda: world.hub.position(0) == 30)
    world.answer = lambda call: ok()
    await world.advance(90)
    ids = sent_ids(world)
    assert ids.pop("m1") == {}, "frozen at the first attempt"
    assert len(ids) == 28
    assert all(sent == {"toy_id": "t-1"} for sent in ids.values())


async def test_what_was_frozen_is_replayed(world: World) -> None:
    world.answer = lambda call: says({"no": "vendor_rejected"})
    await world.start(toy())
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}}), event("m2", visitor="ann"))
    await world.settle()
    await sync(world, "ann", "OK", "t-2")
    await world.settle()
    world.answer = lambda call: ok()
    await world.replay(Filter(message_id="m2"))
    assert world.calls[-1].json["ids"] == {"toy_id": "t-1"}


async def test_after_an_opt_out_the_id_is_not_sent_even_where_an_older_event_carries_it(world: World) -> None:
    await world.start(toy(), toy("other"))
    at_ms = world.clock.now_ms()
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}}))
    await world.advance(10)
    await sync(world, "ann", "OptOut")
    await world.collect(event("old", visitor="ann", context={"ids": {MINE: "t-2"}}, at_ms=at_ms))
    await world.collect(event("stale", visitor="ann", context={"ids": {MINE: "t-1"}}, at_ms=at_ms + 20_000))
    await world.advance(15)
    await world.collect(event("new", visitor="ann", context={"ids": {MINE: "t-3"}}))
    await world.settle()
    assert {id: ids for id, ids in sent_ids(world).items() if ids} == {
        "m1": {"toy_id": "t-1"},
        "new": {"toy_id": "t-3"},
    }


async def test_an_id_belongs_to_its_caller(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1", visitor="ann", context={"ids": {OTHERS: "not ours"}}), event("m2", visitor="ann"))
    await world.settle()
    assert sent_ids(world) == {"m1": {}, "m2": {}}


async def test_an_id_without_a_caller_counts_where_there_is_one(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1", visitor="ann", context={"ids": {"toy_id": "t-1"}}), event("m2", visitor="ann"))
    await world.settle()
    assert sent_ids(world)["m2"] == {"toy_id": "t-1"}
    other = type(toy().settings)(host="two.example", caller="caller-2")
    await world.stop()
    await world.start(toy(), toy("two", settings=other))
    await world.collect(event("m3", visitor="ann"))
    await world.settle()
    assert sent_ids(world)["m3"] == {}


async def test_an_id_from_before_a_withdrawal_is_not_used(world: World) -> None:
    await world.start(toy(consent=Rule(basis="categories")))
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}, "consent": YES}))
    await world.advance(1)
    await world.collect(event("m2", visitor="ann", context={"consent": NO}))
    await world.advance(1)
    await world.collect(event("m3", visitor="ann", context={"consent": YES}))
    await world.settle()
    assert sent_ids(world) == {"m1": {"toy_id": "t-1"}, "m3": {}}


async def test_an_anonymised_event_is_sent_without_what_is_known(world: World) -> None:
    await world.start(toy(consent=Consent(basis="categories", on_refusal="anonymise")))
    await world.collect(
        event("m1", visitor="ann", user_id="u", traits={"email": "a@example.com"}, context={"consent": YES})
    )
    await world.collect(event("m2", visitor="ann", context={"consent": NO}))
    await world.settle()
    assert identity(world, "m2") == Identity()


async def test_what_the_event_does_not_say_of_user_and_address_is_filled_in(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1", visitor="ann", user_id="u-1", traits={"email": "ann@example.com"}))
    await world.collect(event("m2", visitor="ann"))
    await world.settle()
    assert identity(world, "m1") == Identity()
    assert identity(world, "m2") == Identity({}, "ann@example.com", "u-1")


@pytest.fixture
def with_cookies(world: World) -> Iterator[None]:
    """The toy declares cookies too."""
    cookies = (Cookie(name="toyc", id="toy_coid", max_age=3600, make="uuid"),)
    old = VENDORS["toy"].cookies
    object.__setattr__(VENDORS["toy"], "cookies", lambda settings: cookies)
    yield
    object.__setattr__(VENDORS["toy"], "cookies", old)


@pytest.mark.usefixtures("with_cookies")
async def test_ids_of_declared_cookies_go_along_as_long_as_the_cookie_lasts(world: World) -> None:
    await world.start(toy())
    context = {"ids": {"toy_coid": "c-1", "another_vendors": "x"}}
    await world.collect(event("m1", visitor="ann", user_id="u", context=context))
    await world.collect(event("m2", visitor="ann"))
    await world.settle()
    await world.advance(3601)
    await world.collect(event("m3", visitor="ann"))
    await world.settle()
    assert sent_ids(world) == {"m1": {"toy_coid": "c-1"}, "m2": {"toy_coid": "c-1"}, "m3": {}}


async def test_a_crash_of_the_process_loses_nothing_that_was_learned(world: World) -> None:
    await world.start(toy(enabled=False))
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}}))
    await world.settle()
    await world.crash()
    await world.start(toy("later"))
    await world.collect(event("m2", visitor="ann"))
    await world.settle()
    assert sent_ids(world)["m2"] == {"toy_id": "t-1"}


async def test_a_lane_that_begins_behind_undoes_nothing(world: World) -> None:
    at_ms = world.clock.now_ms()
    await world.start(toy(enabled=False), toy("ahead"))
    await world.collect(event("m1", visitor="ann", context={"ids": {MINE: "t-1"}, "consent": YES}))
    await world.advance(5)
    await sync(world, "ann", "OptOut", consent=NO)
    await world.settle()
    position = world.hub.position(0)
    await world.replay(Filter(resend=True), key="ahead")
    await world.stop()
    await world.start(toy("late"))
    await world.settle()
    assert world.hub.position(0) == position
    known = world.hub.known("shop", "ann", None)
    assert max(known.answers[0], key=lambda answer: answer.at_ms) == (NO, at_ms + 5000)
    assert known.identity("toy_id", "caller-1").vendor_ids == {}
