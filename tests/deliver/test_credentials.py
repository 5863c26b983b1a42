"""Credentials that are refused stop the lane: that is no fault of the events, and none of them is lost for it."""

from itertools import pairwise

import pytest
from tests.deliver.toys import ok, says, status
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.deliver.breaker import LONGEST_REFUSED_PAUSE, REFUSED_PAUSE

REFUSALS = [(status(401), "auth_failed"), (status(403), "scope_denied"), (says({"no": "auth_failed"}), "auth_failed")]


@pytest.mark.parametrize(("refusal", "code"), REFUSALS, ids=["401", "403", "said"])
async def test_what_was_in_flight_waits_and_the_rest_stays_in_the_log(world: World, refusal: Result, code: str) -> None:
    world.answer = lambda call: refusal
    await world.start(toy(concurrency=4))
    await world.collect(*(event() for _ in range(100)))
    await world.settle()
    counts = await world.counts()
    assert (counts.dead, counts.retrying + counts.pending) == (0, 100)
    assert counts.retrying == len(world.calls) <= 5
    assert counts.reasons == {code: counts.retrying}
    assert counts.balanced


async def test_probes_are_slow_and_of_another_event_each(world: World) -> None:
    world.answer = lambda call: status(401)
    await world.start(toy(concurrency=1))
    await world.collect(*(event() for _ in range(50)))
    await world.advance(3600)
    at = [call.at for call in world.calls]
    pauses = [round(later - earlier) for earlier, later in pairwise(at)]
    assert pauses[:6] == [0, REFUSED_PAUSE, 120, 240, 480, LONGEST_REFUSED_PAUSE]
    assert all(one != next_one for one, next_one in pairwise(world.sent()))
    assert (await world.counts()).dead == 0


async def test_the_lane_goes_on_by_itself_once_they_are_taken_again(world: World) -> None:
    world.answer = lambda call: status(401) if call.at < 600 else ok()
    await world.start(toy(concurrency=8))
    await world.collect(*(event() for _ in range(100)))
    await world.advance(1800)
    assert (await world.counts()).delivered == 100


async def test_it_goes_on_when_the_operator_says_so(world: World) -> None:
    world.answer = lambda call: status(401)
    await world.start(toy(concurrency=8))
    await world.collect(*(event() for _ in range(100)))
    await world.settle()
    world.answer = lambda call: ok()
    assert world.lanes["toy"].resume()
    await world.settle()
    assert (await world.counts()).delivered == 100
    assert not world.lanes["toy"].resume()  # nothing is stopped any more


async def test_told_to_go_on_too_early_it_stops_again(world: World) -> None:
    world.answer = lambda call: status(401)
    await world.start(toy(concurrency=4))
    await world.collect(*(event() for _ in range(100)))
    for _ in range(10):
        await world.settle()
        world.lanes["toy"].resume()
    await world.settle()
    counts = await world.counts()
    assert (counts.dead, counts.retrying) == (0, counts.reasons["auth_failed"])


async def test_an_event_that_is_refused_where_others_are_taken_is_dead(world: World) -> None:
    """Such as one that a firewall on the way takes for an attack."""
    world.answer = lambda call: status(403) if "bad" in call.ids[0] else ok()
    await world.start(toy(concurrency=2))
    for number in range(20):
        await world.collect(event(f"bad-{number}"), *(event() for _ in range(5)))
        await world.settle()
    counts = await world.counts()
    assert (counts.delivered, counts.reasons) == (100, {"scope_denied": 20})
    assert world.state("bad-1") == ("dead", "scope_denied")
    assert "other events are taken" in world.message("bad-1")
    assert len(world.attempts("bad-1")) == 2


async def test_a_refused_event_of_a_batch_takes_no_other_with_it(world: World) -> None:
    def answer(call: Call) -> Result:
        return status(403) if "bad" in call.ids else says([{"ok": True} for _ in call.ids])

    world.answer = answer
    await world.start(toy(vendor="bulk", concurrency=1))
    await world.collect(event("bad"), *(event() for _ in range(20)))
    await world.advance(60)
    counts = await world.counts()
    assert (counts.delivered, counts.reasons) == (20, {"scope_denied": 1})


async def test_one_alone_is_tried_again_and_again(world: World) -> None:
    """At night no other event comes that could tell whose fault it is."""
    world.answer = lambda call: status(401) if call.at < 400 else ok()
    await world.start(toy())
    await world.collect(event("only"))
    await world.advance(300)
    assert world.state("only") == ("retrying", "auth_failed")
    assert [round(call.at) for call in world.calls] == [0, 60, 120, 240]
    await world.advance(1200)
    assert world.state("only") == ("delivered", None)


async def test_an_event_that_comes_later_is_the_next_probe(world: World) -> None:
    """The one that was refused has its second chance before anybody calls it bad."""
    world.answer = lambda call: status(401) if call.at < 70 else ok()
    await world.start(toy())
    await world.collect(event("only"))
    await world.advance(100)
    await world.collect(event("later"))
    await world.advance(200)
    assert [id for id in world.sent() if id == "later"] == ["later"]
    assert world.sent().index("later") == 2
    assert {world.state(id)[0] for id in ("only", "later")} == {"delivered"}


async def test_refusals_use_up_no_attempts(world: World) -> None:
    world.answer = lambda call: status(401) if call.at < 7200 else ok()
    await world.start(toy(max_attempts=2))
    await world.collect(event("m1"))
    await world.advance(7200 + 900)
    assert len(world.attempts("m1")) > 5
    assert world.state("m1") == ("delivered", None)


async def test_they_end_with_the_age_of_the_event(world: World) -> None:
    world.answer = lambda call: status(401)
    await world.start(toy(max_age=3600.0))
    await world.collect(event("m1"), event("m2"))
    await world.advance(3600)
    assert world.state("m1") == ("retrying", "auth_failed")
    await world.advance(3600)
    assert {world.state(id) for id in ("m1", "m2")} == {("dead", "auth_failed")}


async def test_a_request_from_before_says_nothing_about_them(world: World) -> None:
    """It was under way when they were refused, and its answer comes later."""

    async def answer(call: Call) -> Result:
        if call.ids == ["slow"]:
            await world.clock.sleep(5)
            return ok()
        return status(401)

    world.answer = answer
    await world.start(toy(concurrency=8))
    await world.collect(event("slow"), *(event() for _ in range(50)))
    await world.advance(10)
    assert world.state("slow") == ("delivered", None)
    assert world.lanes["toy"].breaker.open
    assert (await world.counts()).dead == 0


async def test_a_restart_asks_with_one_event(world: World) -> None:
    world.answer = lambda call: status(401)
    await world.start(toy(concurrency=8))
    await world.collect(*(event() for _ in range(100)))
    await world.settle()
    await world.stop()
    before = len(world.calls)
    await world.start(toy(concurrency=8))
    await world.settle()
    assert len(world.calls) == before + 1
    assert world.lanes["toy"].health()["reason"] == "auth_failed"
    world.answer = lambda call: ok()
    await world.advance(REFUSED_PAUSE)
    assert (await world.counts()).delivered == 100


async def test_how_it_is_said(world: World) -> None:
    world.answer = lambda call: status(401)
    await world.start(toy())
    await world.collect(event("m1"), event("m2"))
    await world.settle()
    health = world.lanes["toy"].health()
    assert (health["state"], health["breaker"], health["reason"]) == ("down", "open", "auth_failed")
    assert health["cause"] == "HTTP 401: the vendor does not accept the credentials"
    assert health["until"] == "2026-11-22T12:01:00.000Z"
    assert world.message("m1") == health["cause"]
