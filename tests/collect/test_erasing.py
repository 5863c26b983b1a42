"""Collect's part of an erasure: what was found goes from the log, once, and a fault costs that erasure alone."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apsw
import pytest
import structlog

from firsthand.collect import erasing
from firsthand.collect.erasing import follow, work
from firsthand.event import Event, decoder, encoder
from firsthand.eventlog.base import Record, Row, visitor_hash
from firsthand.eventlog.sqlite import SqliteLogWriter
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.state.store import State

ANN = "ann@example.com"


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.open(tmp_path, migrate=True)


class Busy(SqliteLogWriter):
    """A log that counts what it is asked to erase, and in which something may stand in the way."""

    fault: Exception | None = None

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, max_age=None)
        self.asked: list[list[int]] = []

    async def erase(self, positions: Iterable[int], mentions: Mapping[int, Any] | None = None) -> None:
        self.asked.append(list(positions))
        if self.fault is not None:
            raise self.fault
        await super().erase(self.asked[-1], mentions)


def record(number: int, visitor: str, **properties: str) -> Record:
    event = Event(type="track", message_id=f"m{number}", anonymous_id=visitor, properties=dict(properties))
    return Record("shop", f"m{number}", visitor_hash("shop", visitor), 1_795_348_800_000, encoder.encode(event))


def plan(*positions: int, mentions: Iterable[int] = ()) -> dict[str, Any]:
    """Ann's events, and those of others that mention her, as deliver writes them down."""
    return {
        "ids": {"shop": [["a", "ann's"], ["e", ANN]]},
        "events": [[0, position] for position in positions],
        "mentions": {"shop": [[0, position] for position in mentions]},
    }


async def test_what_was_found_goes_and_what_only_mentions_her_is_told_without_her(tmp_path: Path, state: State) -> None:
    log = Busy(tmp_path)
    await log.append([record(1, "ann's"), record(2, "bob", seller=ANN), record(3, "bob")])
    id = state.erasures.begin(plan(1, mentions=[2]))
    await work(state, log)
    reader = SqliteLogReader(tmp_path)
    events = [decoder.decode(row.body) for row in await reader.read(0, 0, 10) if isinstance(row, Row)]
    reader.close()
    await log.close()
    assert [event.anonymous_id for event in events] == [None, "bob", "bob"]
    assert events[0].context == {"erased": True}
    assert events[1].properties == {"seller": "[erased]"}
    assert state.erasures.get(id).log_done


async def test_once_it_is_done_the_log_is_left_alone(tmp_path: Path, state: State) -> None:
    """Deliver may take longer, and each erasing writes the log's journal anew."""
    log = Busy(tmp_path)
    await log.append([record(1, "ann's")])
    id = state.erasures.begin(plan(1))
    await work(state, log)
    await work(state, log)
    assert log.asked == [[1]]
    assert state.erasures.get(id).state == "running", "it is deliver that ends it"
    await log.close()


async def test_what_deliver_has_not_found_yet_waits(tmp_path: Path, state: State) -> None:
    log = Busy(tmp_path)
    id = state.erasures.ask({"kind": "e", "value": ANN})
    await work(state, log)
    assert log.asked == []
    assert not state.erasures.get(id).log_done
    await log.close()


async def test_a_fault_of_ours_ends_this_erasure_and_no_other(tmp_path: Path, state: State) -> None:
    log = Busy(tmp_path)
    await log.append([record(1, "ann's")])
    broken = state.erasures.begin({"ids": "none"})
    id = state.erasures.begin(plan(1))
    await work(state, log)
    assert state.erasures.get(broken).state == "failed"
    assert state.erasures.get(id).log_done
    await log.close()


async def test_the_log_of_the_gateway_says_once_that_something_stands_in_the_way(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "LOOK_SECONDS", 0.001)
    log = Busy(tmp_path)
    log.fault = apsw.BusyError("a reader is in the way")
    with structlog.testing.capture_logs() as said:
        following = asyncio.create_task(follow(state, log))
        for times in (1, 2):  # it is said again when it comes back after all went well
            log.fault = apsw.BusyError("a reader is in the way")
            id = state.erasures.begin(plan(1))
            looked = len(log.asked)
            while len(log.asked) < looked + 3:
                await asyncio.sleep(0.001)
            assert [line["event"] for line in said] == ["an erasure cannot go on"] * times
            log.fault = None
            while not state.erasures.get(id).log_done:
                await asyncio.sleep(0.001)
            await work(state, log)
        following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await log.close()


async def test_what_stands_in_the_way_for_a_while_is_tried_again(tmp_path: Path, state: State) -> None:
    log = Busy(tmp_path)
    await log.append([record(1, "ann's")])
    id = state.erasures.begin(plan(1))
    log.fault = apsw.BusyError("a reader is in the way")
    with pytest.raises(apsw.BusyError):
        await work(state, log)
    erasure = state.erasures.get(id)
    assert (erasure.state, erasure.log_done) == ("running", False)
    log.fault = None
    await work(state, log)
    assert state.erasures.get(id).log_done
    await log.close()
