"""The embedded ledger where it is a file that several threads use."""

import threading
from pathlib import Path

import apsw
import pytest
from tests.contract.ledgers import NOW_MS, MemoryLog, delivery

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
