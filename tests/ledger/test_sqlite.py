"""The embedded ledger where it is a file that several threads use."""

import threading
from pathlib import Path

import apsw
import pytest
from tests.contract.ledgers import NOW_MS, MemoryLog, delivery
from tests.eventlog.damage import overwrite, pages

from firsthand.ledger.base import LedgerDamaged, LedgerUnavailable
from firsthand.ledger.damage import NOTE, Damage, forget, note, noted
from firsthand.ledger.mending import fault_of
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import LaneBatch
from firsthand.ledger.sqlite import SqliteLedger


def test_commits_notes_and_pruning_go_on_at_the_same_time(tmp_path: Path) -> None:
    """Outcomes are committed in a thread while the event loop writes notes and prunes."""
    ledger, log = SqliteLedger(tmp_path), MemoryLog()
    log.append(*["shop"] * 3000)
    lane = ledger.open_lane("toy", "vendor", ["shop"], {0: 0}, lambda shard, position: {}).id
    failures: list[Exception] = []

    def commits() -> None:
        for n in range(1, 201):
            outcomes = [delivery(n * 10 + i, "delivered") for i in range(10)]
            ledger.commit([LaneBatch(lane=lane, deliveries=outcomes, cursors={0: n * 10 + 9})], NOW_MS)

    def notes() -> None:
        for n in range(300):
            ledger.set_run_value("note", str(n))
            assert ledger.run_value("note") == str(n)
            ledger.prune(NOW_MS + 1)

    def run(job: object) -> None:
        try:
            job()  # type: ignore[operator]
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in (commits, notes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = LedgerReader(tmp_path)
    assert failures == []
    assert sum(row.count for row in reader.counted(lane)) == 2000
    assert reader.counted(lane) == reader.recounted(lane)
    reader.close()
    ledger.close()


def test_there_is_no_reader_before_there_is_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="firsthand serve"):
        LedgerReader(tmp_path)


def test_a_ledger_from_before_ranges_were_found_by_source_still_opens(tmp_path: Path) -> None:
    SqliteLedger(tmp_path).close()
    db = apsw.Connection(str(tmp_path / "ledger.db"))
    db.execute("DROP INDEX ranges_by_source; CREATE INDEX ranges_of ON ranges (lane, shard, last)")
    db.execute("INSERT INTO lanes VALUES (1, 'toy', 'vendor')")
    db.execute("INSERT INTO ranges VALUES (1, 1, 0, 1, 9, 'shop', 'dead', 'log_damaged', 9, 0, 0)")
    db.close()
    SqliteLedger(tmp_path).close()
    reader = LedgerReader(tmp_path)
    assert [span.last for _, _, span in reader.ranges(0, 5, "shop")] == [9]
    reader.close()


def test_whatever_stands_against_a_write_is_told_apart(tmp_path: Path) -> None:
    """What passes is tried again; damage does not pass."""
    ledger = SqliteLedger(tmp_path)
    lane = ledger.open_lane("toy", "vendor", ["shop"], {0: 0}, lambda shard, position: {}).id
    outcomes = [delivery(n, "delivered") for n in range(1, 500)]
    ledger.commit([LaneBatch(lane=lane, deliveries=outcomes, cursors={0: 499})], NOW_MS)
    batch = LaneBatch(lane=lane, deliveries=[delivery(500, "delivered")], cursors={0: 500})

    other = apsw.Connection(str(tmp_path / "ledger.db"))
    ledger._db.set_busy_timeout(0)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="BusyError") as busy:
        ledger.commit([batch], NOW_MS)
    assert not isinstance(busy.value, LedgerDamaged)
    assert "what else has ledger.db open" in busy.value.remedy
    other.close()
    ledger._db.pragma("query_only", 1)
    with pytest.raises(LedgerUnavailable, match="ReadOnlyError"):
        ledger.set_run_value("note", "x")
    ledger.close()

    assert fault_of(tmp_path) is None
    path = tmp_path / "ledger.db"
    overwrite(path, pages(path, "deliveries")[-1][0], 4096)
    ledger = SqliteLedger(tmp_path)
    with pytest.raises(LedgerDamaged, match="damaged"):
        ledger.commit([batch], NOW_MS)
    with pytest.raises(LedgerDamaged):
        ledger.prune(NOW_MS + 60_000)
    ledger.close()
    assert fault_of(tmp_path)


def test_a_note_on_damage_that_was_cut_off_is_one(tmp_path: Path) -> None:
    assert noted(tmp_path) is None
    note(tmp_path, Damage(NOW_MS, "a page"))
    assert noted(tmp_path) == Damage(NOW_MS, "a page")
    (tmp_path / NOTE).write_bytes(b'{"since_')
    assert noted(tmp_path) is not None
    forget(tmp_path)
    assert noted(tmp_path) is None
