"""A vendor that is down: sending stops, the backlog stays in the log, and all goes on when it is back."""

import asyncio
from collections import Counter

import pytest
from tests.deliver.clock import FakeClock
from tests.deliver.toys import ToySettings, failure, ok, says, status
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.deliver import openset
from firsthand.deliver.breaker import FAILURES_TO_OPEN, LONGEST_PAUSE, Breaker

DOWN = failure("connect", sent=False)


def test_ten_failures_on_end_open_the_breaker() -> None:
    breaker = Breaker(FakeClock())
    assert [breaker.failed() for _ in range(FAILURES_TO_OPEN)] == [False] * 9 + [True]
    assert breaker.state == "open"


def test_a_success_in_between_keeps_it_closed() -> None:
    breaker = Breaker(FakeClock())
    for _ in range(50):
        breaker.failed()
        breaker.succeeded()
    assert breaker.state == "closed"


def test_the_pause_doubles_with_each_failed_probe_up_to_a_minute() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed()
    pauses = []
    for _ in range(9):
        pauses.append(breaker.wait())
        clock.passed += breaker.wait()
        breaker.begin_probe()
        breaker.failed()
        breaker.end_probe(sent=True)
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    breaker.succeeded()
    assert (breaker.state, breaker.wait()) == ("closed", 0.0)


def test_it_says_since_when_it_is_open_and_why() -> None:
    clock = FakeClock()
    breaker = Breaker(clock)
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed("HTTP 500")
    opened = breaker.noted(resting_until=0.0)
    assert opened == {
        "breaker": "open",
        "reason": None,
        "since": "2026-11-22T12:00:00.000Z",
        "cause": "HTTP 500",
        "until": "2026-11-22T12:00:01.000Z",
    }
    clock.passed += 5
    breaker.failed("HTTP 503")
    later = {"breaker": "half_open", "reason": None, "since": opened["since"], "cause": "HTTP 503", "until": None}
    assert breaker.noted(0.0) == later
    breaker.succeeded()
    closed = {"breaker": "closed", "reason": None, "since": None, "cause": None}
    assert breaker.noted(clock.monotonic() + 3) == closed | {"until": "2026-11-22T12:00:08.000Z"}


@pytest.mark.parametrize(
    ("result", "opens"),
    [
        (DOWN, True),
        (status(500), True),
        (status(302), True),
        (status(200, b"<html>"), True),
        (says({"no": "vendor_rejected"}), False),
        (status(404), False),
    ],
    ids=lambda value: str(getattr(value, "status", value)),
)
async def test_a_vendor_that_says_no_to_an_event_is_alive(world: World, result: Result, opens: bool) -> None:
    world.answer = lambda call: result
    await world.start(toy(concurrency=1))
    await world.collect(*(event() for _ in range(30)))
    await world.settle()
    assert world.lanes["toy"].breaker.open is opens
    assert len(world.calls) == (FAILURES_TO_OPEN if opens else 30)


async def test_an_open_breaker_leaves_the_backlog_in_the_log(world: World) -> None:
    world.answer = lambda call: DOWN
    await world.start(toy(concurrency=4))
    await world.collect(*(event() for _ in range(2000)))
    await world.settle()
    counts = await world.counts()
    assert counts.retrying <= FAILURES_TO_OPEN + 4
    assert counts.pending == 2000 - counts.retrying
    assert counts.balanced


async def test_the_probe_is_the_oldest_that_waits_for_a_retry(world: World) -> None:
    world.answer = lambda call: DOWN
    await world.start(toy(concurrency=1))
    for _ in range(30):
        await world.collect(event())
        world.clock.passed += 0.001
    await world.settle()
    oldest = world.sent()[0]
    before = len(world.calls)
    await world.advance(1)
    assert world.sent()[before:] == [oldest]


async def test_a_probe_that_succeeds_lets_all_go_on(world: World) -> None:
    up = False
    world.answer = lambda call: ok() if up else DOWN
    await world.start(toy())
    await world.collect(*(event() for _ in range(500)))
    await world.advance(30)
    up = True
    await world.advance(60)
    counts = await world.counts()
    assert (counts.delivered, counts.pending, counts.retrying) == (500, 0, 0)


async def test_one_probe_goes_out_at_a_time(world: World) -> None:
    """Also while requests from before are still under way, and end one after the other."""
    slow = {"id-slow-1": 1.5, "id-slow-2": 2.5, "id-slow-3": 3.5}
    under_way = Counter[bool]()
    most = 0

    async def answer(call: Call) -> Result:
        nonlocal most
        probe = world.lanes["toy"].breaker.open
        under_way[probe] += 1
        most = max(most, under_way[True])
        await world.clock.sleep(slow.get(call.ids[0], 5.0 if probe else 0.0))
        under_way[probe] -= 1
        return DOWN

    world.answer = answer
    await world.start(toy(concurrency=32))
    await world.collect(*(event(id) for id in slow), *(event() for _ in range(40)))
    await world.advance(60)
    assert most == 1


