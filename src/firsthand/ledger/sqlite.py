"""The embedded ledger: `ledger.db`, written by the deliver process alone.

A delivery is one small row in key order; its attempts, which are large, stand in a table of their own. Counts
are kept as the outcomes are written and checked against two other accounts (see `firsthand.ledger.balance`).
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import msgspec

from firsthand.eventlog.base import Position
from firsthand.eventlog.files import open_reader, transaction
from firsthand.eventlog.wiping import wipe
from firsthand.identity.erasure import Match
from firsthand.ledger import counts as tables
from firsthand.ledger.consent_log import ConsentLog, pack
from firsthand.ledger.counts import Key
from firsthand.ledger.damage import guarded
from firsthand.ledger.finding import Found
from firsthand.ledger.pruning import GROWS_MS, Pruning
from firsthand.ledger.records import OPEN, Delivery, LaneBatch, LaneState, Range
from firsthand.ledger.rows import DELIVERY, read_delivery
from firsthand.ledger.schema import SCHEMA
from firsthand.ledger.scrub import scrub
from firsthand.private import create_private

_json = msgspec.json.Encoder()
_packed = msgspec.msgpack.Encoder()


class Growing(NamedTuple):
    """A range that the next events of its source may add to."""

    id: int
    state: str
    code: str
    at_ms: int


class SqliteLedger:
    """The writing side."""

    def __init__(self, directory: Path) -> None:
        # Outcomes are committed in a thread while the event loop writes notes: one connection, one at a time.
        self._lock = threading.Lock()
        create_private(directory / "ledger.db")
        self._db = apsw.Connection(str(directory / "ledger.db"))
        with guarded("the ledger cannot be opened"):
            self._db.set_busy_timeout(5_000)  # a reader that opens the file first after a crash holds it for a moment
            for pragma in ("journal_mode=wal", "synchronous=normal", "wal_autocheckpoint=1000", "cache_size=-32768"):
                self._db.pragma(*pragma.split("="))
            self._db.pragma("secure_delete", "fast")  # what goes from a page that stays in use is overwritten
            with transaction(self._db):  # whoever reads meanwhile finds nothing or all of it
                self._db.execute(SCHEMA)
            self._reads = open_reader(directory / "ledger.db")
            self._consent = ConsentLog(self._db, directory)
            self._names: dict[int, str] = dict(self._db.execute("SELECT id, integration FROM lanes"))
        self._pruning = Pruning(self._db)
        self._growing: dict[tuple[int, int, str], Growing] = {}
        """By lane, shard and source, where nothing else became of an event of that source since."""

    def close(self) -> None:
        with self._lock:
            self._reads.close()
            self._db.close()

    @contextmanager
    def _writing(self, undone: str) -> Iterator[None]:
        """One transaction. `undone` says what could not be done when it fails."""
        with self._lock, guarded(undone), transaction(self._db):
            yield

    def open_lane(
        self,
        integration: str,
        vendor: str,
        sources: Sequence[str],
        starts: Mapping[int, Position],
        counts: Callable[[int, Position], Mapping[str, int]],
        again_ms: int | None = None,
    ) -> LaneState:
        with self._writing("a lane cannot be opened"):
            self._db.execute(
                "INSERT INTO lanes (integration, vendor) VALUES (?, ?)"
                " ON CONFLICT (integration) DO UPDATE SET vendor = excluded.vendor",
                (integration, vendor),
            )
            lane = int(self._db.execute("SELECT id FROM lanes WHERE integration = ?", (integration,)).get)
            self._names[lane] = integration
            # A source may have been away: what then passed is in none of its ranges.
            self._growing = {key: range for key, range in self._growing.items() if key[0] != lane}
            for shard, start in starts.items():
                self._db.execute("INSERT INTO cursors VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (lane, shard, start))
            if again_ms is not None:
                self._begin_again(lane, integration, starts, again_ms)
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

    def _begin_again(self, lane: int, integration: str, starts: Mapping[int, Position], again_ms: int) -> None:
        """Once for each time that it was added again: its sources join anew, at the new cursor."""
        name, value = f"again:{integration}", str(again_ms)
        if self._db.execute("SELECT value FROM runs WHERE name = ?", (name,)).get == value:
            return
        self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (name, value))
        for shard, start in starts.items():
            update = "UPDATE cursors SET position = max(position, ?) WHERE lane = ? AND shard = ?"
            self._db.execute(update, (start, lane, shard))
        self._db.execute("UPDATE lane_sources SET active = 0 WHERE lane = ?", (lane,))

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
        with guarded("held deliveries cannot be read"):
            for row in self._reads.execute(sql, (lane,)):
                yield read_delivery(*row)

    def restore(self, lane: int, shard: int, position: Position, generation: int) -> Delivery | None:
        """A held delivery with its event, as it was committed; None where it is not held any more. Waits for no
        commit that is under way."""
        sql = (
            f"SELECT {DELIVERY} FROM deliveries WHERE lane = ? AND shard = ? AND position = ? AND generation = ?"  # noqa: S608
            " AND state = 'held'"
        )
        # All rows, of which there is one at most: a statement left half read would keep the journal from being reused.
        with guarded("a held delivery cannot be read"):
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
        left_out: Counter[tuple[int, str]] = Counter()
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
                    left_out.update((batch.lane, field) for field in {one.of_all for one in delivery.detail.left_out})
                if delivery.generation:
                    replays.append((batch.lane, delivery))
            for span in batch.ranges:
                deltas[batch.lane, span.shard, span.source, span.state, "", span.code] += span.count
                ended[batch.lane, span.shard, span.source, span.state, "", span.code] += span.count
        decisions = pack(batches, self._names)
        head, growing = None, dict(self._growing)
        with self._writing("outcomes cannot be recorded"):
            if decisions is not None:
                head = self._consent.append(decisions, now_ms)
            self._supersede(replays)
            self._db.executemany(
                "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._db.executemany(
                "INSERT INTO attempts (lane, shard, position, generation, exchange) VALUES (?, ?, ?, ?, ?)", attempts
            )
            for batch in batches:
                for _, outcome in sorted(_in_order(batch), key=lambda one: one[0]):
                    if isinstance(outcome, Range):
                        self._add_range(batch.lane, outcome, now_ms, growing)
                    else:
                        growing.pop((batch.lane, outcome.shard, outcome.source), None)
                self._db.executemany(
                    "UPDATE cursors SET position = ? WHERE lane = ? AND shard = ?",
                    [(position, batch.lane, shard) for shard, position in batch.cursors.items()],
                )
            tables.add(self._db, "counters", deltas)
            tables.add_minutes(self._db, now_ms // 60_000, ended)
            tables.add_left_out(self._db, left_out)
        self._growing = growing
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

    def _supersede(self, replays: Sequence[tuple[int, Delivery]]) -> None:
        """A replay takes the place of the generation before it, or of one event of a range, when it is first recorded.
        Where that was removed by age meanwhile, it is not counted as such any more."""
        begun: set[tuple[int, int, int, int]] = set()
        for lane, replay in replays:
            key = (lane, replay.shard, replay.position, replay.generation)
            known = "SELECT 1 FROM deliveries WHERE lane = ? AND shard = ? AND position = ? AND generation = ?"
            if key in begun or self._db.execute(known, key).get is not None:
                continue
            begun.add(key)
            if replay.replaces_range is not None:
                self._db.execute("UPDATE ranges SET replayed = replayed + 1 WHERE id = ?", (replay.replaces_range,))
            else:
                self._db.execute(
                    "UPDATE deliveries SET latest = 0"
                    " WHERE lane = ? AND shard = ? AND position = ? AND generation < ? AND latest",
                    key,
                )
            if not self._db.changes() and replay.previous is not None:
                tables.add(self._db, "pruned", {_key(lane, replay, replay.previous): -1})

    def _add_range(self, lane: int, span: Range, now_ms: int, growing: dict[tuple[int, int, str], Growing]) -> None:
        """Each source has ranges of its own: those of several lie over each other."""
        key = (lane, span.shard, span.source)
        known = growing.get(key)
        if known is not None and known[1:3] == (span.state, span.code) and now_ms < known.at_ms + GROWS_MS:
            sql = "UPDATE ranges SET last = ?, count = count + ? WHERE id = ?"
            self._db.execute(sql, (span.last, span.count, known.id))
        else:
            self._db.execute(
                "INSERT INTO ranges (lane, shard, first, last, source, state, code, count, at_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (lane, span.shard, span.first, span.last, span.source, span.state, span.code, span.count, now_ms),
            )
            growing[key] = Growing(self._db.last_insert_rowid(), span.state, span.code, now_ms)

    def prune(self, before_ms: int) -> int:
        """Remove some of what ended before a time; returns how many deliveries and ranges. Again until that is 0, and
        from time to time: a step looks at a part of each lane."""
        undone = "old rows cannot be removed"
        with self._writing(undone):
            self._pruning.minutes(before_ms)
            found = self._pruning.ranges(before_ms)
            self._consent.prune(before_ms)
            lanes: list[Any] = self._db.execute("SELECT id FROM lanes").fetchall()
        for (lane,) in lanes:
            with self._writing(undone):  # outcomes come between
                removed = self._pruning.step(lane, before_ms)
                if removed:
                    self._consent.rows_pruned(before_ms)
            found += removed
        return found

    def export_consent_head(self, now_ms: int) -> None:
        """Append the consent log's head to its file, once a day. What the file says must outlive a loss of power, so
        the ledger is written through before."""
        with self._lock, guarded("the consent log's head cannot be exported"):
            if self._consent.head_is_due(now_ms):
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._consent.export_head(now_ms)

    def scrub(self, rows: Sequence[Found], match: Match) -> int:
        """Take a visitor out of settled rows; returns how many attempts those had. Raises LedgerUnavailable."""
        with self._writing("the ledger cannot be scrubbed"):
            return scrub(self._db, rows, match)

    def wipe(self) -> None:
        """Have nothing left in the files of what was replaced or deleted. Raises LedgerUnavailable."""
        steps = wipe(self._db)
        while True:
            with self._lock, guarded("the ledger's files cannot be wiped"):  # outcomes come between
                if next(steps, self) is self:
                    return

    def run_value(self, name: str) -> str | None:
        """What the last deliver process left behind under a name."""
        with self._lock, guarded("a note cannot be read"):
            return self._db.execute("SELECT value FROM runs WHERE name = ?", (name,)).get  # type: ignore[no-any-return]

    def set_run_value(self, name: str, value: str) -> None:
        with self._writing("a note cannot be written"):
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", (name, value))


def _in_order(batch: LaneBatch) -> Iterator[tuple[Position, Delivery | Range]]:
    """Outcomes of single events, and of several, by where they begin."""
    yield from ((span.first, span) for span in batch.ranges)
    yield from ((delivery.position, delivery) for delivery in batch.deliveries)


def _key(lane: int, delivery: Delivery, state: tuple[str, str | None, str | None]) -> Key:
    return (lane, delivery.shard, delivery.source, state[0], state[1] or "", state[2] or "")
