"""The reading side of the consent log: is the chain whole, and what does it say? Any process; writes nothing."""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from firsthand.event import format_time
from firsthand.eventlog.base import Position
from firsthand.eventlog.files import open_reader, snapshot
from firsthand.ledger.consent_log import HEADS, Exported, link
from firsthand.ledger.records import Detail

_detail = msgspec.json.Decoder(Detail)


class Broken(Exception):
    """What does not agree, and where it begins."""

    def __init__(self, sequence: int | None, message: str) -> None:
        super().__init__(message)
        self.sequence = sequence
        """None where it is the ledger's row that no row of the log stands for."""


class NoConsentLog(Exception):
    """There is nothing to read yet."""


class Place(NamedTuple):
    """A delivery: what it is of, and which one."""

    integration: str
    shard: int
    position: Position
    generation: int


class Decided(msgspec.Struct, frozen=True):
    """One decision, as the log has it. `source` and `integration` are keys; `answered_at` is there where the answer
    that counted was not the event's own."""

    integration: str
    source: str
    shard: int
    position: Position
    generation: int
    revision: int
    state: str
    decision: str
    basis: str
    detail: str
    answered_at: str | None

    @property
    def place(self) -> Place:
        return Place(self.integration, self.shard, self.position, self.generation)

    @property
    def said(self) -> tuple[object, ...]:
        return (self.source, self.revision, self.state, self.decision, self.basis, self.detail, self.answered_at)


class Commit(msgspec.Struct, frozen=True):
    """A row of the log."""

    sequence: int
    at_ms: int
    decisions: str
    hash: bytes

    def read(self) -> list[Decided]:
        """Raises Broken where the decisions are none."""
        try:
            content = json.loads(self.decisions)
            what = content["what"]
            found = []
            for index, shard, position, generation in content["of"]:
                name, source, revision, state, decision, basis, detail, answered_at = what[index]
                found.append(
                    Decided(
                        name, source, shard, position, generation, revision, state, decision, basis, detail, answered_at
                    )
                )
        except (ValueError, KeyError, TypeError, IndexError):
            raise Broken(self.sequence, "its decisions can't be read") from None
        return found


class Anchor(msgspec.Struct, frozen=True):
    """What the oldest row kept follows on."""

    sequence: int
    at_ms: int
    hash: bytes
    rows_before_ms: int


class Verified(msgspec.Struct, frozen=True):
    """A chain that is whole. `heads` are the exported ones that agree with it, and `rows` the ledger's deliveries."""

    first: int
    last: int
    decisions: int
    heads: int
    rows: int


