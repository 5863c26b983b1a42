"""Proves the consent log: is the chain whole, and does it say what the ledger's rows say?

The ledger goes on meanwhile, and is read in steps. The chain only grows at its end and goes at its beginning, where the
anchor says so; a row that is newer than what was read of the chain does not fit, and is compared again in one short
read, beside all that the chain has by then.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import apsw
import msgspec

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import snapshot
from firsthand.ledger.consent_log import HEADS, Exported, link
from firsthand.ledger.consent_proof import STEP, Broken, Commit, ConsentReader
from firsthand.ledger.records import Detail
from firsthand.ledger.recount import pause

MOST_SUSPECTS = 500
_detail = msgspec.json.Decoder(Detail)
_NEWEST = """
CREATE TABLE newest (
    integration TEXT, shard INTEGER, position INTEGER, generation INTEGER, sequence INTEGER, at_ms INTEGER, said TEXT,
    PRIMARY KEY (integration, shard, position, generation)) WITHOUT ROWID
"""
_COLUMNS = "source, state, code, updated_ms, detail"


class Verified(msgspec.Struct, frozen=True):
    """A chain that is whole. `heads` are the exported ones that agree with it, and `rows` the ledger's deliveries."""

    first: int
    last: int
    decisions: int
    heads: int
    rows: int


class Suspect(NamedTuple):
    """A delivery that stood otherwise than the chain as far as it was read."""

    lane: int
    integration: str
    shard: int
    position: Position
    generation: int


def verify(reader: ConsentReader, kept_since_ms: int | None = None, between: Callable[[], object] = pause) -> Verified:
    """Read the whole chain again, compare it with the exported heads and with the ledger's rows.

    What was exported since `kept_since_ms` must be of rows that are still there. `between` is called between two steps.
    Raises Broken at the first row that does not agree.
    """
    newest = apsw.Connection("")  # a temporary file: there may be more deliveries than memory
    try:
        newest.execute(_NEWEST)
        return _Verifier(reader, newest, between).run(kept_since_ms)
    finally:
        newest.close()


