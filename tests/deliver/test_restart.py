"""Stops and starts: in good order, without warning, with a full disk, and with an event that kills."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from tests.deliver.toys import ok, says
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.deliver import recorder
from firsthand.deliver.poison import SUSPECT, Suspect, end_of_run, start_of_run
from firsthand.ledger.trace import trace


class Gate:
    """A vendor that answers when it is let."""

    def __init__(self, world: World) -> None:
        self._open = asyncio.Event()
        world.answer = self.answer

    async def answer(self, call: Call) -> Result:
        await self._open.wait()
        return ok()

    def let(self) -> None:
        self._open.set()


# -- restarts ----------------------------------------------------------------------------------------------------------


async def test_a_restart_goes_on_where_it_stopped(world: World) -> None:
    await world.start(toy())
    await world.collect(*(event(f"m{n}") for n in range(100)))
    await world.settle()
    await world.stop()
    await world.collect(*(event(f"m{n}") for n in range(100, 200)))
    await world.start(toy())
    await world.settle()
    assert Counter(world.sent()) == Counter({f"m{n}": 1 for n in range(200)})


async def test_stopping_finishes_what_is_in_flight(world: World) -> None:
    gate = Gate(world)
    await world.start(toy(concurrency=4))
    await world.collect(*(event() for _ in range(100)))
    await world.settle()
    under_way = world.sent()
    stopping = asyncio.create_task(world.stop())
    await asyncio.sleep(0.05)
    assert not stopping.done()
    gate.let()
    await stopping
    assert world.sent() == under_way  # and nothing new is begun
    await world.start(toy(concurrency=4))
    await world.settle()
    assert max(Counter(world.sent()).values()) == 1
    assert (await world.counts()).delivered == 100


async def test_stopping_waits_no_longer_than_it_may(world: World) -> None:
    Gate(world)
    await world.start(toy(concurrency=4))
    await world.collect(*(event() for _ in range(10)))
    await world.settle()
    await asyncio.wait_for(world.lanes["toy"].drain(0.05), 5)
    assert all(task.done() for task in world.lanes["toy"].tasks)


async def test_a_crash_repeats_at_most_what_was_in_flight_and_loses_nothing(world: World) -> None:
    gate = Gate(world)
    slow = {"m10", "m20", "m30"}
    world.answer = lambda call: gate.answer(call) if slow & set(call.ids) else ok()
    await world.start(toy(concurrency=64))
    await world.collect(*(event(f"m{n}") for n in range(200)))
    await world.settle()
    in_flight = slow & set(world.sent())
    assert in_flight
    assert world.reader.cursors(1)[0] < 31  # the cursor waits for the first of them
    await world.crash()
    world.answer = lambda call: ok()
    await world.start(toy(concurrency=64))
    await world.settle()
    sent = Counter(world.sent())
    assert set(sent) == {f"m{n}" for n in range(200)}
    assert {id for id, times in sent.items() if times > 1} == in_flight
    counts = await world.counts()
    assert (counts.delivered, counts.pending, counts.balanced) == (200, 0, True)


async def test_what_was_sent_and_not_recorded_is_sent_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 3600.0)
    monkeypatch.setattr(recorder, "IDLE_SECONDS", 3600.0)
    await world.start(toy())
    await world.collect(*(event(f"m{n}") for n in range(20)))
    await world.until(lambda: len(world.calls) == 20)
    await world.crash()
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 0.001)
    monkeypatch.setattr(recorder, "IDLE_SECONDS", 0.02)
    await world.start(toy())
    await world.settle()
    assert Counter(world.sent()) == Counter({f"m{n}": 2 for n in range(20)})
    assert (await world.counts()).delivered == 20


async def test_what_may_have_been_sent_before_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what came in after the crash, of what was recorded, and after an orderly stop nobody need wonder."""

    def maybe(*ids: str) -> list[bool]:
        traces = [trace(id, ["shop"], world.log, world.reader)[0] for id in ids]
        return [traced["deliveries"][0]["maybe_sent_before"] for traced in traces]

    await world.start(toy())
    await world.collect(event("recorded"))
    await world.settle()
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 3600.0)
    monkeypatch.setattr(recorder, "IDLE_SECONDS", 3600.0)
    await world.collect(*(event(f"m{n}") for n in range(20)))
    await world.until(lambda: len(world.calls) == 21)
    await world.crash()
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 0.001)
    monkeypatch.setattr(recorder, "IDLE_SECONDS", 0.02)
    await world.start(toy())
    await world.advance(1)
    await world.collect(event("later"))
    await world.settle()
    twice = [id for id, times in Counter(world.sent()).items() if times == 2]
    assert twice
    assert all(maybe(*twice))
    assert maybe("recorded", "later") == [False, False]
    await world.stop()
    await world.start(toy())
    await world.collect(event("after"))
    await world.settle()
    assert maybe("after") == [False]


