"""Sends past events again: a temporary reader over part of the ledger, beside the live lane and never in its way.

A replayed delivery is the next generation of the one it takes the place of. What was delivered is left alone unless
the replay says `resend`, and so is what may have been. What the vendor took in part is not sent again in that part.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TypeVar

import msgspec
import structlog

from firsthand.deliver.clock import Clock
from firsthand.deliver.item import Item, Key
from firsthand.deliver.lane import Lane
from firsthand.deliver.planning import in_thread
from firsthand.deliver.tail import UNREADABLE
from firsthand.event import decoder
from firsthand.eventlog.base import LogReader, Row
from firsthand.ledger.reader import Filter, LedgerReader, Stored
from firsthand.ledger.records import Delivery, Detail, Range
from firsthand.ratelimit import TokenBucket

log = structlog.get_logger()

RATE = 100.0
"""Events a second, where the integration has no lower rate of its own."""
IN_FLIGHT = 8
CHUNK = 100

T = TypeVar("T")


class Progress(msgspec.Struct):
    """How far a replay is.

    `waiting` are those whose new generation retries or is held: it goes on by itself. `gone` are events that neither
    log nor ledger hold any more.
    """

    total: int = 0
    done: int = 0
    delivered: int = 0
    dead: int = 0
    filtered: int = 0
    waiting: int = 0
    gone: int = 0


class Candidate(msgspec.Struct):
    """A delivery to make again."""

    delivery: Delivery
    name: str


async def candidates(
    lane: int, wanted: Filter, ledger: LedgerReader, log: LogReader
) -> AsyncIterator[Candidate | None]:
    """The next generation of each delivery that a filter takes; None for one whose event is gone."""
    async for stored, body in _chunked(_bodies(ledger.select(lane, wanted), log)):
        old = stored.delivery
        if body is None:
            yield None
            continue
        if not _named(body, wanted):
            continue
        # Identity stays as it was frozen: the same revision gives the same bytes. Consent is decided anew.
        detail = Detail(name=old.detail.name, identity=old.detail.identity)
        if old.state != "delivered":
            detail.accepted, detail.certainty = old.detail.accepted, old.detail.certainty
            detail.unknown = [] if wanted.resend else old.detail.unknown
        new = copy.copy(old)
        new.generation, new.event, new.detail, new.state = old.generation + 1, body, detail, "pending"
        new.certainty = new.next_ms = None
        yield Candidate(new, detail.name)
    for range_id, span in ledger.ranges_of(lane, wanted):
        if span.code in ("log_damaged", "backlog_overflow"):
            continue  # nobody has these events any more
        taken = await in_thread(partial(ledger.positions, lane, span))
        async for row in _rows(span, log):
            if row.position not in taken and _in_time(row, wanted) and _named(row.body, wanted):
                yield _out_of_range(row, span, range_id)


def _bodies(found: Iterable[Stored], log: LogReader) -> Iterator[tuple[Stored, bytes | None]]:
    """Deliveries with their events; None where those are gone."""
    for stored in found:
        body = stored.delivery.event
        if body is None and (row := log.get(stored.delivery.shard, stored.delivery.position)) is not None:
            body = row.body
        yield stored, body


async def _chunked(found: Iterator[T]) -> AsyncIterator[T]:
    """Read in a thread, some at a time: lanes have a slow disk's time meanwhile."""
    while chunk := await in_thread(lambda: list(islice(found, CHUNK))):
        for one in chunk:
            yield one


async def _rows(span: Range, log: LogReader) -> AsyncIterator[Row]:
    after = span.first - 1
    while after < span.last:
        rows = await log.read(span.shard, after, 256)
        if not rows:
            return
        for row in rows:
            if not isinstance(row, Row):
                after = row.last
                continue
            after = row.position
            if row.position <= span.last and row.source == span.source:
                yield row


def _named(body: bytes, wanted: Filter) -> bool:
    """Whether an event has the message id that is wanted, if one is."""
    if not wanted.message_id:
        return True
    try:
        return decoder.decode(body).message_id == wanted.message_id
    except UNREADABLE:
        return False


def _in_time(row: Row, wanted: Filter) -> bool:
    late = wanted.to_ms is not None and row.received_ms >= wanted.to_ms
    return not late and (wanted.from_ms is None or row.received_ms >= wanted.from_ms)


def _out_of_range(row: Row, span: Range, range_id: int) -> Candidate:
    delivery = Delivery(
        shard=span.shard,
        position=row.position,
        generation=1,
        source=row.source,
        visitor=row.visitor,
        received_ms=row.received_ms,
        event=row.body,
        previous=(span.state, None, span.code),
        replaces_range=range_id,
    )
    return Candidate(delivery, "")


async def run(
    lane: Lane,
    wanted: Filter,
    ledger: LedgerReader,
    log: LogReader,
    clock: Clock,
    rate: float,
    progress: Progress,
) -> None:
    """Replay through a lane, and keep count in `progress`. Cancelled, it takes back what the lane has not begun.

    `ledger` and `log` are its own: they are read in a thread.
    """
    bucket, slots = TokenBucket(rate, clock.monotonic), asyncio.Semaphore(IN_FLIGHT)
    waiting: set[Key] = set()
    try:
        await _run(lane, candidates(lane.id, wanted, ledger, log), clock, bucket, slots, waiting, progress)
    except asyncio.CancelledError:
        lane.take_back(waiting)
        raise


async def _run(
    lane: Lane,
    found: AsyncIterator[Candidate | None],
    clock: Clock,
    bucket: TokenBucket,
    slots: asyncio.Semaphore,
    waiting: set[Key],
    progress: Progress,
) -> None:
    async for candidate in found:
        progress.total += 1
        if candidate is None:
            progress.gone += 1
            progress.done += 1
            continue
        while pause := bucket.take():
            await clock.sleep(pause)
        await slots.acquire()
        item = Item(candidate.delivery, None, candidate.name)

        def count(item: Item = item) -> None:
            slots.release()
            waiting.discard(item.key)
            progress.done += 1
            state = item.delivery.state if item.delivery.state in ("delivered", "dead", "filtered") else "waiting"
            setattr(progress, state, getattr(progress, state) + 1)

        item.on_outcome = count
        waiting.add(item.key)
        lane.replay(item)
    for _ in range(IN_FLIGHT):
        await slots.acquire()
