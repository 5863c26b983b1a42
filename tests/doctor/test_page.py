"""The findings as a person sees them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.doctor.conftest import config, criteo

from firsthand import doctor
from firsthand.doctor import CHECKS, Report, examine
from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, error, ok, warning
from firsthand.doctor.page import page


def lines(report: Report, width: int = 80) -> list[str]:
    return [text for line in page(report, width) for text in line.plain.split("\n")]


def test_a_line_each_and_what_to_do() -> None:
    report = Report(
        {
            "Machine": [
                ok("disk.fsync", "fsync", "0.2 ms at the median"),
                warning("disk.room", "disk", "3 GiB free, and the log may still grow by 10 GiB", "lower log.max_bytes"),
            ],
            "Vendors": [error("vendor.endpoint", "criteo events", "DNS fails", "check the name")],
            "Events": [],
        }
    )
    assert lines(report) == [
        "Machine",
        "  ✓ fsync          0.2 ms at the median",
        "  ! disk           3 GiB free, and the log may still grow by 10 GiB",
        "      → lower log.max_bytes",
        "",
        "Vendors",
        "  ✗ criteo events  DNS fails",
        "      → check the name",
        "",
        "1 error, 1 warning; 1 fine",
    ]


def test_it_fits_the_page_whatever_is_found() -> None:
    long = "a source with quite a name"
    report = Report({"Events": [warning("events.coverage", long, "word " * 50, "do " * 60)]})
    assert max(map(len, lines(report))) <= 80


def test_nothing_from_outside_moves_the_cursor() -> None:
    report = Report({"Events": [ok("events.products", "web", "SKU\x1b[2J\n1")]})
    assert "\x1b" not in "".join(lines(report))


def test_all_is_well() -> None:
    assert lines(Report({"Machine": [ok("disk.fsync", "fsync", "fast")]}))[-1] == "All 1 fine."


def test_a_check_that_fails_itself_is_a_finding_and_tells_no_secret(
    context: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumbles(context: Context) -> Iterator[Finding]:
        yield ok("a", "a", "a")
        raise ValueError("s3cret")

    monkeypatch.setattr(doctor, "CHECKS", {"Machine": (stumbles,)})
    first, second = examine(context()).groups["Machine"]
    assert first.severity == "ok"
    assert second.found.startswith("the check itself failed: ValueError at test_page.py:")
    assert "s3cret" not in repr(second)


def test_every_check_says_what_it_is_for() -> None:
    assert [check.__name__ for checks in CHECKS.values() for check in checks if not check.__doc__] == []


def test_no_check_stumbles(context: Callable[..., Context]) -> None:
    for made in (context(), context("a: ["), context(config(criteo()), applied=True)):
        report = examine(made)
        assert [finding for found in report.groups.values() for finding in found if finding.id == "doctor"] == []


def test_each_finding_is_explained() -> None:
    """`docs/doctor.md` has a row for each id that a check gives its findings."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text()
    explained = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", page, re.M)
    ids = [
        id
        for file in Path(doctor.__path__[0]).glob("*.py")
        for id in re.findall(
            r'"((?:configuration|disk|gateway|vendor|clock|events|deliveries)\.[a-z]+)"', file.read_text()
        )
    ]
    assert sorted(explained) == sorted(set(ids))


def test_what_is_to_be_done_for_several_is_said_once() -> None:
    shops = [warning("clock", source, "is 5 min ahead", "set the clock by NTP") for source in ("web", "app")]
    other = warning("clock", "tills", "is 2 h behind", "set the time zone")
    assert lines(Report({"Events": [*shops, other]}))[:6] == [
        "Events",
        "  ! web    is 5 min ahead",
        "  ! app    is 5 min ahead",
        "      → set the clock by NTP",
        "  ! tills  is 2 h behind",
        "      → set the time zone",
    ]
