"""Of one visitor at most one request is under way, and first attempts go in the order of the log."""

import asyncio
import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.deliver.toys import ok, says
from tests.deliver.world import Call, Result, World, event, toy


async def test_a_visitors_events_go_one_after_the_other(world: World) -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> Result:
        await gate.wait()
        return ok()

    world.answer = answer
    await world.start(toy())
    await world.collect(*(event(f"m{n}", visitor="ann") for n in range(5)))
    await world.settle()
    assert world.sent() == ["m0"]
    gate.set()
    await world.settle()
    assert world.sent() == ["m0", "m1", "m2", "m3", "m4"]


async def test_visitors_do_not_wait_for_each_other(world: World) -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> Result:
        await gate.wait()
        return ok()

    world.answer = answer
    await world.start(toy(concurrency=64))
    await world.collect(*(event() for _ in range(20)))
    await world.settle()
    assert len(world.calls) > 10
    gate.set()


async def test_a_retry_does_not_hold_up_the_visitors_later_events(world: World) -> None:
    world.answer = lambda call: says({"later": 1}) if call.ids == ["m0"] and call.at == 0 else ok()
    await world.start(toy())
    await world.collect(event("m0", visitor="ann"), event("m1", visitor="ann"))
    await world.settle()
    assert (world.state("m0"), world.state("m1")) == (("retrying", None), ("delivered", None))
    await world.advance(1)
    assert world.sent() == ["m0", "m1", "m0"]


plays = st.lists(
    st.tuples(st.integers(0, 6), st.sampled_from([0.0, 0.1, 0.5, 3.0]), st.booleans()), min_size=1, max_size=40
)


@settings(max_examples=15, deadline=None)
@given(plays)
def test_order_holds_whatever_the_vendor_does(play: list[tuple[int, float, bool]]) -> None:
    """Each event has a visitor, a time the vendor takes to answer, and whether its first attempt fails."""

    async def run(folder: Path) -> None:
        async with World(folder) as world:
            under_way: defaultdict[str, int] = defaultdict(int)
            first: defaultdict[str, list[int]] = defaultdict(list)

            async def answer(call: Call) -> Result:
                (id,) = call.ids
                visitor, delay, fails = play[int(id)]
                name = f"v{visitor}"
                under_way[name] += 1
                assert under_way[name] == 1
                new = int(id) not in first[name]
                if new:
                    first[name].append(int(id))
                await world.clock.sleep(delay)
                under_way[name] -= 1
                return says({"later": 1}) if fails and new else ok()

            world.answer = answer
            await world.start(toy(concurrency=3))
            await world.collect(*(event(str(n), visitor=f"v{visitor}") for n, (visitor, _, _) in enumerate(play)))
            await world.advance(900)
            assert all(numbers == sorted(numbers) for numbers in first.values())
            counts = await world.counts()
            assert (counts.delivered, counts.balanced) == (len(play), True)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
