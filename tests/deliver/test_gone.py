"""What an erasure takes is not sent by whoever had read it before, however long it has waited in memory since."""

from pathlib import Path

import msgspec
import pytest
from tests.deliver.toys import says, status
from tests.deliver.world import World, event, toy

from firsthand.deliver.erasing import Eraser
from firsthand.deliver.gone import Gone
from firsthand.eventlog.base import visitor_hash
from firsthand.identity.erasure import Place, Plan
from firsthand.identity.profile import Ref
from firsthand.ledger.records import Delivery
from firsthand.settings import Settings
from firsthand.state.store import State
from firsthand.vendors.base import Identity

ANN = "ann@example.com"
ERASED = ("filtered", "erased")


def place(world: World, id: str) -> Place:
    found = world.log.find("shop", id)
    assert found is not None
    return found


@pytest.mark.parametrize("concurrency", [1, 32])
async def test_a_lane_that_stood_still_sends_none_of_it_when_it_goes_on(world: World, concurrency: int) -> None:
    """Nothing in the events tells: they are of a browser that somebody else uses too."""
    world.answer = lambda call: status(500)
    await world.start(toy(concurrency=concurrency))
    await world.collect(*(event(f"m{n}", visitor="family" if n % 2 else "") for n in range(40)))
    await world.advance(1)
    assert not world.lanes["toy"]._flowing
    world.gone.add(Plan(events=[place(world, f"m{n}") for n in range(1, 40, 2)]))
    world.calls.clear()
    world.answer = lambda call: says({})
    await world.advance(600)
    assert world.sent() != []
    assert {id for id in world.sent() if int(id[1:]) % 2} == set()
    assert [world.state(f"m{n}") for n in (1, 39)] == [ERASED, ERASED]
    assert (await world.counts()).balanced


async def test_a_mention_goes_out_of_what_waits(world: World) -> None:
    world.answer = lambda call: says({"later": True})
    await world.start(toy())
    await world.collect(event("m1", properties={"seller": ANN}))
    await world.advance(0.5)
    mentions = {"shop": [place(world, "m1")]}
    world.gone.add(Plan({"shop": [Ref("e", ANN)]}, mentions=mentions))
    await world.advance(60)
    assert world.state("m1")[0] == "retrying"
    assert b'"[erased]"' in (world.delivery("m1").delivery.event or b"")


async def test_a_restart_in_between_knows_it_before_anything_is_sent(tmp_path: Path) -> None:
    erasures = State.open(tmp_path, migrate=True).erasures
    erasures.begin(msgspec.to_builtins(Plan(events=[(0, 7)]), str_keys=True))
    gone = Gone()
    gone.resume(erasures)
    delivery = Delivery(shard=0, position=7, source="shop", visitor=visitor_hash("shop", "x"), received_ms=0)
    assert gone.fate(delivery) == "theirs"


def test_of_what_every_lane_has_passed_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firsthand.deliver.gone.MOST", 10)
    gone = Gone()
    gone.add(Plan(events=[(0, n) for n in range(1, 31)]))
    gone.add(Plan({"shop": [Ref("e", ANN)]}, mentions={"shop": [(0, n) for n in range(101, 131)]}))
    assert gone.many
    gone.forget(lambda shard: 115, [])
    assert sorted(gone._ended) == [(0, n) for n in range(21, 31)]
    assert sorted(gone._mentions) == [(0, n) for n in range(116, 131)]
    gone.forget(lambda shard: 130, [])
    assert len(gone._mentions) == 10
    assert not gone.many


def test_what_is_erased_just_now_is_kept_however_much_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log may have it yet, for whoever reads it again."""
    monkeypatch.setattr("firsthand.deliver.gone.MOST", 10)
    gone, plan = Gone(), Plan(events=[(0, n) for n in range(1, 31)])
    gone.add(plan)
    gone.forget(lambda shard: 30, [plan])
    assert len(gone._ended) == 30


@pytest.mark.parametrize("lanes", ["no lane", "a lane"])
async def test_an_erasure_of_more_than_is_kept_ends_well(
    world: World, monkeypatch: pytest.MonkeyPatch, lanes: str
) -> None:
    """With the gateway stopped, `visitor erase` does it without any lane."""
    monkeypatch.setattr("firsthand.deliver.gone.MOST", 10)
    await world.start(toy())
    await world.collect(*(event(f"m{n}", visitor="ann") for n in range(30)))
    await world.settle()
    state, settings = State.open(world.folder, migrate=True), Settings(data=world.folder)
    id = state.erasures.ask({"kind": "a", "value": "ann"})
    lane = world.lanes if lanes == "a lane" else {}
    eraser = Eraser(settings, state, world.hub, world.tail, world.ledger, world.clock, world.gone, lane)
    await eraser.work()
    state.erasures.log_done(id)
    assert await eraser.work() == [id]
    assert state.erasures.get(id).state == "done"
    await world.advance(60)
    await eraser.work()
    assert not world.gone.many


async def test_what_was_frozen_of_the_visitor_is_found_out_anew() -> None:
    """A guest's address may have been frozen with another's order."""
    gone = Gone()
    gone.mention([(0, 7)], Plan({"shop": [Ref("e", ANN)]}))
    delivery = Delivery(shard=0, position=7, source="shop", visitor=1, received_ms=0)
    delivery.detail.identity = Identity({}, "Ann@example.com")
    assert gone.fate(delivery) == "mentions"
    assert delivery.detail.identity is None
