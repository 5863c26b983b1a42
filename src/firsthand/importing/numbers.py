"""Numbers in a file → JSON numbers, digit for digit, or a refusal: an amount is never guessed at."""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from firsthand.importing.faults import BadRow, shown

_PLAIN = re.compile(r"([+-]?)0*([0-9]{1,15})(\.[0-9]{1,20})?")
_EXAMPLE = re.compile(r"1([.,' ’]?)234([.,])56")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
BLANKS = str.maketrans(dict.fromkeys("\u00a0\u202f\u2009", " "))


def check_format(format: str) -> tuple[str, str] | None:
    """What is wrong with a format of decimals, and what to write instead."""
    match = _EXAMPLE.fullmatch(format)
    if match is None or match[1] == match[2]:
        return f'"{format}" is no format of decimals', 'give "1,234.56", "1.234,56", "1 234,56" or "1234,56"'
    return None


def decimal(field: str, format: str | None) -> Callable[[Any], Any]:
    """`format` is how 1234.56 is written in the file."""
    match = _EXAMPLE.fullmatch(format or "1234.56")
    thousands, point = (match[1], match[2]) if match else ("", ".")
    grouped = re.compile(rf"[+-]?[0-9]{{1,3}}({re.escape(thousands)}[0-9]{{3}})+({re.escape(point)}[0-9]*)?")
    example = format or "1234.56"

    def make(value: Any) -> Any:
        if isinstance(value, str):
            text = value.strip()
            if thousands == " ":
                text = text.translate(BLANKS)
            if thousands and grouped.fullmatch(text):
                text = text.replace(thousands, "")
            elif point != "." and "." in text:
                raise refuse(value)
            if found := _PLAIN.fullmatch(text if point == "." else text.replace(point, ".")):
                return msgspec.Raw(f"{'-' if found[1] == '-' else ''}{found[2]}{found[3] or ''}".encode())
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool) and math.isfinite(value):
            return msgspec.Raw(format_decimal(value)) if isinstance(value, Decimal) else value
        raise refuse(value)

    def refuse(value: Any) -> BadRow:
        return BadRow("field_invalid", f"{shown(value)} is not a decimal number like {example}", field)

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
