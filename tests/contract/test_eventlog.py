"""What `firsthand.eventlog.base` promises, of every event log there is."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.logs import DAY, HOUR, LOGS, NOW, Log, message_id, read_all, record

from firsthand.eventlog.base import PARTITIONS, Gap, LogUnavailable, Record, Row, visitor_hash

OpenLog = Callable[[], AbstractAsyncContextManager[Log]]


@pytest.fixture(params=LOGS, scope="module")
def open_log(request: pytest.FixtureRequest) -> OpenLog:
    return LOGS[request.param]


def records(number: int, source: str = "shop", first: int = 0, size: int = 0) -> list[Record]:
    return [record(f"m{n}", source, size=size) for n in range(first, first + number)]


# -- what goes in comes out ------------------------------------------------------------------------------------------


async def test_an_event_comes_back_as_it_was_appended(open_log: OpenLog) -> None:
    async with open_log() as log:
        sent = record("m1", "shop", "ann", at=NOW - 5)
        await log.writer.append([sent])
        (row,) = await read_all(log.reader, log.shard)
        assert (row.source, row.received_ms, row.body) == ("shop", sent.received_ms, sent.body)
        assert (row.visitor, row.partition) == (visitor_hash("shop", "ann"), visitor_hash("shop", "ann") % PARTITIONS)


async def test_events_are_read_in_the_order_they_were_appended_in(open_log: OpenLog) -> None:
    async with open_log() as log:
        for first in range(0, 60, 20):
            await log.writer.append(records(20, first=first))
        rows = await read_all(log.reader, log.shard, limit=7)
        assert [message_id(row) for row in rows] == [f"m{n}" for n in range(60)]
        assert [row.position for row in rows] == sorted({row.position for row in rows})


async def test_a_reader_beside_the_writer_misses_nothing(open_log: OpenLog) -> None:
    async with open_log() as log:
        appends = [asyncio.create_task(log.writer.append([record(f"m{n}")])) for n in range(200)]
        rows: list[Row] = []
        while len(rows) < 200:
            after = rows[-1].position if rows else 0
            rows += [row for row in await log.reader.read(log.shard, after, 50, wait=1) if isinstance(row, Row)]
        await asyncio.gather(*appends)
        assert [row.position for row in rows] == [row.position for row in await read_all(log.reader, log.shard)]


async def test_a_reader_begins_after_the_position_it_gives(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append(records(5))
        third = (await read_all(log.reader, log.shard))[2]
        assert [message_id(row) for row in await read_all(log.reader, log.shard, third.position)] == ["m3", "m4"]


async def test_no_more_is_read_than_asked_for(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append(records(5))
        assert len(await log.reader.read(log.shard, 0, 3)) == 3


async def test_reading_an_empty_log_gives_nothing(open_log: OpenLog) -> None:
    async with open_log() as log:
        assert await log.reader.read(log.shard, 0, 10, wait=0.05) == []
        assert (log.reader.head(log.shard), log.reader.tail(log.shard)) == (0, 1)


async def test_a_waiting_reader_is_given_the_next_event(open_log: OpenLog) -> None:
    async with open_log() as log:
        waiting = asyncio.create_task(log.reader.read(log.shard, 0, 10, wait=30))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await log.writer.append([record("m1")])
        (row,) = await waiting
        assert isinstance(row, Row)
        assert message_id(row) == "m1"


async def test_an_event_is_found_by_its_source_and_message_id(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append([record("m1", "shop"), record("m1", "app"), record("m2", "app")])
        place = log.reader.find("app", "m1")
        assert place is not None
        row = log.reader.get(*place)
        assert row is not None
        assert (row.source, message_id(row)) == ("app", "m1")
        assert log.reader.find("shop", "m2") is None


async def test_an_event_is_found_as_long_as_it_is_kept(open_log: OpenLog) -> None:
    async with open_log() as log:
        for day in range(5):
            await log.writer.append([record(f"day-{day}")])
            log.time.now += DAY
        await log.reopen()
        assert log.reader.find("shop", "day-0") is not None


async def test_there_is_nothing_to_get_where_no_event_is(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append([record("m1")])
        assert log.reader.get(log.shard, log.reader.head(log.shard) + 1) is None


# -- durability --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["reopen", "crash"])
async def test_what_was_acknowledged_is_there_after_a_restart(open_log: OpenLog, ending: str) -> None:
    async with open_log() as log:
        await log.writer.append(records(300))
        await getattr(log, ending)()
        assert [message_id(row) for row in await read_all(log.reader, log.shard)] == [f"m{n}" for n in range(300)]


@pytest.mark.parametrize("ending", ["reopen", "crash"])
async def test_positions_and_counts_go_on_after_a_restart(open_log: OpenLog, ending: str) -> None:
    async with open_log() as log:
        await log.writer.append(records(3))
        before = log.reader.head(log.shard)
        await getattr(log, ending)()
        await log.writer.append(records(2, first=3))
        (fourth, _) = await read_all(log.reader, log.shard, before)
        assert fourth.position > before
        assert log.reader.counts(log.shard, log.reader.head(log.shard)) == {"shop": 5}


async def test_closing_commits_what_was_handed_in(open_log: OpenLog) -> None:
    async with open_log() as log:
        append = asyncio.create_task(log.writer.append(records(50)))
        await asyncio.sleep(0)
        await log.writer.close()
        assert await append == 50
        with pytest.raises(LogUnavailable):
            await log.writer.append([record("late")])


async def test_closing_twice_does_no_harm(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.close()
        await log.writer.close()


async def test_an_append_whose_caller_goes_away_harms_no_other(open_log: OpenLog) -> None:
    async with open_log() as log:
        leaving = asyncio.create_task(log.writer.append([record("m1")]))
        staying = asyncio.create_task(log.writer.append([record("m2")]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert await staying == 1
        assert await log.writer.append([record("m3")]) == 1


# -- duplicates --------------------------------------------------------------------------------------------------------


async def test_a_message_id_is_taken_once(open_log: OpenLog) -> None:
    async with open_log() as log:
        assert await log.writer.append([record("m1"), record("m2"), record("m1")]) == 2
        assert await log.writer.append([record("m2"), record("m3")]) == 1
        assert [message_id(row) for row in await read_all(log.reader, log.shard)] == ["m1", "m2", "m3"]


async def test_two_sources_may_use_the_same_message_id(open_log: OpenLog) -> None:
    async with open_log() as log:
        assert await log.writer.append([record("m1", "shop"), record("m1", "app")]) == 2


async def test_of_appends_at_the_same_time_one_is_new(open_log: OpenLog) -> None:
    async with open_log() as log:
        new = await asyncio.gather(*(log.writer.append([record("m1"), record(f"own-{n}")]) for n in range(20)))
        assert sorted(new) == [1] * 19 + [2]
        assert len(await read_all(log.reader, log.shard)) == 21


@pytest.mark.parametrize("ending", ["reopen", "crash"])
async def test_a_duplicate_is_known_after_a_restart(open_log: OpenLog, ending: str) -> None:
    async with open_log() as log:
        await log.writer.append(records(5))
        await getattr(log, ending)()
        assert await log.writer.append(records(6)) == 1


@pytest.mark.parametrize("kept", [0, 1])
async def test_a_duplicate_is_known_when_the_log_has_dropped_the_event(open_log: OpenLog, kept: int) -> None:
    async with open_log() as log:
        await log.writer.append([record("m1")])
        log.time.now += 2 * HOUR
        await log.writer.append([record(f"later-{n}", at=log.time.now) for n in range(kept)])
        await log.retain(max_age=HOUR)
        assert len(await log.reader.read(log.shard, 1, 10)) == kept
        assert await log.writer.append([record("m1")]) == 0


async def test_a_message_id_is_remembered_while_days_begin_and_end(open_log: OpenLog) -> None:
    async with open_log() as log:
        for hour in range(60):
            assert await log.writer.append([record(f"hour-{hour}")]) == 1
            assert await log.writer.append([record(f"hour-{n}") for n in range(max(0, hour - 23), hour + 1)]) == 0
            log.time.now += HOUR


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 5, 11, 12, 13, 23, 25, 49]), st.sampled_from("abc")), max_size=40))
def test_a_message_id_is_remembered_for_a_day(open_log: OpenLog, sends: list[tuple[int, str]]) -> None:
    """Whatever the traffic: within 24 hours of being taken, an id is not taken again."""

    async def play() -> None:
        async with open_log() as log:
            taken: dict[str, float] = {}
            for pause, id in sends:
                log.time.now += pause * HOUR
                if await log.writer.append([record(id)]):
                    assert log.time.now - taken.get(id, 0.0) >= DAY
                    taken[id] = log.time.now

    asyncio.run(play())


# -- counts ------------------------------------------------------------------------------------------------------------

appends = st.lists(
    st.lists(st.tuples(st.sampled_from(["shop", "app", "till"]), st.integers(0, 30)), max_size=8), max_size=8
)


@settings(max_examples=30, deadline=None)
@given(appends)
def test_counts_at_any_position_are_those_of_the_rows(open_log: OpenLog, appends: list[list[tuple[str, int]]]) -> None:
    async def play() -> None:
        async with open_log() as log:
            for batch in appends:
                await log.writer.append([record(f"m{n}", source) for source, n in batch])
            rows = await read_all(log.reader, log.shard)
            for upto in range(log.reader.head(log.shard) + 3):
                naive = Counter(row.source for row in rows if row.position <= upto)
                assert Counter(log.reader.counts(log.shard, upto)) == naive

    asyncio.run(play())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), min_size=1, max_size=8), st.integers(0, 100))
def test_counts_still_hold_where_retention_has_been(
    open_log: OpenLog, appends: list[tuple[int, int]], cut: int
) -> None:
    """Also where it cut a commit in two: what was dropped is counted, and so is what is left of it."""

    async def play() -> None:
        async with open_log() as log:
            ids = count()
            for shop, app in appends:
                sources = ["shop"] * shop + ["app"] * app
                await log.writer.append(
                    [record(f"m{n}", source, at=NOW + n) for source, n in zip(sources, ids, strict=False)]
                )
            rows = await read_all(log.reader, log.shard)
            log.time.now = NOW + cut + HOUR
            await log.retain(max_age=HOUR)
            for upto in range(log.reader.tail(log.shard) - 1, log.reader.head(log.shard) + 1):
                naive = Counter(row.source for row in rows if row.position <= upto)
                assert Counter(log.reader.counts(log.shard, upto)) == naive, upto

    asyncio.run(play())


async def test_duplicates_and_refusals_are_counted(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append([record("m1"), record("m1"), record("m1", "app")])
        await log.writer.append([record("m1")])
        for _ in range(3):
            log.writer.note("shop", "refused", "invalid_timestamp")
        await log.reopen()
        log.writer.note("shop", "refused", "invalid_timestamp")
        log.writer.note("shop", "refused", "event_too_large")
        await log.reopen()
        assert log.reader.tallies()["shop"] == (2, 5)
        assert log.reader.noted("refused") == {"shop": {"invalid_timestamp": 4, "event_too_large": 1}}
        assert log.reader.tallies().get("app", (0, 0)) == (0, 0)


async def test_what_is_noted_is_counted_by_kind_and_value_of_which_so_many_are_told_apart(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append([record("m1")])
        for number in range(300):
            log.writer.note("shop", "unknown_path", f"/{number}/{'x' * 5_000}")
            if number == 150:
                await log.reopen()
        log.writer.note("shop", "placeholder", "null", 3)
        await log.reopen()
        paths = log.reader.noted("unknown_path")["shop"]
        assert len(paths) <= 60
        assert max(map(len, paths)) <= 200
        assert sum(paths.values()) == 300
        assert log.reader.noted("placeholder") == {"shop": {"null": 3}}
        assert log.reader.tallies()["shop"] == (0, 0)


async def test_sources_are_those_that_sent_and_those_that_were_refused(open_log: OpenLog) -> None:
    async with open_log() as log:
        assert log.reader.sources() == []
        await log.writer.append([record("m1")])
        log.writer.note("app", "refused", "malformed_json")
        await log.reopen()
        assert log.reader.sources() == ["app", "shop"]


async def test_the_log_says_how_much_it_holds(open_log: OpenLog) -> None:
    async with open_log() as log:
        before = log.reader.status()
        await log.writer.append(records(500, size=400))
        after = log.reader.status()
        assert 100_000 < after.bytes - before.bytes < 1 << 20
        assert not after.full


# -- retention ---------------------------------------------------------------------------------------------------------


async def test_what_is_too_old_is_dropped(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append(records(10))
        log.time.now += DAY
        await log.writer.append([record("young", at=log.time.now)])
        await log.retain(max_age=DAY / 2)
        (gap, young) = await log.reader.read(log.shard, 0, 20)
        assert isinstance(young, Row)
        assert message_id(young) == "young"
        assert gap == Gap(1, young.position - 1, "dropped")
        assert log.reader.tail(log.shard) == young.position


async def test_the_oldest_goes_when_the_log_is_too_large(open_log: OpenLog) -> None:
    async with open_log() as log:
        for first in range(0, 3000, 100):
            await log.writer.append(records(100, first=first, size=1000))
        await log.retain(max_bytes=2 << 20)
        (gap, *rows) = await log.reader.read(log.shard, 0, 3000)
        assert isinstance(gap, Gap)
        assert gap.kind == "dropped"
        assert 0 < len(rows) < 3000
        assert [message_id(row) for row in rows if isinstance(row, Row)] == [
            f"m{n}" for n in range(3000 - len(rows), 3000)
        ]


async def test_a_reader_that_is_far_enough_notices_no_retention(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append(records(10))
        log.time.now += DAY
        await log.writer.append([record("young", at=log.time.now)])
        after = (await read_all(log.reader, log.shard))[9].position
        await log.retain(max_age=DAY / 2)
        assert [message_id(row) for row in await read_all(log.reader, log.shard, after)] == ["young"]


async def test_a_reader_of_an_emptied_log_is_told_of_all_it_missed(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append(records(10))
        log.time.now += DAY
        await log.retain(max_age=HOUR)
        head = log.reader.head(log.shard)
        assert await log.reader.read(log.shard, 4, 20) == [Gap(5, head, "dropped")]
        assert await log.reader.read(log.shard, head, 20) == []
        assert log.reader.tail(log.shard) == head + 1


async def test_what_was_dropped_is_not_found(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append([record("m1")])
        place = log.reader.find("shop", "m1")
        log.time.now += DAY
        await log.retain(max_age=HOUR)
        assert log.reader.find("shop", "m1") is None
        assert place is not None
        assert log.reader.get(*place) is None


async def test_positions_are_never_used_twice(open_log: OpenLog) -> None:
    """Also when retention has emptied the log and the writer was opened anew."""
    async with open_log() as log:
        await log.writer.append(records(10))
        before = log.reader.head(log.shard)
        log.time.now += DAY
        await log.retain(max_age=HOUR)
        await log.reopen()
        await log.crash()
        await log.writer.append([record("next", at=log.time.now)])
        (row,) = await read_all(log.reader, log.shard, before)
        assert row.position > before
        assert log.reader.counts(log.shard, row.position) == {"shop": 11}


# -- back-pressure -----------------------------------------------------------------------------------------------------


async def test_a_writer_that_falls_behind_refuses_and_loses_nothing(open_log: OpenLog) -> None:
    async with open_log() as log:
        waiting: list[asyncio.Task[int]] = []
        async with log.stuck():
            for first in _steps(5000):
                append = asyncio.create_task(log.writer.append(records(5000, first=first)))
                await asyncio.sleep(0.01)
                if append.done():
                    break
                waiting.append(append)
        with pytest.raises(LogUnavailable) as refusal:
            await append
        assert refusal.value.retry_after >= 1
        assert await asyncio.gather(*waiting) == [5000] * len(waiting)
        assert await log.writer.append([record("after")]) == 1
        assert log.reader.counts(log.shard, log.reader.head(log.shard)) == {"shop": 5000 * len(waiting) + 1}


def _steps(size: int) -> Iterator[int]:
    """More than any log should ever take while nothing is written."""
    return iter(range(0, 200_000, size))


async def test_a_time_has_its_place_in_the_log(open_log: OpenLog) -> None:
    async with open_log() as log:
        await log.writer.append([record("early", at=NOW - 2_000), record("late", at=NOW)])
        rows = await read_all(log.reader, log.shard, log.reader.before(log.shard, round((NOW - 1_000) * 1000)))
        assert [message_id(row) for row in rows] == ["late"]
        assert (
            len(await read_all(log.reader, log.shard, log.reader.before(log.shard, round((NOW - 2_000) * 1000)))) == 2
        )
        assert log.reader.before(log.shard, round((NOW + 1) * 1000)) == log.reader.head(log.shard)
