"""Sending past events again: what a filter takes, never what was delivered, and the same bytes."""

import hashlib
from typing import Any

import pytest
from tests.deliver.clock import NOW_MS
from tests.deliver.toys import ToySettings, ok, says
from tests.deliver.world import Call, Consent, EventMapping, Result, World, event, toy

from firsthand.config import EventRule
from firsthand.ledger.reader import Filter
from firsthand.replays import dry_run

NO = says({"no": "vendor_rejected"})


def judged(call: Call) -> Result:
    """The toy says no to everything whose id begins with "no", in the way the rest of it says."""
    (id,) = call.ids
    return says({"no": id[3:]}) if id.startswith("no-") else ok()


async def past(world: World, **settings: Any) -> None:
    """Two delivered, one rejected, one invalid, one filtered; an hour later one more was rejected."""
    world.answer = judged
    await world.start(toy(**settings))
    await world.collect(event("yes-1"), event("yes-2"), event("no-vendor_rejected"), event("no-field_invalid"))
    await world.collect(event("odd", "Never Heard Of"))
    await world.advance(3600)
    await world.collect(event("no-redirect_refused"))
    await world.settle()
    world.calls.clear()
    world.answer = lambda call: ok()


WANTED: list[tuple[Filter, set[str]]] = [
    (Filter(), {"no-vendor_rejected", "no-field_invalid", "no-redirect_refused"}),
    (Filter(state="dead"), {"no-vendor_rejected", "no-field_invalid", "no-redirect_refused"}),
    (Filter(state="filtered"), set()),  # it is as little mapped as it was
    (Filter(code="field_invalid"), {"no-field_invalid"}),
    (Filter(code="poison"), set()),
    (Filter(from_ms=NOW_MS + 1), {"no-redirect_refused"}),
    (Filter(to_ms=NOW_MS + 1), {"no-vendor_rejected", "no-field_invalid"}),
    (Filter(to_ms=NOW_MS), set()),
    (Filter(message_id="no-redirect_refused"), {"no-redirect_refused"}),
    (Filter(message_id="yes-1"), set()),
    (Filter(message_id="yes-1", resend=True), {"yes-1"}),
    (Filter(state="delivered", resend=True), {"yes-1", "yes-2"}),
    (Filter(message_id="nobody"), set()),
]


@pytest.mark.parametrize(("wanted", "sent"), WANTED, ids=[str(wanted) for wanted, _ in WANTED])
async def test_a_filter_says_what_goes_again(world: World, wanted: Filter, sent: set[str]) -> None:
    await past(world)
    await world.replay(wanted)
    assert set(world.sent()) == sent
    assert len(world.calls) == len(sent)
    assert (await world.counts()).balanced


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter(state="dead"), Filter(code="field_invalid"), Filter(resend=True)], ids=str
)
async def test_a_dry_run_announces_what_is_done(world: World, wanted: Filter) -> None:
    await past(world)
    announced = await dry_run(world.folder, "toy", wanted)
    assert world.calls == []
    done = await world.replay(wanted)
    assert announced["matched"] == done.total == done.done
    assert done.total == done.delivered + done.dead + done.filtered


async def test_a_replay_takes_the_place_of_what_it_repeats(world: World) -> None:
    await past(world)
    before = await world.counts()
    progress = await world.replay(Filter(state="dead"))
    after = await world.counts()
    assert progress.delivered == 3
    assert (after.delivered, after.dead) == (before.delivered + 3, before.dead - 3)
    assert (after.received, after.recounted, after.balanced) == (before.received, True, True)
    assert world.delivery("no-field_invalid").delivery.generation == 1


async def test_what_a_replay_delivered_is_not_replayed_again(world: World) -> None:
    await past(world)
    await world.replay(Filter(state="dead"))
    world.calls.clear()
    assert (await world.replay(Filter(state="dead"))).total == 0
    assert world.calls == []


async def test_what_fails_again_can_be_replayed_again(world: World) -> None:
    await past(world)
    world.answer = lambda call: NO
    assert (await world.replay(Filter(code="field_invalid"))).dead == 1
    world.answer = lambda call: ok()
    await world.replay(Filter(message_id="no-field_invalid"))
    assert world.delivery("no-field_invalid").delivery.generation == 2
    assert world.state("no-field_invalid") == ("delivered", None)


async def test_a_replay_retries_as_the_live_lane_does(world: World) -> None:
    await past(world)
    world.answer = lambda call: says({"later": 1}) if len(world.calls) <= 3 else ok()
    progress = await world.replay(Filter(state="dead"))
    assert (progress.waiting, progress.done) == (3, 3)
    await world.advance(120)
    counts = await world.counts()
    assert (counts.delivered, counts.dead, counts.retrying) == (5, 0, 0)


async def test_the_same_revision_sends_the_same_bytes(world: World) -> None:
    world.answer = judged
    await world.start(toy())
    await world.collect(event("no-vendor_rejected", context={"ids": {"toy_id": "abc"}}))
    await world.settle()
    first = world.delivery("no-vendor_rejected").delivery.detail.sent_sha256
    await world.replay(Filter())
    assert world.calls[0].body == world.calls[1].body
    again = world.delivery("no-vendor_rejected").delivery.detail
    assert again.sent_sha256 == first == hashlib.sha256(world.calls[1].sent).hexdigest()


async def test_new_settings_send_other_bytes(world: World) -> None:
    await past(world)
    first = world.delivery("no-field_invalid").delivery.detail.sent_sha256
    await world.stop()
    await world.start(toy(settings=ToySettings(greeting="good day")))
    await world.replay(Filter(code="field_invalid"))
    assert world.calls[0].json["greeting"] == "good day"
    assert world.delivery("no-field_invalid").delivery.detail.sent_sha256 != first


