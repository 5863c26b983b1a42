"""The state of the whole gateway in one object: what `status` prints and the management API answers."""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.balance import account
from firsthand.ledger.damage import DAMAGED, REMEDY, Damage, noted
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import LIVE
from firsthand.locks import holders
from firsthand.state.environments import environments
from firsthand.supervise import ROLES

MOST_VALUES = 20


async def status(directory: Path, recount: bool = False) -> dict[str, Any]:
    """Counts of sources, integrations and the log, from the files in a data folder, whether or not `serve` runs.

    `damaged` says since when, how and what to do where the ledger is damaged, which ends sending.
    Raises FileNotFoundError where there is nothing yet.
    """
    log, ledger = SqliteLogReader(directory), LedgerReader(directory)
    try:
        damaged, integrations = noted(directory), []
        try:
            integrations = await _integrations(directory, log, ledger, recount)
        except DAMAGED as error:
            damaged = damaged or Damage(round(time.time() * 1000), f"ledger.db is damaged ({error})", REMEDY)
        tallies, placeholders, unknown_paths = log.tallies(), log.noted("placeholder"), log.noted("unknown_path")
        left_out: Counter[str] = Counter()
        for row in integrations:
            left_out.update(row["left_out"])
        received = {shard: log.counts(shard, log.head(shard)) for shard in log.shards()}
        sources = []
        for key in log.sources():
            duplicates, refused = tallies.get(key, (0, 0))
            count = sum(counts.get(key, 0) for counts in received.values())
            sources.append(
                {
                    "key": key,
                    "received": count,
                    "duplicates": duplicates,
                    "refused": refused,
                    "placeholders": placeholders.get(key, {}),
                    "unknown_paths": unknown_paths.get(key, {}),
                }
            )
        return {
            "running": list(holders(directory, ROLES)),
            "sources": sources,
            "refusals": log.noted("refused"),
            "placeholders": _most(placeholders),
            "unknown_paths": _most(unknown_paths),
            "integrations": integrations,
            "left_out": dict(left_out.most_common()),
            "damaged": msgspec.to_builtins(damaged),
            "log": msgspec.to_builtins(log.status()),
        }
    finally:
        log.close()
        ledger.close()


async def _integrations(
    directory: Path, log: SqliteLogReader, ledger: LedgerReader, recount: bool
) -> list[dict[str, Any]]:
    now_ms, environment = round(time.time() * 1000), environments(directory)
    known = ledger.run_value(LIVE)
    live = msgspec.json.decode(known, type=list[str]) if known else None
    found = []
    for lane in ledger.lanes():
        if live is not None and lane.integration not in live:
            continue  # removed: what it did stays in the traces
        counts = await account(lane, ledger, log, now_ms, recount)
        more = {
            "vendor": lane.vendor,
            "environment": environment.get((lane.integration, None)),
            "health": ledger.health(lane.integration, now_ms),
            "names": ledger.names(lane.id),
            "waiting": ledger.waiting(lane.id),
            "left_out": ledger.left_out(lane.id),
        }
        found.append(msgspec.to_builtins(counts) | more)
    return found


def _most(noted: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The most frequent values of all sources together."""
    whole: Counter[str] = Counter()
    for counts in noted.values():
        whole.update(counts)
    return dict(whole.most_common(MOST_VALUES))