async def test_an_event_of_the_log_is_the_probe_where_nothing_waits(world: World) -> None:
    """All that failed was given up: there is no retry to probe with."""
    world.answer = lambda call: status(302)
    await world.start(toy(concurrency=1))
    await world.collect(*(event() for _ in range(FAILURES_TO_OPEN)))
    await world.advance(1)
    assert world.lanes["toy"].breaker.open
    world.answer = lambda call: ok()
    await world.collect(event("late"), *(event() for _ in range(20)))
    await world.advance(5)
    assert world.state("late") == ("delivered", None)
    assert (await world.counts()).delivered == 21


async def test_a_probe_that_comes_to_nothing_is_followed_by_another(world: World) -> None:
    """The oldest retry may have become too old to send."""
    world.answer = lambda call: DOWN
    await world.start(toy(concurrency=1, settings=ToySettings(max_age=0.5)))
    await world.collect(*(event() for _ in range(FAILURES_TO_OPEN)))
    await world.settle()
    world.answer = lambda call: ok()
    await world.advance(1)
    assert (await world.counts()).reasons == {"too_old": FAILURES_TO_OPEN}
    await world.collect(event("fresh"))
    await world.advance(60)
    assert world.state("fresh") == ("delivered", None)


# -- an outage ---------------------------------------------------------------------------------------------------------


async def test_an_hour_of_outage_costs_disk_and_nothing_else(world: World) -> None:
    up, most_open = True, 0

    def answer(call: Call) -> Result:
        return ok() if up or "other" in call.url else DOWN

    world.answer = answer
    await world.start(toy(), toy("other"))
    await world.collect(*(event() for _ in range(100)))
    await world.settle()
    up = False
    for _ in range(25):
        await world.collect(*(event() for _ in range(200)))
        await world.advance(144)
        most_open = max(most_open, len(world.lanes["toy"]._open))
        assert (await world.counts("other")).pending == 0  # the other vendor is not kept waiting
    assert world.clock.passed == 3600
    during = await world.counts()
    assert (during.delivered, during.dead) == (100, 0)
    assert most_open <= 32 + FAILURES_TO_OPEN
    assert during.retrying == most_open
    assert during.lag_seconds > 3500
    probes = [call.at for call in world.calls if "toy.example" in call.url and call.at > 120]
    assert len(probes) <= 3600 / 60 * 2

    up = True
    await world.advance(1000)
    after, other = await world.counts(), await world.counts("other")
    assert (after.delivered, after.pending, after.retrying, after.balanced) == (5100, 0, 0, True)
    assert (other.delivered, other.balanced) == (5100, True)


async def test_the_open_set_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that all wait, for consent say, do not fill the memory: the reader waits at the cap."""
    monkeypatch.setattr(openset, "MOST_OPEN", 50)
    world.answer = lambda call: says({"later": 1}) if len(world.calls) % 5 else ok()
    await world.start(toy(concurrency=4), window=20)
    await world.collect(*(event() for _ in range(400)))
    await world.settle()
    assert len(world.lanes["toy"]._open) <= 50 + 20
    assert (await world.counts()).pending > 0
    world.answer = lambda call: ok()
    await world.advance(60)
    assert (await world.counts()).delivered == 400


# -- rest --------------------------------------------------------------------------------------------------------------


async def test_too_many_requests_rest_the_whole_lane(world: World) -> None:
    world.answer = lambda call: status(429, retry_after="30") if call.at < 1 else ok()
    await world.start(toy(concurrency=2))
    await world.collect(*(event() for _ in range(50)))
    await world.settle()
    asked = len(world.calls)
    assert asked <= 2
    await world.advance(29)
    assert len(world.calls) == asked
    await world.advance(2)
    assert (await world.counts()).delivered == 50


async def test_too_many_requests_rest_the_lane_even_without_a_time(world: World) -> None:
    world.answer = lambda call: status(429) if call.at < 1 else ok()
    await world.start(toy(concurrency=1))
    await world.collect(*(event() for _ in range(50)))
    await world.settle()
    assert len(world.calls) == 1
    await world.advance(1)
    assert (await world.counts()).delivered == 50


async def test_a_lane_keeps_to_its_rate(world: World) -> None:
    await world.start(toy(rate_per_second=10.0, concurrency=4))
    await world.collect(*(event() for _ in range(100)))
    await world.settle()
    assert len(world.calls) == 10  # a second's worth at once
    await world.advance(5)
    assert len(world.calls) == pytest.approx(60, abs=1)
    await world.advance(5)
    assert (await world.counts()).delivered == 100


async def test_one_lane_that_waits_does_not_delay_another(world: World) -> None:
    gate = asyncio.Event()

    async def answer(call: Call) -> Result:
        if "toy.example" in call.url:
            await gate.wait()
        return ok()

    world.answer = answer
    await world.start(toy(), toy("other"))
    await world.collect(*(event() for _ in range(300)))
    await world.settle()
    assert (await world.counts("other")).delivered == 300
    gate.set()
    await world.settle()
    assert (await world.counts("toy")).delivered == 300
