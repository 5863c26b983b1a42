"""Works out what an erasure is to take: for the erasure itself, for its preview, and for an export."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from firsthand.deliver.tail import UNREADABLE, Tail
from firsthand.eventlog.erasing import scan
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.identity import Hub
from firsthand.identity.erasure import Match, Place, Plan, Wanted, find_ids
from firsthand.placeholders import read_event

T = TypeVar("T")


async def make_plan(wanted: Wanted, log: SqliteLogReader, tail: Tail, hub: Hub, erased_ms: int) -> Plan:
    """What is there by now. The hub has to know all that the log has: one event may be all that links two ids."""
    since = {shard: log.tail(shard) for shard in log.shards()}
    upto = {shard: log.head(shard) for shard in log.shards()}
    for shard, last in upto.items():
        await tail.observe(shard, last)
    found = find_ids(wanted, log.sources(), hub.get)
    ids = {source: sorted(one.ids) for source, one in found.items()}
    shared = {source: sorted(one.shared) for source, one in found.items()}
    others = {source: sorted(one.others) for source, one in found.items()}
    match = Match(ids, shared)
    events, mentions = await in_thread(lambda: _locate(log, match, upto.get(0, 0)))
    return Plan(ids, shared, others, events, mentions, since, upto, erased_ms)


def _locate(log: SqliteLogReader, match: Match, last: int) -> tuple[list[Place], dict[str, list[Place]]]:
    """Places of a visitor's events in the log, up to a position; and by source those of events that mention them."""
    theirs: list[Place] = []
    mentions: dict[str, list[Place]] = {}
    for rows in scan(log, last, match.maybe, match.needles, match.addresses):
        for row in rows:
            try:
                fate = match.event(row.source, read_event(row.body), row.body)
            except UNREADABLE:
                continue
            if fate == "theirs":
                theirs.append((0, row.position))
            elif fate == "mentions":
                mentions.setdefault(row.source, []).append((0, row.position))
    return theirs, mentions


async def in_thread(work: Callable[[], T]) -> T:
    """To its end, also when cancelled: its connection is closed right after."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
