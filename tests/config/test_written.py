"""Values as a file writes them, and back again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.config import Delivery, Integration, Source, duration, size
from firsthand.config.written import written, written_duration, written_size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(604_800.0, "7d"), (172_800.0, "2d"), (7200.0, "2h"), (900.0, "15m"), (90.0, "90s"), (0.25, "250ms"), (0.0, 0.0)],
)
def test_a_duration_in_the_largest_unit_that_fits(seconds: float, text: object) -> None:
    assert written_duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(10 * 2**30, "10GiB"), (500 * 10**6, "500MB"), (2**40, "1TiB"), (1000, "1kB"), (1, 1)]
)
def test_a_size_in_the_largest_unit_that_fits(number: int, text: object) -> None:
    assert written_size(number) == text


@given(st.floats(min_value=0, max_value=1e12))
def test_a_duration_reads_back_as_it_was(seconds: float) -> None:
    assert duration(written_duration(seconds)) == seconds


@given(st.integers(min_value=1, max_value=2**60))
def test_a_size_reads_back_as_it_was(number: int) -> None:
    assert size(written_size(number)) == number


def test_everything_or_only_what_is_not_at_its_default() -> None:
    def plain(path: object, value: Any, secret: bool) -> Any:
        return value

    integration = Integration(key="cards", vendor="postcard", delivery=Delivery(timeout=3.0))
    assert written(integration, plain, keep=lambda path: False) == {
        "key": "cards",
        "vendor": "postcard",
        "delivery": {"timeout": "3s"},
    }
    whole = written(integration, plain)
    assert whole["environment"] == "sandbox"
    assert whole["delivery"] | {"timeout": "10s"} == written(Delivery(), plain)


def test_secrets_are_told_apart() -> None:
    source = Source(key="web-shop", write_key="hunter2")
    tree = written(source, lambda path, value, secret: "hidden" if secret and value else value, keep=lambda path: False)
    assert tree == {"key": "web-shop", "name": "web-shop", "write_key": "hidden"}
