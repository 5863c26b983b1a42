"""Numbers in a file → JSON numbers, digit for digit, or a refusal: an amount is never guessed at."""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from firsthand.importing.faults import BadRow, shown

_PLAIN = re.compile(r"([+-]?)0*([0-9]{1,15})(\.[0-9]{1,20})?")
_EXAMPLE = re.compile(r"([^0-9+-]*?)1([.,' ’]?)234([.,])56([^0-9]*)")
_THOUSAND = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")
"""1.234 is over a thousand to half the world."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
BLANKS = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " "))


def check_format(format: str) -> tuple[str, str] | None:
    """What is wrong with a format of decimals, and what to write instead."""
    match = _EXAMPLE.fullmatch(format)
    if match is None or match[2] == match[3]:
        remedy = 'give "1,234.56", "1.234,56", "1 234,56", "1234,56" or "€ 1.234,56"'
        return f'"{format}" is no format of decimals', remedy
    return None


def decimal(field: str, format: str | None) -> Callable[[Any], Any]:
    """`format` is how 1234.56 is written in the file, with its currency's sign if it has one."""
    match = _EXAMPLE.fullmatch(format or "1234.56")
    before, thousands, point, after = match.groups() if match else ("", "", ".", "")
    money = re.compile(rf"([+-]?) *({_sign(before)})? *([+-]?)(.*?) *({_sign(after)})?")
    grouped = re.compile(rf"[+-]?[0-9]{{1,3}}({re.escape(thousands)}[0-9]{{3}})+({re.escape(point)}[0-9]*)?")
    example = format or "1234.56"

    def make(value: Any) -> Any:
        if isinstance(value, str):
            text = value.strip()
            if thousands == " " or before or after:
                text = text.translate(BLANKS)
            if (before or after) and (bare := money.fullmatch(text)):
                text = bare[1] + bare[3] + bare[4]
            if format is None and _THOUSAND.fullmatch(text):
                raise refuse(value, "may be over a thousand or hardly more than one")
            if thousands and grouped.fullmatch(text):
                text = text.replace(thousands, "")
            elif point != "." and "." in text:
                raise refuse(value)
            if found := _PLAIN.fullmatch(text if point == "." else text.replace(point, ".")):
                return msgspec.Raw(f"{'-' if found[1] == '-' else ''}{found[2]}{found[3] or ''}".encode())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value):
            return msgspec.Raw(format_decimal(value)) if isinstance(value, Decimal) else value
        raise refuse(value)

    def refuse(value: Any, why: str = f"is not a decimal number like {example}") -> BadRow:
        asked = format is None and isinstance(value, str) and any(map(str.isdigit, value))
        hint = '; say in the mapping how 1234.56 is written, as with format: "€ 1.234,56"' if asked else ""
        return BadRow("field_invalid", f"{shown(value)} {why}{hint}", field)

    return make


def _sign(text: str) -> str:
    return re.escape(text.translate(BLANKS).strip())


def quantity(field: str, format: str | None) -> Callable[[Any], Any]:
    """A whole number where it is one (`2.000`), else a decimal (1.85 kg). Less than none is a return, and no sale."""
    read = decimal(field, format)

    def make(value: Any) -> Any:
        if format is None and isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
            value = int(value.strip().partition(".")[0])
        found = read(value)
        number = Decimal(bytes(found).decode()) if isinstance(found, msgspec.Raw) else found
        if number < 0:
            reason = f"{shown(value)} is less than none: a return is no sale. Send it as an event of its own, or not"
            raise BadRow("field_invalid", reason, field)
        return int(number) if number % 1 == 0 else found

    return make


def integer(field: str) -> Callable[[Any], int]:
    def make(value: Any) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(text := value.strip()):
            return int(text.partition(".")[0])
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and value % 1 == 0:
            return int(value)
        raise BadRow("field_invalid", f"{shown(value)} is not a whole number", field)

    return make


def format_decimal(value: Decimal) -> bytes:
    return f"{value:f}".encode()
