"""What the pages share: the console, and text that is safe to print."""

import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

LABEL_WIDTH = 9
_WRAPPER = Console(width=80, file=io.StringIO())
"""What `Text.wrap` asks for; the width comes with each call."""


class Page(Console):
    """A console that leaves it to the command what to do when the reader (head, less) has seen enough."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def stdout() -> Console:
    """Standard output: in colour at a terminal, plain elsewhere, 80 columns where nobody knows the width."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without ✓ shows ? and does not fail
    return Page(highlight=False, markup=False, emoji=False)


def clean(value: Any) -> str:
    """A value as one line of text. What came from outside must not move the cursor or turn the text around."""
    return "".join(character if character.isprintable() else "\ufffd" for character in str(value))


def counted(number: int, noun: str) -> str:
    """`1 event`, `2,001 events`, `2 deliveries`"""
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else many}"


def hanging(start: Text, value: str | Text, width: int) -> Text:
    """`start value`, where a value too long for the line goes on under itself."""
    whole, column = start.copy(), start.cell_len
    lines = (Text(value) if isinstance(value, str) else value).wrap(_WRAPPER, max(20, width - column))
    for number, line in enumerate(lines):
        line.rstrip()
        if number:
            whole.append("\n" + " " * column)
        whole.append_text(line)
    return whole


def labelled(label: str, value: str | Text, width: int, indent: int = 0) -> Text:
    """`label     value`, as a hanging line."""
    return hanging(Text(" " * indent).append(f"{label.ljust(LABEL_WIDTH)}  ", style="dim"), value, width)


def page_width(console: Console) -> int:
    """As wide as the terminal, but no wider than is read with ease."""
    return min(console.width, 120)


def cut(text: Text | str, width: int) -> Text:
    """A line that ends in … where it is too long."""
    line = Text(text) if isinstance(text, str) else text
    line.truncate(max(1, width), overflow="ellipsis")
    return line


def own_command() -> str:
    """How the user can call us again: `firsthand` where the shell finds it."""
    called = Path(sys.argv[0])
    found = shutil.which("firsthand")
    if called.name != "firsthand" or (found and Path(found).samefile(called)):
        return "firsthand"
    relative = os.path.relpath(called)
    return relative if len(relative) < len(str(called)) else str(called)
