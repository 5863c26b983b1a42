"""The recount of all rows, while delivery goes on: it comes out even, and holds nobody up."""

from collections.abc import Iterator
from itertools import count

import pytest
from tests.contract.ledgers import NOW_MS, SqliteStage, delivery, sqlite_stage

from firsthand.ledger import recount as module
from firsthand.ledger.records import Delivery, Exchange, LaneBatch
from firsthand.ledger.recount import recount

EXCHANGE = Exchange(NOW_MS, 1, 0, 0, "POST", "https://vendor.example/", {}, b"x" * 20_000, 200)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStage]:
    monkeypatch.setattr(module, "STRETCH", 10)
    with sqlite_stage() as stage:
        stage.writer.open_lane("toy", "vendor", ["shop"], {0: 0}, lambda shard, position: {})
        commit(stage, *(delivery(n, "retrying" if n % 5 == 0 else "delivered") for n in range(1, 1001)), upto=1000)
        yield stage


def commit(stage: SqliteStage, *deliveries: Delivery, upto: int, at: int = 0) -> None:
    stage.writer.commit([LaneBatch(lane=1, deliveries=list(deliveries), cursors={0: upto})], NOW_MS + at)


def test_what_changes_meanwhile_is_counted_as_it_stands_at_the_end(stage: SqliteStage) -> None:
    """New outcomes, retries that end, the oldest removed by age: all at once, in every pause."""
    steps = iter(range(1, 10_000))

    def goes_on() -> None:
        step = next(steps)
        commit(stage, delivery(1000 + step, "held"), upto=1000 + step, at=60_000)
        ended = delivery(step * 5, "dead", "poison", previous=("retrying", None, None))
        commit(stage, ended, upto=1000 + step, at=60_000)

    stage.writer.prune(NOW_MS + 100)  # a part is gone before
    found = recount(stage.reader._db, 1, goes_on)
    assert found.rows == found.counters
    assert next(steps) <= 110  # at once, not at the third try
    assert stage.reader.counted(1) == stage.reader.recounted(1)


def test_what_goes_by_age_meanwhile_is_counted_once(stage: SqliteStage) -> None:
    steps = count()

    def ages() -> None:
        if next(steps) == 50:
            assert stage.writer.prune(NOW_MS + 400)

    found = recount(stage.reader._db, 1, ages)
    assert found.rows == found.counters


def test_a_replay_in_between_is_noticed_and_all_is_counted_again(stage: SqliteStage) -> None:
    todo = [n for n in range(1, 200) if n % 5]

    def replays() -> None:
        if todo:
            again = delivery(todo.pop(), "dead", "poison", generation=1, previous=("delivered", "accepted", None))
            commit(stage, again, upto=1000)

    found = recount(stage.reader._db, 1, replays)
    assert not found.disturbed
    assert found.rows == found.counters


def test_the_journal_stays_short_however_long_it_takes(stage: SqliteStage) -> None:
    journal = stage._folder / "ledger.db-wal"
    sizes: list[int] = []
    position = iter(range(1001, 10_000))

    def goes_on() -> None:
        for _ in range(20):
            at = next(position)
            commit(stage, delivery(at, "delivered", exchanges=[EXCHANGE]), upto=at)
        sizes.append(journal.stat().st_size)

    recount(stage.reader._db, 1, goes_on)
    assert len(sizes) == 100
    assert max(sizes) < 8 << 20  # 40 MB were written
