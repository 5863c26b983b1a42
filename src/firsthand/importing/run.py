"""One run of an import, from the file to the last acknowledged event."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import msgspec

from firsthand.event import format_time
from firsthand.importing.batches import Batch, batches
from firsthand.importing.collector import Collector, Taken
from firsthand.importing.destination import Arrived, Destination
from firsthand.importing.events import Maker, id_prefix
from firsthand.importing.journal import Import, Journal, Key
from firsthand.importing.mapping import Mapping
from firsthand.importing.progress import Watcher
from firsthand.importing.rejects import Rejects
from firsthand.importing.sending import Sender
from firsthand.importing.source import SourceFile

IN_FLIGHT = 4
"""Requests at a time to another machine, where the way takes longest. Here it is one, which is as fast, since the next
batch is made meanwhile, and keeps the file's order."""


LOOK_AHEAD = 10_000
"""Rows that are looked at before anything is sent, for lines of one order."""


class Summary(msgspec.Struct):
    """What a run did. `read` = `accepted` + `duplicates` + `joined` + `skipped` + `rejected`."""

    file: str
    source: str
    finished: bool = False
    read: int = 0
    """Rows of this run; empty lines, and lines that earlier runs have done, are none."""
    sent: int = 0
    accepted: int = 0
    """By the collector; what it already knew is among them."""
    duplicates: int = 0
    """On their way when an earlier run ended, found in the log, and not sent again."""
    joined: int = 0
    """Rows that are in the event of a row in front of them."""
    skipped: int = 0
    """Rows that the mapping leaves out."""
    rejected: int = 0
    seconds: float = 0.0
    already_imported: str | None = None
    """When the file was imported, if there was nothing to do."""
    total_accepted: int = 0
    """By all runs together."""
    total_rejected: int = 0
    total_skipped: int = 0
    rejects: str | None = None
    """The file of the rows set aside."""
    message_id: str | None = None
    """The events' ids, where they are made from the line."""
    own_ids: bool = False
    """Lines may bring ids of their own instead."""


