"""The embedded ledger: `ledger.db`, written by the deliver process alone.

A delivery is one small row in key order; its attempts, which are large, stand in a table of their own. Counts
are kept as the outcomes are written and checked against two other accounts (see `firsthand.ledger.balance`).
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw
import msgspec

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import open_reader, transaction
from firsthand.eventlog.wiping import wipe
from firsthand.identity.erasure import Match
from firsthand.ledger.base import LedgerUnavailable
from firsthand.ledger.consent_log import ConsentLog, pack
from firsthand.ledger.finding import Found
from firsthand.ledger.records import OPEN, Delivery, LaneBatch, LaneState, Range
from firsthand.ledger.rows import DELIVERY, read_delivery
from firsthand.ledger.scrub import scrub

SCHEMA = """
CREATE TABLE IF NOT EXISTS lanes (
    id INTEGER PRIMARY KEY, integration TEXT UNIQUE NOT NULL, vendor TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (lane, shard)) WITHOUT ROWID;
-- What the log had counted of a source when the lane began to read it, less what the lane had counted before.
CREATE TABLE IF NOT EXISTS lane_sources (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, source TEXT NOT NULL, start_count INTEGER NOT NULL,
    active INTEGER NOT NULL DEFAULT 1, PRIMARY KEY (lane, shard, source)) WITHOUT ROWID;
