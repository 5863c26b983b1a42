"""The reading side of the consent log: is the chain whole, and what does it say? Any process; writes nothing."""

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from firsthand.event import format_time
from firsthand.eventlog.base import Position
from firsthand.eventlog.files import open_reader
from firsthand.ledger.consent_log import HEADS, Exported

STEP = 1_000
"""Rows that are read at once."""


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


class ConsentReader:
    """Reads in steps, and keeps nobody waiting: the ledger goes on meanwhile."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.db = open_reader(directory / "ledger.db")
        if not self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'consent_anchor'").get:
            self.db.close()
            raise NoConsentLog("this ledger has no consent log yet: it is made when `firsthand serve` next runs")

    def close(self) -> None:
        self.db.close()

    def step(self, sql: str, *values: int) -> list[Any]:
        """Some rows, of one moment; the statement's last value is how many."""
        found: list[Any] = self.db.execute(sql, (*values, STEP)).fetchall()
        return found

    def anchor(self) -> Anchor:
        row: Any = self.db.execute("SELECT sequence, at_ms, hash, rows_before_ms FROM consent_anchor").get
        return Anchor(*row)

    def commits(self, from_ms: int | None = None, to_ms: int | None = None) -> Iterator[Commit]:
        """The rows of a time, the end excluded, without a gap: all from the first to the last of that time."""
        low, high = self._bounds(from_ms, to_ms)
        sql = (
            "SELECT sequence, at_ms, decisions, hash FROM consent_log WHERE sequence BETWEEN ? AND ? ORDER BY sequence"
            " LIMIT ?"
        )
        while rows := self.step(sql, low, high):
            if rows[0][0] != low and self.anchor().sequence >= low:
                raise Broken(low, "it went by its age while the log was read: read it again")
            for row in rows:
                yield Commit(*row)
            low = rows[-1][0] + 1

    def _bounds(self, from_ms: int | None, to_ms: int | None) -> tuple[int, int]:
        row: Any = self.db.execute(
            "SELECT min(sequence), max(sequence) FROM consent_log"
            " WHERE (?1 IS NULL OR at_ms >= ?1) AND (?2 IS NULL OR at_ms < ?2)",
            (from_ms, to_ms),
        ).get
        return (row[0], row[1]) if row[0] is not None else (1, 0)

    def before(self, sequence: int) -> bytes:
        """The hash that a row follows on."""
        found: Any = self.db.execute("SELECT hash FROM consent_log WHERE sequence = ?", (sequence - 1,)).get
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
        found: set[Place] = set()
        lanes: list[Any] = self.db.execute("SELECT id, integration FROM lanes").fetchall()
        for lane, integration in lanes:
            for rows in self.rows(lane, "visitor"):
                found.update(Place(integration, *row[:3]) for row in rows if row[3] in hashes)
        return found

    def rows(self, lane: int, columns: str) -> Iterator[list[Any]]:
        """A lane's deliveries in the order of their keys, some at a time: shard, position, generation, and columns."""
        sql = (
            f"SELECT shard, position, generation, {columns} FROM deliveries"  # noqa: S608 (our own columns)
            " WHERE lane = ? AND (shard, position, generation) > (?, ?, ?) ORDER BY shard, position, generation LIMIT ?"
        )
        after: tuple[int, int, int] = (-1, -1, -1)
        while rows := self.step(sql, lane, *after):
            yield rows
            after = rows[-1][:3]

    def integrations(self) -> list[str]:
        return [key for (key,) in self.db.execute("SELECT integration FROM lanes ORDER BY integration")]

    def of_message(self, message_id: str, positions: Iterable[tuple[int, Position]]) -> set[Place]:
        """The deliveries of events, by their places in the log, or of one whose delivery keeps it."""
        columns = (
            "SELECT l.integration, d.shard, d.position, d.generation FROM lanes l JOIN deliveries d ON d.lane = l.id"
        )
        found = {Place(*row) for row in self.db.execute(f"{columns} WHERE d.message_id = ?", (message_id,))}
        for place in positions:
            rows = self.db.execute(f"{columns} WHERE d.shard = ? AND d.position = ?", place)
            found.update(Place(*row) for row in rows)
        return found


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
