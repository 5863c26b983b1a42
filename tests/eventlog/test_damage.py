"""Damaged pages that the writer itself meets: it mends the file, loses what was on them and nothing else."""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest
from tests.contract.logs import HOUR, NOW, SqliteLog, message_id, record, sqlite_log
from tests.eventlog.damage import damage, overwrite, pages

from firsthand.eventlog import mending, sqlite
from firsthand.eventlog.base import DamagedLog, Gap, LogUnavailable, Record, Row
from firsthand.eventlog.files import log_bytes
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader

EVENTS = 200


@pytest.fixture
async def log() -> AsyncIterator[SqliteLog]:
    """200 events in commits of 50, by two sources in turn."""
    async with sqlite_log() as log:
        for first in range(0, EVENTS, 50):
            await log.writer.append([event(n) for n in range(first, first + 50)])
        yield log


def source(number: int) -> str:
    return "app" if number % 3 == 0 else "shop"


def event(number: int, at: float = NOW) -> Record:
    """The event at position `number` + 1."""
    return record(f"m{number}", source(number), at=at, size=300)


async def everything(reader: SqliteLogReader) -> tuple[list[str], list[int]]:
    """The message ids that can be read, and the positions that are lost. Each position is one or the other."""
    ids: list[str] = []
    lost: list[int] = []
    after = 0
    while entries := await reader.read(0, after, 100):
        for entry in entries:
            if isinstance(entry, Row):
                ids.append(message_id(entry))
                after = entry.position
            else:
                assert entry.kind == "damaged", entry
                lost += range(entry.first, entry.last + 1)
                after = entry.last
    return ids, lost


async def upkeep(log: SqliteLog) -> None:
    """Let the writer do what it does once a second, by its clock."""
    for _ in range(2):
        log.time.now += sqlite.UPKEEP_SECONDS
        while True:
            with contextlib.suppress(LogUnavailable):  # it is being mended
                await log.writer.append([])
                break
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("places", [(-1,), (-2, -1), (0, -1), (3, 4, -1)])
async def test_events_are_taken_again_where_the_last_page_was_damaged(log: SqliteLog, places: tuple[int, ...]) -> None:
    await damage(log, "events", *places)
    _, lost = await everything(log.reader)
    assert lost
    assert await log.writer.append([event(EVENTS)]) == 1
    ids, still_lost = await everything(log.reader)
    assert still_lost == lost
    assert ids == [f"m{n}" for n in range(EVENTS + 1) if n + 1 not in lost]
    assert log.reader.find("shop", f"m{EVENTS}") == (0, EVENTS + 1)


async def test_counts_are_the_same_before_and_after_mending(log: SqliteLog) -> None:
    """Also at positions inside a commit whose rows are lost: the marks around them say whose they were."""
    await damage(log, "events", 0, 9, -1)
    _, lost = await everything(log.reader)
    await log.writer.append([event(EVENTS)])
    for upto in (position for position in range(EVENTS + 2) if position not in lost or position + 1 not in lost):
        assert +Counter(log.reader.counts(0, upto)) == Counter(source(n) for n in range(upto)), upto


async def test_a_reader_and_duplicates_go_on_over_a_mending(log: SqliteLog) -> None:
    await damage(log, "events", -1)
    first = await log.reader.read(0, 0, 50)
    assert await log.writer.append([event(0), event(EVENTS - 1), event(EVENTS)]) == 1
    assert await log.reader.read(0, 0, 50) == first
    entries = await log.reader.read(0, EVENTS, 10)
    assert [message_id(row) for row in entries if isinstance(row, Row)] == [f"m{EVENTS}"]
    assert log.reader.head(0) == EVENTS + 1


@pytest.mark.parametrize("place", [0, -1])
async def test_damaged_marks_are_mended(place: int) -> None:
    async with sqlite_log() as log:
        for number in range(600):
            await log.writer.append([record(f"m{number}", source(number), at=NOW)])
        await log.writer.close()
        path = log.directory / "events.db"
        number = pages(path, "marks")[place][0]
        log._open()
        overwrite(path, number, 4096)
        log.writer._db.pragma("shrink_memory")
        log.reader.close()
        log.reader = SqliteLogReader(log.directory)
        for n in range(600, 604):
            assert await log.writer.append([event(n)]) == 1
        for upto in (0, 1, 150, 299, 300, 599, 600, 604):
            assert +Counter(log.reader.counts(0, upto)) == Counter(source(n) for n in range(upto)), upto


