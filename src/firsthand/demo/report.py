"""What the demo shows: how it goes while it goes, and the summary."""

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from firsthand.terminal.console import clean, cut, own_command, page_width

PLAIN_SECONDS = 1.0
OPEN = ("pending", "retrying", "held")
MARKS = {"delivered": ("✓", "green"), "filtered": ("–", "cyan"), "dead": ("✗", "red")}

Counts = Mapping[str, int]
Trace = Mapping[str, Any]


class Watcher(Protocol):
    """How it goes."""

    def note(self, text: str) -> None:
        """Something happened."""
        ...

    def show(self, sent: int, counts: Counts) -> None:
        """So many are sent; `counts` is what became of those received."""
        ...

    def close(self) -> None: ...


class Bars:
    """At a terminal: two bars that fill up."""

    def __init__(self, console: Console, total: int) -> None:
        columns = (
            TextColumn("{task.description:<8}"),
            BarColumn(20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
        )
        self._total = total
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console)
        self._sent = self._progress.add_task("sent", total=total, words="")
        self._settled = self._progress.add_task("settled", total=total, words="")
        self._progress.start()

    def note(self, text: str) -> None:
        self._progress.console.print(Text(f"  {text}", style="yellow"))

    def show(self, sent: int, counts: Counts) -> None:
        settled = sum(count for state, count in counts.items() if state not in OPEN)
        waiting = ", ".join(f"{counts[state]} {state}" for state in OPEN if counts.get(state))
        # The collector refuses a few, so that fewer are settled than were sent.
        total = settled if sent == self._total and not waiting else self._total
        self._progress.update(self._sent, completed=sent)
        self._progress.update(self._settled, completed=settled, total=total, words=waiting)

    def close(self) -> None:
        self._progress.stop()


class Lines:
    """Elsewhere: a line a second."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._last = 0.0

    def note(self, text: str) -> None:
        self._console.print(Text(f"  {text}"), soft_wrap=True)

    def show(self, sent: int, counts: Counts) -> None:
        if time.monotonic() - self._last < PLAIN_SECONDS:
            return
        self._last = time.monotonic()
        words = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        self._console.print(Text(f"  sent {sent} of {self._total}: {words or 'nothing settled yet'}"), soft_wrap=True)

    def close(self) -> None:
        pass


def watcher(console: Console, total: int) -> Watcher:
    return Bars(console, total) if console.is_terminal else Lines(console, total)


def beside(console: Console, delivered: int, vendor: Counts) -> bool:
    """The vendor's own count beside ours; says whether they agree."""
    accepted, agree = vendor["accepted"], delivered == vendor["accepted"]
    line = Text(f"We say {delivered:,} delivered; the vendor's emulator says {accepted:,} accepted  ")
    line.append("✓ they agree" if agree else "✗ THEY DIFFER", style="green" if agree else "bold white on red")
    console.print(line, soft_wrap=True)
    more = f"It saw {vendor['total']:,} requests, answered {vendor['faults']:,} of them with HTTP 500 and redirected"
    console.print(Text(f"{more} {vendor['redirects']:,}.", style="dim"), soft_wrap=True)
    return agree


def to_read(console: Console, trace: Trace, data: Path) -> None:
    """A trace in three lines, and how to read all of it."""
    delivery, event = trace["deliveries"][0], trace["event"]
    mark, style = MARKS.get(delivery["state"], ("?", ""))
    tries, reason = attempts(trace), delivery["reason"] or {}
    story = f"{tries} attempt{'' if tries == 1 else 's'}" if tries else reason.get("code", "")
    width, name = page_width(console), event.get("event") or event.get("name") or event["type"]
    line = Text("  ").append(f"{mark} {delivery['state']:<9}", style=style).append(f"  {clean(name)}, {story}")
    console.print(cut(line, width), soft_wrap=True)
    if reason.get("message"):
        console.print(cut(Text(f"    {clean(reason['message'])}", style="dim"), width), soft_wrap=True)
    command = f"{own_command()} trace {trace['message_id']} --data {shlex.quote(str(data))}"
    console.print(Text(f"    {command}", style="bold"), soft_wrap=True)


def attempts(trace: Trace) -> int:
    """How often its first delivery was tried; redirects are part of a try."""
    return sum(1 for attempt in trace["deliveries"][0]["attempts"] if not attempt["hop"])
