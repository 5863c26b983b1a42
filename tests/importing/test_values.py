"""Cells become values exactly, or are refused with what was found and what is accepted. Nothing is guessed."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest

from firsthand.importing.faults import BadRow
from firsthand.importing.values import converter, usual_type

NO = object()


def made(value: Any, type: Any, format: str | None = None, zone: str | None = None) -> Any:
    """What it is in the event, as JSON has it; NO where it is refused."""
    try:
        found = converter("properties.x", type, format, zone)(value)
    except BadRow as bad:
        return NO if (bad.field, bad.code) == ("properties.x", "field_invalid") else bad
    return bytes(found).decode() if isinstance(found, msgspec.Raw) else found


@pytest.mark.parametrize(
    ("text", "number"),
    [("12.50", "12.50"), ("0.00", "0.00"), ("007", "7"), ("-3.10", "-3.10"), ("+4", "4"), (" 5 ", "5"), ("0", "0")]
    + [(bad, NO) for bad in ("12,50", "1,234.50", "€5", "1e3", "nan", "inf", "5 EUR", ".", "1.2.3", "1" * 16, "٣")]
    + [("1.234", NO), ("0.125", "0.125"), ("34.9000", "34.9000")],
)
def test_decimals(text: str, number: Any):
    assert made(text, "decimal") == number


@pytest.mark.parametrize(
    ("format", "text", "number"),
    [
        ("1.234,56", "1.234,56", "1234.56"),
        ("1.234,56", "49,90", "49.90"),
        ("1.234,56", "49.90", NO),
        ("1.234,56", "1.23,4", NO),
        ("1234,56", "49,90", "49.90"),
        ("1,234.56", "1,234,567.8", "1234567.8"),
        ("1,234.56", "1,2", NO),
        ("1 234,56", "1\u202f234,5", "1234.5"),
        ("1 234,56", "1 234", "1234"),
        ("1234.56", "1.234", "1.234"),
        ("€ 1.234,56", "€ 59,00", "59.00"),
        ("€ 1.234,56", "€\u00a01.059,00", "1059.00"),
        ("€ 1.234,56", "-€59,00", "-59.00"),
        ("€ 1.234,56", "€ -59,00", "-59.00"),
        ("€ 1.234,56", "59,00", "59.00"),
        ("€ 1.234,56", "$ 59,00", NO),
        ("€ 1.234,56", "€ 59.00", NO),
        ("$1,234.56", "$1,059.00", "1059.00"),
        ("1.234,56 kr.", "59,00 kr.", "59.00"),
    ],
)
def test_decimals_as_other_countries_write_them(format: str, text: str, number: Any):
    assert made(text, "decimal", format) == number


def test_numbers_that_are_numbers_already():
    assert made(12.5, "decimal") == 12.5
    assert made(Decimal("0.0000001"), "decimal") == "0.0000001"
    assert made(True, "decimal") is NO
    assert made(float("inf"), "decimal") is NO


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12", 12),
        ("-1", -1),
        ("2.0", 2),
        ("2.5", NO),
        ("x", NO),
        (3, 3),
        (3.0, 3),
        (3.5, NO),
        (True, NO),
        ("9" * 19, NO),
    ],
)
def test_integers(value: Any, number: Any):
    assert made(value, "integer") == number


@pytest.mark.parametrize(
    ("value", "format", "number"),
    [
        ("2", None, 2),
        ("2.000", None, 2),
        ("1.85", None, "1.85"),
        ("1,85", None, NO),
        ("1,85", "1234,56", "1.85"),
        ("1.234", None, NO),
        ("-1", None, NO),
        (-1, None, NO),
        (2.0, None, 2),
        (1.85, None, 1.85),
        ("", None, NO),
    ],
)
def test_quantities(value: Any, format: str | None, number: Any):
    """A return is no sale, and cloth and cheese are sold by the piece of a piece."""
    found = made(value, "quantity", format)
    assert found == number
    assert isinstance(found, type(number))


def test_an_amount_that_can_be_read_in_two_ways_is_asked_about():
    for text in ("1.234", "€ 59,00"):
        with pytest.raises(BadRow, match=r'how 1234\.56 is written, as with format: "€ 1\.234,56"'):
            converter("properties.total", "decimal", None, None)(text)


@pytest.mark.parametrize(
    ("value", "id"),
    [
        ("00453", "00453"),
        (" #1001 ", "#1001"),
        ('="00453"', "00453"),
        ("'00453", "00453"),
        ("'t Hart", "'t Hart"),
        ("12E4", "12E4"),
        ("SKU-1E+05", "SKU-1E+05"),
        (1001.0, "1001"),
    ]
    + [(bad, NO) for bad in ("1,00123E+15", "1.23E+12", "1E+05", "1.00123E15", 1.00123e16, "#NAME?", "#REF!", "#N/A")]
    + [(bad, NO) for bad in ("#VALUE!", "#DIV/0!", "#BEZUG!", "########", '="1,00123E+15"')],
)
def test_ids_as_spreadsheets_leave_them(value: Any, id: Any):
    """What can be undone is undone; a rounded number is an id no more."""
    assert made(value, "id") == id


@pytest.mark.parametrize(
    ("value", "truth"),
    [("true", True), ("No", False), (" 1 ", True), ("f", False), (False, False), ("on", NO), ("2", NO), ("", NO)],
)
def test_booleans(value: Any, truth: Any):
    assert made(value, "boolean") is truth


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0042", "0042"),
        (42, "42"),
        (42.0, "42"),
        (4.5, "4.5"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        (date(2026, 11, 22), "2026-11-22"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([1], NO),
        ({"a": 1}, NO),
    ],
)
def test_strings(value: Any, text: Any):
    assert made(value, "string") == text


def test_json():
    assert made('[{"a": 1}]', "json") == [{"a": 1}]
    assert made([1], "json") == [1]
    assert made("[1", "json") is NO


@pytest.mark.parametrize(
    ("text", "format", "zone", "time"),
    [
        ("2026-11-22T10:15:00Z", None, None, "2026-11-22T10:15:00.000Z"),
        ("2026-11-22 10:15", None, "Europe/Paris", "2026-11-22T09:15:00.000Z"),
        ("2026-11-22T10:15:00+02:00", None, "Europe/Paris", "2026-11-22T08:15:00.000Z"),
        ("2026-11-22", "iso", None, "2026-11-22T00:00:00.000Z"),
        ("19970118", "%Y%m%d", "America/New_York", "1997-01-18T05:00:00.000Z"),
        ("19970118", "YYYYMMDD", None, "1997-01-18T00:00:00.000Z"),
        ("1.7.2026 8:05", "%d.%m.%Y %H:%M", None, "2026-07-01T08:05:00.000Z"),
        ("22.11.2026 10:15:07", "DD.MM.YYYY HH:mm:ss", None, "2026-11-22T10:15:07.000Z"),
        ("1763806500", "unix", None, "2025-11-22T10:15:00.000Z"),
        ("1763806500123", "unix_ms", None, "2025-11-22T10:15:00.123Z"),
        ("1997011", "%Y%m%d", None, NO),  # would be the 11th or the 1st of January, as one likes
        ("19970231", "%Y%m%d", None, NO),
        ("22/11/2026", None, None, NO),
        ("2025-03-11 18:05:09 +0100", None, "Asia/Tokyo", "2025-03-11T17:05:09.000Z"),
        ("2025-03-11 18:05:09 UTC", None, None, "2025-03-11T18:05:09.000Z"),
        ("1763806500", None, "Europe/Paris", "2025-11-22T10:15:00.000Z"),
        ("0000-00-00 00:00:00", None, None, NO),
        ("45731", None, None, NO),  # a spreadsheet's day, or a second of 1970: it has to be said
        ("45731.75", "excel", "Europe/Paris", "2025-03-15T17:00:00.000Z"),
        ("45731", "excel", None, "2025-03-15T00:00:00.000Z"),
        ("2025-03-15", "excel", None, NO),
        ("tomorrow", None, None, NO),
        ("", None, None, NO),
    ],
)
def test_times(text: str, format: str | None, zone: str | None, time: Any):
    assert made(text, "timestamp", format, zone) == time


def test_times_that_are_times_already():
    assert made(datetime(2026, 11, 22, 10), "timestamp", None, "Europe/Paris") == "2026-11-22T09:00:00.000Z"
    assert made(datetime(2026, 11, 22, 10, tzinfo=UTC), "timestamp", None, "Europe/Paris") == "2026-11-22T10:00:00.000Z"
    assert made(date(2026, 11, 22), "timestamp") == "2026-11-22T00:00:00.000Z"
    assert made(19970118, "timestamp", "%Y%m%d") == "1997-01-18T00:00:00.000Z"
    assert made(1763806500, "timestamp", "unix") == "2025-11-22T10:15:00.000Z"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("03/04/2025", "as with format: DD/MM/YYYY or MM/DD/YYYY"),
        ("3.4.2025 10:15", "as with format: DD.MM.YYYY or MM.DD.YYYY"),
        ("45731,5", "as with format: excel"),
    ],
)
def test_times_that_can_be_read_in_two_ways_are_asked_about(text: str, said: str):
    with pytest.raises(BadRow, match=said):
        converter("timestamp", "timestamp", None, None)(text)


def test_days():
    assert made("24/12/2026", "date", "%d/%m/%Y") == "2026-12-24"
    assert made("2026-12-24T23:30:00-05:00", "date") == "2026-12-24"
    assert made("2026-12-24T23:30:00Z", "date", None, "Europe/Paris") == "2026-12-25"


@pytest.mark.parametrize(
    ("path", "type"),
    [
        ("userId", "id"),
        ("timestamp", "timestamp"),
        ("properties", "json"),
        ("properties.order_id", "id"),
        ("properties.total", "decimal"),
        ("properties.products", "json"),
        ("properties.products.0.price", "decimal"),
        ("properties.products.0.quantity", "quantity"),
        ("properties.products.0.product_id", "id"),
        ("traits.address.postalCode", None),
        ("context.consent.gpc", "boolean"),
        ("context.consent.tcf.gdprApplies", "boolean"),
        ("context.consent.tcf.tcString", "string"),
        ("context.consent.categories.marketing", "boolean"),
        ("context.consent.usPrivacy", "string"),
        ("context.consent", "json"),
    ],
)
def test_what_a_field_usually_is(path: str, type: str | None):
    assert usual_type(path.split(".")) == type


def test_a_message_is_short_and_on_one_line():
    make: Callable[[Any], Any] = converter("properties.x", "decimal", None, None)
    with pytest.raises(BadRow) as bad:
        make("12\n" * 1000)
    assert "\n" not in bad.value.reason
    assert len(bad.value.reason) < 200
