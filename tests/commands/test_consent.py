"""`consent` as it is typed: proving the log, handing it over, and checking what was handed over with ten lines."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands.conftest import Firsthand, Said
from tests.deliver.clock import NOW_MS
from tests.deliver.world import Consent, World, event, toy

from firsthand.eventlog.files import open_reader

DOCS = Path(__file__).parents[2] / "docs" / "consent-proof.md"
ASK = Consent(basis="categories")
YES, NO = {"categories": {"marketing": True}}, {"categories": {"marketing": False}}


@pytest.fixture
async def shop(tmp_path: Path) -> Path:
    """A data folder after an hour: ann agreed, bob refused, carl's events waited for his answer, at two vendors."""
    data = tmp_path / "data"
    data.mkdir()
    async with World(data) as world:
        await world.start(toy("one", consent=ASK), toy("two", consent=ASK))
        await world.collect(event("ann-1", visitor="ann", context={"consent": YES}))
        await world.settle()
        await world.collect(event("bob-1", visitor="bob", context={"consent": NO}), event("carl-1", visitor="carl"))
        await world.advance(60)
        await world.collect(event("carl-2", visitor="carl", context={"consent": YES}))
        await world.settle()
        await world.recorder.flush()
        world.ledger.export_consent_head(NOW_MS)
    return data


def exported(said: Said) -> list[dict[str, Any]]:
    assert said.exit_code == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def of_kind(lines: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (line for line in lines if line["kind"] == kind)


# -- verify ------------------------------------------------------------------------------------------------------------


async def test_a_whole_log(firsthand: Firsthand, shop: Path) -> None:
    said = firsthand("consent", "verify", "--data", str(shop))
    assert said.exit_code == 0, said.out + said.err
    assert re.match(r"✓ the consent log is whole: sequence 1 to \d+, 10 decisions\n  8 deliveries", said.out), said.out
    assert "1 exported head agrees with it" in said.out
    found = firsthand("consent", "verify", "--data", str(shop), "--json").json
    assert (found["whole"], found["decisions"], found["deliveries"], found["heads"]) == (True, 10, 8, 1)


async def test_an_edit_is_named(firsthand: Firsthand, shop: Path) -> None:
    db = open_reader(shop / "ledger.db")
    db.pragma("query_only", 0)
    db.execute("UPDATE consent_log SET decisions = replace(decisions, 'refuse', 'allow')")
    db.close()
    said = firsthand("consent", "verify", "--data", str(shop))
    assert said.exit_code == 1
    assert re.match(r"✗ the consent log is broken at sequence \d+: its hash is not that of its content", said.out)
    found = firsthand("consent", "verify", "--data", str(shop), "--json")
    assert found.exit_code == 1
    assert (found.json["whole"], found.json["sequence"] > 1) == (False, True)


def test_before_the_first_start(firsthand: Firsthand) -> None:
    said = firsthand("consent", "verify")
    assert (said.exit_code, said.out) == (1, "")
    assert "it is made when `firsthand serve` first runs" in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "--from", "yesterday"], "is not a time such as 2026-11-22"),
        (["export", "--to", "99999999999999"], "is not a time such as 2026-11-22"),
        (["export", "--visitor", "a", "--message-id", "b"], "give one of them"),
        (["verify", "--frobnicate"], "No such option"),
        (["frobnicate"], "No such command"),
    ],
)
def test_used_wrongly(firsthand: Firsthand, arguments: list[str], said: str) -> None:
    found = firsthand("consent", *arguments)
    assert found.exit_code == 2
    assert said in " ".join(re.sub("[│╭╮╰╯─]", " ", found.err).split())


async def test_what_is_not_there_is_said(firsthand: Firsthand, shop: Path) -> None:
    said = firsthand("consent", "export", "--data", str(shop), "--integration", "three")
    assert (said.exit_code, said.out) == (1, "")
    assert said.err == "firsthand: there is no integration 'three'; there are one, two\n"
    assert (
        "no deliveries of the visitor 'dora'"
        in firsthand("consent", "export", "--data", str(shop), "--visitor", "dora").err
    )
    assert (
        "no deliveries of the message id 'x-1'"
        in firsthand("consent", "export", "--data", str(shop), "--message-id", "x-1").err
    )
    said = firsthand("consent", "export", "--data", str(shop), "--from", "2027-01-01")
    assert (said.exit_code, said.out, said.err) == (0, "", "firsthand: nothing was decided in that time\n")


