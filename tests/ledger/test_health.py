"""How a lane is, as its process noted it: what is old is no news of anybody who delivers."""

import json
from collections.abc import Iterator

import pytest
from tests.contract.ledgers import NOW_MS, SqliteStage, sqlite_stage

from firsthand.ledger.reader import HEALTH_MS


@pytest.fixture
def stage() -> Iterator[SqliteStage]:
    with sqlite_stage() as stage:
        stage.writer.set_run_value("lane:toy", json.dumps({"at_ms": NOW_MS, "breaker": "open", "cause": None}))
        yield stage


@pytest.mark.parametrize(("later_ms", "known"), [(0, True), (HEALTH_MS, True), (HEALTH_MS + 1, False)])
def test_a_note_holds_for_ten_seconds(stage: SqliteStage, later_ms: int, known: bool) -> None:
    assert HEALTH_MS == 10_000, "five of the notes that a process makes"
    health = stage.reader.health("toy", NOW_MS + later_ms)
    assert (health is not None) == known


def test_of_a_lane_that_never_ran_nothing_is_known(stage: SqliteStage) -> None:
    assert stage.reader.health("other", NOW_MS) is None
