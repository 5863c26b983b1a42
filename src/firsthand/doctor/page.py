"""The findings on a page: a line each, and under those that are not ok, what to do."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from firsthand.doctor import Report
from firsthand.doctor.finding import Finding
from firsthand.terminal.console import clean, hanging, page_width, stdout

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "red")}
LONGEST_TITLE = 26


def show(report: Report, console: Console | None = None) -> None:
    console = console or stdout()
    for line in page(report, page_width(console)):
        console.print(line, soft_wrap=True)


def page(report: Report, width: int) -> Iterator[Text]:
    titles = [len(clean(finding.title)) for findings in report.groups.values() for finding in findings]
    column = min(LONGEST_TITLE, max(titles, default=0))
    for group, findings in report.groups.items():
        if findings:
            yield Text(group, style="bold")
            for remedy, alike in groupby(findings, lambda finding: (finding.id, finding.remedy)):
                yield from _lines(list(alike), remedy[1], column, width)
            yield Text("")
    yield _summary(report)


def _lines(findings: Sequence[Finding], remedy: str | None, column: int, width: int) -> Iterator[Text]:
    """Findings that follow each other and have one remedy, which is said once."""
    for finding in findings:
        mark, style = MARKS[finding.severity]
        start = Text("  ").append(mark, style=style).append(f" {clean(finding.title).ljust(column)}  ")
        yield hanging(start, clean(finding.found), width)
    if remedy:
        yield hanging(Text("      → ", style="dim"), clean(remedy), width)


def _summary(report: Report) -> Text:
    counts = [(report.count("error"), "error", "red"), (report.count("warning"), "warning", "yellow")]
    line = Text()
    for number, noun, style in counts:
        if number:
            line.append(", " if line else "").append(f"{number} {noun}{'' if number == 1 else 's'}", style=style)
    fine = report.count("ok")
    return line.append(f"; {fine} fine") if line else Text(f"All {fine} fine.", style="green")
