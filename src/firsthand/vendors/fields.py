"""Safe reading of what shops put into events.

What is absent is None. What is malformed is a refusal by its path where a wrong value would be believed and cost money
(ids of orders and products, prices, quantities, currencies, days of a stay); any other field is left out, and noted.
"""

import contextlib
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin

import msgspec

from firsthand.personal import has_email, scrub
from firsthand.placeholders import trimmed
from firsthand.reasons import Dead
from firsthand.vendors.base import Notes
from firsthand.vendors.near import TWINS, near_miss

Number = int | float | msgspec.Raw

NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,20})?")
UTC_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")  # as collection writes it
COUNT = re.compile(r"[0-9]{1,9}(\.0{1,20})?")
FRACTION = re.compile(r"[0-9]{1,9}\.[0-9]{1,20}")
CURRENCY = re.compile(r"[A-Za-z]{3}")
URL = re.compile(r"https?://[^/?#\s]", re.I)
RELATIVE = ("/", "?", "#", "./", "../")
QUANTITY = "a number above 0 and below 1e9 such as 2, as digits alone: no unit, no separator of thousands"


def missing(path: str, near: str = "") -> Dead:
    return Dead("field_missing", f"{path} is required{near}", path)


def invalid(path: str, accepted: str) -> Dead:
    return Dead("field_invalid", f"{path} must be {accepted}", path)


