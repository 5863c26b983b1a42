"""What is seen while an import runs: a bar at a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from firsthand.importing import progress
from firsthand.importing.progress import Bar, Lines, Watcher


def play(watch: Watcher) -> None:
    watch.reading(0.5)
    watch.rows(1_000, 0.1)
    watch.waiting("waiting: the disk is full")
    watch.waiting("waiting: the disk is full")
    watch.waiting("")
    watch.note("careful: [bold] is no markup")
    watch.rows(10_000, 1.0)
    watch.close()


def test_a_bar():
    out = io.StringIO()
    play(Bar(Console(file=out, force_terminal=True, width=120, highlight=False)))
    text = out.getvalue()
    assert "importing" in text
    assert "10,000 rows" in text
    assert "100%" in text
    assert "careful: [bold] is no markup" in text


def test_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    play(Lines(Console(file=out, width=40, highlight=False, markup=False)))
    lines = out.getvalue().splitlines()
    assert lines[0] == "reading: 50%"
    assert lines[1].startswith("importing: 10%, 1,000 rows, ")
    assert "waiting: the disk is full" in lines
    assert "it goes on" in lines
    assert "careful: [bold] is no markup" in lines
    assert lines[-1].startswith("importing: 100%, 10,000 rows, ")


def test_lines_are_few():
    out = io.StringIO()
    watch = Lines(Console(file=out))
    for number in range(1_000):
        watch.rows(number, number / 1_000)
        watch.waiting("waiting")
    assert out.getvalue() == "waiting\n"