async def test_consent_is_decided_again(world: World) -> None:
    """The integration asks for consent now; what was sent without it before does not go a second time."""
    await past(world)
    await world.stop()
    await world.start(toy(consent=Consent(basis="categories", hold=0.0)))
    await world.replay(Filter(code="field_invalid"))
    assert world.state("no-field_invalid") == ("filtered", "consent_unknown")
    assert world.calls == []


async def test_a_mapping_that_is_still_switched_off_is_kept_to(world: World) -> None:
    off = EventMapping(events={"Order Completed": EventRule(enabled=False)})
    await world.start(toy(mapping=off))
    await world.collect(event("m1"))
    await world.settle()
    await world.replay(Filter(state="filtered"))
    assert world.calls == []
    assert world.state("m1") == ("filtered", "disabled_event")
    await world.stop()
    await world.start(toy())
    await world.replay(Filter(code="disabled_event"))
    assert world.state("m1") == ("delivered", None)


async def test_only_the_part_that_was_not_accepted_goes_again(world: World) -> None:
    world.answer = lambda call: NO if call.json["product"] == "b" else ok()
    await world.start(toy(vendor="lines"))
    await world.collect(event("m1", properties={"products": [{"product_id": id} for id in "abc"]}))
    await world.settle()
    world.calls.clear()
    world.answer = lambda call: ok()
    await world.replay(Filter())
    assert [call.json["product"] for call in world.calls] == ["b"]
    assert world.state("m1") == ("delivered", None)


async def test_a_dead_event_can_be_replayed_when_the_log_has_dropped_it(world: World) -> None:
    await past(world)
    await world.retain(max_age=60.0)
    await world.replay(Filter(state="dead", to_ms=NOW_MS + 1))
    assert set(world.sent()) == {"no-vendor_rejected", "no-field_invalid"}


async def test_what_nobody_holds_any_more_is_counted_as_gone(world: World) -> None:
    await past(world)
    await world.retain(max_age=60.0)
    progress = await world.replay(Filter(state="delivered", resend=True))
    assert (progress.total, progress.done, progress.gone) == (2, 2, 2)
    assert world.calls == []


async def test_a_replay_keeps_to_its_rate(world: World) -> None:
    world.answer = lambda call: NO
    await world.start(toy())
    await world.collect(*(event() for _ in range(50)))
    await world.settle()
    world.answer = lambda call: ok()
    began = world.clock.passed
    await world.replay(Filter(), rate=10.0)
    assert 4 <= world.clock.passed - began <= 6


async def test_the_live_lane_goes_on_beside_a_replay(world: World) -> None:
    world.answer = lambda call: NO
    await world.start(toy())
    await world.collect(*(event(f"past-{n}") for n in range(50)))
    await world.settle()
    world.answer = lambda call: ok()
    world.calls.clear()
    await world.collect(*(event(f"live-{n}") for n in range(50)))
    await world.replay(Filter(state="dead"), rate=10.0)
    assert [call.at for call in world.calls if call.ids[0].startswith("live")] == [0.0] * 50
    assert (await world.counts()).delivered == 100


async def test_an_event_of_a_source_that_has_left_can_still_be_replayed(tmp_path: Any) -> None:
    async with World(tmp_path, sources=["shop", "app"]) as world:
        world.answer = judged
        await world.start(toy())
        await world.collect(event("no-field_invalid"))
        await world.settle()
        await world.stop()
        await world.start(toy(sources=("app",)))
        world.answer = lambda call: ok()
        await world.replay(Filter())
        assert world.state("no-field_invalid") == ("delivered", None)


# -- ranges ------------------------------------------------------------------------------------------------------------


async def disabled(world: World) -> None:
    """Twenty events met a disabled integration, which is enabled now."""
    await world.start(toy(enabled=False))
    for n in range(20):
        await world.collect(event(f"m{n}"), event(f"odd-{n}", "Signed In"))
        await world.advance(60)
    assert (await world.counts()).reasons == {"integration_disabled": 40}
    assert world.calls == []
    await world.stop()
    await world.start(toy())


async def test_what_met_a_disabled_integration_can_be_replayed(world: World) -> None:
    await disabled(world)
    progress = await world.replay(Filter(code="integration_disabled"))
    assert (progress.delivered, progress.filtered) == (20, 20)
    counts = await world.counts()
    assert counts.reasons == {"no_counterpart": 20}
    assert (counts.delivered, counts.balanced, counts.recounted) == (20, True, True)


async def test_a_part_of_a_range_can_be_replayed(world: World) -> None:
    await disabled(world)
    hour = Filter(code="integration_disabled", from_ms=NOW_MS + 300_000, to_ms=NOW_MS + 600_000)
    announced = await dry_run(world.folder, "toy", hour)
    progress = await world.replay(hour)
    assert announced["matched"] == progress.total == 10
    assert sorted(world.sent()) == ["m5", "m6", "m7", "m8", "m9"]
    await world.replay(Filter(code="integration_disabled"))
    assert sorted(world.sent()) == sorted(f"m{n}" for n in range(20))
    assert (await world.counts()).balanced


async def test_one_event_of_a_range_can_be_replayed(world: World) -> None:
    await disabled(world)
    await world.replay(Filter(message_id="m7"))
    assert world.sent() == ["m7"]
    assert (await world.counts()).reasons == {"integration_disabled": 39}


async def test_a_range_is_not_replayed_twice(world: World) -> None:
    await disabled(world)
    await world.replay(Filter(code="integration_disabled"))
    world.calls.clear()
    assert (await world.replay(Filter(code="integration_disabled"))).total == 0
    assert world.calls == []