# -- export ------------------------------------------------------------------------------------------------------------


async def test_all_of_it(firsthand: Firsthand, shop: Path) -> None:
    lines = exported(firsthand("consent", "export", "--data", str(shop)))
    assert lines[0] == {"kind": "anchor", "sequence": 0, "hash": "0" * 64}
    commits = list(of_kind(lines, "commit"))
    assert [commit["sequence"] for commit in commits] == list(range(1, len(commits) + 1))
    assert sum(len(json.loads(commit["decisions"])["of"]) for commit in commits) == 10
    (head,) = of_kind(lines, "head")
    assert head["hash"] == commits[-1]["hash"]


async def test_of_one_visitor(firsthand: Firsthand, shop: Path) -> None:
    lines = exported(firsthand("consent", "export", "--data", str(shop), "--visitor", "carl", "--integration", "two"))
    told = [(d["state"], d["decision"], d["answered_at"]) for d in of_kind(lines, "decision")]
    assert told == [
        ("held", "hold", None),
        ("delivered", "allow", "2026-11-22T12:01:00.000Z"),
        ("delivered", "allow", None),
    ]
    first = next(of_kind(lines, "commit"))
    assert "decisions" not in first, "what is not asked for stays here"
    assert len(first["decisions_sha256"]) == 64


async def test_of_one_event(firsthand: Firsthand, shop: Path) -> None:
    lines = exported(firsthand("consent", "export", "--data", str(shop), "--message-id", "bob-1"))
    told = {(d["integration"], d["decision"], d["basis"], d["detail"]) for d in of_kind(lines, "decision")}
    assert told == {(key, "refuse", "categories", "marketing refused") for key in ("one", "two")}


async def test_of_a_time(firsthand: Firsthand, shop: Path) -> None:
    lines = exported(firsthand("consent", "export", "--data", str(shop), "--from", "2026-11-22T12:00:30Z"))
    commits = list(of_kind(lines, "commit"))
    assert all(commit["at"] >= "2026-11-22T12:00:30" for commit in commits)
    assert lines[0]["sequence"] == commits[0]["sequence"] - 1 > 0


# -- checking it elsewhere ---------------------------------------------------------------------------------------------


def check(tmp_path: Path, text: str) -> tuple[int, str]:
    """With the program that the documentation shows, and nothing of ours."""
    program = re.search(r"```python\n(# check\.py.*?)```", DOCS.read_text(), re.S)
    assert program is not None
    assert len(program[1].strip().splitlines()) <= 14
    (tmp_path / "check.py").write_text(program[1])
    (tmp_path / "proof.jsonl").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-I", "check.py", "proof.jsonl"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "filter", [[], ["--visitor", "carl"], ["--integration", "one"], ["--from", "2026-11-22T12:00:30Z"]]
)
async def test_the_checker_of_the_documentation_agrees(
    firsthand: Firsthand, shop: Path, tmp_path: Path, filter: list[str]
) -> None:
    proof = firsthand("consent", "export", "--data", str(shop), *filter).out
    code, said = check(tmp_path, proof)
    assert (code, said.split(" ")[0]) == (0, "whole:"), said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('refuse\\",\\"categories', 'allow\\",\\"categories'),
        ('"at_ms":1795348800000', '"at_ms":1795348800001'),
        ('"kind":"head","sequence":', '"kind":"head","hash":"00","sequence":'),
    ],
)
async def test_the_checker_finds_what_was_changed(
    firsthand: Firsthand, shop: Path, tmp_path: Path, old: str, new: str
) -> None:
    proof = firsthand("consent", "export", "--data", str(shop)).out
    assert old in proof
    changed = proof.replace(old, new)
    if "head" in old:
        changed = re.sub(r'("kind":"head".*?"hash":")..', r"\1zz", proof)
    code, said = check(tmp_path, changed)
    assert (code, said.startswith("broken at sequence")) == (1, True), said


async def test_the_checker_misses_a_line(firsthand: Firsthand, shop: Path, tmp_path: Path) -> None:
    lines = firsthand("consent", "export", "--data", str(shop)).out.splitlines(keepends=True)
    assert check(tmp_path, "".join(lines[:2] + lines[3:]))[0] == 1
