"""Reading what shops put into events, for any vendor: what the vendors' own tests do not say."""

from typing import Any

import pytest

from firsthand.event import Event
from firsthand.reasons import Dead
from firsthand.vendors.fields import Fields, utc
from firsthand.vendors.options import flag
from firsthand.vendors.visitor import ip_address, tcf


@pytest.mark.parametrize(
    ("url", "scrubbed"),
    [
        ("https://shop.example/thanks?id=1#top", "https://shop.example/thanks?id=1#top"),
        ("https://shop.example/?e=jane@example.com", "https://shop.example/?e="),
        ("https://shop.example/?e=jane%40example.com&x=1", "https://shop.example/?e=&x=1"),
        ("https://shop.example/?e=jane%2540example.com&x=1", "https://shop.example/?e=&x=1"),
        ("https://shop.example/?e=jane%2Bnews%40example.com", "https://shop.example/?e="),
        ("https://shop.example/u/o'brien@example.com/orders", "https://shop.example/u//orders"),
        (
            "https://shop.example/?u=%2Flogin%3Fe%3Djane%40example.com%26x%3D1",
            "https://shop.example/?u=%2Flogin%3Fe%3D%26x%3D1",
        ),
        (
            "https://shop.example/?u=%252Flogin%253Fe%253Djane%2540example.com",
            "https://shop.example/?u=%252Flogin%253Fe%253D",
        ),
        ("https://shop.example/?e=j\u00f6rg@m\u00fcller.example", "https://shop.example/?e="),
        ("https://shop.example#e=jane@example.com", "https://shop.example#e="),
        ("https://jane@example.com:secret@shop.example/a", "https://shop.example/a"),
        ("https://shop.example/@jane/100%25?q=50%&r=%40home", "https://shop.example/@jane/100%25?q=50%&r=%40home"),
    ],
)
def test_addresses_are_taken_out_of_urls(url: str, scrubbed: str) -> None:
    assert Fields({"url": url}, "").url("url") == scrubbed


@pytest.mark.parametrize(
    ("timestamp", "sent"),
    [
        ("2026-11-22T10:15:00.000Z", "2026-11-22T10:15:00Z"),
        ("2026-11-22T10:15:00.999Z", "2026-11-22T10:15:00Z"),
        ("2026-11-22T10:15:00+02:00", "2026-11-22T08:15:00Z"),
        ("2026-11-22T10:15:00", "2026-11-22T10:15:00Z"),
        ("2026-11-22 10:15:00.000Z", "2026-11-22T10:15:00Z"),
        ("2026-W47-7T10:15:00.000Z", "2026-11-22T10:15:00Z"),
    ],
)
def test_times_are_in_utc(timestamp: str, sent: str) -> None:
    assert utc(timestamp) == sent


@pytest.mark.parametrize("timestamp", ["2026-13-22T10:15:00.000Z", "2026-11-22T25:15:00.000Z", "noon", "1700000000000"])
def test_times_that_are_refused(timestamp: str) -> None:
    with pytest.raises(Dead) as refusal:
        utc(timestamp)
    assert refusal.value.reason.field == "timestamp"


@pytest.mark.parametrize("ip", ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7", None, " "])
def test_addresses_of_visitors(ip: str | None) -> None:
    assert ip_address(Fields({"ip": ip}, "context.")) == (ip if ip and ip.strip() else None)


@pytest.mark.parametrize(
    "ip", ["203.0.113", "203.0.113.256", "203.0.113.07", "2001:db8", ":", "localhost", "\0", "1\0"]
)
def test_addresses_that_are_none(ip: str) -> None:
    with pytest.raises(Dead) as refusal:
        ip_address(Fields({"ip": ip}, "context."))
    assert refusal.value.reason.field == "context.ip"


def test_a_refusal_names_the_entry_of_a_list() -> None:
    with pytest.raises(Dead) as refusal:
        Fields({"stores": ["1", 2, {}]}, "properties.").texts("stores")
    assert refusal.value.reason.field == "properties.stores[2]"


@pytest.mark.parametrize(
    ("setting", "value", "found"),
    [("omit", 1, None), (1, None, 1), ("0", None, 0), ("properties.click", "1", 1), ("properties.click", "", None)],
)
def test_flags(setting: int | str, value: Any, found: int | None) -> None:
    assert flag(setting, Event(type="track", properties={"click": value})) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"gdprApplies": True, "tcString": "C1"}, (True, "C1")),
        ({"gdprApplies": 1, "tcString": None}, (True, "")),
        ({"gdprApplies": "perhaps", "tcString": "C1"}, (None, "C1")),
        ([], (None, "")),
    ],
)
def test_consent_strings(given: Any, found: tuple[bool | None, str]) -> None:
    assert tcf(Event(type="track", context={"consent": {"tcf": given}})) == found
