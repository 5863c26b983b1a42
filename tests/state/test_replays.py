"""Replays meet in the state: a command asks, the gateway runs, a command cancels."""

from collections.abc import Callable

import pytest

from firsthand.config import Config
from firsthand.state.database import StateError
from firsthand.state.store import Replay, State


@pytest.fixture
def state(open_state: Callable[..., State], config: Callable[..., Config]) -> State:
    state = open_state()
    state.apply(config())
    return state


def test_a_replay_from_asking_to_done(state: State) -> None:
    id = state.queue_replay("cards", {"state": "dead", "reason": "vendor_rejected"})
    assert state.replays(["queued"]) == [
        Replay(
            id=id,
            integration="cards",
            filter={"state": "dead", "reason": "vendor_rejected"},
            state="queued",
            progress={},
            created_at="2026-11-22T12:00:00.000Z",
            updated_at="2026-11-22T12:00:00.000Z",
        )
    ]
    assert state.update_replay(id, "running", {"sent": 1}) == "running"
    assert state.update_replay(id, "done") == "done"
    (replay,) = state.replays()
    assert (replay.state, replay.progress) == ("done", {"sent": 1})
    assert state.replays(["queued", "running"]) == []


def test_replays_come_in_the_order_they_were_asked_for(state: State) -> None:
    ids = [state.queue_replay("cards", {}) for _ in range(20)]
    assert [replay.id for replay in state.replays(["queued"])] == ids


def test_a_cancelled_replay_stays_cancelled(state: State) -> None:
    id = state.queue_replay("cards", {})
    state.update_replay(id, "running")
    state.update_replay(id, "cancelled")
    assert state.update_replay(id, "running", {"sent": 5}) == "cancelled", "the runner learns it from the answer"
    assert state.replays()[0].progress == {}


def test_a_replay_needs_an_integration(state: State) -> None:
    with pytest.raises(StateError, match="there is no integration nowhere"):
        state.queue_replay("nowhere", {})
    state.apply(Config())
    with pytest.raises(StateError, match="there is no integration cards"):
        state.queue_replay("cards", {})


def test_an_unknown_replay(state: State) -> None:
    with pytest.raises(StateError, match="there is no replay x"):
        state.update_replay("x", "done")
