"""The independent checker: what senders were acknowledged × what the vendor received × what our ledger says.

It knows the tables but uses none of the gateway's own code to read them, and it is told by nobody but the senders and
the vendors' emulators what happened. Every fault test ends with it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from tests.gateway import Emulator, Gateway, Sender

from firsthand.status import status

OPEN = ("pending", "retrying", "held")
ANSWER_LOST = ("cut", "garbage", "truncated")
"""Faults with which the vendor has the event and we can't know."""
Kept = tuple[int, str, str]
"""Position, source and message id of an event in the log."""
Fate = tuple[str, str | None]
"""State and reason code."""


@dataclass
class Lane:
    """What was found of one integration. Events go by their message id."""

    states: Counter[str] = field(default_factory=Counter)
    """Events by state, with its reason: `delivered`, `dead: vendor_rejected`."""
    unexplained: dict[str, str] = field(default_factory=dict)
    """Kept, but neither delivered, nor filtered or dead with a reason."""
    missing: list[str] = field(default_factory=list)
    """Delivered as the ledger has it, yet the vendor never got it."""
    contradicted: list[str] = field(default_factory=list)
    """Filtered, yet the vendor got it."""
    duplicates: dict[str, int] = field(default_factory=dict)
    """What the vendor got again after it had answered properly, and how many times."""
    repeated: int = 0
    """How often it got an event again because its answer had been lost."""
    strangers: list[str] = field(default_factory=list)
    """What the vendor got and nobody has kept."""


@dataclass
class Findings:
    acknowledged: int
    kept: int
    lost: list[str]
    """Acknowledged, and not in the log."""
    twice: dict[str, int]
    """Message ids that are in the log more than once."""
    unbalanced: list[str]
    """Accounts that do not come out even."""
    lanes: dict[str, Lane]


def check(
    gateway: Gateway,
    senders: Sender | Iterable[str],
    vendors: Emulator | Mapping[str, Emulator],
    *,
    duplicates: int = 0,
    since: Mapping[str, str] | None = None,
) -> Findings:
    """Fails the test where the three accounts disagree; prints and returns what was found.

    `senders` are those who sent, or the ids acknowledged to them; `vendors` the emulator of each integration (one
    alone: of all). `duplicates` is how many events each vendor may have got twice: what was in flight when a process
    was killed. `since` is the first event meant for an integration that was added later.
    """
    acknowledged = senders.acknowledged if isinstance(senders, Sender) else set(senders)
    kept = list(_kept(gateway.data))
    ids = Counter(id for _, _, id in kept)
    found = Findings(
        acknowledged=len(acknowledged),
        kept=len(kept),
        lost=sorted(acknowledged - ids.keys()),
        twice={id: count for id, count in ids.items() if count > 1},
        unbalanced=_unbalanced(gateway.data),
        lanes={},
    )
    with closing(_open(gateway.data / "ledger.db")) as ledger:
        for lane, integration in ledger.execute("SELECT id, integration FROM lanes").fetchall():
            vendor = vendors if isinstance(vendors, Emulator) else vendors[integration]
            found.lanes[integration] = _lane(ledger, lane, _from(kept, (since or {}).get(integration)), vendor)
            found.unbalanced += _uneven(ledger, lane, integration)
    _print(found)
    assert not found.lost, f"acknowledged and lost: {_some(found.lost)}"
    assert not found.twice, f"kept twice: {_some(found.twice)}"
    assert not found.unbalanced, found.unbalanced
    for integration, of in found.lanes.items():
        assert not of.unexplained, f"{integration}: unexplained: {_some(of.unexplained)}"
        assert not of.missing, f"{integration}: delivered, but not received: {_some(of.missing)}"
        assert not of.contradicted, f"{integration}: filtered, but received: {_some(of.contradicted)}"
        assert not of.strangers, f"{integration}: received, but not kept: {_some(of.strangers)}"
        extra = sum(of.duplicates.values())
        assert extra <= duplicates, f"{integration}: {extra} duplicates, at most {duplicates}: {_some(of.duplicates)}"
    return found


