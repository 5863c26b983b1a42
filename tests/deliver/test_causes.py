"""What an attempt's end makes of a delivery: by its cause, within budgets."""

from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise

import pytest
from tests.deliver.clock import NOW_MS
from tests.deliver.toys import ToySettings, failure, ok, says, status
from tests.deliver.world import Result, World, event, toy

from firsthand.deliver.policy import backoff, retry_after

CAUSES: list[tuple[Result, str, str | None]] = [
    # what came back, the delivery's state, its reason
    (ok(), "delivered", None),
    (says({"warning": "old format"}), "delivered", None),
    (status(204), "delivered", None),
    (says({"no": "vendor_rejected"}), "dead", "vendor_rejected"),
    (says({"no": "field_invalid"}), "dead", "field_invalid"),
    (status(400), "dead", "vendor_rejected"),
    (status(404), "dead", "vendor_rejected"),
    (status(401), "retrying", "auth_failed"),
    (status(403), "retrying", "scope_denied"),
    (status(302), "dead", "redirect_refused"),
    (says({"later": 1}), "retrying", None),
    (status(408), "retrying", None),
    (status(425), "retrying", None),
    (status(429), "retrying", None),
    (status(500), "retrying", None),
    (status(503), "retrying", None),
    (status(200, b"<html>"), "retrying", None),
    (status(200, b""), "retrying", None),
    (failure("dns", sent=False), "retrying", None),
    (failure("tls", sent=False), "retrying", None),
    (failure("connect", sent=False), "retrying", None),
    (failure("timeout_connect", sent=False), "retrying", None),
    (failure("timeout", sent=True), "retrying", None),
    (failure("cut", sent=True), "retrying", None),
    (failure("protocol", sent=True), "retrying", None),
]


def _named(result: object) -> str:
    return str(getattr(result, "status", getattr(result, "cause", result)))


@pytest.mark.parametrize(("result", "state", "code"), CAUSES, ids=_named)
async def test_the_cause_decides(world: World, result: Result, state: str, code: str | None) -> None:
    world.answer = lambda call: result
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    assert world.state("m1") == (state, code)
    assert len(world.attempts("m1")) == 1


@pytest.mark.parametrize(
    ("result", "certainty"),
    [
        (ok(), "accepted"),
        (says({"warning": "old format"}), "accepted_with_warnings"),
        (status(204), "unverifiable"),
    ],
)
async def test_delivered_says_how_sure_that_is(world: World, result: Result, certainty: str) -> None:
    world.answer = lambda call: result
    await world.start(toy())
    await world.collect(event("m1"))
    await world.settle()
    assert world.delivery("m1").delivery.certainty == certainty


async def test_what_failed_is_tried_again_and_delivered(world: World) -> None:
    world.answer = lambda call: status(500) if len(world.calls) < 3 else ok()
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(10)
    assert world.state("m1") == ("delivered", None)
    assert [exchange.status for exchange in world.attempts("m1")] == [500, 500, 200]


async def test_an_answer_that_is_none_is_tried_twice(world: World) -> None:
    world.answer = lambda call: status(200, b"<html>")
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(3600)
    assert world.state("m1") == ("dead", "vendor_ambiguous")
    assert len(world.calls) == 2


# -- when to try again -------------------------------------------------------------------------------------------------


async def test_pauses_double(world: World) -> None:
    world.answer = lambda call: says({"later": 1})
    await world.start(toy(max_attempts=10))
    await world.collect(event("m1"))
    await world.advance(3600)
    times = [call.at for call in world.calls]
    pauses = [round(later - before) for before, later in pairwise(times)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256]


@pytest.mark.parametrize(
    ("tries", "chance", "seconds"), [(1, 1, 1), (1, 0.25, 0.25), (4, 0.5, 4), (11, 1, 900), (99, 0.1, 90)]
)
def test_a_pause_is_a_random_part_of_its_limit(tries: int, chance: float, seconds: float) -> None:
    assert backoff(tries, chance) == seconds


@pytest.mark.parametrize(
    "header",
    ["120", format_datetime(datetime.fromtimestamp(NOW_MS / 1000 + 120, UTC), usegmt=True)],
)
@pytest.mark.parametrize("code", [500, 429, 503])
async def test_the_vendor_may_ask_for_a_longer_pause(world: World, header: str, code: int) -> None:
    world.answer = lambda call: status(code, retry_after=header) if len(world.calls) == 1 else ok()
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(119)
    assert world.state("m1") == ("retrying", None)
    assert world.delivery("m1").delivery.next_ms == NOW_MS + 120_000
    await world.advance(1)
    assert world.state("m1") == ("delivered", None)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("99999999999", 3600.0),
        ("9" * 5000, 3600.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 13:00:30 +0100", 30.0),
        ("Sun, 22 Nov 2020 12:00:30 GMT", 0.0),
        ("²", None),
        ("-5", None),
        ("soon", None),
        ("Sun, 99 Nov 2026 12:00:30 GMT", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after(status(503, retry_after=header), NOW_MS, longest=3600) == seconds


# -- how often to try again --------------------------------------------------------------------------------------------


async def test_attempts_are_limited_by_number(world: World) -> None:
    world.answer = lambda call: failure("connect", sent=False)
    await world.start(toy(max_attempts=4))
    await world.collect(event("m1"))
    await world.advance(3600)
    assert world.state("m1") == ("dead", "attempts_exhausted")
    assert len(world.calls) == 4
    assert world.message("m1") == "4 attempts were made; last: connect: so it is"


async def test_attempts_are_limited_by_the_age_of_the_event(world: World) -> None:
    world.answer = lambda call: status(500)
    await world.start(toy(max_age=600.0))
    await world.collect(event("m1"))
    await world.advance(3600)
    assert world.state("m1") == ("dead", "attempts_exhausted")
    assert world.message("m1").startswith("retries end")
    assert world.calls[-2].at <= 600 < world.calls[-1].at


async def test_an_event_the_vendor_would_count_twice_is_given_up_early(world: World) -> None:
    """A time-out says nothing of whether it arrived."""
    world.answer = lambda call: failure("timeout", sent=True)
    await world.start(toy(settings=ToySettings(max_uncertain=3)))
    await world.collect(event("m1"))
    await world.advance(3600)
    assert world.state("m1") == ("dead", "outcome_unknown")
    assert world.message("m1") == "the vendor may have received it 3 times, and would count each: timeout: so it is"
    assert len(world.calls) == 3


async def test_failures_before_anything_was_sent_are_not_counted_as_uncertain(world: World) -> None:
    results = [failure("connect", sent=False)] * 5 + [failure("cut", sent=True)] + [ok()]
    world.answer = lambda call: results[len(world.calls) - 1]
    await world.start(toy(settings=ToySettings(max_uncertain=2)))
    await world.collect(event("m1"))
    await world.advance(3600)
    assert world.state("m1") == ("delivered", None)
