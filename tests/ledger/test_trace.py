"""A trace: everything that happened to one event, at every integration."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.deliver.toys import ok, says, status
from tests.deliver.world import Consent, World, event, toy

from firsthand.ledger.reader import Filter
from firsthand.ledger.trace import trace


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path, sources=["shop", "app"]) as world:
        yield world


def traced(world: World, message_id: str) -> dict[str, Any]:
    (found,) = trace(message_id, world.log.sources(), world.log, world.reader)
    return found


def deliveries(world: World, message_id: str) -> dict[str, Any]:
    """By integration; the newest generation."""
    return {delivery["integration"]: delivery for delivery in traced(world, message_id)["deliveries"]}


async def test_it_shows_the_event_and_what_each_integration_did(world: World) -> None:
    world.answer = lambda call: says({"no": "field_invalid"}) if "other" in call.url else ok()
    await world.start(toy(), toy("other"))
    await world.collect(event("m1", properties={"order_id": "1"}))
    await world.settle()
    found = traced(world, "m1")
    assert (found["message_id"], found["source"], found["received_at"]) == ("m1", "shop", "2026-11-22T12:00:00.000Z")
    assert found["event"]["properties"] == {"order_id": "1"}
    by = deliveries(world, "m1")
    assert (by["toy"]["state"], by["toy"]["certainty"], by["toy"]["reason"]) == ("delivered", "accepted", None)
    assert by["other"]["reason"] == {"code": "field_invalid", "field": None, "message": "the toy says no"}
    assert by["toy"]["consent"] == {"decision": "allow", "basis": "none", "detail": ""}
    assert (by["toy"]["revision"], by["toy"]["vendor_version"]) == (1, "1")


async def test_it_shows_each_attempt_as_it_went_out_and_came_back(world: World) -> None:
    answers = [status(307, location="https://eu.toy.example/x"), status(500, b"oops"), ok()]
    world.answer = lambda call: answers[len(world.calls) - 1]
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(1)
    attempts = deliveries(world, "m1")["toy"]["attempts"]
    assert [(a["hop"], a["response"]["status"]) for a in attempts] == [(0, 307), (1, 500), (0, 200)]
    assert attempts[1]["request"]["url"] == "https://eu.toy.example/x"
    assert attempts[1]["request"]["body"]["id"] == "m1"
    assert attempts[1]["response"]["body"] == "oops"
    assert [a["at"] for a in attempts] == ["2026-11-22T12:00:00.000Z"] * 2 + ["2026-11-22T12:00:01.000Z"]


@pytest.mark.parametrize(
    ("sent", "by"), [(None, "sender"), ("2026-11-22T14:00:00+01:00", "ours"), ("noon", "unreadable")]
)
async def test_it_says_by_whose_clock_the_event_happened(world: World, sent: str | None, by: str) -> None:
    await world.start(toy())
    await world.collect(event("m1", original_timestamp=sent))
    assert traced(world, "m1")["time"] == {"by": by, "sent": sent}


async def test_it_says_when_a_retry_is_due(world: World) -> None:
    world.answer = lambda call: says({"later": 1}, retry_after="90")
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    assert deliveries(world, "m1")["toy"]["next_attempt_at"] == "2026-11-22T12:01:30.000Z"


async def test_what_has_not_been_read_yet_is_pending(world: World) -> None:
    await world.start(toy())
    await world.stop()
    await world.collect(event("m1"))
    await world.start()
    assert deliveries(world, "m1")["toy"]["state"] == "pending"


async def test_an_event_from_before_the_integration_has_no_delivery_there(world: World) -> None:
    await world.collect(event("m1"))
    world.clock.passed += 1
    await world.start(toy())
    await world.settle()
    assert deliveries(world, "m1") == {}


async def test_an_event_that_shared_a_fate_shows_it(world: World) -> None:
    await world.start(toy(enabled=False))
    await world.collect(event("m1"), event("m2"))
    await world.settle()
    delivery = deliveries(world, "m1")["toy"]
    assert (delivery["state"], delivery["reason"]["code"]) == ("filtered", "integration_disabled")
    assert delivery["reason"]["message"] == "one of 2 events that met the same fate"


async def test_a_replay_stands_beside_what_it_replaced(world: World) -> None:
    world.answer = lambda call: says({"no": "vendor_rejected"})
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    world.answer = lambda call: ok()
    await world.replay(Filter())
    found = traced(world, "m1")["deliveries"]
    assert [(d["generation"], d["superseded"], d["state"]) for d in found] == [
        (0, True, "dead"),
        (1, False, "delivered"),
    ]


async def test_two_sources_with_one_message_id_are_two_traces(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m1"))
    await world.collect(event("m1"), source="app")
    await world.settle()
    found = trace("m1", world.log.sources(), world.log, world.reader)
    assert sorted(one["source"] for one in found) == ["app", "shop"]


async def test_a_dead_event_can_be_traced_when_the_log_has_dropped_it(world: World) -> None:
    world.answer = lambda call: says({"no": "vendor_rejected"})
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(600)
    await world.retain(max_age=60.0)
    assert deliveries(world, "m1")["toy"]["state"] == "dead"


async def test_of_an_unknown_message_id_there_is_no_trace(world: World) -> None:
    await world.start(toy())
    assert trace("nobody", world.log.sources(), world.log, world.reader) == []


async def test_personal_data_is_not_shown(world: World) -> None:
    await world.start(toy(consent=Consent(basis="categories")))
    await world.collect(event("m1", traits={"email": "ann@example.com"}, context={"ip": "203.0.113.9"}))
    await world.settle()
    shown = str(traced(world, "m1"))
    assert "ann@" not in shown
    assert "113.9" not in shown


async def test_the_address_that_was_known_of_the_visitor_is_masked(world: World) -> None:
    await world.start(toy())
    await world.collect(event("m0", visitor="ann", user_id="u-1", traits={"email": "ann@example.com"}))
    await world.settle()
    await world.collect(event("m1", visitor="ann", context={"ids": {"toy_id": "ann.again@example.com"}}))
    await world.settle()
    found = deliveries(world, "m1")["toy"]["identity"]
    assert found == {"toy_id": "a***@example.com", "email": "a***@example.com", "user_id": "u-1"}


async def test_an_answer_that_is_no_text_says_how_long_it_was(world: World) -> None:
    world.answer = lambda call: status(200, b"GIF89a\x01\x00\xff\x00")
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    response = deliveries(world, "m1")["toy"]["attempts"][0]["response"]
    assert (response["body_bytes"], response["body"][:6]) == (10, "GIF89a")
