"""Safe reading of what shops put into events: what is absent is None, what is malformed is a refusal by its path."""

import re
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from firsthand.personal import has_email, scrub
from firsthand.reasons import Dead

Number = int | float | msgspec.Raw

NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,20})?")
UTC_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")  # as collection writes it
COUNT = re.compile(r"[0-9]{1,9}(\.0)?")
CURRENCY = re.compile(r"[A-Za-z]{3}")
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)


def missing(path: str) -> Dead:
    return Dead("field_missing", f"{path} is required", path)


def invalid(path: str, accepted: str) -> Dead:
    return Dead("field_invalid", f"{path} must be {accepted}", path)


class Fields(msgspec.Struct):
    """A JSON object of an event, read by dotted names. `path` is where it is, such as `properties.products[0].`.

    Blank text is absent: to most vendors an empty value is a fault.
    """

    values: dict[str, Any]
    path: str

    def get(self, name: str) -> Any:
        value: Any = self.values.get(name)
        if value is None and "." in name:
            value = self.values
            for step in name.split("."):
                value = value.get(step) if isinstance(value, dict) else None
        return None if isinstance(value, str) and (not value or value.isspace()) else value

    def text(self, name: str) -> str | None:
        """Text, or a whole number as text. An e-mail address is refused, since none may leave unhashed."""
        value = self.get(name)
        if isinstance(value, str):
            if has_email(value):
                raise invalid(self.path + name, "something other than an e-mail address")
            return value
        if type(value) is int and abs(value) < 2**63:
            return str(value)
        if value is not None:
            raise invalid(self.path + name, "text or a whole number")
        return None

    def required(self, name: str) -> str:
        found = self.text(name)
        if found is None:
            raise missing(self.path + name)
        return found

    def one_of(self, name: str, *choices: str) -> str | None:
        found = self.text(name)
        if found is not None and found not in choices:
            raise invalid(self.path + name, f"{', '.join(choices[:-1])} or {choices[-1]}")
        return found

    def scrubbed(self, name: str) -> str | None:
        """Text without the e-mail addresses and phone numbers in it, nor the user and password of a URL."""
        value = self.get(name)
        if not isinstance(value, str):
            return self.text(name)
        value = scrub(value)
        return value if value.strip() else None

    def url(self, name: str) -> str | None:
        found = self.scrubbed(name)
        if found and not found.startswith("https://") and not URL.match(found):
            raise invalid(self.path + name, "an absolute URL")
        return found

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

    def count(self, name: str, least: int = 0) -> int | None:
        """A whole number, also as 2.0 or "2"."""
        value = self.get(name)
        if value is None or (type(value) is int and least <= value < 10**9):
            return value
        if isinstance(value, str | float) and COUNT.fullmatch(str(value)) and float(value) >= least:
            return int(float(value))
        raise invalid(self.path + name, f"a whole number from {least} below 1e9")

    def day(self, name: str) -> str | None:
        found = self.text(name)
        try:
            if found is None or date.fromisoformat(found).isoformat() == found:
                return found
        except ValueError:
            pass
        raise invalid(self.path + name, "a date as YYYY-MM-DD")

    def currency(self, name: str = "currency") -> str | None:
        found = self.text(name)
        if found and not CURRENCY.fullmatch(found):
            raise invalid(self.path + name, "a currency code of three letters, such as EUR")
        return found and found.upper()

    def texts(self, name: str) -> list[str]:
        """The entries of a list, each of which must be text."""
        entries = Fields({f"{name}[{n}]": value for n, value in enumerate(self._entries(name))}, self.path)
        return [entries.required(entry) for entry in entries.values]

    def objects(self, name: str) -> list["Fields"]:
        """The entries of a list, each of which must be an object."""
        found = []
        for n, value in enumerate(self._entries(name)):
            if not isinstance(value, dict):
                raise invalid(f"{self.path}{name}[{n}]", "an object")
            found.append(Fields(value, f"{self.path}{name}[{n}]."))
        return found

    def _entries(self, name: str) -> list[Any]:
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            raise invalid(self.path + name, "a list")
        return value or []


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