class Run:
    """`most` is how many events a request may have; `clock` is seconds since 1970."""

    def __init__(
        self,
        path: Path,
        mapping: Mapping,
        destination: Destination,
        watch: Watcher,
        most: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._mapping = mapping
        self._destination = destination
        self._watch = watch
        self._most = most
        self._clock = clock
        self._stack = ExitStack()
        self.summary = Summary(str(path), destination.source)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def prepare(self) -> bool:
        """Read the file's fingerprint and look up what has been done; False where nothing is left to do.

        All that can be wrong with the file as a whole and with the mapping is found here, before anything is sent.
        Raises ImportFailed.
        """
        file = self._file = SourceFile(self._path)
        self._stack.callback(file.close)
        file_hash = file.fingerprint(lambda done: self._watch.reading(done / max(file.size, 1)))
        reader = self._reader = file.reader(self._mapping.format)
        self._stack.callback(reader.close)
        mapping = msgspec.structs.replace(self._mapping, format=file.format)
        self._make = Maker(mapping, reader, file_hash, self._path.name, self._clock)
        for _ in islice(self._make.groups(reader.first), LOOK_AHEAD):
            pass
        if not mapping.ids:
            self.summary.message_id = f"{id_prefix(file_hash)}{{line}}"
            self.summary.own_ids = mapping.event is None and "messageId" in reader.columns
        journal = self._journal = Journal(self._destination.journal(self._path, file_hash), self._clock)
        self._stack.callback(journal.close)
        key = Key(file_hash, self._destination.source, self._destination.name, mapping.ids)
        work = self._work = journal.begin(key, mapping.digest, reader.first)
        if not self._is_left(work, mapping):
            self.summary.finished = True
            self.summary.already_imported = format_time(work.finished_ms or 0)
            self._add_totals()
            return False
        return True

    def _is_left(self, work: Import, mapping: Mapping) -> bool:
        """Whether there is anything to do, told to the user where it is not the whole file."""
        if work.mapping == mapping.digest:
            if work.finished_ms is None and work.place != self._reader.first:
                self._watch.note(f"going on at line {work.line:,}; what is before it was done in an earlier run")
            return work.finished_ms is None
        rejected, skipped = self._journal.not_taken(work)
        if work.accepted:
            self._watch.note(
                f"{work.accepted:,} rows were imported with another mapping: they are events and stay as they are."
                + (
                    f" The {rejected + skipped:,} rows that were not taken are tried again"
                    if rejected + skipped
                    else ""
                )
            )
        if work.finished_ms is not None and not rejected + skipped:
            return False
        self._journal.next_turn(work, mapping.digest, self._reader.first)
        return True

    async def send(self) -> None:
        """Send what is left. Raises ImportFailed. Cancelled or killed, it can be run again and goes on."""
        begun, work = time.monotonic(), self._work
        rejects = Rejects(self._path, work.rejects_bytes)
        self._stack.callback(rejects.close)
        arrived = Arrived(self._destination.data, self._destination.source)
        self._stack.callback(arrived.close)
        in_flight = 1 if self._destination.data is not None else IN_FLIGHT
        collector = Collector(self._destination.url, self._destination.write_key, in_flight)
        sender = Sender(collector, arrived, self._journal, work, self._watch, self._clock)
        await sender.warn_of_doubts()
        wanted = _wanted(work, self._journal)
        under_way: deque[tuple[Batch, asyncio.Task[Taken]]] = deque()
        try:
            groups = self._make.groups(work.place, work.open_group)
            for batch in batches(self._reader, work.place, groups, self._make, wanted, self._most):
                if len(under_way) == in_flight:
                    await self._settle(under_way, rejects)
                self._file.check_unchanged()
                under_way.append((batch, asyncio.create_task(sender.deliver(batch))))
                await asyncio.sleep(0)  # so that it goes out before the next rows are read
            while under_way:
                await self._settle(under_way, rejects)
            self._file.check_unchanged()
            self._journal.finish(work)
            self.summary.finished = True
        finally:
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)
            await collector.close()
            self.summary.seconds = round(time.monotonic() - begun, 3)
            self._add_totals()

    async def _settle(self, under_way: deque[tuple[Batch, asyncio.Task[Taken]]], rejects: Rejects) -> None:
        """Wait for the first batch under way and record it: what is recorded has no holes."""
        batch, task = under_way[0]
        taken = await task
        under_way.popleft()
        for refused in taken.rejected:
            batch.reject(batch.rows[refused.index], refused.fault())
        batch.rejects.sort(key=lambda reject: reject.line)
        self._work.rejects_bytes = rejects.add(batch.rejects)
        self._work.open_group = batch.open
        lines = [reject.line for reject in batch.rejects]
        self._journal.acknowledged(self._work, batch.after, taken.accepted + batch.known, lines, batch.skipped)
        self.summary.read += batch.read
        self.summary.sent += len(batch.events) - batch.known
        self.summary.accepted += taken.accepted
        self.summary.duplicates += batch.known
        self.summary.skipped += len(batch.skipped)
        self.summary.rejected += len(lines)
        self.summary.joined += batch.read - taken.accepted - batch.known - len(batch.skipped) - len(lines)
        self._watch.rows(self.summary.read, batch.fraction)

    def _add_totals(self) -> None:
        self.summary.total_accepted = self._work.accepted
        self.summary.total_rejected, self.summary.total_skipped = self._journal.not_taken(self._work)
        if self.summary.total_rejected:
            self.summary.rejects = f"{self._path}.rejects.jsonl"


def _wanted(work: Import, journal: Journal) -> Callable[[int], bool]:
    """Which lines this turn takes: all, or what is behind those that earlier turns reached, and what they set aside."""
    if not work.reached:
        return lambda line: True
    again = journal.to_try_again(work)
    next_line = next(again, None)

    def wanted(line: int) -> bool:
        nonlocal next_line
        while next_line is not None and next_line < line:
            next_line = next(again, None)
        return line > work.reached or line == next_line

    return wanted
