"""How an import goes: a bar at a terminal, a line now and then elsewhere. All of it to standard error."""

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

LINE_SECONDS = 5.0
STEPS = 10_000


class Watcher(Protocol):
    def reading(self, fraction: float) -> None:
        """The file's fingerprint is being made."""
        ...

    def rows(self, done: int, fraction: float) -> None:
        """So many rows are done, and so much of the file."""
        ...

    def note(self, text: str) -> None:
        """Something the user should know of."""
        ...

    def waiting(self, text: str) -> None:
        """Nothing goes on, and why; an empty text when it does again."""
        ...

    def close(self) -> None: ...


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        rows, seconds = task.fields["rows"], task.elapsed or 0.0
        return Text(f"{rows:,} rows" + (f", {rows / seconds:,.0f}/s" if seconds >= 1 and rows else ""))


class Bar:
    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(24),
            TaskProgressColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[waiting]}", style="yellow", markup=False),
            console=console,
        )
        self._task = self._progress.add_task("reading", total=STEPS, rows=0, waiting="")
        self._importing = False
        self._progress.start()

    def reading(self, fraction: float) -> None:
        self._progress.update(self._task, completed=fraction * STEPS)

    def rows(self, done: int, fraction: float) -> None:
        if not self._importing:
            self._importing = True
            self._progress.reset(self._task, description="importing", rows=0, waiting="")
        self._progress.update(self._task, completed=fraction * STEPS, rows=done)

    def note(self, text: str) -> None:
        self._progress.console.print(Text(text, style="yellow"), soft_wrap=True)

    def waiting(self, text: str) -> None:
        self._progress.update(self._task, waiting=text)

    def close(self) -> None:
        self._progress.stop()


class Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = self._said = time.monotonic()
        self._first_fraction: float | None = None
        self._waiting = ""

    def reading(self, fraction: float) -> None:
        if self._due():
            self._print(f"reading: {fraction:.0%}")

    def rows(self, done: int, fraction: float) -> None:
        if self._first_fraction is None:
            self._begun, self._first_fraction = time.monotonic(), fraction
        if not self._due():
            return
        seconds = time.monotonic() - self._begun
        rate, gain = done / max(seconds, 0.001), fraction - self._first_fraction
        left = f", {seconds * (1 - fraction) / gain:,.0f} s left" if gain > 0 else ""
        self._print(f"importing: {fraction:.0%}, {done:,} rows, {rate:,.0f}/s{left}")

    def note(self, text: str) -> None:
        self._print(text)

    def waiting(self, text: str) -> None:
        # The same trouble is told again now and then, and not at every try.
        if text and (not self._waiting or self._due()):
            self._print(text)
        elif self._waiting and not text:
            self._print("it goes on")
        self._waiting = text

    def close(self) -> None:
        pass

    def _due(self) -> bool:
        return time.monotonic() - self._said >= LINE_SECONDS

    def _print(self, text: str) -> None:
        self._said = time.monotonic()
        self._console.print(Text(text), soft_wrap=True)


def watcher() -> Watcher:
    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    return Bar(console) if console.is_terminal else Lines(console)
