"""Events are erased from the log: the places stay, the bytes go, from the file, its free pages and its journal."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from firsthand.event import Event, decoder, encoder
from firsthand.eventlog.base import Record, Row, visitor_hash
from firsthand.eventlog.erasing import scan
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader

NOW_MS = 1_795_348_800_000
SECRET = "secret-of-ann"


def record(number: int, visitor: str = "bob", size: int = 10) -> Record:
    event = Event(
        type="track",
        event="Order Completed",
        message_id=f"m{number}",
        anonymous_id=visitor,
        properties={"x": "y" * size},
    )
    return Record("shop", f"m{number}", visitor_hash("shop", visitor), NOW_MS + number, encoder.encode(event))


def anywhere(folder: Path, text: str = SECRET) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if text.encode() in path.read_bytes()]


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[SqliteLogWriter]:
    writer = SqliteLogWriter(tmp_path, max_age=None)
    yield writer
    await writer.close()


async def test_an_erased_event_keeps_its_place_and_says_nothing(writer: SqliteLogWriter, tmp_path: Path) -> None:
    await writer.append([record(1), record(2, SECRET), record(3, SECRET, size=20_000), record(4)])
    await writer.erase([2, 3])
    await writer.erase([2, 3])  # again, as after a kill
    reader = SqliteLogReader(tmp_path)
    rows = [row for row in await reader.read(0, 0, 10) if isinstance(row, Row)]
    assert [row.position for row in rows] == [1, 2, 3, 4]
    assert decoder.decode(rows[1].body) == Event(type="track", message_id="m2", context={"erased": True})
    assert (rows[1].visitor, rows[1].received_ms) == (0, NOW_MS + 2)
    assert decoder.decode(rows[3].body).anonymous_id == "bob"
    assert reader.counts(0, 4) == {"shop": 4}
    assert reader.find("shop", "m3") == (0, 3)
    assert await writer.append([record(3, SECRET)]) == 0, "a repetition is known as one all the same"
    assert anywhere(tmp_path) == []
    reader.close()


async def test_what_retention_dropped_before_goes_too(tmp_path: Path) -> None:
    writer = SqliteLogWriter(tmp_path, max_age=None)
    await writer.append([record(n, SECRET, size=2_000) for n in range(500)])
    await writer.close()
    writer = SqliteLogWriter(tmp_path, max_age=1.0, clock=lambda: (NOW_MS + 10**9) / 1000)
    await writer.close()
    db = apsw.Connection(str(tmp_path / "events.db"))
    assert db.execute("SELECT count(*) FROM events").get < 500
    db.close()
    assert anywhere(tmp_path)
    writer = SqliteLogWriter(tmp_path, max_age=None)
    await writer.erase(range(1, 501))
    assert anywhere(tmp_path) == []
    await writer.close()


async def test_events_are_taken_meanwhile(writer: SqliteLogWriter, tmp_path: Path) -> None:
    await writer.append([record(n, SECRET) for n in range(1, 3_001)])
    erasing = asyncio.create_task(writer.erase(range(1, 3_001)))
    number = 10_000
    while not erasing.done():
        number += 1
        assert await writer.append([record(number)]) == 1
    await erasing
    assert number > 10_005
    assert anywhere(tmp_path) == []


async def test_a_reader_in_the_way_is_said_and_it_is_done_again(writer: SqliteLogWriter, tmp_path: Path) -> None:
    await writer.append([record(1, SECRET)])
    reader = SqliteLogReader(tmp_path)
    reader._db.execute("BEGIN")
    reader._db.execute("SELECT * FROM events").fetchall()
    with pytest.raises(apsw.BusyError):
        await writer.erase([1])
    reader._db.execute("COMMIT")
    await writer.erase([1])
    assert anywhere(tmp_path) == []
    reader.close()


async def test_scan_finds_by_visitor_by_text_and_by_address(writer: SqliteLogWriter, tmp_path: Path) -> None:
    await writer.append([record(1, "ann"), record(2, "bob"), record(3, "cy"), record(4, "Dan@Example.com")])
    reader = SqliteLogReader(tmp_path)
    found = scan(reader, 4, [visitor_hash("shop", "ann")], [b'"cy"'], ["dan@example.com"])
    assert [row.position for rows in found for row in rows] == [1, 3, 4]
    assert [row.position for rows in scan(reader, 3, [], [], ["dan@example.com"]) for row in rows] == []
    reader.close()


async def test_scan_goes_round_damage(writer: SqliteLogWriter, tmp_path: Path) -> None:
    await writer.append([record(n, "ann", size=3_000) for n in range(1, 101)])
    await writer.close()
    with apsw.Connection(str(tmp_path / "events.db")) as db:
        page = db.execute("SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' LIMIT 1 OFFSET 50").get
    db.close()
    with (tmp_path / "events.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    reader = SqliteLogReader(tmp_path)
    found = [row.position for rows in scan(reader, 100, [], [b'"ann"'], []) for row in rows]
    assert 90 <= len(found) < 100
    assert found[-1] == 100
    reader.close()
