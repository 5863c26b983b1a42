"""Counts that balance: every event received is delivered, filtered, dead, held, retrying or pending.

Three accounts are kept by different hands and must agree. The log's marks say how many events stand between a
lane's start and its cursor; the lane's counters say how many it settled there. And a recount of the ledger's rows
must give the counters again.
"""

import msgspec

from firsthand.eventlog.base import LogReader, Row
from firsthand.ledger.reader import Lane, LedgerReader, total


class Account(msgspec.Struct, frozen=True):
    """The counts of one integration. `recounted` is None where the rows were not counted, or not
    while they stood still."""

    key: str
    received: int
    delivered: int
    filtered: int
    dead: int
    pending: int
    held: int
    retrying: int
    balanced: bool
    lag_seconds: float
    reasons: dict[str, int]
    certainties: dict[str, int]
    recounted: bool | None = None


async def account(lane: Lane, ledger: LedgerReader, log: LogReader, now_ms: int, recount: bool = False) -> Account:
    """The counts of a lane, from the ledger and the log. `recount` also reads every row, which takes long."""
    # The ledger is read before the log, which only grows: what arrives in between shows as pending.
    cursors = ledger.cursors(lane.id)
    settled, beyond, starts = ledger.settled_counts(lane.id), ledger.beyond(lane.id), ledger.starts(lane.id)
    counted = ledger.counted(lane.id)
    balanced, received, lag = True, 0, 0.0
    for shard, cursor in cursors.items():
        # Where retention has overtaken the lane, its marks are gone: checked again once the lane has recorded that.
        overtaken = cursor < log.tail(shard) - 1
        upto, head = log.counts(shard, cursor), log.counts(shard, log.head(shard))
        for (of_shard, source), start in starts.items():
            if of_shard != shard:
                continue
            done = settled.get((shard, source), 0) - beyond.get((shard, source), 0)
            balanced = balanced and (overtaken or upto.get(source, 0) - start == done)
            received += head.get(source, 0) - start
        lag = max(lag, await _lag(log, shard, cursor, now_ms))
    # A source this lane no longer reads: what it was counted for, and nothing more.
    received += sum(count for key, count in settled.items() if key not in starts)
    done = sum(row.count for row in counted)
    reasons: dict[str, int] = {}
    certainties: dict[str, int] = {}
    for row in counted:
        if row.code:
            reasons[row.code] = reasons.get(row.code, 0) + row.count
        if row.certainty:
            certainties[row.certainty] = certainties.get(row.certainty, 0) + row.count
    recounted = None
    if recount:
        recounted = ledger.adds_up(lane.id)
    return Account(
        key=lane.integration,
        received=received,
        delivered=total(counted, "delivered"),
        filtered=total(counted, "filtered"),
        dead=total(counted, "dead"),
        pending=received - done,
        held=total(counted, "held"),
        retrying=total(counted, "retrying"),
        balanced=balanced and received >= done and recounted is not False,
        lag_seconds=lag,
        reasons=reasons,
        certainties=certainties,
        recounted=recounted,
    )


async def _lag(log: LogReader, shard: int, cursor: int, now_ms: int) -> float:
    """How long the oldest event that waits has been waiting, in seconds."""
    rows = (row for row in await log.read(shard, cursor, 1) if isinstance(row, Row))
    return max((max(0.0, (now_ms - row.received_ms) / 1000) for row in rows), default=0.0)
