"""The consent log: each commit's decisions in a chain, its head exported once a day, and what an edit looks like."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apsw
import pytest

from firsthand.consent import Decision
from firsthand.ledger import consent_proof, consent_verify
from firsthand.ledger.base import LedgerUnavailable
from firsthand.ledger.consent_log import HEADS
from firsthand.ledger.consent_proof import Broken, ConsentReader, NoConsentLog, Place
from firsthand.ledger.consent_verify import Verified, verify
from firsthand.ledger.records import Delivery, Detail, Exchange, LaneBatch, State
from firsthand.ledger.sqlite import SqliteLedger
from firsthand.reasons import Reason

NOW_MS = 1_795_348_800_000
"""2026-11-22 12:00 UTC."""
DAY_MS = 86_400_000
YES = Decision("allow", "tcf", "vendor 91, purposes 1 3 4")
NO = Decision("refuse", "categories", "marketing refused")
LATER = Decision("allow", "categories", "marketing", "2026-11-22T12:00:00.000Z")


def delivery(position: int, consent: Decision | None = YES, state: State = "delivered", **more: Any) -> Delivery:
    reason = Reason("consent_refused") if state == "filtered" else None
    return Delivery(
        shard=0,
        position=position,
        source="shop",
        visitor=position,
        received_ms=NOW_MS,
        state=state,
        certainty="accepted" if state == "delivered" else None,
        message_id=f"m{position}",
        event=b"{}",
        detail=Detail(name="Order Completed", revision=3, consent=consent, reason=reason),
        **more,
    )


class Books:
    """A ledger with one lane, and what is found in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self.ledger = SqliteLedger(self.folder)
        self.lane = self.ledger.open_lane("criteo", "criteo-s2s", ["shop"], {0: 0}, lambda shard, upto: {}).id

    def close(self) -> None:
        self.ledger.close()

    def commit(self, *deliveries: Delivery, at_ms: int = NOW_MS) -> None:
        upto = max((d.position for d in deliveries), default=0)
        self.ledger.commit([LaneBatch(lane=self.lane, deliveries=list(deliveries), cursors={0: upto})], at_ms)

    def verify(self) -> Verified:
        reader = ConsentReader(self.folder)
        try:
            return verify(reader)
        finally:
            reader.close()

    def execute(self, sql: str, *values: object) -> list[Any]:
        """As somebody with access to the file."""
        db = apsw.Connection(str(self.folder / "ledger.db"))
        try:
            return db.execute(sql, values).fetchall()
        finally:
            db.close()

    @property
    def heads(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / HEADS).read_text().splitlines()]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    books = Books(tmp_path)
    yield books
    books.close()


def test_each_commit_that_decided_something_is_a_link(books: Books) -> None:
    books.commit(delivery(1), delivery(2, NO, "filtered"))
    books.commit(delivery(3, None, "filtered"))
    books.commit(delivery(4, LATER))
    assert books.execute("SELECT sequence FROM consent_log") == [(1,), (2,)]
    assert books.verify() == Verified(first=1, last=2, decisions=3, heads=0, rows=3)


def test_what_was_decided_can_be_read(books: Books) -> None:
    books.commit(delivery(1), delivery(2, NO, "filtered"), delivery(3, LATER))
    reader = ConsentReader(books.folder)
    (commit,) = reader.commits()
    said = [(d.position, d.state, d.decision, d.basis, d.detail, d.answered_at, d.revision) for d in commit.read()]
    assert said == [
        (1, "delivered", "allow", "tcf", "vendor 91, purposes 1 3 4", None, 3),
        (2, "filtered", "refuse", "categories", "marketing refused", None, 3),
        (3, "delivered", "allow", "categories", "marketing", "2026-11-22T12:00:00.000Z", 3),
    ]
    assert {d.integration for d in commit.read()} == {"criteo"}
    reader.close()


def test_it_goes_on_after_a_restart(books: Books) -> None:
    books.commit(delivery(1))
    books.close()
    books.open()
    books.commit(delivery(2))
    assert books.verify().last == 2


