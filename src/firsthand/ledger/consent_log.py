"""The consent log: what was decided of each delivery's consent, in a chain that shows later edits.

Each commit of the ledger that decided anything appends one row, in the same transaction. The row holds the commit's
decisions and a hash over them and over the hash of the row before it:

    hash = SHA-256(previous hash + "<sequence> <at_ms> <SHA-256 of the decisions, in hexadecimal>")

so no row can be changed, removed or put in between without every later hash coming out differently. The newest
sequence and hash (the head) go once a day into a file of their own, `consent-heads.jsonl`: who keeps a copy of that
elsewhere can tell whether the whole chain was written anew.

The decisions name deliveries by their place in the log and never a visitor, so they stay when a visitor is erased.
"""

import os
import time
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import msgspec
import structlog

from firsthand.event import format_time, parse_time
from firsthand.ledger.records import LaneBatch
from firsthand.private import create_private

log = structlog.get_logger()

SCHEMA = """
-- `decisions` is JSON: {"what": [[integration, source, revision, state, decision, basis, detail, answered_at], …],
-- "of": [[index into what, shard, position, generation], …]}.
CREATE TABLE IF NOT EXISTS consent_log (
    sequence INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, decisions TEXT NOT NULL, hash BLOB NOT NULL);
-- What the oldest row kept follows on. Deliveries last changed up to `at_ms` are older than the chain that is kept;
-- those from before `rows_before_ms` may have been removed by age.
CREATE TABLE IF NOT EXISTS consent_anchor (
    id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, at_ms INTEGER NOT NULL, hash BLOB NOT NULL,
    rows_before_ms INTEGER NOT NULL);
"""
HEADS = "consent-heads.jsonl"
GENESIS = bytes(32)
PRUNE_CHUNK = 1_000

_json = msgspec.json.Encoder()


class Head(msgspec.Struct, frozen=True):
    """The newest row of the chain; `sequence` 0 before the first."""

    sequence: int
    hash: bytes


class Exported(msgspec.Struct, frozen=True):
    """A line of `consent-heads.jsonl`."""

    sequence: int
    hash: str
    at: str

    @property
    def at_ms(self) -> int:
        return parse_time(self.at)


def link(previous: bytes, sequence: int, at_ms: int, decisions: str) -> bytes:
    """The hash of a row."""
    return sha256(previous + f"{sequence} {at_ms} {sha256(decisions.encode()).hexdigest()}".encode()).digest()


def pack(batches: Sequence[LaneBatch], names: Mapping[int, str]) -> str | None:
    """The decisions of a commit, or None where nothing was decided. `names` are the integrations of the lanes."""
    what: dict[tuple[Any, ...], int] = {}
    of: list[tuple[int, int, int, int]] = []
    for batch in batches:
        name = names.get(batch.lane, "")
        for d in batch.deliveries:
            consent = d.detail.consent
            if consent is not None:
                key = (name, d.source, d.detail.revision, d.state, consent)
                index = what.setdefault(key, len(what))
                of.append((index, d.shard, d.position, d.generation))
    if not of:
        return None
    shown = [
        (
            name,
            source,
            revision,
            state,
            c.decision,
            c.basis,
            c.detail,
            c.answered_at if isinstance(c.answered_at, str) else None,
        )
        for name, source, revision, state, c in what
    ]
    return _json.encode({"what": shown, "of": of}).decode()


class ConsentLog:
    """The writing side, on the ledger's own connection. `append` and `prune` are called within its transactions.

    `head` is the newest row that was committed, for export."""

    def __init__(self, db: apsw.Connection, directory: Path) -> None:
        self._db = db
        self._heads = directory / HEADS
        db.execute(SCHEMA)
        if db.execute("SELECT 1 FROM consent_anchor").get is None:
            # A ledger from before there was a chain: what it holds already is older than the chain.
            newest: Any = db.execute("SELECT coalesce(max(updated_ms), 0) FROM deliveries").get
            db.execute("INSERT INTO consent_anchor VALUES (1, 0, ?, ?, 0)", (newest, GENESIS))
            self._set_aside()
        self.head = self._read_head()
        self._exported = self._last_exported()
        self._failing = False

    def _set_aside(self) -> None:
        """Heads that are there before the first row are of a ledger that was moved away: they stay with that one."""
        if self._heads.exists():
            other = self._heads.with_suffix(f".until-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.jsonl")
            self._heads.rename(other)
            log.warning("the consent log begins anew; the heads of the one before are kept", file=other.name)

    def _read_head(self) -> Head:
        row: Any = self._db.execute("SELECT sequence, hash FROM consent_log ORDER BY sequence DESC LIMIT 1").get
        if row is None:
            row = self._db.execute("SELECT sequence, hash FROM consent_anchor").get
        return Head(row[0], row[1])

    def append(self, decisions: str, at_ms: int) -> Head:
        """Add a commit's decisions. The caller sets `head` to what this returns once the transaction is committed."""
        # As it is in the file: another thread may have committed since.
        head = self._read_head()
        sequence = head.sequence + 1
        digest = link(head.hash, sequence, at_ms, decisions)
        self._db.execute("INSERT INTO consent_log VALUES (?, ?, ?, ?)", (sequence, at_ms, decisions, digest))
        return Head(sequence, digest)

    def prune(self, before_ms: int) -> None:
        """Remove the oldest rows, one chunk, up to the first that is not from before a time; the chain then begins
        after the anchor."""
        rows: list[Any] = self._db.execute(
            "SELECT sequence, at_ms, hash FROM consent_log ORDER BY sequence LIMIT ?", (PRUNE_CHUNK,)
        ).fetchall()
        old = []
        for row in rows:
            if row[1] >= before_ms:
                break
            old.append(row)
        if not old:
            return
        newest_ms = max(at_ms for _, at_ms, _ in old)
        sequence, _, digest = old[-1]
        self._db.execute(
            "UPDATE consent_anchor SET sequence = ?, at_ms = max(at_ms, ?), hash = ?", (sequence, newest_ms, digest)
        )
        self._db.execute("DELETE FROM consent_log WHERE sequence <= ?", (sequence,))

    def rows_pruned(self, before_ms: int) -> None:
        """Deliveries that ended before a time were removed."""
        self._db.execute("UPDATE consent_anchor SET rows_before_ms = max(rows_before_ms, ?)", (before_ms,))

    # -- heads ---------------------------------------------------------------------------------------------------

    def _last_exported(self) -> Exported | None:
        last = None
        try:
            for line in self._heads.read_bytes().splitlines():
                try:
                    last = msgspec.json.decode(line, type=Exported)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue  # `firsthand consent verify` says so
        except OSError:
            return None  # none yet; what else stands against it is said when one is to be written
        return last

    def head_is_due(self, now_ms: int) -> bool:
        """Whether the head has moved and none was exported today (UTC)."""
        last = self._exported
        if last is None:
            return self.head.sequence > 0
        return self.head.sequence > last.sequence and last.at[:10] != format_time(now_ms)[:10]

    def export_head(self, now_ms: int) -> None:
        """Append the head to the heads' file. It must be on disk before: power loss must not take back what the file
        says, so the caller has the ledger written through first."""
        exported = Exported(self.head.sequence, self.head.hash.hex(), format_time(now_ms))
        try:
            create_private(self._heads)
            with self._heads.open("ab") as file:
                if file.tell() and not self._heads.read_bytes().endswith(b"\n"):
                    file.write(b"\n")
                file.write(_json.encode(exported) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            if not self._failing:
                log.error("the consent log's head could not be exported", file=HEADS, cause=error.strerror)
            self._failing = True
            return
        self._exported, self._failing = exported, False
