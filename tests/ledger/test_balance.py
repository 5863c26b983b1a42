"""The counts of a lane, which ledger and log keep apart, add up."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.deliver.world import World, event, toy

from firsthand.ledger.balance import Account, account
from firsthand.ledger.reader import LedgerReader


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


async def counted(world: World) -> Account:
    """While nothing runs, as `firsthand status` does."""
    reader = LedgerReader(world.folder)
    (lane,) = reader.lanes()
    try:
        return await account(lane, reader, world.log, world.clock.now_ms())
    finally:
        reader.close()


async def test_what_a_lane_has_not_come_to_is_pending(world: World) -> None:
    await world.start(toy())
    await world.collect(event(), event())
    await world.settle()
    await world.stop()
    await world.collect(event(), event(), event())
    counts = await counted(world)
    assert (counts.received, counts.delivered, counts.pending) == (5, 2, 3)
    assert counts.balanced


async def test_a_lane_that_retention_overtook_is_not_out_of_balance_until_it_has_seen_that(world: World) -> None:
    await world.start(toy())
    await world.collect(event(), event())
    await world.settle()
    await world.stop()
    await world.collect(*(event() for _ in range(10)))
    world.clock.passed += 3600
    await world.retain(max_age=60.0)
    counts = await counted(world)
    assert (counts.received, counts.delivered, counts.pending, counts.balanced) == (12, 2, 10, True)
    await world.start(toy())
    await world.settle()
    counts = await world.counts()
    assert (counts.received, counts.delivered, counts.dead, counts.pending, counts.balanced) == (12, 2, 10, 0, True)


async def test_rows_that_went_missing_show_where_they_are_counted_again(world: World) -> None:
    await world.start(toy())
    await world.collect(event(), event())
    await world.settle()
    (lane,) = world.reader.lanes()
    counts = await world.counts()
    assert (counts.balanced, counts.recounted) == (True, True)
    world.ledger._db.execute("DELETE FROM deliveries WHERE position = 1")
    quick = await account(lane, world.reader, world.log, world.clock.now_ms())
    assert (quick.balanced, quick.recounted) == (True, None), "that reads every row, so it is asked for"
    counts = await world.counts()
    assert (counts.balanced, counts.recounted) == (False, False)
