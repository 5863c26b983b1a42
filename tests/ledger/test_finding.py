"""Which deliveries are a visitor's, also where the log no longer has the event and the ledger never kept it."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from tests.deliver.toys import says
from tests.deliver.world import World, event, toy

from firsthand.identity.erasure import Match, Plan
from firsthand.identity.profile import Ref
from firsthand.ledger.finding import find
from firsthand.vendors.base import Identity
from firsthand.vendors.hashing import md5, sha256

ANN = "ann@example.com"
IDS = {"shop": [Ref("u", "4711"), Ref("e", ANN)]}
SHARED = {"shop": [Ref("a", "family")]}
MATCH = Match(IDS, SHARED)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Its toy says again what it was sent."""
    async with World(tmp_path) as world:
        world.answer = lambda call: says({"you": call.ids[0]})
        await world.start(toy())
        yield world


def found(world: World) -> dict[int, str]:
    """Fates by position. The log was looked through and has nothing of hers."""
    plan = Plan(IDS, SHARED, since={0: world.log.tail(0)}, upto={0: world.log.head(0)})
    return {row.key.position: row.fate for step in find(world.reader, MATCH, plan) for row in step}


async def test_what_the_log_still_has_is_decided_by_the_event(world: World) -> None:
    """An anonymous id that is somebody's user id elsewhere has the same hash."""
    await world.collect(event("m1", visitor="4711"), event(md5(ANN), visitor="family", user_id="bob"))
    await world.settle()
    assert found(world) == {}


async def test_what_is_older_than_the_log_is_decided_by_what_was_sent(world: World) -> None:
    sent = ["bobs", sha256(ANN), md5(ANN), ANN, "4711", "14711"]
    await world.collect(event("hers", visitor="4711"), *(event(id, visitor="family") for id in sent))
    await world.settle()
    world.clock.passed += 600
    await world.retain(max_age=60.0)
    assert found(world) == dict.fromkeys((1, 3, 4, 5, 6), "theirs")


@pytest.mark.parametrize("frozen", [Identity({}, "Ann@Example.com"), Identity({}, None, "4711")])
async def test_what_was_sent_with_something_of_hers_though_the_event_is_anothers(
    world: World, frozen: Identity
) -> None:
    await world.collect(event("m1", visitor="bobs", user_id="bob"))
    await world.settle()
    db, detail = world.ledger._db, world.delivery("m1").delivery.detail
    detail.identity = frozen
    db.execute("UPDATE deliveries SET detail = ?", (msgspec.json.encode(detail),))
    assert found(world) == {1: "mentions"}
    (row,) = (row for step in find(world.reader, MATCH, Plan(IDS, upto={0: 1})) for row in step)
    assert world.ledger.scrub([row], MATCH) == 1
    stored = world.delivery("m1")
    assert (stored.delivery.detail.identity, stored.delivery.visitor != 0) == (None, True)
    assert world.reader.attempts(stored)[0].body is None
