"""Events the log can no longer give are not silently missing: they are counted, by source, with the reason."""

import asyncio
from typing import Any

import apsw
import pytest
from tests.deliver.toys import failure, ok
from tests.deliver.world import World, event, toy

from firsthand.eventlog.sqlite_reader import SqliteLogReader

DOWN = failure("connect", sent=False)


def damage(world: World, *positions: int) -> None:
    db = apsw.Connection(str(world.folder / "events.db"))
    db.set_busy_timeout(5_000)
    db.executemany("UPDATE events SET crc = crc + 1 WHERE position = ?", [(position,) for position in positions])
    db.close()


async def test_a_damaged_event_is_recorded_and_the_others_are_delivered(world: World) -> None:
    await world.start(toy())
    await world.stop()
    await world.collect(*(event(f"m{n}") for n in range(1, 11)))
    damage(world, 4, 5, 9)
    await world.start(toy())
    await world.settle()
    counts = await world.counts()
    assert (counts.delivered, counts.reasons) == (7, {"log_damaged": 3})
    assert (counts.balanced, counts.recounted) == (True, True)
    assert set(world.sent()) == {f"m{n}" for n in (1, 2, 3, 6, 7, 8, 10)}
    assert [span.count for _, _, span in world.reader.ranges(0, 5, "shop")] == [2]  # two that meet are one


async def test_damage_is_counted_for_the_source_it_hit(tmp_path: Any) -> None:
    async with World(tmp_path, sources=["shop", "app"]) as world:
        await world.start(toy())
        await world.stop()
        await world.collect(event(), event())
        await world.collect(event(), event(), source="app")
        damage(world, 1, 3)
        await world.start(toy())
        await world.settle()
        lost = [(row.source, row.count) for row in world.reader.counted(1) if row.code == "log_damaged"]
        assert sorted(lost) == [("app", 1), ("shop", 1)]
        assert (await world.counts()).balanced


async def test_a_damaged_page_is_recorded_with_the_right_number(world: World) -> None:
    await world.start(toy())
    await world.stop()
    await world.collect(*(event() for _ in range(200)))
    await world.writer.close()
    world.log.close()
    db = apsw.Connection(str(world.folder / "events.db"))
    sql = "SELECT pageno, ncell FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path"
    pages: list[Any] = db.execute(sql).fetchall()
    db.close()
    with (world.folder / "events.db").open("r+b") as file:
        file.seek((pages[2][0] - 1) * 4096)
        file.write(b"\xff" * 4096)
    world.log = SqliteLogReader(world.folder)
    await world.start(toy())
    await world.settle()
    counts = await world.counts()
    assert counts.reasons == {"log_damaged": pages[2][1]}
    assert counts.delivered == 200 - pages[2][1]
    assert counts.balanced
    await world.stop()
    world.writer = world._open_writer()


async def test_a_lane_overtaken_by_retention_says_how_much_it_lost(world: World) -> None:
    world.answer = lambda call: DOWN
    await world.start(toy(concurrency=1), window=50)
    for _ in range(10):
        await world.collect(*(event() for _ in range(100)))
    await world.advance(3600)
    await world.retain(max_age=60.0)
    await world.collect(event("young"))
    before = await world.counts()
    assert (before.pending, before.balanced) == (1001 - before.retrying, True)  # not decided on until the lane is there

    world.answer = lambda call: ok()
    await world.advance(1000)
    after = await world.counts()
    assert after.dead > 500
    assert after.reasons == {"backlog_overflow": after.dead}
    assert after.delivered == 1001 - after.dead
    assert (after.balanced, after.recounted) == (True, True)
    assert world.state("young") == ("delivered", None)


async def test_retries_survive_retention(world: World) -> None:
    """They carry their event."""
    world.answer = lambda call: DOWN
    await world.start(toy())
    await world.collect(event("m1"))
    await world.advance(600)
    await world.retain(max_age=60.0)
    assert await world.log.read(0, 0, 10) != []
    world.answer = lambda call: ok()
    await world.advance(900)
    assert world.reader.counted(1)[0].state == "delivered"
    assert world.sent()[-1] == "m1"


async def test_what_was_settled_ahead_of_the_cursor_is_not_lost(world: World) -> None:
    """A crash with one event under way, and then the log loses all of them: one was lost, not ten."""

    async def answer(call: Any) -> Any:
        if call.ids == ["m0"]:
            await asyncio.Event().wait()
        return ok()

    world.answer = answer
    await world.start(toy(concurrency=64))
    await world.collect(*(event(f"m{n}", visitor=str(n)) for n in range(10)))
    await world.settle()
    before = (await world.counts()).delivered
    assert before > 0
    await world.crash()
    world.clock.passed += 3600
    await world.retain(max_age=60.0)
    await world.start(toy(concurrency=64))
    await world.settle()
    counts = await world.counts()
    assert (counts.delivered, counts.dead) == (before, 10 - before)
    assert (counts.balanced, counts.recounted) == (True, True)


@pytest.mark.parametrize("enabled", [True, False])
async def test_what_was_settled_behind_a_gap_is_counted_once_and_not_sent_again(world: World, enabled: bool) -> None:
    """A crash with one event under way, and then the log loses that one alone."""

    async def answer(call: Any) -> Any:
        if call.ids == ["m0"]:
            await asyncio.Event().wait()
        return ok()

    world.answer = answer
    await world.start(toy(concurrency=64))
    await world.collect(*(event(f"m{n}", visitor=str(n)) for n in range(10)))
    await world.settle()
    await world.crash()
    damage(world, 1)
    before = [id for id in world.sent() if id != "m0"]
    await world.start(toy(concurrency=64, enabled=enabled))
    await world.settle()
    counts = await world.counts()
    assert counts.reasons.get("log_damaged") == 1
    assert (counts.pending, counts.balanced, counts.recounted) == (0, True, True)
    assert before
    assert sorted(id for id in world.sent() if id != "m0") == sorted(
        before if not enabled else {f"m{n}" for n in range(1, 10)}
    )


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_disabled_lane_records_gaps_too(world: World, enabled: bool) -> None:
    await world.start(toy())
    await world.stop()
    await world.collect(*(event() for _ in range(10)))
    damage(world, 3)
    await world.start(toy(enabled=enabled))
    await world.settle()
    counts = await world.counts()
    assert counts.reasons.get("log_damaged") == 1
    assert (counts.pending, counts.balanced, counts.recounted) == (0, True, True)
