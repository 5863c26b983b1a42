"""One run of an import, from the file to the last acknowledged event."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from firsthand.event import format_time
from firsthand.importing.batches import Batch, batches
from firsthand.importing.collector import Collector, Later, Taken, pause
from firsthand.importing.destination import Arrived, Destination
from firsthand.importing.events import id_prefix, maker
from firsthand.importing.journal import Import, Journal, Key
from firsthand.importing.mapping import Mapping
from firsthand.importing.progress import Watcher
from firsthand.importing.rejects import Rejects
from firsthand.importing.rows import Reader
from firsthand.importing.source import SourceFile

IN_FLIGHT = 4
DOUBT_MS = 20 * 3_600_000
"""The collector knows a message id again for 24 hours. After this long, what may have arrived is looked for in the
log before it is sent once more."""


class Summary(msgspec.Struct):
    """What a run did. `read` = `accepted` + `duplicates` + `rejected` once it is finished."""

    file: str
    source: str
    finished: bool = False
    read: int = 0
    """Rows of this run; empty lines, and lines that earlier runs have done, are none."""
    sent: int = 0
    accepted: int = 0
    """By the collector; those it already knew are among them."""
    duplicates: int = 0
    """On their way when an earlier run ended, and found in the log."""
    rejected: int = 0
    seconds: float = 0.0
    already_imported: str | None = None
    """When the file was imported, if there was nothing to do."""
    total_accepted: int = 0
    """By all runs together."""
    total_rejected: int = 0
    rejects: str | None = None
    """The file of the rows set aside."""
    message_ids: str = ""


class Run:
    """`clock` is seconds since 1970; `most` is how many events a request may have."""

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
        """Read the file's fingerprint, look up what has been done; False where nothing is left. Raises ImportFailed.

        Nothing has been sent yet: all that can be wrong with the mapping and the file as a whole is found here.
        """
        self._file = SourceFile(self._path)
        self._stack.callback(self._file.close)
        size = max(self._file.size, 1)
        file_hash = self._file.fingerprint(lambda done: self._watch.reading(done / size))
        reader = self._reader = self._file.reader(self._mapping.format)
        self._stack.callback(reader.close)
        mapping = msgspec.structs.replace(self._mapping, format=self._file.format)
        self._make = maker(mapping, reader, file_hash, self._path.name)
        self.summary.message_ids = f"{id_prefix(file_hash)}{{line}}" if not mapping.ids else ""
        journal = self._journal = Journal(self._destination.journal(self._path, file_hash), self._clock)
        self._stack.callback(journal.close)
        key = Key(file_hash, self._destination.source, self._destination.name, mapping.ids)
        work = self._work = journal.begin(key, mapping.digest, reader.first)
        if work.mapping != mapping.digest:
            self._tell_of_new_mapping(work, journal)
            journal.next_turn(work, mapping.digest, reader.first)
        elif work.finished_ms is not None:
            self.summary.already_imported = format_time(work.finished_ms)
            self._conclude()
            return False
        elif work.place != reader.first:
            self._watch.note(f"going on at line {work.line:,}: what is before it was acknowledged in an earlier run")
        return True

    def _tell_of_new_mapping(self, work: Import, journal: Journal) -> None:
        rejected = journal.rejected(work)
        if work.accepted:
            self._watch.note(
                f"{work.accepted:,} rows of this file were imported with another mapping; they are events and stay as"
                f" they are. This run takes the {rejected:,} rows that were refused, and what is left of the file"
            )

    async def send(self) -> Summary:
        """Send what is left. Raises ImportFailed; cancelled, it can be run again and goes on."""
        begun, work = time.monotonic(), self._work
        self._on_the_way = self._journal.on_the_way(work)
        self._arrived = Arrived(self._destination.data, self._destination.source)
        self._stack.callback(self._arrived.close)
        rejects = Rejects(self._path.with_name(f"{self._path.name}.rejects.jsonl"), work.rejects_bytes)
        self._stack.callback(rejects.close)
        await self._warn_of_doubts()
        self._collector = Collector(self._destination.url, self._destination.write_key, IN_FLIGHT)
        under_way: deque[tuple[Batch, asyncio.Task[Taken]]] = deque()
        try:
            wanted = _wanted(self._reader, work, self._journal)
            for batch in batches(self._reader, work.place, self._make, wanted, self._most):
                if len(under_way) == IN_FLIGHT:
                    await self._settle(*under_way.popleft(), rejects)
                self._file.check_unchanged()
                under_way.append((batch, asyncio.create_task(self._deliver(batch))))
                await asyncio.sleep(0)  # lets it go out before the next rows are read
            while under_way:
                await self._settle(*under_way.popleft(), rejects)
            self._file.check_unchanged()
            self._journal.finish(work)
            self.summary.finished = True
        finally:
            for _, task in under_way:
                task.cancel()
            await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)
            await self._collector.close()
            self.summary.seconds = round(time.monotonic() - begun, 3)
            self._conclude()
        return self.summary

    async def _deliver(self, batch: Batch) -> Taken:
        """Until the collector has taken it."""
        tries = 0
        while True:
            self._drop_known(batch)
            if not batch.events:
                return Taken(0, [])
            if batch.sent_ms is None:
                batch.sent_ms = self._journal.sending(self._work, batch.lines[0], batch.lines[-1])
            answer = await self._collector.send(batch.body())
            if isinstance(answer, Taken):
                if tries:
                    self._watch.waiting("")
                return answer
            await self._wait(answer, tries)
            tries += 1

    async def _wait(self, answer: Later, tries: int) -> None:
        seconds = pause(tries, answer.seconds)
        self._watch.waiting(f"waiting: {answer.why}; next try in {seconds:.0f} s, Ctrl-C to stop")
        await asyncio.sleep(seconds)

    async def _settle(self, batch: Batch, task: asyncio.Task[Taken], rejects: Rejects) -> None:
        """Record a batch once it is acknowledged, after all those before it."""
        try:
            taken = await task
        except asyncio.CancelledError:
            task.cancel()
            raise
        for refused in taken.rejected:
            batch.reject(batch.lines[refused.index], batch.raws[refused.index], refused.fault())
        batch.rejects.sort(key=lambda reject: reject.line)
        size = rejects.add(batch.rejects)
        lines = [reject.line for reject in batch.rejects]
        self._journal.acknowledged(self._work, batch.after, taken.accepted + batch.known, lines, size)
        summary = self.summary
        summary.read += batch.read
        summary.sent += len(batch.events)
        summary.accepted += taken.accepted
        summary.duplicates += batch.known
        summary.rejected += len(batch.rejects)
        self._watch.rows(summary.read, batch.fraction)

    # -- what may have arrived before ------------------------------------------------------------------------------

    def _drop_known(self, batch: Batch) -> None:
        """Leave out what the log has, where the collector may have forgotten it."""
        before = round(self._clock() * 1000) - DOUBT_MS
        doubtful = [(sent.first, sent.last) for sent in self._on_the_way if sent.sent_ms < before]
        if batch.sent_ms is not None and batch.sent_ms < before and batch.lines:
            doubtful.append((batch.lines[0], batch.lines[-1]))
        if not doubtful:
            return
        asked = {
            id: index
            for index, (line, id) in enumerate(zip(batch.lines, batch.ids, strict=True))
            if any(first <= line <= last for first, last in doubtful)
        }
        known = {asked[id] for id in self._arrived.known(asked)}
        batch.drop(known)
        batch.known += len(known)

    async def _warn_of_doubts(self) -> None:
        """Say which lines may arrive twice because nobody can tell whether they have arrived."""
        before = round(self._clock() * 1000) - DOUBT_MS
        doubtful = [sent for sent in self._on_the_way if sent.sent_ms < before]
        if not doubtful or await self._arrived.remembers(min(sent.sent_ms for sent in doubtful)):
            return
        lines = ", ".join(f"{sent.first:,} to {sent.last:,}" for sent in doubtful)
        why = "the log has dropped events of that time" if self._destination.data else "this gateway's log is elsewhere"
        self._watch.note(
            f"Lines {lines} were on their way when an import ended, over 20 hours ago. Whether they arrived can't be"
            f" told ({why}): those that did may now be events twice"
        )

    def _conclude(self) -> None:
        self.summary.total_accepted = self._work.accepted
        self.summary.total_rejected = self._journal.rejected(self._work)
        if self.summary.total_rejected:
            self.summary.rejects = f"{self._path}.rejects.jsonl"


def _wanted(reader: Reader, work: Import, journal: Journal) -> Callable[[int], bool]:
    """Which lines this turn takes: all, or behind what earlier turns reached, and what they refused."""
    if not work.reached:
        return lambda line: True
    again: Iterator[int] = journal.to_try_again(work)
    next_line = next(again, None)

    def wanted(line: int) -> bool:
        nonlocal next_line
        while next_line is not None and next_line < line:
            next_line = next(again, None)
        return line > work.reached or line == next_line

    return wanted
