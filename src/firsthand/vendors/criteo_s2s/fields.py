"""Safe reading of what shops put into events."""

import re
from datetime import date
from typing import Any

import msgspec

from firsthand.reasons import Dead

Number = int | float | msgspec.Raw

NUMBER = re.compile(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,20})?")
EMAIL = re.compile(r"[^\s@](?:@|%(?:25)*40)[^\s@]{1,255}\.[^\s@]")
URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
# A delimiter, or what stands between two. Any of it may be percent-encoded, once or several times over.
PIECE = re.compile(
    r"%(?:25)*(?:2[0236CF]|3[ABDF])|(?:[^\s%/?#&=:;,<>\"()]|%(?!(?:25)*(?:2[0236CF]|3[ABDF]))(?:25)*)+", re.I
)
AT = re.compile(r"[^@](?:@|%(?:25)*40)[^@]")


class Fields:
    """A JSON object of an event, read by dotted names: what is absent is None, what is malformed is dead.

    Blank text is absent: Criteo counts an empty value as a fault.
    """

    __slots__ = ("path", "values")

    def __init__(self, values: dict[str, Any], path: str) -> None:
        self.values, self.path = values, path

    def get(self, name: str) -> Any:
        value: Any = self.values.get(name)
        if value is None and "." in name:
            value = self.values
            for step in name.split("."):
                value = value.get(step) if isinstance(value, dict) else None
        return None if isinstance(value, str) and (not value or value.isspace()) else value

    def missing(self, name: str) -> Dead:
        return Dead("field_missing", f"{self.path}{name} is required", self.path + name)

    def invalid(self, name: str, accepted: str) -> Dead:
        return Dead("field_invalid", f"{self.path}{name} must be {accepted}", self.path + name)

    def text(self, name: str) -> str | None:
        """Text, or a whole number as text. An e-mail address is refused, since none may leave unhashed."""
        value = self.get(name)
        if isinstance(value, str):
            if ("@" in value or "%" in value) and EMAIL.search(value):
                raise self.invalid(name, "something other than an e-mail address")
            return value
        if type(value) is int and abs(value) < 2**63:
            return str(value)
        if value is not None:
            raise self.invalid(name, "text or a whole number")
        return None

    def required(self, name: str) -> str:
        found = self.text(name)
        if found is None:
            raise self.missing(name)
        return found

    def scrubbed(self, name: str) -> str | None:
        """Text without the e-mail addresses in it, nor the user and password of a URL."""
        value = self.get(name)
        if not isinstance(value, str):
            return self.text(name)
        if "@" in value or "%" in value:
            value = PIECE.sub(lambda piece: "" if AT.search(piece[0]) else piece[0], USER_INFO.sub("", value))
        return value if value.strip() else None

    def url(self, name: str) -> str | None:
        found = self.scrubbed(name)
        if found and not URL.match(found):
            raise self.invalid(name, "an absolute URL")
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
        raise self.invalid(name, "a number such as 49.99: 0, or from 0.00001 below 1e15")

    def count(self, name: str, least: int = 0) -> int | None:
        """A whole number, also as 2.0 or "2"."""
        value = self.get(name)
        if value is None or (type(value) is int and least <= value < 10**9):
            return value
        if isinstance(value, str | float) and re.fullmatch(r"[0-9]{1,9}(\.0)?", str(value)) and float(value) >= least:
            return int(float(value))
        raise self.invalid(name, f"a whole number from {least} below 1e9")

    def day(self, name: str) -> str | None:
        found = self.text(name)
        try:
            if found is None or date.fromisoformat(found).isoformat() == found:
                return found
        except ValueError:
            pass
        raise self.invalid(name, "a date as YYYY-MM-DD")

    def currency(self, name: str) -> str | None:
        found = self.text(name)
        if found and not re.fullmatch(r"[A-Za-z]{3}", found):
            raise self.invalid(name, "a currency code of three letters, such as EUR")
        return found and found.upper()

    def entries(self, name: str) -> "Fields":
        """The entries of a list, each under its own name, such as `store_ids[0]`."""
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            raise self.invalid(name, "a list")
        return Fields({f"{name}[{index}]": entry for index, entry in enumerate(value or ())}, self.path)

    def objects(self, name: str) -> list["Fields"]:
        """The entries of a list of objects."""
        entries = self.entries(name)
        for entry, value in entries.values.items():
            if not isinstance(value, dict):
                raise entries.invalid(entry, "an object")
        return [Fields(value, f"{self.path}{entry}.") for entry, value in entries.values.items()]