def test_a_commit_that_failed_is_no_link(books: Books) -> None:
    books.commit(delivery(1))
    db = books.ledger._db
    db.pragma("max_page_count", db.pragma("page_count"))
    with pytest.raises(LedgerUnavailable):
        books.commit(*(delivery(n) for n in range(2, 2000)))
    db.pragma("max_page_count", 1 << 30)
    books.commit(delivery(2))
    assert books.verify().last == 2


def test_a_decision_that_was_made_again_counts_as_it_was_made_last(books: Books) -> None:
    books.commit(delivery(1, YES, "retrying"))
    books.commit(delivery(1, NO, "filtered", previous=("retrying", None, None)))
    assert books.verify() == Verified(first=1, last=2, decisions=2, heads=0, rows=1)


# -- edits show --------------------------------------------------------------------------------------------------------

EDITS: dict[str, tuple[str, int | None, str]] = {
    "a decision": (
        "UPDATE consent_log SET decisions = replace(decisions, 'refuse', 'allow') WHERE sequence = 2", 2, "its hash"
    ),
    "a time": ("UPDATE consent_log SET at_ms = at_ms + 1 WHERE sequence = 2", 2, "its hash"),
    "a hash": ("UPDATE consent_log SET hash = zeroblob(32) WHERE sequence = 2", 2, "its hash"),
    "a removed row": ("DELETE FROM consent_log WHERE sequence = 2", 2, "it is missing"),
    "a removed beginning": ("DELETE FROM consent_log WHERE sequence = 1", 1, "it is missing"),
    "a removed end": ("DELETE FROM consent_log WHERE sequence = 4", 4, "on 2026-11-22 the log went on to 4"),
    "a delivery's decision": (
        """UPDATE deliveries SET detail = replace(detail, '"refuse"', '"allow"') WHERE position = 2""",
        2, "stands otherwise"
    ),
    "a delivery's state": ("UPDATE deliveries SET state = 'delivered' WHERE position = 2", 2, "stands otherwise"),
    "a removed delivery": ("DELETE FROM deliveries WHERE position = 2", 2, "is not in the ledger any more"),
    "another delivery": (
        "INSERT INTO deliveries SELECT lane, shard, 99, 0, 1, source, state, certainty, code, visitor, received_ms,"
        " updated_ms, next_ms, message_id, detail, event FROM deliveries WHERE position = 2", None, "does not have"
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_shows_and_where(books: Books, edit: tuple[str, int | None, str]) -> None:
    for n in range(1, 5):
        books.commit(delivery(n, NO, "filtered"))
    books.ledger.export_consent_head(NOW_MS)
    books.verify()
    sql, sequence, message = edit
    books.execute(sql)
    with pytest.raises(Broken, match=message) as broken:
        books.verify()
    assert broken.value.sequence == sequence


def test_a_whole_log_written_anew_differs_from_the_head_that_was_exported(books: Books, tmp_path: Path) -> None:
    books.commit(delivery(1, NO, "filtered"))
    books.commit(delivery(2))
    books.ledger.export_consent_head(NOW_MS)
    (tmp_path / "anew").mkdir()
    anew = Books(tmp_path / "anew")
    anew.commit(delivery(1, YES, "filtered"))
    anew.commit(delivery(2))
    assert anew.verify().last == 2, "it is whole in itself"
    (anew.folder / HEADS).write_text((books.folder / HEADS).read_text())
    with pytest.raises(Broken, match="not the one exported at 2026-11-22") as broken:
        anew.verify()
    assert broken.value.sequence == 2
    anew.close()


@pytest.mark.parametrize("line", ["{}", "nonsense", '{"sequence": "1"}', "\xff"])
def test_a_head_that_is_none_shows(books: Books, line: str) -> None:
    books.commit(delivery(1))
    books.ledger.export_consent_head(NOW_MS)
    with (books.folder / HEADS).open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    with pytest.raises(Broken, match="line 2, is no head"):
        books.verify()


# -- heads -------------------------------------------------------------------------------------------------------------


def test_the_head_is_exported_once_a_day_where_there_is_news(books: Books) -> None:
    books.ledger.export_consent_head(NOW_MS)
    assert not (books.folder / HEADS).exists()
    for day in range(3):
        for hour in (0, 1):
            at_ms = NOW_MS + day * DAY_MS + hour * 3_600_000
            books.commit(delivery(10 * day + hour + 1), at_ms=at_ms)
            books.ledger.export_consent_head(at_ms)
    books.ledger.export_consent_head(NOW_MS + 5 * DAY_MS)
    books.ledger.export_consent_head(NOW_MS + 6 * DAY_MS)
    assert [(head["sequence"], head["at"][:10]) for head in books.heads] == [
        (1, "2026-11-22"),
        (3, "2026-11-23"),
        (5, "2026-11-24"),
        (6, "2026-11-27"),
    ]
    assert books.verify().heads == 4


def test_after_a_restart_it_is_known_what_was_exported(books: Books) -> None:
    books.commit(delivery(1))
    books.ledger.export_consent_head(NOW_MS)
    books.close()
    books.open()
    books.commit(delivery(2))
    books.ledger.export_consent_head(NOW_MS)
    assert len(books.heads) == 1
    books.ledger.export_consent_head(NOW_MS + DAY_MS)
    assert [head["sequence"] for head in books.heads] == [1, 2]


def test_a_line_that_was_cut_off_does_not_swallow_the_next(books: Books) -> None:
    (books.folder / HEADS).write_text('{"sequence"')
    books.commit(delivery(1))
    books.ledger.export_consent_head(NOW_MS)
    assert (books.folder / HEADS).read_text().splitlines()[1].startswith('{"sequence":1,')


def test_a_head_that_cannot_be_written_is_written_later(books: Books) -> None:
    (books.folder / HEADS).mkdir()
    books.close()
    books.open()
    books.commit(delivery(1))
    books.ledger.export_consent_head(NOW_MS)
    (books.folder / HEADS).rmdir()
    books.ledger.export_consent_head(NOW_MS + 2_000)
    assert len(books.heads) == 1


def test_a_chain_written_anew_shows_though_its_own_heads_are_added(books: Books) -> None:
    for position in (1, 2):
        books.commit(delivery(position), at_ms=NOW_MS + position)
    books.ledger.export_consent_head(NOW_MS)
    with (books.folder / HEADS).open("a") as file:
        file.write('{"sequence":2,"hash":"%s","at":"2026-11-23T00:00:00.000Z"}\n' % ("0" * 64))
    with pytest.raises(Broken, match="two hashes"):
        books.verify()


def test_a_beginning_that_was_cut_off_shows_by_a_head_too_young_to_be_gone(books: Books) -> None:
    for day in range(4):
        books.commit(delivery(day + 1), at_ms=NOW_MS + day * DAY_MS)
        books.ledger.export_consent_head(NOW_MS + day * DAY_MS)
    books.ledger.prune(NOW_MS + 2 * DAY_MS)
    reader = ConsentReader(books.folder)
    try:
        assert verify(reader, kept_since_ms=NOW_MS + 2 * DAY_MS).first == 3
        with pytest.raises(Broken, match="the log begins after it") as broken:
            verify(reader, kept_since_ms=NOW_MS)
        assert broken.value.sequence == 1
    finally:
        reader.close()


def test_a_new_ledger_begins_with_heads_of_its_own(books: Books) -> None:
    """As after a ledger was moved away because its file was damaged."""
    for position in range(1, 6):
        books.commit(delivery(position))
    books.ledger.export_consent_head(NOW_MS)
    books.close()
    for file in books.folder.glob("ledger.db*"):
        file.unlink()
    books.open()
    books.commit(delivery(1))
    books.ledger.export_consent_head(NOW_MS + DAY_MS)
    assert books.verify() == Verified(first=1, last=1, decisions=1, heads=1, rows=1)
    (aside,) = books.folder.glob("consent-heads.until-*.jsonl")
    assert '"sequence":5' in aside.read_text()


def test_commits_of_two_threads_make_one_chain(books: Books) -> None:
    """As when an erasure commits beside the recorder."""
    other = books.ledger.open_lane("raptor", "raptor", ["shop"], {0: 0}, lambda shard, position: {}).id

    def work(lane: int, first: int) -> None:
        for position in range(first, first + 100):
            books.ledger.commit([LaneBatch(lane=lane, deliveries=[delivery(position)])], NOW_MS)

    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(work, books.lane, 1), pool.submit(work, other, 1_000)):
            done.result()
    assert books.verify() == Verified(first=1, last=200, decisions=200, heads=0, rows=200)


# -- while delivery goes on --------------------------------------------------------------------------------------------


def test_what_is_decided_while_it_is_verified_is_no_fault(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each pause one is decided anew that was read before, one that was not, and a new one; and old ones go."""
    monkeypatch.setattr(consent_verify, "STEP", 5)
    monkeypatch.setattr(consent_proof, "STEP", 5)
    monkeypatch.setattr(consent_verify, "MOST_SUSPECTS", 3)
    for start in range(1, 101, 4):
        books.commit(*(delivery(n, YES, "retrying" if n % 2 else "delivered") for n in range(start, start + 4)))
    todo = list(range(1, 100, 2))

    def goes_on() -> None:
        was = ("retrying", None, None)
        for n in (todo.pop(0), todo.pop()) if len(todo) > 1 else ():
            books.commit(delivery(n, NO, "filtered", previous=was), delivery(100 + n), at_ms=NOW_MS + DAY_MS)
        if len(todo) < 30:
            books.ledger.prune(NOW_MS + 1)

    reader = ConsentReader(books.folder)
    verified = consent_verify.verify(reader, between=goes_on)
    reader.close()
    assert todo == []
    assert verified.rows > 0
    assert books.verify().rows == 100


def test_an_edit_while_it_is_verified_shows(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent_proof, "STEP", 5)
    for n in range(1, 31):
        books.commit(delivery(n))
    edits = iter(["UPDATE deliveries SET state = 'dead' WHERE position = 28"])

    def edited() -> None:
        for edit in edits:
            books.execute(edit)

    reader = ConsentReader(books.folder)
    with pytest.raises(Broken, match="stands otherwise"):
        verify(reader, between=edited)
    reader.close()


def test_the_journal_stays_short_while_it_is_verified(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consent_proof, "STEP", 10)
    monkeypatch.setattr(consent_verify, "STEP", 10)
    for n in range(1, 501):
        books.commit(delivery(n))
    exchange = Exchange(NOW_MS, 1, 0, 0, "POST", "https://vendor.example/", {}, b"x" * 20_000, 200)
    sizes: list[int] = []

    def goes_on() -> None:
        if len(sizes) < 60:
            first = 501 + 20 * len(sizes)
            books.commit(*(delivery(n, None, exchanges=[exchange]) for n in range(first, first + 20)))
            sizes.append((books.folder / "ledger.db-wal").stat().st_size)

    reader = ConsentReader(books.folder)
    assert verify(reader, between=goes_on).rows == 500
    reader.close()
    assert len(sizes) == 60
    assert max(sizes) < 8 << 20  # 24 MB were written


def test_an_export_that_age_overtakes_says_so(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than hand over a chain with a gap in it."""
    monkeypatch.setattr(consent_proof, "STEP", 2)
    for n in range(1, 9):
        books.commit(delivery(n), at_ms=NOW_MS + n)
    reader = ConsentReader(books.folder)
    commits = reader.commits()
    assert [next(commits).sequence for _ in range(2)] == [1, 2]
    books.ledger.prune(NOW_MS + 6)
    with pytest.raises(Broken, match="read it again"):
        next(commits)
    reader.close()


# -- age and growth ----------------------------------------------------------------------------------------------------


def test_what_is_pruned_leaves_a_chain_that_can_be_proved(books: Books) -> None:
    for day in range(10):
        books.commit(delivery(day + 1), at_ms=NOW_MS + day * DAY_MS)
        books.ledger.export_consent_head(NOW_MS + day * DAY_MS)
    books.ledger.prune(NOW_MS + 6 * DAY_MS)
    assert books.verify() == Verified(first=7, last=10, decisions=4, heads=5, rows=4)
    books.close()
    books.open()
    books.commit(delivery(11), at_ms=NOW_MS + 11 * DAY_MS)
    assert books.verify().last == 11
    books.ledger.prune(NOW_MS + 20 * DAY_MS)
    assert books.verify() == Verified(first=11, last=11, decisions=0, heads=0, rows=0)
    books.commit(delivery(12), at_ms=NOW_MS + 21 * DAY_MS)
    assert books.verify() == Verified(first=12, last=12, decisions=1, heads=0, rows=1)


def test_an_open_delivery_outlives_its_first_decisions(books: Books) -> None:
    books.commit(delivery(1, YES, "retrying"))
    books.commit(delivery(2), at_ms=NOW_MS + DAY_MS)
    books.ledger.prune(NOW_MS + 1)
    assert books.verify().rows == 1
    books.commit(delivery(1, NO, "filtered", previous=("retrying", None, None)), at_ms=NOW_MS + 2 * DAY_MS)
    assert books.verify().rows == 2


@pytest.mark.parametrize(
    ("edit", "sequence"),
    [("UPDATE consent_anchor SET hash = zeroblob(32)", 4), ("UPDATE consent_anchor SET sequence = sequence + 1", 5)],
)
def test_an_edit_of_the_anchor_shows(books: Books, edit: str, sequence: int) -> None:
    for day in range(5):
        books.commit(delivery(day + 1), at_ms=NOW_MS + day * DAY_MS)
    books.ledger.prune(NOW_MS + 3 * DAY_MS)
    books.execute(edit)
    with pytest.raises(Broken) as broken:
        books.verify()
    assert broken.value.sequence == sequence


def test_a_ledger_from_before_the_log_is_taken_over(books: Books) -> None:
    books.commit(delivery(1), delivery(2, NO, "filtered"))
    books.execute("DROP TABLE consent_log")
    books.execute("DROP TABLE consent_anchor")
    with pytest.raises(NoConsentLog, match="no consent log yet"):
        books.verify()
    books.close()
    books.open()
    assert books.verify() == Verified(first=0, last=0, decisions=0, heads=0, rows=0)
    books.commit(delivery(3), at_ms=NOW_MS + 1)
    assert books.verify() == Verified(first=1, last=1, decisions=1, heads=0, rows=1)


def test_it_names_nobody(books: Books) -> None:
    """So it can stay as it is when a visitor is erased."""
    one = delivery(1)
    one.visitor, one.message_id, one.event = 4_242_424_242, "message-of-somebody", b'{"userId": "somebody"}'
    books.commit(one)
    ((decisions,),) = books.execute("SELECT decisions FROM consent_log")
    assert "somebody" not in decisions
    assert "4242424242" not in decisions
    books.execute("UPDATE deliveries SET state = 'filtered', code = 'erased', visitor = 0, detail = '{}', event = NULL")
    assert books.verify().rows == 0


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({}, []),
        ({"integration": "criteo"}, [1, 2, 3]),
        ({"integration": "raptor"}, []),
        ({"places": {Place("criteo", 0, 2, 0)}}, [2]),
        ({"integration": "criteo", "places": {Place("criteo", 0, 3, 0), Place("criteo", 0, 9, 0)}}, [3]),
        ({"integration": "raptor", "places": {Place("criteo", 0, 3, 0)}}, []),
    ],
)
def test_an_export_of_some_shows_these_and_proves_the_others_without_them(
    books: Books, wanted: dict[str, Any], shown: list[int]
) -> None:
    for position in (1, 2, 3):
        books.commit(delivery(position))
    reader = ConsentReader(books.folder)
    lines = list(consent_proof.lines(reader, **wanted))
    reader.close()
    assert [line["position"] for line in lines if line["kind"] == "decision"] == shown
    with_content = [line["sequence"] for line in lines if line["kind"] == "commit" and "decisions" in line]
    assert with_content == (shown or ([] if wanted else [1, 2, 3]))


def test_a_visitors_deliveries_are_found_by_the_logs_hash(books: Books) -> None:
    books.commit(delivery(1), delivery(2), delivery(3))
    reader = ConsentReader(books.folder)
    assert reader.visitors({2, 7}) == {Place("criteo", 0, 2, 0)}
    reader.close()


def test_the_log_of_a_delivery_that_is_replayed_keeps_both(books: Books) -> None:
    books.commit(delivery(1, NO, "filtered"))
    books.commit(delivery(1, YES, "delivered", generation=1, previous=("filtered", None, "consent_refused")))
    assert books.verify() == Verified(first=1, last=2, decisions=2, heads=0, rows=2)
