"""What can go wrong: with the import as a whole, or with one row."""

import math
from typing import Any

import msgspec

RAW_CHARACTERS = 32 << 10
"""How much of a row is kept in the file of rejects: more would be more than an event may have."""


class ImportFailed(Exception):
    """The import can't begin or go on. The text says why and what to do."""


class BadRow(Exception):
    """A row that can't become an event. `field` is the field of the event it is about, if it is about one.

    `line`: of several rows that are one event, the one that is to blame; None: they all are.
    """

    def __init__(self, code: str, reason: str, field: str | None = None, line: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.field = field
        self.line = line


class Reject(msgspec.Struct, frozen=True):
    """A row set aside, as it stands in the file of rejects."""

    line: int
    field: str | None
    code: str
    reason: str
    raw: str

    @classmethod
    def of(cls, line: int, raw: Any, fault: BadRow) -> "Reject":
        return cls(line, fault.field, fault.code, fault.reason, as_text(raw))


def as_text(raw: Any) -> str:
    """A row as it was read, for a person. Bytes that are no text show as `\\xff`."""
    if callable(raw):
        raw = raw()
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "backslashreplace")
    if not isinstance(raw, str):
        raw = msgspec.json.encode(raw, enc_hook=str).decode()
    text: str = raw
    return text if len(text) <= RAW_CHARACTERS else f"{text[:RAW_CHARACTERS]}…"


def shown(value: Any) -> str:
    """A value from a row, for a message: short, and on one line."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return repr(text if len(text) <= 60 else f"{text[:59]}…")
