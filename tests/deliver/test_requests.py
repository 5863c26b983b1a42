"""One event may be several requests, several events may share one, and a vendor module may fail."""

import hashlib
from collections.abc import Callable

import pytest
from tests.deliver.toys import ToySettings, failure, ok, says, status
from tests.deliver.world import Call, Result, World, event, toy

from firsthand.config import Consent
from firsthand.event import Event
from firsthand.eventlog.base import Record


def order(id: str, *products: str) -> Event:
    return event(id, properties={"products": [{"product_id": product} for product in products]})


def by_product(**results: Result) -> Callable[[Call], Result]:
    return lambda call: results.get(call.json["product"], ok())


def products(world: World) -> list[str]:
    return [call.json["product"] for call in world.calls]


# -- several requests for one event ------------------------------------------------------------------------------------


async def test_each_request_is_an_attempt_of_its_own(world: World) -> None:
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b", "c"))
    await world.settle()
    assert world.state("m1") == ("delivered", None)
    assert [exchange.request_index for exchange in world.attempts("m1")] == [0, 1, 2]


async def test_only_what_was_not_accepted_is_sent_again(world: World) -> None:
    world.answer = lambda call: status(500) if call.json["product"] == "b" and call.at == 0 else ok()
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b", "c"))
    await world.advance(1)
    assert world.state("m1") == ("delivered", None)
    assert products(world) == ["a", "b", "b", "c"]  # what is behind the failure waits with it
    assert [exchange.request_index for exchange in world.attempts("m1")] == [0, 1, 1, 2]


async def test_what_was_accepted_is_remembered_over_a_restart(world: World) -> None:
    world.answer = by_product(b=status(500))
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b"))
    await world.settle()
    await world.crash()
    world.answer = lambda call: ok()
    await world.start(toy(vendor="lines"))
    await world.advance(1)
    assert products(world) == ["a", "b", "b"]


async def test_a_rejection_says_how_much_was_accepted(world: World) -> None:
    world.answer = by_product(b=says({"no": "field_invalid"}))
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b", "c"))
    await world.settle()
    assert world.state("m1") == ("dead", "field_invalid")
    assert world.message("m1") == "2 of the event's requests were accepted; one was not: the toy says no"


async def test_one_answer_that_is_none_is_repeated_alone(world: World) -> None:
    world.answer = by_product(b=status(200, b"<html>"))
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b", "c"))
    await world.advance(10)
    assert world.state("m1") == ("dead", "vendor_ambiguous")
    assert products(world) == ["a", "b", "c", "b"]


async def test_the_weakest_certainty_counts(world: World) -> None:
    world.answer = by_product(a=says({"warning": "old format"}), b=status(204))
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b", "c"))
    await world.settle()
    delivery = world.delivery("m1").delivery
    assert (delivery.certainty, delivery.detail.warnings) == ("unverifiable", "old format")


async def test_what_was_taken_in_an_earlier_try_is_no_surer_for_it(world: World) -> None:
    world.answer = lambda call: says({"warning": "old format"}) if call.json["product"] == "a" else status(500)
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b"))
    await world.settle()
    world.answer = lambda call: ok()
    await world.advance(1)
    assert products(world) == ["a", "b", "b"]
    delivery = world.delivery("m1").delivery
    assert (delivery.certainty, delivery.detail.warnings) == ("accepted_with_warnings", "old format")


async def test_what_is_sent_is_known_by_its_hash(world: World) -> None:
    await world.start(toy(vendor="lines"))
    await world.collect(order("m1", "a", "b"))
    await world.settle()
    sent = b"".join(call.sent for call in world.calls)
    assert b"https://toy.example" in sent, "all that a GET has is its address"
    assert world.delivery("m1").delivery.detail.sent_sha256 == hashlib.sha256(sent).hexdigest()


# -- several events in one request -------------------------------------------------------------------------------------


async def test_events_that_wait_go_together(world: World) -> None:
    await world.start(toy(vendor="bulk", concurrency=1))
    await world.collect(*(event(f"m{n}") for n in range(12)))
    await world.settle()
    assert [len(call.ids) for call in world.calls] == [5, 5, 2]
    assert world.sent() == [f"m{n}" for n in range(12)]
    assert (await world.counts()).delivered == 12


