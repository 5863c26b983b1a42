"""An order is a request per line: what becomes of it where something ends the sending in its middle."""

import asyncio
from collections import Counter

import pytest
from tests.deliver.toys import ToySettings, failure, ok, says, status
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.config import Consent
from firsthand.event import Event
from firsthand.ledger.base import LedgerUnavailable
from firsthand.ledger.reader import Filter


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


# -- of a line nobody knows whether it arrived -------------------------------------------------------------------------

ONCE = ToySettings(max_uncertain=1)


async def lost_on(world: World, *lost: str, **more: object) -> None:
    """The connection broke after these lines of an order were sent; then the vendor is well again."""
    world.answer = lambda call: failure("cut", sent=True) if call.json["product"] in lost else ok()
    await world.start(toy(vendor="lines", settings=ONCE, **more))
    await world.collect(order("m1"))
    await world.settle()
    world.answer = lambda call: ok()


async def test_what_would_count_twice_has_an_end_of_its_own(world: World) -> None:
    await lost_on(world, "b", max_attempts=1)
    assert sent(world) == "ab"
    assert world.state("m1") == ("dead", "outcome_unknown")
    assert world.message("m1") == "the vendor may have received it, and would count each: cut: so it is"
    detail = world.delivery("m1").delivery.detail
    assert (detail.accepted, detail.unknown) == ([0], [1])


async def test_a_replay_sends_what_surely_did_not_arrive(world: World) -> None:
    await lost_on(world, "b")
    await world.replay(Filter(code="outcome_unknown"))
    assert sent(world) == "abcd"
    assert world.state("m1") == ("dead", "outcome_unknown")
    assert world.message("m1") == "1 of the event's requests may have arrived before and went no second time"
    await world.replay(Filter())
    assert sent(world) == "abcd"
    assert (await world.counts()).balanced


@pytest.mark.parametrize("before", [Filter(), Filter(message_id="m1"), None])
async def test_a_replay_that_is_told_so_sends_the_line_in_question_too(world: World, before: Filter | None) -> None:
    await lost_on(world, "b")
    if before is not None:
        await world.replay(before)
    await world.replay(Filter(code="outcome_unknown", resend=True))
    assert Counter(sent(world)) == Counter("abbcd")
    assert world.state("m1") == ("delivered", None)


async def test_a_replay_may_meet_the_same_trouble(world: World) -> None:
    await lost_on(world, "b")
    world.answer = lambda call: failure("cut", sent=True) if call.json["product"] == "c" else ok()
    await world.replay(Filter())
    assert world.delivery("m1").delivery.detail.unknown == [1, 2]
    await world.replay(Filter())
    assert sent(world) == "abcd"
    assert world.delivery("m1").delivery.detail.accepted == [0, 3]


async def test_what_is_known_of_the_lines_outlives_a_replay_that_was_filtered(world: World) -> None:
    await lost_on(world, "b")
    await world.stop()
    await world.start(toy(vendor="lines", settings=ONCE, consent=Consent(basis="categories", hold=0.0)))
    await world.replay(Filter())
    assert world.state("m1") == ("filtered", "consent_unknown")
    await world.stop()
    await world.start(toy(vendor="lines", settings=ONCE))
    await world.replay(Filter())
    assert sent(world) == "abcd"
