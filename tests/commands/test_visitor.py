"""`visitor erase` and `visitor export` as they are typed, in a folder where no gateway runs."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands.conftest import Firsthand
from tests.identity.shop import NOW_MS, event

from firsthand.event import Event, encoder
from firsthand.eventlog.base import Record, visitor_hash
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.state.store import State

ANN = "ann@example.com"


def log(folder: Path, *events: Event) -> None:
    """What a gateway that ran here has taken in, and nobody has read yet."""

    async def write() -> None:
        writer = SqliteLogWriter(folder, max_age=None)
        for number, one in enumerate(events):
            one.message_id = f"m-{number}"
            hashed = visitor_hash("shop", one.anonymous_id or one.user_id or "")
            await writer.append([Record("shop", one.message_id, hashed, NOW_MS, encoder.encode(one))])
        await writer.close()

    State.open(folder, migrate=True)
    asyncio.run(write())


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    log(
        tmp_path / "firsthand-data",
        event(1, anonymous_id=" spaced ", user_id="ann", email=ANN),
        event(2, anonymous_id=" spaced "),
        event(3, user_id="ann-at-work", email=ANN),
        event(4, anonymous_id="bob", properties={"seller": ANN}),
    )
    return tmp_path


def test_a_preview_knows_what_nobody_has_read_yet(folder: Path, firsthand: Firsthand) -> None:
    """The erasure would read it first."""
    found = firsthand("visitor", "erase", "--user-id", "ann", "--dry-run", "--json").json
    assert found["ids"] == {"shop": {"anonymous_ids": [" spaced "], "user_ids": ["ann"], "emails": []}}
    assert (found["shared_emails"], found["linked_users"]) == (
        {"shop": ["a***@example.com"]},
        {"shop": ["ann-at-work"]},
    )
    assert (found["events"], found["mentions"]) == (2, 0)
    linked = ("--with-linked-users", "--dry-run", "--json")
    found = firsthand("visitor", "erase", "--user-id", "ann", *linked).json
    assert (found["events"], found["mentions"], found["linked_users"]) == (3, 1, {})
    assert firsthand("visitor", "erase", "--user-id", "ann", "--with-linked-users", "--json").json["events"] == 3
    assert firsthand("visitor", "erase", "--user-id", "ann", "--dry-run").exit_code == 1


def test_what_stays_is_said(folder: Path, firsthand: Firsthand) -> None:
    said = firsthand("visitor", "erase", "--email", ANN, "--dry-run").out
    assert "2 users with an address in common with them, not taken; --with-linked-users takes them too" in said
    assert "1  events of others stay, without the address that they mention" not in said
    assert "3  events of others stay, without the address that they mention" in said


def test_an_id_with_outer_blanks(folder: Path, firsthand: Firsthand) -> None:
    assert firsthand("visitor", "erase", "--anonymous-id", " spaced ", "--json").json["events"] == 2
    assert firsthand("visitor", "erase", "--anonymous-id", "  ").exit_code == 2


@pytest.mark.parametrize("command", ["erase", "export"])
def test_who_cannot_be_meant_is_said(folder: Path, firsthand: Firsthand, command: str) -> None:
    said = firsthand("visitor", command, "--email", "nobody@example.com")
    assert (said.exit_code, said.out) == (1, "")
    assert "nobody is known by the address 'n***@example.com'" in said.err
    said = firsthand("visitor", command, "--email", ANN, "--source", "typo")
    assert said.exit_code == 2
    assert "known are: shop" in said.err


@pytest.mark.parametrize(("answer", "left"), [(False, 1), (True, 0)])
def test_at_a_terminal_it_asks(
    folder: Path, firsthand: Firsthand, monkeypatch: pytest.MonkeyPatch, answer: bool, left: int
) -> None:
    asked: list[Any] = []
    with monkeypatch.context() as terminal:
        terminal.setattr("sys.stdin.isatty", lambda: True, raising=False)
        terminal.setattr("sys.stdout.isatty", lambda: True, raising=False)
        terminal.setattr("typer.confirm", lambda text: asked.append(text) or answer)
        said = firsthand("visitor", "erase", "--user-id", "ann-at-work")
    assert (said.exit_code, len(asked)) == (0 if answer else 1, 1)
    again = firsthand("visitor", "erase", "--user-id", "ann-at-work", "--dry-run", "--json")
    assert (again.json["events"] if left else again.exit_code) == 1


def test_an_export_onto_a_file_that_others_could_read(folder: Path, firsthand: Firsthand) -> None:
    file = folder / "ann.json"
    file.write_text("x" * 100_000)
    file.chmod(0o644)
    assert firsthand("visitor", "export", "--user-id", "ann", "--output", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one["event"]["messageId"] for one in json.loads(file.read_text())["events"]] == ["m-0", "m-1"]
