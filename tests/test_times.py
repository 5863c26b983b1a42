"""Times as clients write them: one moment in many forms, and nothing else in any."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.event import format_time
from firsthand.times import read_time

MOMENT = 1_795_348_800_000
"""2026-11-22 12:00 UTC."""
SCRIPTS = {
    "Arabic-Indic": 0x660,
    "Persian": 0x6F0,
    "Devanagari": 0x966,
    "Bengali": 0x9E6,
    "Thai": 0xE50,
    "wide": 0xFF10,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def in_script(text: str, zero: int) -> str:
    return text.translate({ord("0") + n: zero + n for n in range(10)})


@pytest.mark.parametrize(
    "form",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00.000Z",
        "2026-11-22t12:00:00z",
        "2026-11-22 12:00:00",
        "2026-11-22 12:00:00 UTC",
        "2026-11-22 13:00:00 +0100",
        "2026-11-22T12:00:00Z+0000",
        "2026-11-22T12:00:00+00:00",
        "2026-11-22T17:30:00+05:30",
        "2026-11-22T08:30:00-0330",
        "2026-11-22T14:00:00+02",
        "2026-11-22T12:00:00.Z",
        "2026-11-22T12:00:00,000Z",
        "20261122T120000Z",
        " 2026-11-22T12:00Z\n",
        "1795348800",
        "1795348800.000",
        "1795348800000",
        1_795_348_800,
        1_795_348_800.0,
        1_795_348_800_000,
        1_795_348_800_000_000,
        1_795_348_800_000_000_000,
        "1795348800000000",
        '"2026-11-22T12:00:00Z"',
        "2026-11-22T12:00:00.000+0000Z",
        "2026-11-22T13:00:00+01:00[Europe/Berlin]",
        "2026-11-22 12:00:00 +0000 UTC",
        "2026-11-22 13:00:00.000000001 +0100 CET m=+0.000000001",
        "Sun, 22 Nov 2026 12:00:00 GMT",
        "22 Nov 2026 13:00:00 +0100",
        "Sun Nov 22 2026 13:00:00 GMT+0100 (Central European Standard Time)",
    ],
)
def test_forms_of_one_moment(form: Any) -> None:
    assert read_time(form) == MOMENT


@pytest.mark.parametrize("zero", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("form", ["2026-11-22T12:00:00.000Z", "2026-11-22 13:00:00+01:00", "1795348800000"])
def test_digits_of_any_script(form: str, zero: int) -> None:
    assert read_time(in_script(form, zero)) == MOMENT


@pytest.mark.parametrize(
    "form",
    ["", "2026", "today", "22.11.2026", "11/22/2026", "2026-02-30", "20261122120000", "1e9", "22 Nan 2026 12:00:00"],
)
@pytest.mark.parametrize("blanks", ["", " "])
def test_what_could_be_several_moments_is_none(form: str, blanks: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|range|reach|month must be"):
        read_time(blanks + form)


moments = st.integers(min_value=100_000_000_000, max_value=4_000_000_000_000)
zones = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(moments, zones, st.integers(0, 9), st.sampled_from("Tt "), st.sampled_from(["", " "]), st.booleans())
def test_a_moment_is_read_as_it_was_written(
    ms: int, zone: timezone, digits: int, between: str, blank: str, colon: bool
) -> None:
    when = datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)
    fraction = f"{ms % 1000:03}000000"[:digits]
    offset = when.strftime("%z")
    if colon:
        offset = f"{offset[:3]}:{offset[3:]}"
    text = f"{when:%Y-%m-%d}{between}{when:%H:%M:%S}{'.' + fraction if digits else ''}{blank}{offset}"
    lost = ms % 10 ** (3 - min(digits, 3))
    assert read_time(text) == ms - lost


@given(moments, st.sampled_from(list(SCRIPTS.values())))
def test_what_we_write_is_read_again_in_any_script_and_as_a_number(ms: int, zero: int) -> None:
    assert read_time(format_time(ms)) == read_time(in_script(format_time(ms), zero)) == ms
    assert read_time(ms) == read_time(str(ms)) == ms
    assert read_time(ms // 1000) == ms // 1000 * 1000


@given(JSON | st.text(alphabet="0123456789-+:.,TtZz \u0660\u0669\uff10\u2212", max_size=40))
def test_anything_is_a_moment_within_the_calendar_or_a_value_error(value: Any) -> None:
    with contextlib.suppress(ValueError):
        format_time(read_time(value))
