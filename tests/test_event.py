"""The canonical event: how it is read, named, and timed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.event import Event, canonical_name, decoder, encoder, format_time, parse_time

MS_OF_YEAR_1, MS_OF_YEAR_9999 = -62_135_596_800_000, 253_402_300_799_999


def test_an_event_is_the_segment_envelope_on_the_wire() -> None:
    event = Event(type="track", event="Order Completed", message_id="m1", anonymous_id="a1", properties={"total": 9.5})
    wire = encoder.encode(event)
    assert wire == (
        b'{"type":"track","messageId":"m1","event":"Order Completed","anonymousId":"a1","properties":{"total":9.5}}'
    )
    assert decoder.decode(wire) == event


def test_events_share_nothing() -> None:
    first, second = Event(type="track"), Event(type="track")
    first.properties["a"] = 1
    assert second.properties == {}


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("context", "page", "url"), "https://shop.example/"),
        (("context", "page", "title"), None),
        (("context", "page", "url", "host"), None),
        (("context", "ids", "any"), None),
        (("user_id",), "u1"),
        (("user_id", "more"), None),
    ],
)
def test_a_value_is_found_by_its_path(path: tuple[str, ...], value: Any) -> None:
    event = Event(type="page", user_id="u1", context={"page": {"url": "https://shop.example/"}, "ids": ["odd"]})
    assert event.get(*path) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [("abc", "abc"), ("", None), (7, "7"), (9.5, "9.5"), (0, "0"), (True, None), (None, None), ([], None), ({}, None)],
)
def test_texts_and_numbers_are_texts(value: Any, text: str | None) -> None:
    assert Event(type="track", properties={"x": value}).text("properties", "x") == text


def test_the_email_is_looked_for_in_three_places() -> None:
    traits, context, properties = {"email": "a@x"}, {"traits": {"email": "b@x"}}, {"email": "c@x"}
    assert Event(type="identify", traits=traits, context=context, properties=properties).email == "a@x"
    assert Event(type="track", context=context, properties=properties).email == "b@x"
    assert Event(type="track", properties=properties).email == "c@x"
    assert Event(type="track").email is None


@pytest.mark.parametrize(
    ("products", "found"),
    [([{"sku": 1}, "odd", None, {"sku": 2}], [{"sku": 1}, {"sku": 2}]), ({"sku": 1}, []), ("odd", []), (None, [])],
)
def test_products_are_the_entries_that_are_objects(products: Any, found: list[Any]) -> None:
    assert Event(type="track", properties={"products": products}).products == found


# -- names -------------------------------------------------------------------------------------------------------------

HOME = frozenset({"https://shop.example/start"})


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (Event(type="track", event="Order Completed"), "Order Completed"),
        (Event(type="track"), ""),
        (Event(type="page"), "Page Viewed"),
        (Event(type="page", name="Home"), "Home Page Viewed"),
        (Event(type="page", name="home"), "Page Viewed"),
        (Event(type="page", properties={"name": "Home"}), "Home Page Viewed"),
        (Event(type="page", properties={"path": "/"}), "Home Page Viewed"),
        (Event(type="page", context={"page": {"path": "/"}}), "Home Page Viewed"),
        (Event(type="page", properties={"url": "https://shop.example/start"}), "Home Page Viewed"),
        (Event(type="page", context={"page": {"url": "https://shop.example/start"}}), "Home Page Viewed"),
        (Event(type="page", properties={"path": "/shoes", "url": "https://shop.example/shoes"}), "Page Viewed"),
        (Event(type="screen", name="Home"), "Screen Viewed"),
        (Event(type="identify"), "Identify"),
        (Event(type="group"), "Group"),
        (Event(type="alias"), "Alias"),
    ],
)
def test_integrations_know_an_event_by_one_name(event: Event, name: str) -> None:
    assert canonical_name(event, HOME) == name


# -- times -------------------------------------------------------------------------------------------------------------


def test_times_are_utc_with_milliseconds() -> None:
    assert format_time(1_795_348_800_001) == "2026-11-22T12:00:00.001Z"
    assert parse_time("2026-11-22T12:00:00.001Z") == 1_795_348_800_001


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T12:00:00Z", "2026-11-22T12:00:00", "2026-11-22 12:00", "20261122T120000Z", "2026-11-22T07:00-05:00"],
)
def test_a_time_may_be_written_in_many_ways(text: str) -> None:
    assert parse_time(text) == 1_795_348_800_000


@pytest.mark.parametrize("text", ["", "now", "1795348800", "2026-11-31", "2026-11-22T25:00Z", "١٢"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|hour|day"):
        parse_time(text)


@given(st.integers(MS_OF_YEAR_1, MS_OF_YEAR_9999))
def test_a_time_that_is_written_is_read_back(ms: int) -> None:
    assert parse_time(format_time(ms)) == ms


@given(st.integers(MS_OF_YEAR_1, MS_OF_YEAR_9999), st.integers(MS_OF_YEAR_1, MS_OF_YEAR_9999))
def test_times_compare_as_texts(first: int, second: int) -> None:
    assert (format_time(first) < format_time(second)) == (first < second)
