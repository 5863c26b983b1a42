"""Erasures meet in the state: a command asks, two processes carry it out, and nothing tells afterwards who it was."""

from pathlib import Path

import pytest

from firsthand.state.database import StateError
from firsthand.state.store import State


def test_an_erasure_from_asking_to_done(state: State, tmp_path: Path) -> None:
    erasures = state.erasures
    id = erasures.ask({"kind": "e", "value": "ann@example.com"})
    (asked,) = erasures.open()
    assert (asked.id, asked.state, asked.wanted, asked.log_done) == (
        id,
        "queued",
        {"kind": "e", "value": "ann@example.com"},
        False,
    )
    erasures.planned(id, {"ids": {"shop": [["a", "anon-of-ann"]]}})
    erasures.log_done(id)
    erasures.delivered(id, {"events": 3})
    (running,) = erasures.open()
    assert (running.state, running.log_done, running.plan["ids"]) == ("running", True, {"shop": [["a", "anon-of-ann"]]})
    erasures.done(id)
    assert erasures.open() == []
    done = erasures.get(id)
    assert (done.state, done.wanted, done.plan, done.result) == ("done", {}, {}, {"events": 3})
    files = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    assert b"ann" not in files


def test_one_that_cannot_be_carried_out(state: State) -> None:
    id = state.erasures.ask({"kind": "?"})
    state.erasures.failed(id, "no such kind")
    assert (state.erasures.get(id).state, state.erasures.get(id).result) == ("failed", {"error": "no such kind"})
    assert state.erasures.open() == []


def test_an_unknown_one(state: State) -> None:
    with pytest.raises(StateError, match="there is no erasure x"):
        state.erasures.get("x")
