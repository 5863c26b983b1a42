"""Erasing and exporting a visitor: the side of whoever asks.

The gateway's processes carry an erasure out. The part of one that does not run is done here, under that role's lock.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from firsthand.event import decoder, format_time
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.identity import Hub
from firsthand.identity.erasure import Match, Plan, Wanted
from firsthand.identity.lesson import Names
from firsthand.identity.profile import Kind, Profile, Ref
from firsthand.identity.store import Unwritten
from firsthand.ledger.finding import Found, Key, find_all
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.records import OPEN, Exchange
from firsthand.personal import mask_text
from firsthand.placeholders import clean_id
from firsthand.settings import Settings
from firsthand.state.erasures import Erasure
from firsthand.state.store import State

WAIT_SECONDS = 0.2
Tell = Callable[[str], None]


class Unreachable(ValueError):
    """Nobody can be meant by this."""


class Holdings(msgspec.Struct):
    """All that is kept of a visitor: which ids, and where the rest stands."""

    plan: Plan
    rows: list[Found]
    sources: set[str]
    """Where the hub knows any of the ids."""

    @property
    def nothing(self) -> bool:
        plan = self.plan
        return not (self.sources or plan.events or plan.mentions or self.rows)

    def counts(self) -> dict[str, Any]:
        """As it may be shown."""
        plan = self.plan
        return {
            "ids": {
                source: {name: _masked(ref.value for ref in refs if ref.kind == kind) for kind, name in KINDS.items()}
                for source, refs in plan.ids.items()
                if source in self.sources
            },
            "shared_browsers": _values(plan.shared, "a"),
            "shared_emails": _values(plan.shared, "e"),
            "linked_users": _values(plan.others, "u"),
            "events": len(plan.events),
            "mentions": sum(map(len, plan.mentions.values())),
            "deliveries": len(self.rows),
            "open_deliveries": sum(row.state in OPEN for row in self.rows),
        }


def _masked(values: Iterable[str]) -> list[str]:
    return [mask_text(value) for value in values]


def _values(refs: dict[str, list[Ref]], kind: Kind) -> dict[str, list[str]]:
    """By source, what there is of a kind."""
    found = {source: _masked(ref.value for ref in some if ref.kind == kind) for source, some in refs.items()}
    return {source: values for source, values in found.items() if values}


KINDS = {"a": "anonymous_ids", "u": "user_ids", "e": "emails"}


def wanted(
    anonymous_id: str | None,
    user_id: str | None,
    email: str | None,
    source: str | None = None,
    linked_users: bool = False,
) -> Wanted:
    """The visitor who is meant by what a person wrote. Raises Unreachable."""
    given = {"a": anonymous_id, "u": user_id, "e": email}
    named = [(kind, value) for kind, value in given.items() if value and value.strip()]  # an id may have outer blanks
    if len(named) != 1:
        raise Unreachable("name the visitor by one of --anonymous-id, --user-id and --email")
    kind, value = named[0]
    if kind == "e" and "@" not in value.strip("@"):
        raise Unreachable("--email takes an address such as ann@example.com")
    if clean_id(value) is None:
        raise Unreachable(f"{value.strip()} names nobody: events that carry it are linked with no visitor by it")
    return Wanted(kind, value, source, linked_users)  # type: ignore[arg-type]


def look(settings: Settings, who: Wanted) -> Holdings:
    """What is kept of a visitor by now: what an erasure would take. Changes nothing. Raises Unreachable."""
    with _looking(settings) as (log, ledger, hub):
        return _look(log, ledger, hub, who)


def export(settings: Settings, who: Wanted) -> dict[str, Any]:
    """All that is kept of a visitor, unmasked, as they may ask for it. Raises Unreachable."""
    with _looking(settings) as (log, ledger, hub):
        held = _look(log, ledger, hub, who)
        profiles = [(s, p) for s, refs in held.plan.ids.items() for ref in refs if (p := hub.get(s, ref)) is not None]
        events = [
            {"source": row.source, "position": row.position, "event": msgspec.json.decode(row.body)}
            for place in held.plan.events
            if (row := log.get(*place)) is not None
        ]
        messages = {event["position"]: event["event"].get("messageId") for event in events}
        return {
            **held.counts(),
            "profiles": [_shown(source, profile) for source, profile in profiles],
            "events": events,
            "deliveries": _deliveries(ledger, held, messages) if ledger is not None else [],
        }


@contextlib.contextmanager
def _looking(settings: Settings) -> Iterator[tuple[SqliteLogReader, LedgerReader | None, Hub]]:
    with contextlib.ExitStack() as open_ones:
        log = SqliteLogReader(settings.data)
        open_ones.callback(log.close)
        ledger = None
        with contextlib.suppress(FileNotFoundError):
            ledger = LedgerReader(settings.data)
            open_ones.callback(ledger.close)
        store = Unwritten(settings.data)
        open_ones.callback(store.close)
        yield log, ledger, Hub(settings.data, _names(State.open(settings.data)), store)


def _names(state: State) -> Names:
    from firsthand.deliver.process import names_by

    roster = state.roster()
    return names_by(roster.integrations, roster.sources)


def _look(log: SqliteLogReader, ledger: LedgerReader | None, hub: Hub, who: Wanted) -> Holdings:
    from firsthand.deliver.planning import make_plan
    from firsthand.deliver.tail import Tail

    if who.source is not None and who.source not in log.sources():
        known = ", ".join(log.sources()) or "none yet"
        raise Unreachable(f"no source {who.source} has sent anything; known are: {known}")
    plan = asyncio.run(make_plan(who, log, Tail(log, hub), hub, erased_ms=0))
    rows = find_all(ledger, Match(plan.ids, plan.shared), plan) if ledger is not None else []
    sources = {source for source, refs in plan.ids.items() if any(hub.get(source, ref) for ref in refs)}
    return Holdings(plan, [row for row in rows if row.fate == "theirs"], sources)


def _shown(source: str, profile: Profile) -> dict[str, Any]:
    ref = profile.ref or Ref("a", "")
    return {
        "source": source,
        "kind": KINDS[ref.kind].removesuffix("s"),
        "id": ref.value,
        "linked_with": [
            {"kind": KINDS[other.kind].removesuffix("s"), "id": other.value, "last_seen_at": format_time(at_ms)}
            for key, at_ms in sorted(profile.links.items())
            if (other := Ref.of(key))
        ],
        "vendor_ids": [
            {
                "name": name,
                "value": value,
                "obtained_at": format_time(seen.obtained_ms),
                "last_seen_at": format_time(seen.last_ms),
                "expires_at": format_time(seen.expires_ms) if seen.expires_ms else None,
                "consent": seen.consent,
            }
            for name, known in sorted(profile.ids.items())
            for value, seen in known.values.items()
        ],
        "opted_out": {name: format_time(v.opted_out_ms) for name, v in profile.ids.items() if v.opted_out_ms},
        "answers_on_consent": [
            {
                "consent": a.consent,
                "first_at": format_time(a.first_ms),
                "last_at": format_time(a.last_ms),
                "user_id": a.user or None,
            }
            for a in profile.answers
        ],
        "emails": [{"email": email, "at": format_time(at_ms)} for at_ms, email in profile.emails.values()],
    }


def _deliveries(ledger: LedgerReader, held: Holdings, messages: Mapping[int, str]) -> list[dict[str, Any]]:
    """`messages` are the message ids of events that the log still has, by position."""
    names = {lane.id: lane.integration for lane in ledger.lanes()}
    keys, shown = {row.key for row in held.rows}, []
    for shard, position in sorted({(key.shard, key.position) for key in keys}):
        for stored in ledger.deliveries(shard, position):
            d = stored.delivery
            if Key(stored.lane, shard, position, d.generation) not in keys:
                continue
            shown.append(
                {
                    "integration": names[stored.lane],
                    "source": d.source,
                    "message_id": messages.get(position) or d.message_id,
                    "position": position,
                    "received_at": format_time(d.received_ms),
                    "state": d.state,
                    "event": msgspec.to_builtins(decoder.decode(d.event)) if d.event else None,
                    "detail": msgspec.to_builtins(d.detail),
                    "attempts": [_attempt(exchange) for exchange in ledger.attempts(stored)],
                }
            )
    return shown


def _attempt(exchange: Exchange) -> dict[str, Any]:
    return {
        "at": format_time(exchange.at_ms),
        "method": exchange.method,
        "url": exchange.url,
        "body": exchange.body.decode("utf-8", "replace") if exchange.body is not None else None,
        "status": exchange.status,
        "answer": exchange.response_body.decode("utf-8", "replace"),
    }


def erase(settings: Settings, who: Wanted, tell: Tell) -> Erasure:
    """Have a visitor erased, and wait until that is done. `tell` is given what it waits for."""
    state = State.open(settings.data)
    id = state.erasures.ask(msgspec.to_builtins(who))
    return finish(settings, state, id, tell)


def finish(settings: Settings, state: State, id: str, tell: Tell) -> Erasure:
    """Wait for an erasure, doing the part of whatever process does not run."""
    said = ""
    while True:
        erasure = state.erasures.get(id)
        if erasure.state in ("done", "failed"):
            return erasure
        asyncio.run(_do_what_nobody_does(settings, state))
        erasure = state.erasures.get(id)
        waits = "" if erasure.state == "done" else "the gateway's processes carry it out"
        if waits and waits != said:
            tell(waits)
            said = waits
        if erasure.state not in ("done", "failed"):
            time.sleep(WAIT_SECONDS)


async def _do_what_nobody_does(settings: Settings, state: State) -> None:
    from firsthand.supervise import try_lock

    for role, work in (("deliver", _deliver), ("collect", _collect), ("deliver", _deliver)):
        lock = try_lock(settings.data, role)
        if lock is None:
            continue
        try:
            await work(settings, state)
        finally:
            lock.close()


async def _deliver(settings: Settings, state: State) -> None:
    from firsthand.deliver.clock import Clock
    from firsthand.deliver.erasing import Eraser
    from firsthand.deliver.gone import Gone
    from firsthand.deliver.tail import Tail
    from firsthand.ledger.sqlite import SqliteLedger

    log = SqliteLogReader(settings.data)
    hub, ledger = Hub(settings.data, _names(state)), SqliteLedger(settings.data)
    try:
        await Eraser(settings, state, hub, Tail(log, hub), ledger, Clock(), Gone()).work()
    finally:
        hub.close()
        ledger.close()
        log.close()


async def _collect(settings: Settings, state: State) -> None:
    from firsthand.collect import erasing
    from firsthand.eventlog.sqlite import SqliteLogWriter

    process = state.process()
    event_log = SqliteLogWriter(settings.data, max_bytes=process.log.max_bytes, max_age=process.log.max_age)
    try:
        await erasing.work(state, event_log)
    finally:
        await event_log.close()
