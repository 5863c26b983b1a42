"""Times and spans in words. Everything is UTC, as the ledger has it."""

from collections.abc import Mapping
from typing import Any

from firsthand.event import format_time, parse_time
from firsthand.ledger.records import CANNOT_RUN
from firsthand.terminal.console import clean


def full_time(text: str) -> str:
    """`2026-11-22 10:15:00.000 UTC`"""
    return format_time(parse_time(text)).replace("T", " ").replace("Z", " UTC")


def clock_time(text: str, beside: str | None = None) -> str:
    """`10:15:00.000`, with the date where it is not that of `beside`."""
    date, _, time = format_time(parse_time(text)).rstrip("Z").partition("T")
    return f"{date} {time}" if beside is not None and not beside.startswith(date) else time


def span(seconds: float) -> str:
    """A length of time in its largest sensible unit: `4 s`, `15 min`, `3.5 h`, `2.0 d`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def ago(text: str, than: str) -> str:
    """`52 min earlier` or `3 s later`, compared with another time."""
    seconds = (parse_time(than) - parse_time(text)) / 1000
    return f"{span(abs(seconds))} {'earlier' if seconds >= 0 else 'later'}"


def pause(paused: Mapping[str, Any], trouble: bool, now_ms: int, beside: str | None = None) -> str:
    """Why a lane sends nothing, since when and until when: `the vendor is in trouble since 10:15:00.000 (5 min): HTTP
    500; nothing is sent until …`. `paused` has `since`, `reason`, `cause` and `until`, each where it is known."""
    since, until = paused.get("since"), paused.get("until")
    said = "the vendor is in trouble" if trouble else "the vendor asked for a rest"
    reason = paused.get("reason")
    if reason == CANNOT_RUN:
        return f"it cannot run: {clean(paused['cause'])}"
    if reason:
        said = "the vendor refuses the credentials"
    if since:
        said += f" since {clock_time(since, beside)} ({span((now_ms - parse_time(since)) / 1000)})"
    if paused.get("cause"):
        said += f": {clean(paused['cause'])}"
    if until is None or parse_time(until) <= now_ms:
        return f"{said}; it is tried just now"
    if reason:
        return f"{said}; one event tries it at {clock_time(until, beside)}, {within(until, now_ms)}"
    return f"{said}; nothing is sent until {clock_time(until, beside)}, {within(until, now_ms)}"


def within(text: str, now_ms: int) -> str:
    """`in 4 s`, or `now` for what is due."""
    seconds = (parse_time(text) - now_ms) / 1000
    return f"in {span(max(1, seconds))}" if seconds >= 0.5 else "now"