async def test_retries_keep_their_time_over_a_crash(world: World) -> None:
    world.answer = lambda call: says({"later": 1}, retry_after="100")
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(10)
    await world.crash()
    world.answer = lambda call: ok()
    await world.start(toy())
    await world.advance(89)
    assert len(world.calls) == 1
    await world.advance(1)
    assert world.state("m1") == ("delivered", None)
    assert world.delivery("m1").delivery.detail.tries == 2


async def test_disabling_after_a_crash_counts_nothing_twice(world: World) -> None:
    """What was settled ahead of the cursor is not part of the range."""
    gate = Gate(world)
    world.answer = lambda call: gate.answer(call) if call.ids == ["m0"] else ok()
    await world.start(toy(concurrency=64))
    await world.collect(*(event(f"m{n}") for n in range(10)))
    await world.settle()
    before = await world.counts()
    await world.crash()
    await world.start(toy(enabled=False))
    await world.settle()
    after = await world.counts()
    assert before.delivered + after.reasons["integration_disabled"] == after.received == 10
    assert (after.balanced, after.recounted) == (True, True)


async def test_a_source_joins_a_lane_that_has_a_backlog(world: World) -> None:
    world.sources.append(type(world.sources[0])(key="app", write_key="key-of-app"))
    await world.start(toy(sources=("shop",)))
    await world.collect(event("m1"))
    await world.settle()
    await world.stop()
    for n in range(5):
        await world.collect(event(f"shop-{n}"))
        await world.collect(event(f"app-{n}"), source="app")
    await world.start(toy())
    await world.settle()
    counts = await world.counts()
    assert (counts.received, counts.delivered, counts.balanced) == (11, 11, True)


# -- the ledger cannot take more ---------------------------------------------------------------------------------------


@contextmanager
def full(world: World) -> Iterator[None]:
    db = world.ledger._db
    db.pragma("max_page_count", db.pragma("page_count"))
    yield
    db.pragma("max_page_count", 1 << 30)


async def test_sending_stops_while_outcomes_cannot_be_recorded(world: World) -> None:
    await world.start(toy(), toy("other"))
    await world.collect(event("first"))
    await world.settle()
    with full(world):
        await world.collect(*(event() for _ in range(2000)))
        await world.until(lambda: world.recorder.stalled)
        await asyncio.sleep(0.05)
        sent = len(world.calls)
        await asyncio.sleep(0.1)
        assert len(world.calls) == sent < 4000
        assert not world.recorder.idle
    await world.until(lambda: not world.recorder.stalled)
    await world.settle()
    for key in ("toy", "other"):
        counts = await world.counts(key)
        assert (counts.delivered, counts.balanced, counts.recounted) == (2001, True, True)
    assert max(Counter(world.sent()).values()) == 1


async def test_a_ledger_that_is_full_for_a_moment_leaves_no_reader_waiting(world: World) -> None:
    """So short that the lane's keeper never saw it, and the reader did."""
    await world.start(toy())
    await world.settle()
    lane = world.lanes["toy"]
    world.recorder.stalled = True
    await world.collect(event("m1"))
    await world.until(lambda: len(lane._room._waiters) > 0)
    world.recorder.stalled = False
    lane.poke()
    await world.until(lambda: world.sent() == ["m1"])


async def test_a_stop_while_the_ledger_is_full_loses_nothing(world: World) -> None:
    await world.start(toy())
    await world.collect(event("first"))
    await world.settle()
    with full(world):
        await world.collect(*(event() for _ in range(1000)))
        await world.until(lambda: world.recorder.stalled)
        world._recording.cancel()
        await asyncio.gather(world._recording, return_exceptions=True)
    await world.recorder.flush()  # the last one, as the process does
    await world.crash()
    await world.start(toy())
    await world.settle()
    counts = await world.counts()
    assert (counts.delivered, counts.balanced, counts.recounted) == (1001, True, True)


