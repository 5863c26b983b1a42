"""The embedded event log where it is a file: disks that are full, files that are damaged, processes that are killed."""

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.contract.logs import SqliteLog, message_id, read_all, record, sqlite_log

from firsthand.eventlog import sqlite
from firsthand.eventlog.base import Gap, LogUnavailable, Position, Row
from firsthand.eventlog.sqlite_reader import SqliteLogReader


@pytest.fixture
async def log() -> AsyncIterator[SqliteLog]:
    async with sqlite_log() as log:
        yield log


Corrupt = Callable[..., Awaitable[list[Position]]]


async def append(log: SqliteLog, number: int, source: str = "shop", first: int = 0, size: int = 300) -> None:
    """Events m0, m1, … in one commit."""
    await log.writer.append([record(f"m{n}", source, size=size) for n in range(first, first + number)])


async def everything(reader: SqliteLogReader, after: Position = 0) -> list[Row | Gap]:
    found: list[Row | Gap] = []
    while entries := await reader.read(0, after, 100):
        found += entries
        last = entries[-1]
        after = last.position if isinstance(last, Row) else last.last
    return found


def gaps(found: list[Row | Gap]) -> list[Gap]:
    return [entry for entry in found if isinstance(entry, Gap)]


def rows(found: list[Row | Gap]) -> list[Row]:
    return [entry for entry in found if isinstance(entry, Row)]


def change_file(log: SqliteLog, sql: str) -> None:
    """Change the log behind its back."""
    db = apsw.Connection(str(log.directory / "events.db"))
    db.set_busy_timeout(5_000)
    db.execute(sql)
    db.close()


# -- damage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "body = x'7b7d'",
        "body = 'a text'",
        "body = CAST(x'c328' AS TEXT)",
        "visitor = visitor + 1",
        "visitor = 'nobody'",
        "received_ms = 0",
        "source = 99",
        "crc = crc + 1",
        "format = 2",
    ],
)
async def test_a_damaged_row_is_a_gap_and_the_others_are_read(log: SqliteLog, change: str) -> None:
    await append(log, 20)
    change_file(log, f"UPDATE events SET {change} WHERE position = 8")
    found = await everything(log.reader)
    assert gaps(found) == [Gap(8, 8, "damaged")]
    assert [row.position for row in rows(found)] == [n for n in range(1, 21) if n != 8]
    assert log.reader.get(0, 8) is None


async def test_a_row_put_in_another_ones_place_is_noticed(log: SqliteLog) -> None:
    await append(log, 3)
    change_file(log, "UPDATE events SET body = (SELECT body FROM events WHERE position = 1) WHERE position = 2")
    assert gaps(await everything(log.reader)) == [Gap(2, 2, "damaged")]


@pytest.fixture
async def corrupt(log: SqliteLog) -> Corrupt:
    """Overwrites leaf pages of the table of events; gives the positions that were on them. The log is opened anew."""

    async def do(*pages: int) -> list[Position]:
        await log.writer.close()
        log.reader.close()
        path = log.directory / "events.db"
        db = apsw.Connection(str(path))
        sql = "SELECT pageno, ncell FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' ORDER BY path"
        leaves: list[Any] = db.execute(sql).fetchall()
        db.close()
        lost: list[Position] = []
        with path.open("r+b") as file:
            for page in pages:
                number, rows = leaves[page]
                first = sum(size for _, size in leaves[: page % len(leaves)]) + 1
                lost += range(first, first + rows)
                file.seek((number - 1) * 4096)
                file.write(b"\xff" * 4096)
        log._open()
        return lost

    return do


@pytest.mark.parametrize("page", [0, 1, 7, -1])
async def test_a_damaged_page_costs_the_rows_on_it_and_no_others(log: SqliteLog, corrupt: Corrupt, page: int) -> None:
    await append(log, 200)
    lost = await corrupt(page)
    found = await everything(log.reader)
    assert [number for gap in gaps(found) for number in range(gap.first, gap.last + 1)] == lost
    assert {gap.kind for gap in gaps(found)} == {"damaged"}
    assert [row.position for row in rows(found)] == [n for n in range(1, 201) if n not in lost]


async def test_two_damaged_pages_are_two_gaps(log: SqliteLog, corrupt: Corrupt) -> None:
    await append(log, 200)
    lost = await corrupt(3, 9)
    found = await everything(log.reader)
    assert [row.position for row in rows(found)] == [n for n in range(1, 201) if n not in lost]


