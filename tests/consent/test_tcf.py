"""What TC strings say, as their specification and the IAB's own library (@iabtcf/core) have it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.consent import tc_strings
from tests.consent.tc_strings import (
    GRANTS_CRITEO,
    GRANTS_CRITEO_RANGES,
    GRANTS_NOTHING,
    encode,
)

from firsthand.consent.tcf import MAX_LENGTH, MAX_VENDOR_ID, decode

CRITEO = 91
purposes = st.frozensets(st.integers(1, 24))
vendors = st.frozensets(st.integers(1, 1500), max_size=40)

# Written by @iabtcf/core 1.5.6 with a list of 100 vendors, each eleventh missing: purposes 1, 3, 4 and 7, vendors not
# divisible by 4; purpose 3 "not allowed" for the vendors 91, 92, 93 and 95, purpose 7 "require consent" for 91.
IAB_WITH_RESTRICTIONS = (
    "CQdWToAQdWToAAKACBENAwFgALIAAEIAAAYgAxO7O6u5u7uzurubu7sAZH_v_f-_9_7_3_v_f-gBBgAUAWwBdAC-OgAgBbAA.YAAAAAAAAAAA"
)


def ids(bits: int) -> list[int]:
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def test_the_sample_in_criteos_guide_grants_nothing() -> None:
    sample = decode(GRANTS_NOTHING)
    assert (sample.version, sample.policy_version) == (2, 2)
    assert (sample.purposes, ids(sample.vendors)) == (frozenset(), [])
    assert not sample.grants(CRITEO, [1])


def test_the_example_of_the_version_2_specification() -> None:
    example = decode("COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQ")
    assert (example.version, example.policy_version, example.purposes) == (2, 2, frozenset({1, 2, 3}))
    assert ids(example.vendors) == ids(example.vendors_legitimate_interest) == [2, 6, 8]


def test_a_string_of_the_iabs_own_library_with_publisher_restrictions() -> None:
    consent = decode(IAB_WITH_RESTRICTIONS)
    assert (consent.policy_version, consent.purposes) == (5, frozenset({1, 3, 4, 7}))
    assert ids(consent.vendors) == [vendor for vendor in range(1, 101) if vendor % 4 and vendor % 11]
    assert consent.purposes_legitimate_interest == {2, 7}
    assert not consent.grants(CRITEO, [1, 3, 4])
    assert consent.grants(CRITEO, [1, 4, 7])
    assert consent.grants(97, [1, 3, 4])


@pytest.mark.parametrize("text", [GRANTS_CRITEO, GRANTS_CRITEO_RANGES])
def test_criteo_may_work_when_its_purposes_and_the_vendor_are_granted(text: str) -> None:
    consent = decode(text)
    assert consent.grants(CRITEO, [1, 3, 4])
    assert not consent.grants(CRITEO, [1, 3, 4, 9])
    assert not consent.grants(CRITEO + 1, [1, 3, 4])


def test_the_ready_made_strings_are_what_the_encoder_writes() -> None:
    assert encode([1, 3, 4], [CRITEO]) == GRANTS_CRITEO
    assert encode([1, 3, 4], [CRITEO], ranges=True) == GRANTS_CRITEO_RANGES
    assert encode([1, 3, 4], [90, 92]) == tc_strings.REFUSES_VENDOR
    assert encode([1], [CRITEO]) == tc_strings.REFUSES_PURPOSES
    assert GRANTS_CRITEO in (tc_strings.__doc__ or "")


@pytest.mark.parametrize(
    ("restriction", "granted"),
    [
        ((3, 0, [CRITEO]), False),  # not allowed
        ((3, 0, range(1, 1000)), False),
        ((3, 2, [CRITEO]), False),  # require legitimate interest: consent does not count
        ((3, 1, [CRITEO]), True),  # require consent, which there is
        ((3, 0, [90, 92]), True),  # others
        ((7, 0, [CRITEO]), True),  # a purpose that is not asked for
        ((3, 0, range(1, 65536)), False),
    ],
)
def test_the_publishers_restrictions_come_before_consent(restriction: tc_strings.Restriction, granted: bool) -> None:
    assert decode(encode([1, 3, 4], [CRITEO], restrictions=[restriction])).grants(CRITEO, [1, 3, 4]) is granted


@given(purposes, vendors, purposes, vendors, st.booleans())
def test_what_was_encoded_is_read_back(
    granted: frozenset[int], consented: frozenset[int], li: frozenset[int], vendors_li: frozenset[int], ranges: bool
) -> None:
    consent = decode(encode(granted, consented, ranges=ranges, purposes_li=li, vendors_li=vendors_li))
    assert (consent.purposes, consent.purposes_legitimate_interest) == (granted, li)
    assert set(ids(consent.vendors)) == consented
    assert set(ids(consent.vendors_legitimate_interest)) == vendors_li


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        (".YAAAAAAAAAAA", "it is empty"),
        ("undefined or null", "it is not base64url text"),
        ("CQdWToAQdWToAAKACBENAwFgALÄA", "it is not base64url text"),
        ("CQdWTo+/dWToAAKACBENAwFgALAA", "it is not base64url text"),
        ("DBABMA~CQdWToAQdWToAAKACBENAwFgALAAAAA", "it is not base64url text"),  # a GPP string
        ("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", "it is of version 1, and only 2 is in use"),
        ("1YNN", "it is of version 53, and only 2 is in use"),
        (GRANTS_CRITEO[:20], "it is cut short: 120 bits, and at least 132 are needed"),
        ("A" * (MAX_LENGTH + 1), "it has 10001 characters, more than 10000"),
    ],
)
def test_what_is_no_tc_string_is_refused_and_the_message_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        decode(text)


@pytest.mark.parametrize("whole", [GRANTS_CRITEO, GRANTS_CRITEO_RANGES])
def test_a_string_cut_before_its_last_field_is_refused(whole: str) -> None:
    for length in range(1, len(whole) - 3):
        with pytest.raises(ValueError, match="cut short"):
            decode(whole[:length])


def test_ranges_that_no_encoder_writes_are_refused() -> None:
    with pytest.raises(ValueError, match="it lists the vendors 0 to 0"):
        decode(encode([1], [0], ranges=True))


def test_a_short_string_cannot_make_a_large_result() -> None:
    everyone = range(1, 65536)
    consent = decode(encode([1, 3, 4], everyone, ranges=True, restrictions=[(4, 0, everyone), (7, 0, everyone)]))
    assert consent.grants(CRITEO, [1, 3])
    assert list(consent.consent_barred) == [4]  # nobody asks whether a purpose refused is restricted too
    assert consent.vendors.bit_length() == consent.consent_barred[4].bit_length() == MAX_VENDOR_ID + 1


base64url = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.one_of(st.text(), base64url, base64url.map("C".__add__), base64url.map("B".__add__)))
@example("C" + "_" * 9_999)
@example("B" + "_" * 9_999)
@example("C" + "A" * 34 + "_" * 200)
@example("\ud800")
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        consent = decode(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017
    else:
        assert consent.version == 2


@given(st.data())
def test_a_damaged_string_is_read_or_refused_with_a_value_error(data: st.DataObject) -> None:
    whole = encode([1, 3, 4], [CRITEO, 300, 301], ranges=True, restrictions=[(3, 0, [CRITEO]), (2, 1, range(5, 90))])
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + data.draw(base64url) + whole[at + data.draw(st.integers(0, 5)) :]
    try:
        decode(damaged)
    except ValueError as error:
        assert str(error)  # noqa: PT017
