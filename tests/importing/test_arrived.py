"""What the log can tell of events that may have arrived."""

import time
from pathlib import Path

from tests.gateway import until

from firsthand.eventlog.base import Record
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.importing.destination import Arrived

HOUR = 3600.0


def record(id: str, at: float) -> Record:
    return Record("shop", id, 1, round(at * 1000), b'{"type":"page","messageId":"%s"}' % id.encode())


async def test_it_knows_what_the_log_has(tmp_path: Path):
    now = time.time()
    writer = SqliteLogWriter(tmp_path, clock=lambda: now)
    await writer.append([record("m-1", now), record("m-2", now)])
    arrived = Arrived(tmp_path, "shop")
    assert arrived.known(["m-1", "m-3"]) == {"m-1"}
    assert Arrived(tmp_path, "other").known(["m-1"]) == set()
    assert await arrived.remembers(0)
    arrived.close()
    await writer.close()


async def test_it_knows_when_it_cannot_know(tmp_path: Path):
    """Where the log has dropped events of that time, or is another machine's."""
    begun = now = time.time()
    writer = SqliteLogWriter(tmp_path, max_age=HOUR, clock=lambda: now)
    await writer.append([record("m-1", now)])
    now += 2 * HOUR
    await writer.append([record("m-2", now)])
    reader = SqliteLogReader(tmp_path)
    until("the first is dropped", lambda: reader.tail(0) > 1)
    reader.close()
    arrived = Arrived(tmp_path, "shop")
    assert not await arrived.remembers(round(begun * 1000))
    assert await arrived.remembers(round(now * 1000))
    arrived.close()
    await writer.close()
    assert not await Arrived(None, "shop").remembers(0)


async def test_there_is_no_log_yet(tmp_path: Path):
    assert Arrived(tmp_path, "shop").known(["m-1"]) == set()
