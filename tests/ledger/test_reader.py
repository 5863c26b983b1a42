"""What the ledger says of a lane: how it is, and why its deliveries wait."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.deliver.toys import says
from tests.deliver.world import Consent, World, event, toy

from firsthand.ledger.reader import HEALTH_MS, LedgerReader
from firsthand.ledger.sqlite import SqliteLedger


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


def test_how_a_lane_is_counts_for_some_seconds(tmp_path: Path) -> None:
    """The deliver process notes it over and over: an old note is that of one that is gone."""
    noted = {"at_ms": 1_000, "state": "paused", "cause": "ann@example.com is unknown"}
    ledger = SqliteLedger(tmp_path)
    ledger.set_run_value("lane:toy", json.dumps(noted))
    reader = LedgerReader(tmp_path)
    assert reader.health("toy", 1_000 + HEALTH_MS) == noted | {"cause": "a***@example.com is unknown"}
    assert reader.health("toy", 1_000 + HEALTH_MS + 1) is None
    assert reader.health("other", 1_000) is None
    reader.close()
    ledger.close()


async def test_it_says_why_deliveries_wait(world: World) -> None:
    world.answer = lambda call: says({"later": 1}, retry_after="90")
    await world.start(toy(), toy("asks", consent=Consent(basis="categories", categories=("marketing",))))
    await world.collect(event("m1"), event("m2"))
    await world.settle()
    lane, asks = world.lanes["toy"].id, world.lanes["asks"].id
    assert world.reader.waiting(lane) == {"retrying": {"HTTP 200": 2}}
    assert world.reader.waiting(asks) == {"held": {"consent": 2}}
