"""Times as clients write them.

Not every client formats them for programs: a phone's own calendar writes its own digits, Swift writes `Z+0000`, PHP
and shells write unix seconds, JavaScript unix milliseconds.
"""

import math
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

LEAST_SECONDS, LEAST_MS, MOST_MS = 10**8, 10**11, 10**13
"""A number from 100 million on (1973) counts seconds, from 100 billion on (1973 too) milliseconds, below 10 trillion
(2286). Times a thousand they are microseconds, as Google Analytics exports them, and times a million nanoseconds."""
_USUAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")
_NUMBER = re.compile(r"[0-9]{9,19}(\.[0-9]{0,9})?")
_MARKS = dict.fromkeys(map(ord, "\u200e\u200f\u061c\u202a\u202b\u202c\u2066\u2067\u2068\u2069\ufeff"))
_SIGNS = {ord("\u2212"): "-", ord("\u2010"): "-", ord("\u2011"): "-", ord("\u066b"): "."}
_ZONE = re.compile(
    r"\s*(?:Z|UTC|GMT)?\s*([+-][0-9]{2}(?::?[0-9]{2}){0,2})(?:Z| [A-Z]{3,5}(?: M=\S+)?)?$|\s*(?:Z|UTC|GMT)$"
)
_PLACE = re.compile(r"\[[A-Z][\w/+-]*\]$|\s\([^()]*\)$")
"""A zone's name that stands behind its offset, as Java and JavaScript write it."""
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_NAMED = re.compile(
    r"(?:[A-Z]{3},? )?(?:([0-9]{1,2}) ([A-Z]{3})|([A-Z]{3}) ([0-9]{1,2})),? ([0-9]{4}) ([0-9]{2}:[0-9]{2}:[0-9]{2})"
)
"""`Sun, 22 Nov 2026 12:00:00` as in HTTP and e-mail, `Sun Nov 22 2026 12:00:00` as JavaScript writes a date."""
_EMPTY_FRACTION = re.compile(r"[.,]$")


def read_time(value: Any) -> int:
    """A time as milliseconds since 1970; UTC where it names no zone. Raises ValueError for anything else.

    ISO 8601 with any form of zone (`Z`, `z`, `+02:00`, `+0200`, `Z+0000`), any number of fraction digits, a blank or
    `t` for the `T`, and digits of any script; the form of HTTP, e-mail and JavaScript, with an English month; unix
    seconds, milliseconds, micro- or nanoseconds, as a number or as text.
    """
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a time is text or a number")
    return _read_number(value)


def _read_number(value: int | float) -> int:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("no number")
    if LEAST_SECONDS <= value < LEAST_MS:
        return round(value * 1000)
    if LEAST_MS <= value < MOST_MS:
        return round(value)
    for unit in (10**3, 10**6):
        if LEAST_MS * unit <= value < MOST_MS * unit:
            return int(value // unit)
    raise ValueError("out of reach")


def _read_text(text: str) -> int:
    if len(text) > 100:
        raise ValueError("too long")
    plain = _plain(text)
    if _NUMBER.fullmatch(plain):
        return _read_number(float(plain) if "." in plain else int(plain))
    try:
        when = datetime.fromisoformat(plain)
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return round(when.timestamp() * 1000)
    except OverflowError:
        raise ValueError("out of reach") from None


def _plain(text: str) -> str:
    """In ASCII, and with a zone as `datetime.fromisoformat` takes it."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_MARKS).translate(_SIGNS))
        text = "".join(str(digit) if (digit := unicodedata.decimal(sign, None)) is not None else sign for sign in text)
    if _USUAL.fullmatch(text):
        return text
    text = _PLACE.sub("", text.strip(" \t\r\n\"'").upper())
    zone = _ZONE.search(text)
    if zone is not None:
        return _dated(text[: zone.start()]) + (zone[1] or "Z")
    return _dated(text)


def _dated(text: str) -> str:
    """A date and a time without zone in the order of ISO 8601."""
    if named := _NAMED.fullmatch(text):
        day, name = named[1] or named[4], named[2] or named[3]
        month = _MONTHS.index(name) + 1 if name in _MONTHS else 0
        return f"{named[5]}-{month:02}-{int(day):02}T{named[6]}"
    return _EMPTY_FRACTION.sub("", text, count=1)
