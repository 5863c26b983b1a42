"""JSON for people: what fits a line stays on it, the rest is broken up."""

import json
from collections.abc import Iterator
from typing import Any

from rich.highlighter import JSONHighlighter
from rich.text import Text

from firsthand.terminal.console import clean, cut

MOST_LINES = 40
_highlight = JSONHighlighter()


def pretty(value: Any, width: int) -> list[str]:
    """The lines of a value. Only a text that is longer than `width` by itself makes a longer line."""
    return list(_lines(value, "", "", width, 0))


def _lines(value: Any, before: str, after: str, width: int, indent: int) -> Iterator[str]:
    start = " " * indent + before
    flat = start + clean(json.dumps(value, ensure_ascii=False)) + after
    if len(flat) <= width or not value or not isinstance(value, (dict, list)):
        yield flat
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield start + opening
    if isinstance(value, dict):
        entries = [(f"{clean(json.dumps(name, ensure_ascii=False))}: ", inner) for name, inner in value.items()]
    else:
        entries = [("", inner) for inner in value]
    for number, (name, inner) in enumerate(entries):
        yield from _lines(inner, name, "," if number < len(entries) - 1 else "", width, indent + 2)
    yield " " * indent + closing + after


def shown(value: Any, width: int, indent: int, rest: str) -> Iterator[Text]:
    """The lines of a value, indented; beyond MOST_LINES it is folded, and `rest` says where to read on."""
    inner = width - indent
    lines = pretty(value, inner) if not isinstance(value, str) else [clean(line) for line in value.splitlines()]
    for line in lines[:MOST_LINES]:
        text = Text(line)
        _highlight.highlight(text)
        yield Text(" " * indent).append_text(cut(text, inner))
    if len(lines) > MOST_LINES:
        yield Text(" " * indent).append(f"… {len(lines) - MOST_LINES} more lines: {rest}", style="dim")