@pytest.mark.parametrize("place", range(5))
async def test_what_each_source_had_sent_outlives_its_marks(place: int) -> None:
    """Whichever page of them is lost, with events beside it: the next process counts on from there."""
    async with sqlite_log() as log:
        for number in range(600):
            await log.writer.append([record(f"m{number}", source(number), at=NOW)])
        await log.writer.close()
        log.reader.close()
        path = log.directory / "events.db"
        marks, events = pages(path, "marks"), pages(path, "events")
        log._open()  # at its start it would have refused to go on
        overwrite(path, marks[place % len(marks)][0], 4096)
        for damaged in (events[len(events) // 3], events[-1]):
            overwrite(path, damaged[0], 4096)
        log.writer._db.pragma("shrink_memory")
        log.reader.close()
        log.reader = SqliteLogReader(log.directory)
        assert await log.writer.append([event(601)]) == 1  # of one source: the other has no mark behind the damage
        await log.reopen()
        assert log.reader.counts(0, 601) == Counter(source(n) for n in [*range(600), 601])
        assert await log.writer.append([event(602), event(603)]) == 2
        assert log.reader.counts(0, 603) == Counter(source(n) for n in [*range(600), 601, 602, 603])


async def test_a_gap_may_be_wider_than_what_is_copied_at_once(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mending, "CHUNK", 7)
    await damage(log, "events", 0, 4, 5, 6, -1)
    ids, lost = await everything(log.reader)
    assert await log.writer.append([event(EVENTS)]) == 1
    assert await everything(log.reader) == ([*ids, f"m{EVENTS}"], lost)


async def test_retention_by_age_goes_on_behind_a_damaged_first_page(log: SqliteLog) -> None:
    log.time.now += 2 * HOUR
    await log.writer.append([event(EVENTS, at=log.time.now)])
    await damage(log, "events", 0)
    log.writer.max_age = HOUR
    for _ in range(3):
        await upkeep(log)
    (gap, young) = await log.reader.read(0, 0, 10)
    assert gap == Gap(1, EVENTS, "dropped")
    assert isinstance(young, Row)


async def test_retention_by_size_goes_on_behind_a_damaged_first_page(log: SqliteLog) -> None:
    await damage(log, "events", 0)
    log.writer.max_bytes = 4096
    for _ in range(3):
        await upkeep(log)
    assert log.reader.tail(0) == EVENTS + 1
    assert log.reader.counts(0, EVENTS) == Counter(source(n) for n in range(EVENTS))


async def test_lost_rows_stay_as_long_as_the_events_around_them(log: SqliteLog) -> None:
    await damage(log, "events", *range(7), -1)  # more than a whole commit
    _, lost = await everything(log.reader)
    await log.writer.append([event(EVENTS)])
    log.writer.max_age = HOUR
    await upkeep(log)
    assert (await everything(log.reader))[1] == lost
    assert log.reader.tail(0) == lost[0] == 1


async def test_without_room_for_mending_events_are_refused_until_there_is(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    await damage(log, "events", -1)
    usage, needed = shutil.disk_usage(log.directory), 2 * log_bytes(log.writer._db)  # a copy, and a transaction of it
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(total=1 << 20, free=needed - 1))
        with pytest.raises(LogUnavailable, match="mending it takes"):
            await log.writer.append([event(EVENTS)])
    with pytest.raises(LogUnavailable, match="could not be mended"):
        await log.writer.append([event(EVENTS)])
    log.time.now += sqlite.MEND_AGAIN_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage._replace(total=1 << 20, free=needed))
        assert await log.writer.append([event(EVENTS)]) == 1
    assert [file.name for file in log.directory.glob("*mended*")] == []


@pytest.mark.parametrize("bytes_", [b"\0" * 100, b"\xff" * 4096])
async def test_a_log_without_its_first_page_cannot_be_opened(log: SqliteLog, bytes_: bytes) -> None:
    log.reader.close()
    await log.writer.close()  # the last to close brings the journal into the file
    with (log.directory / "events.db").open("r+b") as raw:
        raw.write(bytes_)
    with pytest.raises(DamagedLog, match="cannot be opened"):
        SqliteLogWriter(log.directory)
    (log.directory / "events.db").unlink()
    log._open()


async def test_an_erasure_that_meets_damage_is_done_when_it_is_asked_for_again(log: SqliteLog) -> None:
    await damage(log, "events", 3)
    _, lost = await everything(log.reader)
    whole = lost[-1] + 1
    with pytest.raises(apsw.CorruptError):
        await log.writer.erase([lost[0], whole])
    await log.writer.erase([lost[0], whole])
    row = log.reader.get(0, whole)
    assert row is not None
    assert b'"erased":true' in row.body
    assert (await everything(log.reader))[1] == lost


# -- the memory of message ids -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["seen_1", "generations"])
async def test_a_damaged_memory_of_message_ids_is_made_anew(log: SqliteLog, table: str) -> None:
    path = log.directory / "seen.db"
    log.writer._seen._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    damaged = [number for number, _ in pages(path, table)]
    await log.crash()
    for number in damaged:
        overwrite(log.directory / "seen.db", number, 1024)
    log.reader.close()
    log.reader = SqliteLogReader(log.directory)
    assert await log.writer.append([event(7), event(EVENTS), event(EVENTS)]) == 1
    assert await log.writer.append([event(n) for n in range(EVENTS)]) == 0
    assert log.reader.find(source(7), "m7") == (0, 8)


def test_a_copy_that_a_kill_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / "events.mended.db").write_bytes(b"half of it")
    writer = SqliteLogWriter(tmp_path)
    assert not (tmp_path / "events.mended.db").exists()
    writer._stopping = True
    writer._thread.join()