class Fields(msgspec.Struct):
    """A JSON object of an event, read by dotted names. `path` is where it is, such as `properties.products[0].`;
    `notes` are those of the event that it is part of.

    Texts are read without blanks at their ends. Blank text is absent: to most vendors an empty value is a fault.
    """

    values: dict[str, Any]
    path: str
    notes: Notes = msgspec.field(default_factory=Notes)

    def get(self, name: str) -> Any:
        value: Any = self.values.get(name)
        if value is None and "." in name:
            value = self.values
            for step in name.split("."):
                value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, str):
            if value[:1].isalnum() and value[-1:].isalnum():
                return value  # as nearly all are: nothing to trim
            value = trimmed(value) or None
        return self.get(TWINS[name]) if value is None and name in TWINS else value

    def leave_out(self, name: str, accepted: str) -> None:
        """Note that an optional field is not sent, as it is nothing that is accepted."""
        self.notes.leave_out(self.path + name, self.get(name), f"must be {accepted}")

    def missing(self, name: str, like: str = "") -> Dead:
        """The refusal where a required field is not there. It names what the event has in its place, going by the name
        that the field usually has (`like`)."""
        return missing(self.path + name, near_miss(self.values, self.path, name, like or name))

    def text(self, name: str) -> str | None:
        """Text, or a whole number as text. An e-mail address is left out, since none may leave unhashed."""
        value = self.get(name)
        if value is None:
            return None
        if accepted := _not_text(value):
            self.leave_out(name, accepted)
            return None
        return value if isinstance(value, str) else str(int(value))  # some programs write all numbers as 12345.0

    def believed(self, name: str) -> str | None:
        """The same, for fields where a wrong value costs money: it is refused."""
        value = self.get(name)
        if value is None:
            return None
        if accepted := _not_text(value):
            raise invalid(self.path + name, accepted)
        return value if isinstance(value, str) else str(int(value))

    def required(self, name: str, like: str = "") -> str:
        """The same, where the event can't be sent without it."""
        found = self.believed(name)
        if found is None:
            raise self.missing(name, like)
        return found

    def one_of(self, name: str, *choices: str) -> str | None:
        found = self.text(name)
        if found is not None and found not in choices:
            self.leave_out(name, f"{', '.join(choices[:-1])} or {choices[-1]}")
            return None
        return found

    def scrubbed(self, name: str) -> str | None:
        """Text without the e-mail addresses and phone numbers in it, nor the user and password of a URL."""
        value = self.get(name)
        if not isinstance(value, str):
            return self.text(name)
        value = scrub(value)
        return value if value.strip() else None

    def url(self, name: str, origin: str | None = None) -> str | None:
        """An absolute URL of the web; a relative one is completed by the origin of the page, where that is known."""
        found = self.scrubbed(name)
        if found is None or URL.match(found):
            return found
        if origin and found.startswith(RELATIVE):
            try:
                return urljoin(f"{origin}/", found)
            except ValueError:  # a host in brackets that is no address
                pass
        self.leave_out(name, "an absolute URL that begins with https:// or http://")
        return None

    def amount(self, name: str) -> Number | None:
        """A JSON number without exponent, digit for digit: from a number, or text such as "49.90"."""
        value = self.get(name)
        if type(value) is float and (value == 0 or 1e-5 <= value < 1e15):
            return abs(value)  # -0.0 is 0.0
        if value is None or (type(value) is int and 0 <= value < 10**15):
            return value
        if isinstance(value, str) and NUMBER.fullmatch(value):
            return msgspec.Raw(value.encode())
        raise invalid(self.path + name, "a number such as 49.99: 0, or from 0.00001 below 1e15")

    def quantity(self, name: str = "quantity") -> int | Decimal:
        """How many there are: 1 where nothing is said, whole also as "2.000"; a `Decimal` only where it isn't."""
        value = self.get(name)
        if value is None:
            return 1
        if type(value) is int and 0 < value < 10**9:
            return value
        if isinstance(value, str | float):
            text = str(value)
            if COUNT.fullmatch(text) and (whole := int(float(text))) > 0:
                return whole
            if FRACTION.fullmatch(text) and (exact := Decimal(text)) > 0:
                return exact
        raise invalid(self.path + name, QUANTITY)

    def count(self, name: str) -> int | None:
        """A whole number, also as 2.0 or "2"."""
        value = self.get(name)
        if value is None or (type(value) is int and 0 <= value < 10**9):
            return value
        if isinstance(value, str | float) and COUNT.fullmatch(str(value)):
            return int(float(value))
        self.leave_out(name, "a whole number from 0 below 1e9")
        return None

    def day(self, name: str) -> str | None:
        found = self.believed(name)
        try:
            if found is None or date.fromisoformat(found).isoformat() == found:
                return found
        except ValueError:
            pass
        raise invalid(self.path + name, "a date as YYYY-MM-DD")

    def currency(self, name: str = "currency") -> str | None:
        found = self.believed(name)
        if found and not CURRENCY.fullmatch(found):
            raise invalid(self.path + name, "a currency code of three letters, such as EUR")
        return found and found.upper()

    def texts(self, name: str) -> list[str]:
        """The entries of a list that are text."""
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            self.leave_out(name, "a list")
            return []
        entries = Fields({f"{name}[{n}]": entry for n, entry in enumerate(value or [])}, self.path, self.notes)
        return [found for entry in entries.values if (found := entries.text(entry)) is not None]

    def entries(self, name: str) -> list[Any]:
        """A list, also as PHP writes one whose first entry was taken out (`{"1": …}`), as a single entry without a list
        around it, and as JSON in a text."""
        value = self.get(name)
        if isinstance(value, str) and value[0] in "[{":
            with contextlib.suppress(msgspec.DecodeError):
                value = msgspec.json.decode(value)
        if isinstance(value, dict):
            return list(value.values()) if all(map(str.isdecimal, value)) else [value]
        if value is not None and not isinstance(value, list):
            raise invalid(self.path + name, "a list")
        return value or []

    def objects(self, name: str, lenient: bool = False) -> list["Fields"]:
        """The entries of a list, each of which must be an object. `lenient`: where nothing is, that is left out."""
        found, nothing = [], []
        for n, entry in enumerate(self.entries(name)):
            path = f"{self.path}{name}[{n}]"
            if isinstance(entry, dict):
                found.append(Fields(entry, path + ".", self.notes))
            elif not entry and lenient:
                nothing.append((path, entry))
            else:
                raise invalid(path, "an object")
        for path, entry in nothing:
            if not found:
                raise invalid(path, "an object")
            self.notes.leave_out(path, entry, "must be an object")
        return found


def _not_text(value: Any) -> str | None:
    """What is accepted, where a value is no text that may leave as it is."""
    if isinstance(value, str):
        return "something other than an e-mail address" if has_email(value) else None
    whole = type(value) is int or (type(value) is float and value.is_integer() and abs(value) < 2**53)
    return None if whole and abs(value) < 2**63 else "text or a whole number"


def known(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields that are not None, for vendors that want the others left out."""
    return {name: value for name, value in fields.items() if value is not None}


def utc(timestamp: str) -> str:
    """An event's time as `2026-11-22T10:15:00Z`."""
    try:
        when = datetime.fromisoformat(timestamp)
        if UTC_TIME.fullmatch(timestamp):
            return timestamp[:19] + "Z"
        return (when.astimezone(UTC) if when.tzinfo else when).isoformat()[:19] + "Z"
    except (ValueError, OverflowError):
        raise invalid("timestamp", "an ISO 8601 time") from None