class ConsentReader:
    """Reads one moment of the ledger, however long it takes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._db = open_reader(directory / "ledger.db")
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'consent_anchor'").get:
            self._db.close()
            raise NoConsentLog("this ledger has no consent log yet: it is made when `firsthand serve` next runs")

    def close(self) -> None:
        self._db.close()

    def anchor(self) -> Anchor:
        row: Any = self._db.execute("SELECT sequence, at_ms, hash, rows_before_ms FROM consent_anchor").get
        return Anchor(*row)

    def commits(self, from_ms: int | None = None, to_ms: int | None = None) -> Iterator[Commit]:
        """The rows of a time, the end excluded, without a gap: all from the first to the last of that time."""
        low, high = self._bounds(from_ms, to_ms)
        sql = (
            "SELECT sequence, at_ms, decisions, hash FROM consent_log WHERE sequence BETWEEN ? AND ? ORDER BY sequence"
        )
        for sequence, at_ms, decisions, digest in self._db.execute(sql, (low, high)):
            yield Commit(sequence, at_ms, decisions, digest)

    def _bounds(self, from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
        row: Any = self._db.execute(
            "SELECT min(sequence), max(sequence) FROM consent_log"
            " WHERE (?1 IS NULL OR at_ms >= ?1) AND (?2 IS NULL OR at_ms < ?2)",
            (from_ms, to_ms),
        ).get
        return (row[0], row[1]) if row[0] is not None else (1, 0)

    def before(self, sequence: int) -> bytes:
        """The hash that a row follows on."""
        found: Any = self._db.execute("SELECT hash FROM consent_log WHERE sequence = ?", (sequence - 1,)).get
        return bytes(found) if found is not None else self.anchor().hash

    def heads(self) -> list[Exported]:
        """The heads that were exported. Raises Broken where the file is not what we write."""
        path = self._directory / HEADS
        if not path.exists():
            return []
        found: list[Exported] = []
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                found.append(msgspec.json.decode(line, type=Exported))
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise Broken(found[-1].sequence + 1 if found else 1, f"{HEADS}, line {number}, is no head") from None
        return found

    def visitors(self, hashes: set[int]) -> set[Place]:
        """The deliveries of visitors, by the log's hashes of them, that the ledger still has. Reads every row."""
        sql = (
            "SELECT l.integration, d.shard, d.position, d.generation FROM deliveries d JOIN lanes l ON l.id = d.lane"
            " WHERE d.visitor IN (SELECT value FROM json_each(?))"
        )
        return {Place(*row) for row in self._db.execute(sql, (json.dumps(sorted(hashes)),))}

    def integrations(self) -> list[str]:
        return [key for (key,) in self._db.execute("SELECT integration FROM lanes ORDER BY integration")]

    def of_message(self, message_id: str, positions: Iterable[tuple[int, Position]]) -> set[Place]:
        """The deliveries of events, by their places in the log, or of one whose delivery keeps it."""
        columns = (
            "SELECT l.integration, d.shard, d.position, d.generation FROM lanes l JOIN deliveries d ON d.lane = l.id"
        )
        found = {Place(*row) for row in self._db.execute(f"{columns} WHERE d.message_id = ?", (message_id,))}
        for place in positions:
            rows = self._db.execute(f"{columns} WHERE d.shard = ? AND d.position = ?", place)
            found.update(Place(*row) for row in rows)
        return found

    # -- verifying -------------------------------------------------------------------------------------------------

    def verify(self, kept_since_ms: int | None = None) -> Verified:
        """Read the whole chain again, compare it with the exported heads and with the ledger's rows.

        What was exported since `kept_since_ms` must be of rows that are still there. Raises Broken at the first row
        that does not agree.
        """
        with snapshot(self._db):
            anchor, heads = self.anchor(), _by_sequence(self.heads())
            for head in heads.values():
                if kept_since_ms is not None and head.sequence < anchor.sequence and head.at_ms >= kept_since_ms:
                    why = "the log begins after it, though its age is no reason (or `ledger.max_age` was raised since)"
                    raise Broken(head.sequence, f"{why}; its head was exported at {head.at}")
            newest = apsw.Connection("")  # a temporary file: there may be more deliveries than memory
            try:
                newest.execute(
                    "CREATE TABLE newest (integration TEXT, shard INTEGER, position INTEGER, generation INTEGER,"
                    " sequence INTEGER, at_ms INTEGER, said TEXT,"
                    " PRIMARY KEY (integration, shard, position, generation)) WITHOUT ROWID"
                )
                with newest:
                    last, decisions, first = self._chain(anchor, heads, newest)
                compared = sum(anchor.sequence <= sequence for sequence in heads)
                return Verified(first, last, decisions, compared, self._rows(anchor, newest))
            finally:
                newest.close()

    def _chain(self, anchor: Anchor, exported: dict[int, Exported], newest: apsw.Connection) -> tuple[int, int, int]:
        previous, sequence, decisions = anchor.hash, anchor.sequence, 0
        _compare(exported.get(sequence), previous)
        for commit in self.commits():
            sequence += 1
            if commit.sequence != sequence:
                raise Broken(sequence, f"it is missing; the next one there is {commit.sequence}")
            if link(previous, sequence, commit.at_ms, commit.decisions) != commit.hash:
                raise Broken(sequence, "its hash is not that of its content and of the row before it")
            previous = commit.hash
            _compare(exported.get(sequence), previous)
            decided = commit.read()
            decisions += len(decided)
            newest.executemany(
                "INSERT OR REPLACE INTO newest VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*one.place, sequence, commit.at_ms, json.dumps(one.said)) for one in decided],
            )
        for head in exported.values():
            if head.sequence > sequence:
                raise Broken(sequence + 1, f"it is missing: on {head.at[:10]} the log went on to {head.sequence}")
        return sequence, decisions, min(anchor.sequence + 1, sequence)

    def _rows(self, anchor: Anchor, newest: apsw.Connection) -> int:
        """Each delivery that the ledger has must be as it was last decided, and none that was decided may be gone
        before its time."""
        agreeing = 0
        lanes: list[Any] = self._db.execute("SELECT id, integration FROM lanes ORDER BY integration").fetchall()
        for lane, integration in lanes:
            wanted = newest.execute(
                "SELECT shard, position, generation, sequence, at_ms, said FROM newest WHERE integration = ?"
                " ORDER BY shard, position, generation",
                (integration,),
            )
            chain = next(wanted, None)
            rows = self._db.execute(
                "SELECT shard, position, generation, source, state, code, updated_ms, detail FROM deliveries"
                " WHERE lane = ? ORDER BY shard, position, generation",
                (lane,),
            )
            for shard, position, generation, source, state, code, updated_ms, detail in rows:
                key = (shard, position, generation)
                while chain is not None and chain[:3] < key:
                    _gone(anchor, integration, chain)
                    chain = next(wanted, None)
                logged = None
                if chain is not None and chain[:3] == key:
                    logged, chain = chain, next(wanted, None)
                if code == "erased":
                    continue
                said = _said(source, state, detail)
                if logged is None:
                    if said is not None and updated_ms > anchor.at_ms:
                        raise Broken(None, f"{_where(integration, *key)} has a decision that the log does not have")
                elif said is None or json.loads(logged[5]) != said:
                    raise Broken(logged[3], f"{_where(integration, *key)} stands otherwise in the ledger")
                else:
                    agreeing += 1
            while chain is not None:
                _gone(anchor, integration, chain)
                chain = next(wanted, None)
        return agreeing


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