async def test_each_event_of_a_batch_has_its_own_verdict(world: World) -> None:
    said: dict[str, object] = {"m1": {"no": "field_invalid"}, "m2": {"warning": "odd"}, "m3": {"later": 1}}
    world.answer = lambda call: says([said.get(id, {"ok": True}) for id in call.ids]) if call.at == 0 else ok()
    await world.start(toy(vendor="bulk", concurrency=1))
    await world.collect(*(event(f"m{n}") for n in range(5)))
    await world.settle()
    assert [world.state(f"m{n}") for n in range(5)] == [
        ("delivered", None),
        ("dead", "field_invalid"),
        ("delivered", None),
        ("retrying", None),
        ("delivered", None),
    ]
    assert world.delivery("m2").delivery.certainty == "accepted_with_warnings"
    await world.advance(1)
    assert world.state("m3") == ("delivered", None)


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        ("build", ("dead", "mapping_error")),
        ("max_age", ("dead", "mapping_error")),
        ("refuse", ("filtered", "condition")),
        ("dead", ("dead", "field_missing")),
    ],
)
async def test_a_bad_event_does_not_take_its_batch_with_it(
    world: World, fail: str, expected: tuple[str, str | None]
) -> None:
    await world.start(toy(vendor="bulk", concurrency=1))
    await world.collect(event("m0"), event("m1"), event("bad", fail=fail), event("m2"), event("m3"))
    await world.settle()
    assert world.state("bad") == expected
    assert [world.state(f"m{n}") for n in range(4)] == [("delivered", None)] * 4
    assert sorted(world.sent()) == ["m0", "m1", "m2", "m3"]


async def test_an_event_that_waits_for_consent_does_not_hold_up_its_batch(world: World) -> None:
    await world.start(toy(vendor="bulk", concurrency=1, consent=Consent(basis="categories")))
    yes = {"consent": {"categories": {"marketing": True}}}
    await world.collect(event("m0", context=yes), event("unknown"), event("m1", context=yes))
    await world.settle()
    assert [world.state(id)[0] for id in ("m0", "unknown", "m1")] == ["delivered", "held", "delivered"]


async def test_too_few_verdicts_are_an_error_of_ours(world: World) -> None:
    world.answer = lambda call: says([{"ok": True}])
    await world.start(toy(vendor="bulk", concurrency=1))
    await world.collect(event("m0"), event("m1"))
    await world.settle()
    assert world.state("m0") == world.state("m1") == ("dead", "mapping_error")
    assert (await world.counts()).balanced


# -- a vendor module that fails ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        ("build", ("dead", "mapping_error")),
        ("judge", ("dead", "mapping_error")),
        ("max_age", ("dead", "mapping_error")),
        ("nothing", ("dead", "mapping_error")),
        ("refuse", ("filtered", "condition")),
        ("dead", ("dead", "field_missing")),
    ],
)
async def test_a_vendor_that_fails_on_one_event_goes_on_with_the_next(
    world: World, fail: str, expected: tuple[str, str | None]
) -> None:
    await world.start(toy())
    await world.collect(
        event("judge" if fail == "judge" else "bad", visitor="ann", fail=fail), event("next", visitor="ann")
    )
    await world.settle()
    assert world.state("judge" if fail == "judge" else "bad") == expected
    assert world.state("next") == ("delivered", None)
    assert (await world.counts()).balanced


async def test_a_refusal_names_the_field(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1", fail="dead"))
    await world.settle()
    reason = world.delivery("m1").delivery.detail.reason
    assert reason is not None
    assert (reason.code, reason.field, reason.message) == ("field_missing", "properties.price", "the toy needs a price")


async def test_what_was_sent_is_on_record_also_when_the_answer_could_not_be_read(world: World) -> None:
    await world.start(toy())
    await world.collect(event("judge"))
    await world.settle()
    assert [exchange.status for exchange in world.attempts("judge")] == [200]


async def test_bytes_that_are_no_event_do_not_stop_the_lane(world: World) -> None:
    await world.start(toy())
    bad = [b"\xff\xfe", b"{}", b"null", b"[" * 5000, b'{"type":"track","event":"Order Completed"}', b""]
    await world.writer.append([Record("shop", f"bad-{n}", n, 0, body) for n, body in enumerate(bad)])
    await world.collect(event("m1"))
    await world.settle()
    assert world.state("m1") == ("delivered", None)
    counts = await world.counts()
    assert (counts.dead, counts.reasons, counts.balanced) == (len(bad), {"mapping_error": len(bad)}, True)


async def test_what_may_have_arrived_is_counted(world: World) -> None:
    world.answer = lambda call: failure("timeout", sent=True) if call.at == 0 else ok()
    await world.start(toy(settings=ToySettings(max_uncertain=2)))
    await world.collect(event("m1"))
    await world.advance(1)
    assert world.delivery("m1").delivery.detail.uncertain == 1