# -- poison ------------------------------------------------------------------------------------------------------------


LONG = 60_000
"""Milliseconds: more than a short life."""


def deaths(world: World, lives: list[tuple[dict[str, dict[int, int]], int]]) -> list[int]:
    """The count after each of several lives: where its lanes stood, when it started (ms)."""
    return [start_of_run(world.ledger, cursors, at).deaths for cursors, at in lives]


async def test_deaths_on_the_same_place_are_counted(world: World) -> None:
    await world.start(toy())
    assert deaths(world, [({"toy": {0: 7}}, n * LONG) for n in range(5)]) == [0, 1, 2, 3, 4]
    assert start_of_run(world.ledger, {"toy": {0: 8}}, 5 * LONG).deaths == 0


async def test_early_deaths_are_counted_however_far_the_lanes_get(world: World) -> None:
    await world.start(toy())
    assert deaths(world, [({"toy": {0: n}}, n * 1000) for n in range(5)]) == [0, 1, 2, 3, 4]
    assert start_of_run(world.ledger, {"toy": {0: 8}}, LONG).deaths == 0


async def test_a_clean_end_is_no_death(world: World) -> None:
    await world.start(toy())
    end_of_run(world.ledger, start_of_run(world.ledger, {"toy": {0: 7}}, 0))
    assert start_of_run(world.ledger, {"toy": {0: 7}}, 10).deaths == 0


async def test_an_event_is_the_killer_when_two_careful_processes_died_on_it(world: World) -> None:
    await world.start(toy())
    seen = []
    for life, at_work in enumerate([1, 2, 3, 4, 5, 5, 5]):
        run = start_of_run(world.ledger, {"toy": {0: 7}}, life)
        seen.append((run.careful, run.killer))
        world.ledger.set_run_value(SUSPECT, msgspec.json.encode(Suspect("toy", 0, at_work, 0)).decode())
    killer = Suspect("toy", 0, 5, 0)
    # Careful from the fourth life on, in which 4 was at work; the fifth and the sixth died on 5.
    assert seen == [(False, None)] * 3 + [(True, None)] * 3 + [(False, killer)]


async def test_a_careful_lane_works_on_one_event_at_a_time_and_says_which(world: World) -> None:
    gate = Gate(world)
    await world.start(toy(), window=1, careful=True)
    await world.collect(*(event(f"m{n}") for n in range(10)))
    await world.settle()
    assert world.sent() == ["m0"]
    assert msgspec.json.decode(world.ledger.run_value(SUSPECT) or "", type=Suspect) == Suspect("toy", 0, 1, 0)
    gate.let()
    await world.settle()
    assert world.sent() == [f"m{n}" for n in range(10)]


async def test_the_event_that_killed_is_set_aside_and_the_others_go_on(world: World) -> None:
    """Deaths, care, the suspect, the outcome: as the process goes about it."""
    await world.start(toy())
    await world.collect(*(event(f"m{n}") for n in range(10)))

    async def deadly(call: Call) -> Result:
        if "m4" in call.ids:
            await asyncio.Event().wait()  # here the process is killed
        return ok()

    world.answer = deadly
    for _ in range(10):
        await world.settle()
        await world.crash()
        await world.start()
        cursors = {lane.integration: world.reader.cursors(lane.id) for lane in world.reader.lanes()}
        run = start_of_run(world.ledger, cursors, world.clock.now_ms())
        await world.crash()
        await world.start(toy(), window=1 if run.careful else 1024, careful=run.careful, poison=run.killer)
        if run.killer is not None:
            break
    await world.settle()
    assert world.state("m4") == ("dead", "poison")
    counts = await world.counts()
    assert (counts.delivered, counts.dead, counts.balanced) == (9, 1, True)


async def test_a_retry_that_killed_is_set_aside_too(world: World) -> None:
    world.answer = lambda call: says({"later": 1})
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    await world.crash()
    await world.start(toy(), poison=Suspect("toy", 0, 1, 0))
    await world.advance(60)
    assert world.state("m1") == ("dead", "poison")
    assert len(world.calls) == 1
    assert (await world.counts()).balanced
