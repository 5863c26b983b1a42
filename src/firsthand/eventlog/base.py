"""The event log: the durable, append-only sequence of all accepted events.

Collect writes it, deliver reads it. Two implementations stand behind these two interfaces: SQLite in one file
on one machine, and a broker on many; one suite of tests (`tests/contract/test_eventlog.py`) holds both to what
is promised here.

Promised:

- When `append` returns, the events survive `kill -9` and power loss.
- A reader sees every appended event of a shard once per pass, in the order of their positions, and never sees
  an event before all events with smaller positions in its shard are visible.
- An event with the source and message id of one appended in the last 24 hours is not appended again.
- Damage is never silent: what cannot be read comes back as a `Gap`.

Not promised:

- Positions are opaque. They are ordered within a shard; they are not dense, do not compare across shards, and
  their difference means nothing. Counts come from `counts`, never from positions.
- Order holds within a partition only (all of a visitor's events are in one). The embedded log keeps one order
  for all, a broker does not.
- A reader may be given an event again after a restart. What was already done with it is the ledger's to know.
- Which shards a reader has can change between two calls of `shards`, when work moves between machines.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

Position = int
"""Where an event stands in its shard. 0 is before the first."""

START: Position = 0
PARTITIONS = 64
FORMAT = 1
"""Version of the row format. Readers refuse rows of a later one, as a `Gap`."""


class Record(msgspec.Struct, frozen=True):
    """An accepted event on its way into the log. `body` is the canonical event as JSON."""

    source: str
    message_id: str
    visitor: int
    received_ms: int
    body: bytes


class Row(msgspec.Struct, frozen=True):
    """An event read back. `visitor` is a signed 64-bit hash, `received_ms` is milliseconds since 1970."""

    position: Position
    partition: int
    visitor: int
    source: str
    received_ms: int
    body: bytes


class Gap(msgspec.Struct, frozen=True):
    """Events between two positions (both inclusive) that can no longer be read.

    `kind` is `damaged` (a checksum or the file is broken) or `dropped` (retention overtook the reader).
    """

    first: Position
    last: Position
    kind: str


Noted = Literal["refused", "placeholder", "unknown_path"]
"""What is counted of a source besides its events: items refused before they reached the log (the value is a code of
the answers), ids that name nobody, and requests for paths that are none of ours."""


class LogUnavailable(Exception):
    """The log cannot take more right now: answer 503 and let the sender keep the events."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DamagedLog(Exception):
    """The log cannot even be opened. Nothing mends that by itself: the message says what to do."""


class LogStatus(msgspec.Struct, frozen=True):
    """How much the log holds. `full` says that it refuses events."""

    bytes: int
    max_bytes: int
    full: bool


class LogWriter(Protocol):
    """The side of the collector."""

    full: bool
    """Whether the log refused the last events it was given."""

    async def append(self, records: Sequence[Record]) -> int:
        """Make these events durable; returns how many were new (the rest were duplicates).

        Raises LogUnavailable when none of them was taken. Calls made at the same time share one commit.
        """
        ...

    def note(self, source: str, kind: Noted, value: str, count: int = 1) -> None:
        """Count something about what a source sends, by kind and value."""
        ...

    async def close(self) -> None: ...


class LogReader(Protocol):
    """The side of deliver, of traces and of counts."""

    def shards(self) -> Sequence[int]:
        """The independent sequences this reader may read now."""
        ...

    async def read(self, shard: int, after: Position, limit: int, wait: float = 0.0) -> list[Row | Gap]:
        """Up to `limit` rows after a position; waits up to `wait` seconds for the first one."""
        ...

    def head(self, shard: int) -> Position:
        """The position of the newest event."""
        ...

    def before(self, shard: int, received_ms: int) -> Position:
        """The newest position before the first event received at or after a time, or `head` where there is none."""
        ...

    def tail(self, shard: int) -> Position:
        """The position of the oldest event still kept, or `head` + 1 where none is."""
        ...

    def counts(self, shard: int, upto: Position) -> dict[str, int]:
        """How many events each source ever appended at or before a position; from the commits' marks."""
        ...

    def find(self, source: str, message_id: str) -> tuple[int, Position] | None:
        """Shard and position of an event, as long as the log keeps it."""
        ...

    def get(self, shard: int, position: Position) -> Row | None: ...

    def sources(self) -> list[str]:
        """The keys of all sources that ever sent an event or had one refused."""
        ...

    def noted(self, kind: Noted) -> dict[str, dict[str, int]]:
        """What was counted of a kind, by source key and value, the most frequent first."""
        ...

    def tallies(self) -> dict[str, tuple[int, int]]:
        """Duplicates and refused items by source key."""
        ...

    def status(self) -> LogStatus: ...

    def close(self) -> None: ...


def message_key(source: str, message_id: str) -> bytes:
    """16 bytes that stand for a source's message id in de-duplication."""
    return hashlib.blake2b(f"{source}\0{message_id}".encode(), digest_size=16).digest()


def visitor_hash(source: str, visitor: str) -> int:
    """A signed 64-bit number that stands for a visitor of a source: same visitor, same partition, same order."""
    digest = hashlib.blake2b(f"{source}\0{visitor}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
