"""The ledgers that `test_ledger.py` holds to the contract, behind one face.

To have another implementation tested, write a class such as `SqliteStage` and name it in `LEDGERS`.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from firsthand.eventlog.base import Gap, LogStatus, Position, Row
from firsthand.ledger.base import Ledger
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import Delivery, Detail, Exchange, LaneState, State
from firsthand.ledger.sqlite import SqliteLedger
from firsthand.reasons import Reason

NOW_MS = 1_795_348_800_000
"""2026-11-22 12:00 UTC."""


class Stage(Protocol):
    """A ledger with its writing and its reading side."""

    @property
    def writer(self) -> Ledger: ...

    @property
    def reader(self) -> LedgerReader: ...

    def reopen(self) -> None:
        """As the next process finds it."""
        ...

    def full(self) -> AbstractContextManager[None]:
        """A commit of any size fails meanwhile, somewhere in its middle."""
        ...


class SqliteStage:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open()

    def _open(self) -> None:
        self.writer = SqliteLedger(self._folder)
        self.reader = LedgerReader(self._folder)

    def close(self) -> None:
        self.writer.close()
        self.reader.close()

    def reopen(self) -> None:
        self.close()
        self._open()

    @contextmanager
    def full(self) -> Iterator[None]:
        db = self.writer._db
        db.pragma("max_page_count", db.pragma("page_count"))
        yield
        db.pragma("max_page_count", 1 << 30)


@contextmanager
def sqlite_stage() -> Iterator[SqliteStage]:
    with tempfile.TemporaryDirectory() as folder:
        stage = SqliteStage(Path(folder))
        try:
            yield stage
        finally:
            stage.close()


LEDGERS: dict[str, Callable[[], AbstractContextManager[Stage]]] = {"sqlite": sqlite_stage}


class MemoryLog:
    """An event log of one shard that knows no more of its events than their sources."""

    def __init__(self) -> None:
        self.appended: list[str] = []

    def append(self, *sources: str) -> None:
        self.appended += sources

    def shards(self) -> Sequence[int]:
        return (0,)

    async def read(self, shard: int, after: Position, limit: int, wait: float = 0.0) -> list[Row | Gap]:
        last = min(self.head(shard), after + limit)
        return [Row(n, 0, 0, self.appended[n - 1], NOW_MS + n, b"{}") for n in range(after + 1, last + 1)]

    def head(self, shard: int) -> Position:
        return len(self.appended)

    def tail(self, shard: int) -> Position:
        return 1

    def before(self, shard: int, received_ms: int) -> Position:
        return max(0, min(received_ms - NOW_MS - 1, len(self.appended)))

    def counts(self, shard: int, upto: Position) -> dict[str, int]:
        return dict(Counter(self.appended[:upto]))

    def find(self, source: str, message_id: str) -> tuple[int, Position] | None:
        return None

    def get(self, shard: int, position: Position) -> Row | None:
        return None

    def sources(self) -> list[str]:
        return sorted(set(self.appended))

    def tallies(self) -> dict[str, tuple[int, int]]:
        return {}

    def status(self) -> LogStatus:
        return LogStatus(bytes=len(self.appended), max_bytes=1 << 30, full=False)

    def close(self) -> None:
        pass


def delivery(
    position: Position,
    state: State,
    code: str | None = None,
    *,
    source: str = "shop",
    generation: int = 0,
    certainty: str | None = None,
    next_ms: int | None = None,
    previous: tuple[str, str | None, str | None] | None = None,
    replaces_range: int | None = None,
    exchanges: Sequence[Exchange] = (),
) -> Delivery:
    """What became of an event: `delivery(3, "dead", "poison")`."""
    return Delivery(
        shard=0,
        position=position,
        generation=generation,
        source=source,
        visitor=7,
        received_ms=NOW_MS + position,
        state=state,
        certainty=certainty or ("accepted" if state == "delivered" else None),
        next_ms=next_ms or (NOW_MS + 60_000 if state in ("retrying", "held") else None),
        message_id=f"m{position}",
        event=b"event %d" % position,
        detail=Detail(name="Order Completed", reason=Reason(code) if code else None),
        exchanges=list(exchanges),
        previous=previous,
        replaces_range=replaces_range,
    )


def open_lane(stage: Stage, log: MemoryLog, *sources: str, integration: str = "toy") -> LaneState:
    return stage.writer.open_lane(integration, "vendor", sources or ("shop",), {0: log.head(0)}, log.counts)
