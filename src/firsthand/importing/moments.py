"""Times and dates in a file → ISO 8601."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from firsthand.importing.faults import BadRow, shown
from firsthand.times import read_time

EPOCHS = {"unix": 1.0, "unix_ms": 1000.0}
"""Names of formats that count from 1970, with their units in a second."""
EXCEL = datetime(1899, 12, 30)
"""Day 0 of spreadsheets, for all days from March 1900 on."""
MOST_DAYS = 2_958_466
"""Behind 9999-12-31."""
_DAY_OR_MONTH = re.compile(r"[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{4}")
_SERIAL = re.compile(r"[0-9]{5}([.,][0-9]+)?")
_TOKENS = {"YYYY": "%Y", "yyyy": "%Y", "YY": "%y", "yy": "%y", "MM": "%m", "DD": "%d", "dd": "%d", "HH": "%H"}
_TOKENS |= {"mm": "%M", "ss": "%S", "SSS": "%f", "Z": "%z"}
_TOKEN = re.compile("|".join(sorted(_TOKENS, key=len, reverse=True)) + r"|[^A-Za-z%]|T")
_NO_SEPARATOR = re.compile(r"%[A-Za-z]%[A-Za-z]")
REMEDY = 'give "%Y%m%d", "DD.MM.YYYY HH:mm:ss", iso, excel, unix (seconds) or unix_ms'


def check_format(format: str) -> tuple[str, str] | None:
    """What is wrong with a format of times, and what to write instead."""
    if format in EPOCHS or format in ("iso", "excel"):
        return None
    pattern = _pattern(format)
    if pattern is None:
        return f'"{format}" is no format of times', REMEDY
    if "%m" not in pattern and "%b" not in pattern and "%B" not in pattern and "%j" not in pattern:
        return f'"{format}" has no month', REMEDY
    try:
        whole = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
        if datetime.strptime(whole.strftime(pattern), pattern).year != 2001:
            return f'"{format}" has no year', REMEDY
    except ValueError:
        return f'"{format}" is no format of times', REMEDY
    return None


def check_zone(zone: str) -> tuple[str, str] | None:
    try:
        _zone(zone)
    except (LookupError, ValueError, OSError):
        return f'"{zone}" is no time zone known here', "give a name like Europe/Paris, or UTC"
    return None


def moment(field: str, format: str | None, zone: str | None) -> Callable[[Any], str]:
    """Makes `2026-11-22T10:15:00.000Z` of a cell. A time without a zone of its own is in `zone`, or UTC."""
    read, home = _reader(field, format, zone), _zone(zone)

    @lru_cache(4096)  # files repeat their days
    def of_text(text: str) -> str:
        return written(read(text))

    def written(when: datetime) -> str:
        try:
            when = (when if when.tzinfo else when.replace(tzinfo=home)).astimezone(UTC)
        except (OverflowError, ValueError):
            raise BadRow("field_invalid", f"{when} is out of reach", field) from None
        return when.isoformat(timespec="milliseconds")[:-6] + "Z"

    def make(value: Any) -> str:
        if isinstance(value, str):
            return of_text(value)
        return written(_native(value, read))

    return make


def day(field: str, format: str | None, zone: str | None) -> Callable[[Any], str]:
    """Makes `2026-11-22` of a cell: the day as it is written there, whatever the zone."""
    read, home = _reader(field, format, zone), _zone(zone)

    def make(value: Any) -> str:
        when = read(value) if isinstance(value, str) else _native(value, read)
        return (when.astimezone(home) if when.tzinfo and zone else when).date().isoformat()

    return make


def _native(value: Any, read: Callable[[Any], datetime]) -> datetime:
    """What a Parquet file has as a time."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return read(value)


def _reader(field: str, format: str | None, zone: str | None) -> Callable[[Any], datetime]:
    def refuse(value: Any) -> BadRow:
        wanted = "an ISO 8601 time such as 2026-11-22T10:15:00Z" if format in (None, "iso") else f"a time like {format}"
        if format is None and isinstance(value, str) and (example := _hint(value.strip())):
            wanted = f"{wanted}; say in the mapping how it is written, as with format: {example}"
        return BadRow("field_invalid", f"{shown(value)} is not {wanted}", field)

    pattern = None if format is None or format in EPOCHS or format == "excel" else _pattern(format)
    whole = pattern is not None and _NO_SEPARATOR.search(pattern) is not None

    def read(value: Any) -> datetime:
        try:
            if format in EPOCHS:
                return datetime.fromtimestamp(float(value) / EPOCHS[format], UTC)
            if format == "excel":
                return EXCEL + timedelta(days=_days(value))
            if isinstance(value, int) and not isinstance(value, bool):
                value = str(value)  # 20261122 is a number to most programs
            text = value.strip()
            if pattern is None:
                try:
                    return datetime.fromisoformat(text)
                except ValueError:
                    # A time of day in a zone of the mapping's is read above only: read_time knows none but UTC.
                    if zone is not None and not text.isdecimal():
                        raise
                    return datetime.fromtimestamp(read_time(text) / 1000, UTC)
            when = datetime.strptime(text, pattern)
            if whole and when.strftime(pattern) != text:
                raise refuse(value)  # without separators, a digit too few would quietly be another day
            return when
        except (ValueError, TypeError, AttributeError, OverflowError, OSError):
            raise refuse(value) from None

    return read


def _days(value: Any) -> float:
    """A spreadsheet's number of a day: a fraction is the time of day."""
    days = float(value)
    if not 1 <= days < MOST_DAYS:
        raise ValueError("no day")
    return round(days * 86_400) / 86_400


def _hint(text: str) -> str | None:
    """A format that a time may be meant in: never taken without being said, for days and months look alike."""
    if _DAY_OR_MONTH.match(text):
        mark = next(character for character in text if not character.isdigit())
        return f"DD{mark}MM{mark}YYYY or MM{mark}DD{mark}YYYY"
    return "excel" if _SERIAL.fullmatch(text) else None


def _pattern(format: str) -> str | None:
    """The format as Python's `strptime` takes it."""
    if format == "iso":
        return None
    if "%" in format:
        return format
    found = _TOKEN.findall(format)
    months = found.count("MM")
    if "".join(found) != format or months > 1 or not any(token in _TOKENS for token in found):
        return None
    return "".join(_TOKENS.get(token, token) for token in found)


def _zone(name: str | None) -> tzinfo:
    # Where a machine has no table of zones, UTC is known all the same.
    return UTC if name in (None, "UTC", "Z") else ZoneInfo(name or "UTC")