class _Verifier:
    def __init__(self, reader: ConsentReader, newest: apsw.Connection, between: Callable[[], object]) -> None:
        self._reader = reader
        self._newest = newest
        self._between = between
        self._heads = _by_sequence(reader.heads())
        with snapshot(reader.db):
            self._anchor = reader.anchor()
            first = reader.db.execute("SELECT min(sequence) FROM consent_log").get
        self._sequence, self._previous = self._anchor.sequence, self._anchor.hash
        if first is not None and first != self._sequence + 1:
            raise Broken(self._sequence + 1, f"it is missing; the next one there is {first}")
        self._decisions = self._agreeing = 0
        self._suspects: list[Suspect] = []

    def run(self, kept_since_ms: int | None) -> Verified:
        begins = self._anchor.sequence
        for head in self._heads.values():
            if kept_since_ms is not None and head.sequence < begins and head.at_ms >= kept_since_ms:
                why = "the log begins after it, though its age is no reason (or `ledger.max_age` was raised since)"
                raise Broken(head.sequence, f"{why}; its head was exported at {head.at}")
        _compare(self._heads.get(begins), self._previous)
        while self._further():
            self._between()
        for head in self._heads.values():
            if head.sequence > self._sequence:
                found = f"it is missing: on {head.at[:10]} the log went on to {head.sequence}"
                raise Broken(self._sequence + 1, found)
        first, last, decisions = min(begins + 1, self._sequence), self._sequence, self._decisions
        self._rows()
        return Verified(first, last, decisions, sum(begins <= sequence for sequence in self._heads), self._agreeing)

    # -- the chain -------------------------------------------------------------------------------------------------

    def _further(self) -> bool:
        """Take in the next rows of the chain. Whether there may be more."""
        sql = "SELECT sequence, at_ms, decisions, hash FROM consent_log WHERE sequence > ? ORDER BY sequence LIMIT ?"
        rows: list[Any] = self._reader.db.execute(sql, (self._sequence, STEP)).fetchall()
        if not rows or rows[0][0] != self._sequence + 1:
            self._anchor = self._reader.anchor()
            if self._anchor.sequence > self._sequence:  # what comes next has gone by its age
                self._sequence, self._previous = self._anchor.sequence, self._anchor.hash
                return True
        with self._newest:
            for row in rows:
                self._take(Commit(*row))
        return len(rows) == STEP

    def _take(self, commit: Commit) -> None:
        sequence = self._sequence + 1
        if commit.sequence != sequence:
            raise Broken(sequence, f"it is missing; the next one there is {commit.sequence}")
        if link(self._previous, sequence, commit.at_ms, commit.decisions) != commit.hash:
            raise Broken(sequence, "its hash is not that of its content and of the row before it")
        _compare(self._heads.get(sequence), commit.hash)
        decided = commit.read()
        self._decisions += len(decided)
        self._newest.executemany(
            "INSERT OR REPLACE INTO newest VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*one.place, sequence, commit.at_ms, json.dumps(one.said)) for one in decided],
        )
        self._sequence, self._previous = sequence, commit.hash

    # -- the ledger's rows -----------------------------------------------------------------------------------------

    def _rows(self) -> None:
        """Each delivery that the ledger has must be as it was last decided, and none that was decided may be gone
        before its time."""
        lanes: list[Any] = self._reader.db.execute("SELECT id, integration FROM lanes ORDER BY integration").fetchall()
        for lane, integration in lanes:
            after: tuple[Any, ...] = (-1, -1, -1)
            for rows in self._reader.rows(lane, _COLUMNS):
                upto = rows[-1][:3]
                self._stretch(lane, integration, after, upto, {row[:3]: row[3:] for row in rows})
                after = upto
                self._between()
            self._stretch(lane, integration, after, (1 << 62, 0, 0), {})
        self._settle()

    def _stretch(
        self, lane: int, integration: str, after: tuple[Any, ...], upto: tuple[Any, ...], rows: dict[Any, Any]
    ) -> None:
        sql = (
            "SELECT shard, position, generation, sequence, at_ms, said FROM newest WHERE integration = ?"
            " AND (shard, position, generation) > (?, ?, ?) AND (shard, position, generation) <= (?, ?, ?)"
            " ORDER BY shard, position, generation LIMIT ?"
        )
        page: list[Any]
        while page := self._newest.execute(sql, (integration, *after, *upto, STEP)).fetchall():
            for logged in page:
                self._judge(lane, integration, logged[:3], logged[3:], rows.pop(logged[:3], None))
            after = page[-1][:3]
            if len(self._suspects) >= MOST_SUSPECTS:
                self._settle()
        for key, row in rows.items():
            self._judge(lane, integration, key, None, row)

    def _judge(self, lane: int, integration: str, key: Any, logged: Any, row: Any) -> None:
        if self._fault(integration, key, logged, row) is not None:
            self._suspects.append(Suspect(lane, integration, *key))

    def _fault(self, integration: str, key: Any, logged: Any, row: Any) -> Broken | None:
        """What does not agree. `logged` is sequence, time and what was said; one of both is there at least."""
        if row is None:
            if logged[1] < self._anchor.rows_before_ms:
                return None
            return Broken(logged[0], f"{_where(integration, *key)} is not in the ledger any more")
        source, state, code, updated_ms, detail = row
        if code == "erased":
            return None
        said = _said(source, state, detail)
        if logged is None:
            if said is None or updated_ms <= self._anchor.at_ms:
                return None
            return Broken(None, f"{_where(integration, *key)} has a decision that the log does not have")
        if said is None or json.loads(logged[2]) != said:
            return Broken(logged[0], f"{_where(integration, *key)} stands otherwise in the ledger")
        self._agreeing += 1
        return None

    def _settle(self) -> None:
        """Compare what did not agree as both stand at one moment."""
        with snapshot(self._reader.db):
            while self._further():
                pass
            self._anchor = self._reader.anchor()
            for lane, integration, *key in self._suspects:
                row = self._reader.db.execute(
                    f"SELECT {_COLUMNS} FROM deliveries"  # noqa: S608 (our own columns)
                    " WHERE lane = ? AND shard = ? AND position = ? AND generation = ?",
                    (lane, *key),
                ).fetchall()
                logged = self._newest.execute(
                    "SELECT sequence, at_ms, said FROM newest"
                    " WHERE integration = ? AND shard = ? AND position = ? AND generation = ?",
                    (integration, *key),
                ).fetchall()
                if row or logged:
                    fault = self._fault(integration, key, logged[0] if logged else None, row[0] if row else None)
                    if fault is not None:
                        raise fault
        self._suspects.clear()


def _said(source: str, state: str, detail: bytes) -> list[object] | None:
    try:
        found = _detail.decode(detail)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    consent = found.consent
    if consent is None:
        return None
    answered_at = consent.answered_at if isinstance(consent.answered_at, str) else None
    return [source, found.revision, state, consent.decision, consent.basis, consent.detail, answered_at]


def _by_sequence(heads: Iterable[Exported]) -> dict[int, Exported]:
    found: dict[int, Exported] = {}
    for head in heads:
        if found.setdefault(head.sequence, head).hash != head.hash:
            raise Broken(head.sequence, f"{HEADS} has two hashes of it: one of them is of another chain")
    return found


def _compare(head: Exported | None, digest: bytes) -> None:
    if head is not None and head.hash != digest.hex():
        raise Broken(head.sequence, f"its hash is not the one exported at {head.at}")


def _where(integration: str, shard: int, position: Position, generation: int) -> str:
    replayed = f", generation {generation}" if generation else ""
    return f"the delivery of event {shard}:{position} at {integration}{replayed}"