def _lane(ledger: apsw.Connection, lane: int, kept: list[Kept], vendor: Emulator) -> Lane:
    found = Lane()
    received = [entry for entry in vendor.received() if entry.taken]
    taken = Counter(entry.id for entry in received)
    unanswered = Counter(entry.id for entry in received if entry.fault in ANSWER_LOST)
    fates, shared = _fates(ledger, lane), _shared_fates(ledger, lane)
    sources = {source for (source,) in ledger.execute("SELECT source FROM lane_sources WHERE lane = ?", (lane,))}
    known = set()
    for position, source, id in kept:
        known.add(id)
        if source not in sources:
            continue
        state, code = fates.get(position) or shared.get((position, source)) or ("pending", None)
        found.states[f"{state}: {code}" if code else state] += 1
        if state not in ("delivered", "filtered", "dead") or (state != "delivered" and not code):
            found.unexplained[id] = state
        elif state == "delivered" and not taken[id]:
            found.missing.append(id)
        elif state == "filtered" and taken[id]:
            found.contradicted.append(id)
    again = {id: count - 1 for id, count in taken.items() if count > 1}
    found.duplicates = {id: count - unanswered[id] for id, count in again.items() if count > unanswered[id]}
    found.repeated = sum(again.values()) - sum(found.duplicates.values())
    found.strangers = sorted(taken.keys() - known)
    return found


def _kept(data: Path) -> Iterator[Kept]:
    with closing(_open(data / "events.db")) as log:
        sql = "SELECT position, key, body FROM events JOIN sources ON id = source ORDER BY position"
        for position, source, body in log.execute(sql).fetchall():
            yield position, source, json.loads(body)["messageId"]


def _from(kept: list[Kept], first: str | None) -> list[Kept]:
    ids = [id for _, _, id in kept]
    return kept[ids.index(first) :] if first else kept


def _fates(ledger: apsw.Connection, lane: int) -> dict[int, Fate]:
    """State and reason of every event that has a delivery, by position."""
    sql = "SELECT position, state, code FROM deliveries WHERE lane = ? AND latest"
    return {position: (state, code) for position, state, code in ledger.execute(sql, (lane,))}


def _shared_fates(ledger: apsw.Connection, lane: int) -> dict[tuple[int, str], Fate]:
    """State and reason of those that met their fate together, by position and source."""
    sql = "SELECT first, last, source, state, code FROM ranges WHERE lane = ?"
    return {
        (position, source): (state, code)
        for first, last, source, state, code in ledger.execute(sql, (lane,))
        for position in range(first, last + 1)
    }


def _unbalanced(data: Path) -> list[str]:
    """What the gateway itself says of its balance, recounted."""
    said: dict[str, Any] = asyncio.run(status(data, recount=True))
    faults = []
    for row in said["integrations"]:
        states = {state: row[state] for state in ("delivered", "filtered", "dead", *OPEN)}
        if not (row["balanced"] and row["recounted"]) or sum(states.values()) != row["received"]:
            accounts = f"balanced {row['balanced']}, recounted {row['recounted']}"
            faults.append(f"{row['key']}: {accounts}, received {row['received']}: {states}")
    return faults


def _uneven(ledger: apsw.Connection, lane: int, integration: str) -> list[str]:
    """The counters against the rows, counted here."""
    sql = "SELECT state, sum(count) FROM counters WHERE lane = ? GROUP BY state"
    counted = {state: count for state, count in ledger.execute(sql, (lane,)) if count}
    sql = (
        "SELECT state, sum(n) FROM (SELECT state, count(*) n FROM deliveries WHERE lane = ?1 AND latest GROUP BY state"
        " UNION ALL SELECT state, sum(count - replayed) FROM ranges WHERE lane = ?1 GROUP BY state) GROUP BY state"
    )
    rows = {state: count for state, count in ledger.execute(sql, (lane,)) if count}
    return [] if counted == rows else [f"{integration}: the counters say {counted}, the rows {rows}"]


def _open(path: Path) -> apsw.Connection:
    """A connection that only reads, and leaves the write-ahead log to its owner."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    db.set_busy_timeout(5_000)
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.pragma("query_only", 1)
    return db


def _print(found: Findings) -> None:
    print(f"\nacknowledged {found.acknowledged}, kept {found.kept}, lost {len(found.lost)}")
    for integration, of in found.lanes.items():
        states = ", ".join(f"{count} {state}" for state, count in sorted(of.states.items()))
        again = f"{sum(of.duplicates.values())} duplicates, {of.repeated} repeated for want of an answer"
        print(f"  {integration}: {states}; at the vendor: {again}")


def _some(found: Iterable[Any]) -> str:
    items = list(found.items()) if isinstance(found, Mapping) else list(found)
    return f"{len(items)}, such as {items[:5]}"
