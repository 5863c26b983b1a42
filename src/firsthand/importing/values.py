"""What stands in a cell → what stands in the event: the fields that one may have, and what they usually are."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec

from firsthand.importing import moments, numbers
from firsthand.importing.faults import BadRow, shown

ValueType = Literal["string", "id", "decimal", "quantity", "integer", "boolean", "json", "timestamp", "date"]

OBJECTS = ("properties", "traits", "context", "integrations")
IDS = ("messageId", "anonymousId", "userId", "previousId", "groupId")
FIELDS = frozenset({"type", "name", "event", "category", "timestamp", *IDS, *OBJECTS})
"""`receivedAt` is the collector's. `sentAt` is not among them: the collector compares it with now to see how wrong the
sender's clock is, and would move all times of a file of last year by a year."""
DECIMALS = frozenset({"price", "total", "revenue", "value", "subtotal", "shipping", "tax", "discount"})
PROPERTY_IDS = frozenset({"order_id", "product_id"})


def usual_type(steps: Sequence[str]) -> ValueType | None:
    """What the field at a path is where nobody says; None: whatever the file has there.

    Consent above all must not arrive as the text "false", nor a number with its zeros as an id of its own.
    """
    first, last = steps[0], steps[-1]
    if len(steps) == 1:
        if first in IDS:
            return "id"
        return "timestamp" if first == "timestamp" else "json" if first in OBJECTS else "string"
    if list(steps[:2]) == ["context", "consent"]:
        if last in ("gpc", "gdprApplies") or (len(steps) == 4 and steps[2] in ("categories", "categoryPreferences")):
            return "boolean"
        return "integer" if last == "policyVersion" else "json" if len(steps) < 4 and last != "usPrivacy" else "string"
    if first == "properties" and last in DECIMALS:
        return "decimal"
    if first == "properties" and last in PROPERTY_IDS:
        return "id"
    if first == "properties" and last in ("quantity", "position"):
        return "quantity" if last == "quantity" else "integer"
    return "json" if last == "products" else None


Convert = Callable[[Any], Any]

BOOLEANS = {"true": True, "yes": True, "1": True, "t": True, "y": True}
BOOLEANS |= {"false": False, "no": False, "0": False, "f": False, "n": False}


def converter(field: str, type: ValueType | None, format: str | None, zone: str | None) -> Convert:
    """Makes a value of a cell that is not empty, or raises BadRow. `field` is the path in the event."""
    if type == "id":
        return identifier(field)
    if type == "string":
        return string(field)
    if type == "decimal":
        return numbers.decimal(field, format)
    if type == "quantity":
        return numbers.quantity(field, format)
    if type == "integer":
        return numbers.integer(field)
    if type == "boolean":
        return _boolean(field)
    if type == "json":
        return _json(field)
    if type == "timestamp":
        return moments.moment(field, format, zone)
    if type == "date":
        return moments.day(field, format, zone)
    return as_it_is


def is_empty(value: Any) -> bool:
    """A cell may be empty in the way of each format: no text, null, or not a number."""
    return value is None or value == "" or value != value or (isinstance(value, str) and value.isspace())


def as_it_is(value: Any) -> Any:
    return msgspec.Raw(numbers.format_decimal(value)) if isinstance(value, Decimal) and value.is_finite() else value


def string(field: str) -> Convert:
    def make(value: Any) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float) and value.is_integer():
            return str(int(value))  # an id where one is missing makes the whole column fractions in many programs
        if isinstance(value, Decimal):
            return f"{value:f}"
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, int | float | UUID):
            return str(value)
        raise BadRow("field_invalid", f"{shown(value)} is not text", field)

    return make


_APOSTROPHE = re.compile(r"'[0-9]+")
_AS_TEXT = re.compile(r'="(.*)"')
_ROUNDED = re.compile(r"[+-]?[0-9]([.,][0-9]+)?[eE][+-][0-9]{1,3}|[+-]?[0-9][.,][0-9]+[eE][0-9]{1,3}")
_FAILED = re.compile(r"#(#+|[A-ZÀ-Ý0/]+[!?]|N/A|NV|N/D)")
EXACT = 2**53


def identifier(field: str) -> Convert:
    """An id as text. What a spreadsheet writes so that a number stays a text (`="00453"`, `'00453`) is taken away; what
    it has spoilt (`1,00123E+15`, `#REF!`) is refused: the digits are gone."""
    text_of = string(field)

    def make(value: Any) -> str:
        if isinstance(value, float) and abs(value) >= EXACT:
            raise BadRow("field_invalid", f"{shown(value)} is rounded, and no id any more: have it as text", field)
        text: str = text_of(value).strip()
        if as_text := _AS_TEXT.fullmatch(text):
            text = as_text[1].strip()
        elif _APOSTROPHE.fullmatch(text):
            text = text[1:]
        if _ROUNDED.fullmatch(text) or _FAILED.fullmatch(text):
            what = "is what a spreadsheet makes of an id, which is lost: export it again, with this column as text"
            raise BadRow("field_invalid", f"{shown(text)} {what}", field)
        return text

    return make


def _boolean(field: str) -> Convert:
    def make(value: Any) -> bool:
        found = value if isinstance(value, bool) else BOOLEANS.get(str(value).strip().lower())
        if found is None:
            raise BadRow("field_invalid", f"{shown(value)} is neither true nor false", field)
        return found

    return make


def _json(field: str) -> Convert:
    def make(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise BadRow("field_invalid", f"{shown(value)} is not JSON: {error}", field) from None

    return make