@pytest.mark.parametrize("page", [0, 3, -1])
async def test_counts_hold_around_a_damaged_page(log: SqliteLog, corrupt: Corrupt, page: int) -> None:
    """Also in the middle of one large commit, where rows have to be counted."""
    await append(log, 60, "app")
    await append(log, 140, "shop", first=60)
    lost = await corrupt(page)
    for upto in (lost[0] - 1, lost[-1], 200):
        naive = Counter("app" if position <= 60 else "shop" for position in range(1, upto + 1))
        assert Counter(log.reader.counts(0, upto)) == naive


async def test_the_tail_is_found_behind_a_damaged_first_page(log: SqliteLog, corrupt: Corrupt) -> None:
    await append(log, 200)
    lost = await corrupt(0)
    assert log.reader.tail(0) == lost[-1] + 1


async def test_events_are_still_taken_beside_a_damaged_page(log: SqliteLog, corrupt: Corrupt) -> None:
    await append(log, 200)
    await corrupt(3)
    await append(log, 10, first=195)
    assert message_id(rows(await everything(log.reader))[-1]) == "m204"


# -- the memory of message ids -----------------------------------------------------------------------------------------


def lose_seen(folder: Path) -> None:
    for name in ("seen.db", "seen.db-wal", "seen.db-shm"):
        (folder / name).unlink(missing_ok=True)


def break_seen(folder: Path) -> None:
    lose_seen(folder)
    (folder / "seen.db").write_bytes(b"this is no database" * 500)


@pytest.mark.parametrize("harm", [lose_seen, break_seen])
async def test_lost_message_ids_are_learned_again_from_the_log(log: SqliteLog, harm: Callable[[Path], None]) -> None:
    await append(log, 50)
    await log.writer.close()
    log.reader.close()
    harm(log.directory)
    log._open()
    assert await log.writer.append([record("m7"), record("new")]) == 1
    assert log.reader.find("shop", "m49") == (0, 50)


async def test_message_ids_that_a_crash_cut_off_are_learned_at_start(log: SqliteLog) -> None:
    await append(log, 10)
    await log.writer.close()
    shutil.copyfile(log.directory / "seen.db", log.directory / "older")
    log._open()
    await append(log, 10, first=10)
    await log.writer.close()
    log.reader.close()
    shutil.move(log.directory / "older", log.directory / "seen.db")
    log._open()
    assert await log.writer.append([record("m5"), record("m15")]) == 0


async def test_lost_message_ids_and_a_damaged_page_do_not_keep_the_log_from_starting(
    log: SqliteLog, corrupt: Corrupt
) -> None:
    await append(log, 200)
    lost = await corrupt(3)
    await log.writer.close()
    lose_seen(log.directory)
    log._open()
    assert await log.writer.append([record("m0"), record("m199")]) == 0
    assert await log.writer.append([record(f"m{lost[0] - 1}")]) == 1  # what cannot be read cannot be known


async def test_an_event_is_taken_when_its_id_cannot_be_remembered_yet(log: SqliteLog) -> None:
    """The event is safe, so the answer is yes; the next one waits until duplicates would be noticed again."""
    await append(log, 1)
    seen = log.writer._seen._db
    seen.pragma("max_page_count", seen.pragma("page_count"))
    assert await log.writer.append([record(f"new-{n}") for n in range(200)]) == 200
    with pytest.raises(LogUnavailable):
        await log.writer.append([record("m2")])
    seen.pragma("max_page_count", 1 << 30)
    assert await log.writer.append([record("new-0"), record("new-199"), record("m3")]) == 1


async def test_old_message_ids_go_with_their_events(log: SqliteLog) -> None:
    for day in range(5):
        await log.writer.append([record(f"day-{day}", at=log.time.now)])
        log.time.now += 86_400
    assert log.reader.find("shop", "day-0") is not None
    await log.retain(max_age=3 * 86_400)
    tables = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'seen_%'"
    assert apsw.Connection(str(log.directory / "seen.db")).execute(tables).get == 3
    assert log.reader.find("shop", "day-0") is None
    assert log.reader.find("shop", "day-2") is not None


