"""Mends a damaged `events.db`: what can be read is written anew, what cannot is marked as lost, row by row.

SQLite reads around a damaged page, but can neither append behind it nor drop it. So the whole log is copied into a
file beside it, which is then laid over the damaged one in a single transaction: a reader sees one commit and no other
file. Positions and counts stay what they were, so lanes go on where they stand; an event that is lost comes back as a
gap (`log_damaged`), as it did before.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apsw

from firsthand.eventlog.base import FORMAT, PARTITIONS, Gap, LogUnavailable, Position, Row
from firsthand.eventlog.files import checksum, log_bytes
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.private import create_private

COPY = "events.mended.db"
CHUNK = 1_000
LOST_FORMAT = 0
"""The format of a row that only says: here was an event. Readers refuse it, as any format that is not theirs."""


def mend(directory: Path, db: apsw.Connection, head: Position, counts: Mapping[int, int]) -> int:
    """Mend the log in a folder through its writer's connection; returns how many events are lost.

    `head` and `counts` (by source id) are what the writer knows of the newest commit. Raises LogUnavailable where the
    disk has no room for it: the copy and the transaction take twice the size of the log. Raises apsw.Error where more
    is damaged than events and marks.
    """
    needed = 2 * log_bytes(db)
    if shutil.disk_usage(directory).free < needed:
        raise LogUnavailable(f"the event log is damaged; mending it takes {needed >> 20} MiB of free disk", 60)
    forget_copy(directory)
    reader = _Reader(directory, head)
    create_private(directory / COPY)
    copy = apsw.Connection(str(directory / COPY))
    try:
        copy.pragma("page_size", db.pragma("page_size"))
        copy.pragma("journal_mode", "memory")
        copy.pragma("synchronous", "off")
        copy.execute("ATTACH ? AS damaged", (str(directory / "events.db"),))
        lost = _Copying(copy, reader, head).run(counts)
        copy.execute("DETACH damaged")
        with db.backup("main", copy, "main") as laid_over:
            laid_over.step()
    finally:
        copy.close()
        reader.close()
        forget_copy(directory)
    return lost


def forget_copy(directory: Path) -> None:
    """Remove what a mending that was cut off left behind."""
    for suffix in ("", "-journal"):
        (directory / (COPY + suffix)).unlink(missing_ok=True)


class _Reader(SqliteLogReader):
    """Reads what can be read, also where the newest mark can't."""

    def __init__(self, directory: Path, head: Position) -> None:
        super().__init__(directory)
        self._head = head

    def head(self, shard: int) -> Position:
        return self._head


class _Copying:
    def __init__(self, copy: apsw.Connection, reader: SqliteLogReader, head: Position) -> None:
        self._copy = copy
        self._reader = reader
        self._head = head
        self._received_ms = 0
        self._lost = 0

    def run(self, counts: Mapping[int, int]) -> int:
        schema: list[Any] = self._copy.execute(
            "SELECT type, name, sql FROM damaged.sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC"
        ).fetchall()
        for _, _, sql in schema:
            self._copy.execute(sql)
        for type, name, _ in schema:
            if type == "table" and name not in ("events", "marks"):
                self._copy.execute(f'INSERT INTO "{name}" SELECT * FROM damaged."{name}"')  # noqa: S608 (our own)
        self._ids: dict[str, int] = dict(self._copy.execute("SELECT key, id FROM sources"))
        for source, count in counts.items():
            self._copy_marks(source, count)
        position = self._copy.execute("SELECT value FROM state WHERE name = 'dropped'").get or 0
        while position < self._head:
            position = self._copy_chunk(position, min(position + CHUNK, self._head))
        return self._lost

    def _copy_marks(self, source: int, count: int) -> None:
        """All marks but those between the first and the last damaged page. Without a mark, more rows are counted."""
        sql = "SELECT source, position, count FROM damaged.marks WHERE source = ? ORDER BY position"
        for order in (sql, f"{sql} DESC"):
            try:
                for mark in self._copy.execute(order, (source,)):
                    self._copy.execute("INSERT OR IGNORE INTO main.marks VALUES (?, ?, ?)", mark)
            except apsw.CorruptError:
                continue
        newest = self._copy.execute("SELECT max(count) FROM main.marks WHERE source = ?", (source,)).get
        if newest != count:
            self._copy.execute("INSERT OR REPLACE INTO main.marks VALUES (?, ?, ?)", (source, self._head, count))

    def _copy_chunk(self, after: Position, last: Position) -> Position:
        """Copy the rows after a position, up to another one; returns how far it came."""
        sql = "INSERT INTO main.events SELECT * FROM damaged.events WHERE position BETWEEN ? AND ?"
        try:
            self._copy.execute(sql, (after + 1, last))
        except apsw.CorruptError:
            while after < last and (entries := self._reader.entries(after, last - after)):
                after = self._copy_entries(entries)
            return max(after, last)
        return last

    def _copy_entries(self, entries: list[Row | Gap]) -> Position:
        sql = "INSERT INTO main.events VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        last = 0
        for entry in entries:
            rows = [self._as_stored(entry)] if isinstance(entry, Row) else list(self._lost_rows(entry))
            self._copy.executemany(sql, rows)
            last = entry.position if isinstance(entry, Row) else entry.last
        return last

    def _as_stored(self, row: Row) -> tuple[object, ...]:
        source = self._ids[row.source]
        crc = checksum(row.position, row.visitor, source, row.received_ms, row.body)
        self._received_ms = row.received_ms
        return row.position, FORMAT, row.partition, row.visitor, source, row.received_ms, crc, row.body

    def _lost_rows(self, gap: Gap) -> Iterator[tuple[object, ...]]:
        """A row for each position of a gap. Whose events they were is told by the marks around it, where there are."""
        try:
            before, after = self._reader.counts(0, gap.first - 1), self._reader.counts(0, gap.last)
        except apsw.CorruptError:
            before = after = {}
        sources = [self._ids[key] for key in after for _ in range(after[key] - before.get(key, 0))]
        received_ms = self._next_received(gap.last)
        for index, position in enumerate(range(gap.first, gap.last + 1)):
            source = sources[index] if index < len(sources) else 0
            self._lost += 1
            yield position, LOST_FORMAT, position % PARTITIONS, 0, source, received_ms, 0, b""

    def _next_received(self, position: Position) -> int:
        """When the event behind a gap was received, or else the one before it: retention goes by it."""
        behind = self._reader.entries(position, 1)
        return behind[0].received_ms if behind and isinstance(behind[0], Row) else self._received_ms
