"""Durations and sizes as people write them."""

import pytest

from firsthand.config import duration, size
from firsthand.config.values import Unreadable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("15m", 900),
        ("48h", 172_800),
        ("7d", 604_800),
        ("1.5h", 5400),
        ("10 s", 10),
        (3, 3),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "1h30m", "1w", "-5s", "５s ", "1e3s", True, None, [], -1, "10S"])
def test_not_durations(text: object) -> None:
    with pytest.raises(Unreadable):
        duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("10GB", 10**10), ("10GiB", 10 * 2**30), ("1.5MB", 1_500_000), ("64 KiB", 65_536), ("5B", 5), (7, 7)],
)
def test_sizes(text: object, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "10", "10G", "10gb", "GB", True, None, 1.5])
def test_not_sizes(text: object) -> None:
    with pytest.raises(Unreadable):
        size(text)