# -- trouble on the disk -----------------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_events_until_there_is_room(log: SqliteLog) -> None:
    await append(log, 10)
    db = log.writer._db
    db.pragma("max_page_count", db.pragma("page_count"))
    with pytest.raises(LogUnavailable) as refusal:
        await append(log, 100, first=10)
    assert refusal.value.retry_after > 0
    assert log.writer.full
    db.pragma("max_page_count", 1 << 30)
    assert await log.writer.append([record("m10")]) == 1
    assert not log.writer.full
    assert len(await read_all(log.reader, 0)) == 11


async def test_no_events_are_taken_when_the_ledger_would_have_no_room(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(log.directory)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(LogUnavailable, match="the disk is full"):
        await append(log, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert await log.writer.append([record("m0")]) == 1


async def test_what_a_full_log_refused_is_counted_later(log: SqliteLog, monkeypatch: pytest.MonkeyPatch) -> None:
    await append(log, 1)
    log.writer.note("shop", "refused", "malformed_json")
    with monkeypatch.context() as patch:
        patch.setattr(log.writer, "_tally", lambda *args: (_ for _ in ()).throw(apsw.FullError()))
        await _upkeep(log)
    await log.reopen()
    assert log.reader.tallies()["shop"] == (0, 1)
    assert log.reader.noted("refused") == {"shop": {"malformed_json": 1}}


async def test_a_record_that_cannot_be_written_takes_nothing_else_down(log: SqliteLog) -> None:
    sound = record("m1")
    with pytest.raises(LogUnavailable):
        await log.writer.append([type(sound)("shop", "m0", 1 << 80, 0, b"{}")])
    assert await log.writer.append([sound]) == 1


# -- while it runs -----------------------------------------------------------------------------------------------------


async def _upkeep(log: SqliteLog) -> None:
    """Let the writer do what it does once a second, by its clock."""
    for _ in range(2):
        log.time.now += sqlite.UPKEEP_SECONDS
        await log.writer.append([])


async def test_retention_goes_on_while_events_arrive(log: SqliteLog) -> None:
    log.writer.max_age = 3600.0
    await append(log, 2500, size=0)
    log.time.now += 7200
    await log.writer.append([record("young", at=log.time.now)])
    await _upkeep(log)
    await _upkeep(log)
    (gap, young) = await log.reader.read(0, 0, 10)
    assert gap == Gap(1, 2500, "dropped")
    assert isinstance(young, Row)


async def test_retention_in_the_middle_of_a_read_is_no_silent_gap(log: SqliteLog) -> None:
    await append(log, 10)

    class Overtaken(SqliteLogReader):
        def _oldest(self) -> Position:
            oldest = super()._oldest()
            change_file(log, "DELETE FROM events WHERE position <= 5")
            return oldest

    reader = Overtaken(log.directory)
    found = await reader.read(0, 0, 20)
    reader.close()
    assert len(rows(found)) == 10 or gaps(found) == [Gap(1, 5, "dropped")]


async def test_the_log_says_how_full_it_is(log: SqliteLog) -> None:
    log.writer.max_bytes = 1 << 20
    await append(log, 500)
    await _upkeep(log)
    status = log.reader.status()
    assert (status.max_bytes, status.full) == (1 << 20, False)
    assert 100_000 < status.bytes < 1 << 20


def test_there_is_no_reader_before_there_is_a_log(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="firsthand serve"):
        SqliteLogReader(tmp_path)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    script = Path(__file__).with_name("appender.py")
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [next(process.stdout).strip() for _ in range(500)]
        process.kill()
        acknowledged += process.stdout.read().split("\n")[:-1]
    reader = SqliteLogReader(tmp_path)
    found = asyncio.run(everything(reader))
    reader.close()
    assert gaps(found) == []
    assert set(acknowledged) <= {message_id(row) for row in rows(found)}


async def test_what_an_older_version_refused_is_still_counted(log: SqliteLog) -> None:
    await append(log, 1)
    await log.writer.close()
    with apsw.Connection(str(log.directory / "events.db")) as db:
        db.execute("CREATE TABLE refusals (source TEXT, code TEXT, count INTEGER)")
        db.execute("INSERT INTO refusals VALUES ('shop', 'malformed_json', 7)")
        db.execute("DROP TABLE noted")
    assert log.reader.noted("refused") == {}
    await log.reopen()
    log.writer.note("shop", "refused", "malformed_json")
    await log.reopen()
    assert log.reader.noted("refused") == {"shop": {"malformed_json": 8}}
