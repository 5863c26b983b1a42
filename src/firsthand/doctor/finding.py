"""What a check finds."""

from typing import Any, Literal

import msgspec

Severity = Literal["ok", "warning", "error"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that was looked at. Holds no secret and nobody's personal data."""

    id: str
    """The check, such as `disk.fsync`; one check may find several things."""
    title: str
    """What was looked at, in a word or two: `write key of web-shop`."""
    severity: Severity
    found: str
    remedy: str | None = None
    """What to do about it, where it is not ok."""
    numbers: dict[str, Any] = {}
    """What was measured, for programs."""


def judged(severity: Severity, id: str, title: str, found: str, remedy: str, **numbers: Any) -> Finding:
    """A finding of a severity that depends on what was measured."""
    return Finding(id, title, severity, found, None if severity == "ok" else remedy, numbers)


def ok(id: str, title: str, found: str, **numbers: Any) -> Finding:
    return judged("ok", id, title, found, "", **numbers)


def warning(id: str, title: str, found: str, remedy: str, **numbers: Any) -> Finding:
    return judged("warning", id, title, found, remedy, **numbers)


def error(id: str, title: str, found: str, remedy: str, **numbers: Any) -> Finding:
    return judged("error", id, title, found, remedy, **numbers)
