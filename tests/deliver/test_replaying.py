"""Replays that were asked for: side by side, in order at one integration, and ended when somebody says so."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.deliver.toys import failure, ok, says
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.deliver.replaying import Replays
from firsthand.state.store import FINAL, Replay, ReplayState, State


class Asked:
    """The table in which command and process meet."""

    def __init__(self) -> None:
        self.jobs: dict[str, Replay] = {}

    def ask(self, id: str, integration: str) -> None:
        self.jobs[id] = Replay(id, integration, {}, "queued", {}, "", "")

    def replays(self, states: Iterable[ReplayState]) -> list[Replay]:
        return [job for job in self.jobs.values() if job.state in states]

    def update_replay(self, id: str, state: ReplayState, progress: Mapping[str, Any] | None = None) -> ReplayState:
        job = self.jobs[id]
        if job.state not in FINAL:
            shown = job.progress if progress is None else dict(progress)
            job = self.jobs[id] = Replay(id, job.integration, {}, state, shown, "", "")
        return job.state


@asynccontextmanager
async def replaying(world: World, asked: Asked) -> AsyncIterator[Replays]:
    replays = Replays(cast("State", asked), world.lanes, world.folder, world.clock)
    yield replays
    following = asyncio.create_task(replays.follow())
    await asyncio.sleep(0)
    following.cancel()
    await asyncio.wait([following], timeout=5)
    assert following.done()  # whatever the vendor does


async def dead_ones(world: World, *keys: str) -> None:
    """Twenty dead events at each of these integrations."""
    world.answer = lambda call: says({"no": "vendor_rejected"})
    await world.start(*(toy(key) for key in keys))
    await world.collect(*(event() for _ in range(20)))
    await world.settle()


async def until_state(world: World, replays: Replays, asked: Asked, id: str, state: str) -> None:
    for _ in range(200):
        await replays.look()
        if asked.jobs[id].state == state:
            return
        await world.advance(1)
    raise AssertionError(f"{id} is {asked.jobs[id].state}, not {state}")


async def test_a_vendor_that_hangs_keeps_no_other_replay_waiting(world: World) -> None:
    await dead_ones(world, "toy", "other")
    never = asyncio.Event()

    async def answer(call: Call) -> Result:
        if "toy.example" in call.url:
            await never.wait()
        return ok()

    world.answer, asked = answer, Asked()
    asked.ask("1", "toy")
    asked.ask("2", "other")
    async with replaying(world, asked) as replays:
        await until_state(world, replays, asked, "2", "done")
        assert asked.jobs["2"].progress["delivered"] == 20
        assert asked.jobs["1"].state == "running"


async def test_one_is_known_to_run_from_its_first_moment(world: World) -> None:
    """Whoever watches it, and a process that is killed, must not take it for one that waits."""
    await dead_ones(world, "toy")
    asked = Asked()
    asked.ask("1", "toy")
    async with replaying(world, asked) as replays:
        await replays.look()
        assert asked.jobs["1"].state == "running"


async def test_one_is_cancelled_though_its_vendor_hangs(world: World) -> None:
    """What is under way ends as it may; what waited for its turn is not sent."""
    await dead_ones(world, "toy")
    answers, before = asyncio.Event(), len(world.calls)

    async def answer(call: Call) -> Result:
        await answers.wait()
        return ok()

    world.answer, asked = answer, Asked()
    asked.ask("1", "toy")
    async with replaying(world, asked) as replays:
        await until_state(world, replays, asked, "1", "running")
        await world.until(lambda: len(world.calls) > before)
        under_way = len(world.calls)
        asked.update_replay("1", "cancelled")
        await replays.look()
        answers.set()
        await world.settle()
        assert len(world.calls) == under_way
        counts = await world.counts()
        assert (counts.delivered, counts.dead) == (under_way - before, 20 - (under_way - before))
        assert counts.balanced
        asked.ask("2", "toy")  # and the next one has its turn
        await until_state(world, replays, asked, "2", "done")
    assert (await world.counts()).delivered == 20


async def test_one_is_cancelled_while_the_breaker_is_open(world: World) -> None:
    await dead_ones(world, "toy")
    world.answer, asked = lambda call: failure("connect", sent=False), Asked()
    await world.collect(*(event() for _ in range(20)))
    await world.settle()
    assert world.lanes["toy"].breaker.open
    asked.ask("1", "toy")
    async with replaying(world, asked) as replays:
        await replays.look()
        await world.settle()
        asked.update_replay("1", "cancelled")
        await replays.look()
        world.answer = lambda call: ok()
        await world.advance(120)
        assert (await world.counts()).dead == 20  # none of them was sent


async def test_one_goes_on_through_the_lane_that_took_the_place_of_its_own(world: World) -> None:
    await dead_ones(world, "toy")
    never, asked = asyncio.Event(), Asked()

    async def answer(call: Call) -> Result:
        await never.wait()
        return ok()

    world.answer = answer
    asked.ask("1", "toy")
    async with replaying(world, asked) as replays:
        await until_state(world, replays, asked, "1", "running")
        await world.settle()
        await world.crash()
        world.answer = lambda call: ok()
        await world.start(toy())
        again = Replays(cast("State", asked), world.lanes, world.folder, world.clock)
        await until_state(world, again, asked, "1", "done")
    assert (await world.counts()).delivered == 20