-- The newest generation of a delivery is `latest`; a replay sets the older one's to 0. `message_id` and `event`
-- are there while the delivery needs its event (retrying, held, dead).
CREATE TABLE IF NOT EXISTS deliveries (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL, generation INTEGER NOT NULL,
    latest INTEGER NOT NULL DEFAULT 1, source TEXT NOT NULL, state TEXT NOT NULL, certainty TEXT, code TEXT,
    visitor INTEGER NOT NULL, received_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL, next_ms INTEGER,
    message_id TEXT, detail BLOB NOT NULL, event BLOB,
    PRIMARY KEY (lane, shard, position, generation)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deliveries_open ON deliveries (lane, next_ms) WHERE state IN ('retrying', 'held');
CREATE INDEX IF NOT EXISTS deliveries_kept ON deliveries (message_id) WHERE message_id IS NOT NULL;
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL,
    generation INTEGER NOT NULL, exchange BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (lane, shard, position, generation);
CREATE TABLE IF NOT EXISTS ranges (
    id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, shard INTEGER NOT NULL, first INTEGER NOT NULL,
    last INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    replayed INTEGER NOT NULL DEFAULT 0, at_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS ranges_of ON ranges (lane, shard, last);
CREATE TABLE IF NOT EXISTS counters (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
    certainty TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (lane, shard, source, state, certainty, code)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minutes (
    minute INTEGER NOT NULL, lane INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
    certainty TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (minute, lane, source, state, certainty, code)) WITHOUT ROWID;
-- Rows removed by age, so that a recount still comes out even.
CREATE TABLE IF NOT EXISTS pruned (
    lane INTEGER NOT NULL, shard INTEGER NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL,
    certainty TEXT NOT NULL, code TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (lane, shard, source, state, certainty, code)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
PRUNE_CHUNK = 1_000
Key = tuple[int, int, str, str, str, str]
"""Lane, shard, source, state, certainty, code: what is counted. Absent ones are the empty string."""

_json = msgspec.json.Encoder()
_packed = msgspec.msgpack.Encoder()


class SqliteLedger:
    """The writing side."""

    def __init__(self, directory: Path) -> None:
        # Outcomes are committed in a thread while the event loop writes notes: one connection, one at a time.
        self._lock = threading.Lock()
        self._db = apsw.Connection(str(directory / "ledger.db"))
        self._db.set_busy_timeout(5_000)  # a reader that opens the file first after a crash holds it for a moment
        for pragma in ("journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=1000", "cache_size=-32768"):
            self._db.pragma(*pragma.split("="))
        self._db.pragma("secure_delete", "fast")  # what goes from a page that stays in use is overwritten
        self._db.execute(SCHEMA)
        self._reads = open_reader(directory / "ledger.db")
        self._consent = ConsentLog(self._db, directory)
        self._names: dict[int, str] = dict(self._db.execute("SELECT id, integration FROM lanes"))

    def close(self) -> None:
        with self._lock:
            self._reads.close()
            self._db.close()

    def open_lane(
        self,
        integration: str,
        vendor: str,
        sources: Sequence[str],
        starts: Mapping[int, Position],
        counts: Callable[[int, Position], Mapping[str, int]],
    ) -> LaneState:
        with self._lock, transaction(self._db):
            self._db.execute(
                "INSERT INTO lanes (integration, vendor) VALUES (?, ?)"
                " ON CONFLICT (integration) DO UPDATE SET vendor = excluded.vendor",
                (integration, vendor),
            )
            lane = int(self._db.execute("SELECT id FROM lanes WHERE integration = ?", (integration,)).get)
            self._names[lane] = integration
            for shard, start in starts.items():
                self._db.execute("INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (lane, shard, start))
            cursors = dict(self._db.execute("SELECT shard, position FROM cursors WHERE lane = ?", (lane,)))
            for shard in starts:
                self._set_sources(lane, shard, sources, counts(shard, cursors[shard]))
            beyond = (
                "SELECT position, source FROM deliveries"
                " WHERE lane = ? AND shard = ? AND position > ? AND generation = 0"
            )
            settled = {
                shard: dict(self._db.execute(beyond, (lane, shard, cursor))) for shard, cursor in cursors.items()
            }
            return LaneState(lane, cursors, settled, self._open_deliveries(lane), self._counted(lane))

    def _set_sources(self, lane: int, shard: int, sources: Sequence[str], counts: Mapping[str, int]) -> None:
        rows: list[Any] = self._db.execute(
            "SELECT source, active FROM lane_sources WHERE lane = ? AND shard = ?", (lane, shard)
        ).fetchall()
        known: dict[str, int] = dict(rows)
        beyond = self._beyond(lane)
        for source in sources:
            if known.get(source) == 1:
                continue
            before = self._db.execute(
                "SELECT coalesce(sum(count), 0) FROM counters WHERE lane = ? AND shard = ? AND source = ?",
                (lane, shard, source),
            ).get
            before -= beyond.get((shard, source), 0)
            self._db.execute(
                "INSERT INTO lane_sources VALUES (?, ?, ?, ?, 1) ON CONFLICT (lane, shard, source)"
                " DO UPDATE SET start_count = excluded.start_count, active = 1",
                (lane, shard, source, counts.get(source, 0) - before),
            )
        for source in known.keys() - set(sources):
            self._db.execute(
                "UPDATE lane_sources SET active = 0 WHERE lane = ? AND shard = ? AND source = ?", (lane, shard, source)
            )

    def _open_deliveries(self, lane: int) -> list[Delivery]:
        sql = f"SELECT {DELIVERY} FROM deliveries WHERE lane = ? AND state = 'retrying' ORDER BY next_ms"  # noqa: S608
        return [read_delivery(*row) for row in self._db.execute(sql, (lane,))]

    def held(self, lane: int) -> Iterator[Delivery]:
        """The deliveries that wait for consent, one by one: there may be many, and they hold their events."""
        sql = f"SELECT {DELIVERY} FROM deliveries WHERE lane = ? AND state = 'held' ORDER BY next_ms"  # noqa: S608
        return (read_delivery(*row) for row in self._reads.execute(sql, (lane,)))

    def restore(self, lane: int, shard: int, position: Position, generation: int) -> Delivery | None:
        """A held delivery with its event, as it was committed; None where it is not held any more. Waits for no
        commit that is under way."""
        sql = (
            f"SELECT {DELIVERY} FROM deliveries WHERE lane = ? AND shard = ? AND position = ? AND generation = ?"  # noqa: S608
            " AND state = 'held'"
        )
        # All rows, of which there is one at most: a statement left half read would keep the journal from being reused.
        rows: list[Any] = self._reads.execute(sql, (lane, shard, position, generation)).fetchall()
        return next((read_delivery(*row) for row in rows), None)

    def _counted(self, lane: int) -> dict[tuple[int, str], int]:
        """Per shard and source, the log's count up to the lane's cursor: where it began plus what it settled."""
        counted = {
            (shard, source): start
            for shard, source, start in self._db.execute(
                "SELECT shard, source, start_count FROM lane_sources WHERE lane = ? AND active", (lane,)
            )
        }
        for shard, source, count in self._db.execute(
            "SELECT shard, source, sum(count) FROM counters WHERE lane = ? GROUP BY shard, source", (lane,)
        ):
            if (shard, source) in counted:
                counted[shard, source] += count
        for key, count in self._beyond(lane).items():
            if key in counted:
                counted[key] -= count
        return counted

    def _beyond(self, lane: int) -> dict[tuple[int, str], int]:
        """By shard and source, the outcomes recorded beyond the cursor."""
        sql = (
            "SELECT d.shard, d.source, count(*) FROM deliveries d"
            " JOIN cursors c ON c.lane = d.lane AND c.shard = d.shard"
            " WHERE d.lane = ? AND d.position > c.position AND d.generation = 0 GROUP BY d.shard, d.source"
        )
        return {(shard, source): count for shard, source, count in self._db.execute(sql, (lane,))}

    def commit(self, batches: Sequence[LaneBatch], now_ms: int) -> None:
        deltas: Counter[Key] = Counter()
        ended: Counter[Key] = Counter()
        rows: list[tuple[object, ...]] = []
        attempts: list[tuple[object, ...]] = []
        replays: list[tuple[int, Delivery]] = []
        for batch in batches:
            for delivery in batch.deliveries:
                self._add(batch.lane, delivery, now_ms, rows, attempts)
                key = _key(batch.lane, delivery, (delivery.state, delivery.certainty, delivery.code))
                deltas[key] += 1
                if delivery.previous is not None:
                    deltas[_key(batch.lane, delivery, delivery.previous)] -= 1
                if delivery.state not in OPEN:
                    ended[key] += 1
                if delivery.generation:
                    replays.append((batch.lane, delivery))
            for span in batch.ranges:
                deltas[batch.lane, span.shard, span.source, span.state, "", span.code] += span.count
                ended[batch.lane, span.shard, span.source, span.state, "", span.code] += span.count
        decisions = pack(batches, self._names)
        head = None
        try:
            with self._lock, transaction(self._db):
                if decisions is not None:
                    head = self._consent.append(decisions, now_ms)
                self._db.executemany(
                    "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                self._db.executemany(
                    "INSERT INTO attempts (lane, shard, position, generation, exchange) VALUES (?, ?, ?, ?, ?)",
                    attempts,
                )
                for lane, delivery in replays:
                    self._supersede(lane, delivery)
                for batch in batches:
                    for span in batch.ranges:
                        self._add_range(batch.lane, span, now_ms)
                    self._db.executemany(
                        "UPDATE cursors SET position = ? WHERE lane = ? AND shard = ?",
                        [(position, batch.lane, shard) for shard, position in batch.cursors.items()],
                    )
                self._count("counters", [(*key, delta) for key, delta in deltas.items() if delta])
                minute = now_ms // 60_000
                self._db.executemany(
                    "INSERT INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET count = count + excluded.count",
                    [(minute, k[0], k[2], k[3], k[4], k[5], count) for k, count in ended.items()],
                )
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.BusyError) as error:
            raise LedgerUnavailable(
                f"outcomes cannot be recorded ({type(error).__name__}): is the disk full?"
            ) from error
        if head is not None:
            self._consent.head = head

    def _add(
        self,
        lane: int,
        delivery: Delivery,
        now_ms: int,
        rows: list[tuple[object, ...]],
        attempts: list[tuple[object, ...]],
    ) -> None:
        # A settled delivery needs its event no more, except a dead one, which may be replayed after the log dropped it.
        keep = delivery.state in OPEN or delivery.state == "dead"
        d = delivery
        rows.append(
            (
                lane, d.shard, d.position, d.generation, d.source, d.state, d.certainty, d.code, d.visitor,
                d.received_ms, now_ms, d.next_ms, d.message_id if keep else None, _json.encode(d.detail),
                d.event if keep else None,
            )
        )  # fmt: skip
        for exchange in delivery.exchanges:
            attempts.append((lane, d.shard, d.position, d.generation, _packed.encode(exchange)))

    def _supersede(self, lane: int, replay: Delivery) -> None:
        """A replay takes the place of the generation before it, or of one event of a range."""
        self._db.execute(
            "UPDATE deliveries SET latest = 0"
            " WHERE lane = ? AND shard = ? AND position = ? AND generation < ? AND latest",
            (lane, replay.shard, replay.position, replay.generation),
        )
        if replay.replaces_range is not None:
            self._db.execute("UPDATE ranges SET replayed = replayed + 1 WHERE id = ?", (replay.replaces_range,))

    def _add_range(self, lane: int, span: Range, now_ms: int) -> None:
        extended = self._db.execute(
            "UPDATE ranges SET last = ?, count = count + ? WHERE lane = ? AND shard = ? AND source = ? AND code = ?"
            " AND last = ? RETURNING id",
            (span.last, span.count, lane, span.shard, span.source, span.code, span.first - 1),
        ).get
        if extended is None:
            self._db.execute(
                "INSERT INTO ranges (lane, shard, first, last, source, state, code, count, at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (lane, span.shard, span.first, span.last, span.source, span.state, span.code, span.count, now_ms),
            )

    def _count(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._db.executemany(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (two fixed names)
            " ON CONFLICT (lane, shard, source, state, certainty, code) DO UPDATE SET count = count + excluded.count",
            rows,
        )

    def prune(self, before_ms: int) -> int:
        """Remove settled deliveries that ended before a time, oldest first, one chunk; returns how many."""
        with self._lock:
            lanes: list[Any] = self._db.execute("SELECT id FROM lanes").fetchall()
            pruned = sum(self._prune(lane, before_ms) for (lane,) in lanes)
            with transaction(self._db):
                self._consent.prune(before_ms)
            return pruned

    def _prune(self, lane: int, before_ms: int) -> int:
        rows: list[Any] = self._db.execute(
            "SELECT shard, position, generation, latest, source, state, coalesce(certainty, ''), coalesce(code, ''),"
            " updated_ms FROM deliveries WHERE lane = ? ORDER BY shard, position LIMIT ?",
            (lane, PRUNE_CHUNK),
        ).fetchall()
        # Beyond the cursor a row is what keeps its event from being sent again.
        cursors = dict(self._db.execute("SELECT shard, position FROM cursors WHERE lane = ?", (lane,)))
        old = [r for r in rows if r[8] < before_ms and r[5] not in OPEN and r[1] <= cursors.get(r[0], 0)]
        counts: Counter[Key] = Counter((lane, r[0], r[4], r[5], r[6], r[7]) for r in old if r[3])
        keys = [(lane, r[0], r[1], r[2]) for r in old]
        where = "lane = ? AND shard = ? AND position = ? AND generation = ?"
        with transaction(self._db):
            self._db.executemany(f"DELETE FROM deliveries WHERE {where}", keys)  # noqa: S608
            self._db.executemany(f"DELETE FROM attempts WHERE {where}", keys)  # noqa: S608
            self._count("pruned", [(*key, count) for key, count in counts.items()])
            if old:
                self._consent.rows_pruned(before_ms)
        return len(old)

    def export_consent_head(self, now_ms: int) -> None:
        """Append the consent log's head to its file, once a day. What the file says must outlive a loss of power, so
        the ledger is written through before."""
        with self._lock:
            if self._consent.head_is_due(now_ms):
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._consent.export_head(now_ms)

    def scrub(self, rows: Sequence[Found], match: Match) -> int:
        """Take a visitor out of settled rows; returns how many attempts those had. Raises LedgerUnavailable."""
        try:
            with self._lock, transaction(self._db):
                return scrub(self._db, rows, match)
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.BusyError) as error:
            raise LedgerUnavailable(f"the ledger cannot be scrubbed ({type(error).__name__})") from error

    def wipe(self) -> None:
        """Have nothing left in the files of what was replaced or deleted. Raises LedgerUnavailable."""
        try:
            steps = wipe(self._db)
            while True:
                with self._lock:  # outcomes come between
                    if next(steps, self) is self:
                        return
        except (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.BusyError) as error:
            raise LedgerUnavailable(f"the ledger's files cannot be wiped ({type(error).__name__})") from error

    def run_value(self, name: str) -> str | None:
        """What the last deliver process left behind under a name."""
        with self._lock:
            return self._db.execute("SELECT value FROM runs WHERE name = ?", (name,)).get  # type: ignore[no-any-return]

    def set_run_value(self, name: str, value: str) -> None:
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (name, value))


def _key(lane: int, delivery: Delivery, state: tuple[str, str | None, str | None]) -> Key:
    return (lane, delivery.shard, delivery.source, state[0], state[1] or "", state[2] or "")