def _gone(anchor: Anchor, integration: str, chain: Any) -> None:
    shard, position, generation, sequence, at_ms, _ = chain
    if at_ms >= anchor.rows_before_ms:
        raise Broken(sequence, f"{_where(integration, shard, position, generation)} is not in the ledger any more")


def _where(integration: str, shard: int, position: Position, generation: int) -> str:
    replayed = f", generation {generation}" if generation else ""
    return f"the delivery of event {shard}:{position} at {integration}{replayed}"


# -- handing over --------------------------------------------------------------------------------------------------


def lines(
    reader: ConsentReader,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    integration: str | None = None,
    places: set[Place] | None = None,
) -> Iterator[dict[str, Any]]:
    """The consent log as it is handed over, to be checked offline: an `anchor`, then each `commit` with its hash.

    With a filter (an integration, or deliveries) the decisions of the commits that hold none of what is wanted are
    left out and their digest stands for them, and each decision wanted follows its commit, to be read.
    """
    filtered = integration is not None or places is not None
    heads = {head.sequence: head for head in reader.heads()}
    previous: bytes | None = None
    for commit in reader.commits(from_ms, to_ms):
        if previous is None:
            yield {"kind": "anchor", "sequence": commit.sequence - 1, "hash": reader.before(commit.sequence).hex()}
        previous = commit.hash
        wanted = [
            one
            for one in (commit.read() if filtered else ())
            if (integration is None or one.integration == integration) and (places is None or one.place in places)
        ]
        content = (
            {"decisions": commit.decisions}
            if wanted or not filtered
            else {"decisions_sha256": sha256(commit.decisions.encode()).hexdigest()}
        )
        yield {
            "kind": "commit",
            "sequence": commit.sequence,
            "at_ms": commit.at_ms,
            "at": format_time(commit.at_ms),
            **content,
            "hash": commit.hash.hex(),
        }
        for one in wanted:
            yield {"kind": "decision", "sequence": commit.sequence, **msgspec.to_builtins(one)}
        head = heads.get(commit.sequence)
        if head is not None:
            yield {"kind": "head", "sequence": head.sequence, "at": head.at, "hash": head.hash}
