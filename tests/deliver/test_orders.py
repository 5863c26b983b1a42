"""An order is a request per line: what becomes of it where something ends the sending in its middle."""

import asyncio
from collections import Counter

import pytest
from tests.deliver.toys import ok, says, status
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.event import Event
from firsthand.ledger.base import LedgerUnavailable


def order(id: str, lines: str = "abcd") -> Event:
    return event(id, properties={"products": [{"product_id": line} for line in lines]})


def sent(world: World, id: str = "m1") -> str:
    return "".join(call.json["product"] for call in world.calls if call.ids == [id])


class Slow:
    """A vendor that answers each request when it is told to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._waiting: list[asyncio.Future[Result]] = []
        world.answer = self.answer

    async def answer(self, call: Call) -> Result:
        self._waiting.append(asyncio.get_running_loop().create_future())
        return await self._waiting[-1]

    async def answers(self, result: Result | None = None) -> None:
        """To the request that is under way; what follows from it has then happened."""
        self._waiting.pop(0).set_result(result or ok())
        await self.world.settle()


async def test_stopping_ends_an_order_after_the_line_that_is_under_way(world: World) -> None:
    slow = Slow(world)
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1"))
    await world.settle()
    await slow.answers()
    stopping = asyncio.create_task(world.stop())
    await asyncio.sleep(0.02)
    assert not stopping.done()
    slow._waiting.pop().set_result(ok())
    await stopping
    world.answer = lambda call: ok()
    await world.start(toy(vendor="lines"))
    assert (await world.counts()).retrying == 1
    await world.settle()
    assert sent(world) == "abcd"
    stored = world.delivery("m1").delivery
    assert (stored.state, stored.detail.tries, stored.detail.accepted) == ("delivered", 1, [0, 1, 2, 3])
    assert [exchange.request_index for exchange in world.attempts("m1")] == [0, 1, 2, 3]
    counts = await world.counts()
    assert (counts.delivered, counts.balanced, counts.recounted) == (1, True, True)


async def test_a_kill_repeats_no_line_but_the_one_that_was_under_way(world: World) -> None:
    slow = Slow(world)
    await world.start(toy(vendor="lines", concurrency=1))
    await world.collect(order("m1"), order("m2", "xy"))
    await world.settle()
    await slow.answers()
    await slow.answers(says({"warning": "odd"}))
    assert world.state("m1") == ("retrying", None)
    counts = await world.counts()
    assert (counts.retrying, counts.pending, counts.balanced, counts.recounted) == (1, 1, True, True)
    await world.crash()
    world.answer = lambda call: ok()
    await world.start(toy(vendor="lines", concurrency=1))
    await world.settle()
    assert (sent(world), sent(world, "m2")) == ("abccd", "xy")
    stored = world.delivery("m1").delivery
    assert (stored.certainty, stored.detail.tries) == ("accepted_with_warnings", 1)
    assert [exchange.request_index for exchange in world.attempts("m1")] == [0, 1, 2, 3]
    counts = await world.counts()
    assert (counts.delivered, counts.received, counts.balanced, counts.recounted) == (2, 2, True, True)


async def test_killed_again_and_again_an_order_still_comes_to_its_end(world: World) -> None:
    for _ in range(4):
        slow = Slow(world)
        await world.start(toy(vendor="lines", max_attempts=1))
        if not world.calls:
            await world.collect(order("m1"))
        await world.settle()
        await slow.answers()
        await world.crash()
    await world.start(toy(vendor="lines", max_attempts=1))
    await world.settle()
    assert Counter(sent(world)) == Counter("abbccdd")
    assert world.state("m1") == ("delivered", None)
    assert (await world.counts()).balanced


async def test_a_line_that_failed_after_a_kill_uses_up_one_try(world: World) -> None:
    slow = Slow(world)
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "ab"))
    await world.settle()
    await slow.answers()
    await world.crash()
    world.answer = lambda call: status(500) if call.at == 0 else ok()
    await world.start(toy(vendor="lines"))
    await world.advance(1)
    assert sent(world) == "abbb"
    assert world.delivery("m1").delivery.detail.tries == 2


async def test_an_order_of_one_line_is_recorded_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.start(toy(vendor="lines"))
    added: list[str] = []
    add = world.recorder.add
    monkeypatch.setattr(world.recorder, "add", lambda lane, d: (added.append(d.state), add(lane, d))[1])
    await world.collect(order("m1", "a"))
    await world.settle()
    assert added == ["delivered"]


async def test_an_order_waits_while_its_progress_cannot_be_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def commit(*given: object) -> None:
        raise LedgerUnavailable("the disk is full")

    slow = Slow(world)
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1"))
    await world.settle()
    with monkeypatch.context() as patch:
        patch.setattr(world.ledger, "commit", commit)
        await world.collect(event("odd", "Signed In"))
        await world.until(lambda: world.recorder.stalled)
        slow._waiting.pop().set_result(ok())
        await asyncio.sleep(0.05)
        assert sent(world) == "a"
    world.answer = lambda call: ok()
    await world.until(lambda: not world.recorder.stalled)
    await world.settle()
    assert sent(world) == "abcd"
    counts = await world.counts()
    assert (counts.delivered, counts.filtered, counts.balanced, counts.recounted) == (1, 1, True, True)


async def test_each_line_counts_for_the_rate(world: World) -> None:
    await world.start(toy(vendor="lines", rate_per_second=2.0))
    await world.collect(order("m1", "abcdef"), order("m2", "gh"))
    await world.advance(10)
    times = sorted(call.at for call in world.calls)
    assert len(times) == 8
    assert times[2] >= 0.4, "a burst of one second's worth, then one every half second"
    assert times[-1] >= 2.9


async def test_stopping_does_not_wait_for_the_rate(world: World) -> None:
    await world.start(toy(vendor="lines", rate_per_second=1.0))
    await world.collect(order("m1"))
    await world.settle()
    await asyncio.wait_for(world.lanes["toy"].drain(0.05), 5)
    await world.recorder.flush()
    await world.crash()
    await world.start(toy(vendor="lines", rate_per_second=1.0))
    await world.advance(10)
    assert sent(world) == "abcd"
    assert (await world.counts()).balanced
