"""What an erasure is about: who was asked for, which ids that came to, and which events are theirs."""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

import msgspec

from firsthand.event import Event
from firsthand.eventlog.base import Position, visitor_hash
from firsthand.identity.closure import Closure, all_forms, closure
from firsthand.identity.lesson import lesson_of, refs
from firsthand.identity.mentions import Redaction, named_in_page
from firsthand.identity.profile import Kind, Profile, Ref
from firsthand.vendors.base import Identity
from firsthand.vendors.hashing import normalise

Place = tuple[int, Position]
Fate = Literal["theirs", "mentions"]
"""What an event is to a visitor. One that mentions them is somebody else's: their address goes, the event stays."""


class Wanted(msgspec.Struct, frozen=True):
    """The visitor who was asked for. `source` None: at all sources. `linked_users`: also the users that have an address
    with them."""

    kind: Kind
    value: str
    source: str | None = None
    linked_users: bool = False

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, normalise(self.value) if self.kind == "e" else self.value)


class Plan(msgspec.Struct):
    """Once worked out, what is to go: written down before anything does, so that a restart goes on with it.

    `others` are users who only have an address with the visitor, and stay. `events` are places in the log, which was
    looked through from `since` (its oldest event) to `upto`; `mentions` those of events that mention the visitor, by
    source. An erasure of events that came late has nothing but `events`.
    """

    ids: dict[str, list[Ref]] = {}
    shared: dict[str, list[Ref]] = {}
    others: dict[str, list[Ref]] = {}
    events: list[Place] = []
    mentions: dict[str, list[Place]] = {}
    since: dict[int, Position] = {}
    upto: dict[int, Position] = {}
    erased_ms: int = 0


def plan_of(written: Mapping[str, Any]) -> Plan:
    """A plan as it was written down."""
    return msgspec.convert(written, Plan, strict=False)


def find_ids(wanted: Wanted, sources: Iterable[str], get: Callable[[str, Ref], Profile | None]) -> dict[str, Closure]:
    """By source, all ids of the visitor who was asked for."""
    named = [wanted.source] if wanted.source is not None else sources
    return {
        source: closure(lambda ref, source=source: get(source, ref), wanted.ref, wanted.linked_users)  # type: ignore[misc]
        for source in named
    }


class Match:
    """Tells which events are a visitor's."""

    def __init__(self, ids: dict[str, list[Ref]], shared: dict[str, list[Ref]]) -> None:
        self._ids = {source: frozenset(all_forms(refs)) for source, refs in ids.items()}
        self._shared = {source: frozenset(refs) for source, refs in shared.items()}
        self._sent = {source: _in_requests(refs) for source, refs in self._ids.items()}
        self.redactions = {source: Redaction(_addresses(refs)) for source, refs in ids.items()}
        """By source, what takes their addresses out of somebody else's event."""
        self.visitors = {
            visitor_hash(source, ref.value) for source, refs in ids.items() for ref in refs if ref.kind != "e"
        }
        """The log's hashes of ids that are the visitor's alone."""
        self.maybe = self.visitors | {
            visitor_hash(source, ref.value) for source, refs in shared.items() for ref in refs
        }
        every = {ref for refs in ids.values() for ref in refs}
        self.needles = sorted(msgspec.json.encode(ref.value) for ref in every if ref.kind != "e")
        """One of these, or of the addresses (in lower case), stands in the JSON of each of the visitor's events."""
        self.addresses = sorted({form for address in _addresses(every) for form in _written(address)})

    def event(self, source: str, event: Event, body: bytes) -> Fate | None:
        """`body` is the event as it stands in the log."""
        mine = self._ids.get(source)
        if mine is None:
            return None
        shared = self._shared.get(source, frozenset())
        named = set(refs(lesson_of(event)))
        if any(ref in mine for ref in named if ref.kind != "e"):
            return "theirs"
        known = mine | shared
        others = any(
            ref not in known and Ref("e", normalise(ref.value)) not in known for ref in named if ref.kind != "a"
        )
        in_page = [Ref("e", address) for address in named_in_page(event)]
        if not others and not (known.isdisjoint(named) and mine.isdisjoint(in_page)):
            return "theirs"
        return "mentions" if self.redactions[source].body(body) != body else None

    def identity(self, source: str, frozen: Identity | None) -> bool:
        """Whether what was frozen of a delivery's visitor is theirs, whoever's the event is."""
        if frozen is None:
            return False
        mine = self._ids.get(source, frozenset())
        return (frozen.user_id is not None and Ref("u", frozen.user_id) in mine) or (
            frozen.email is not None and Ref("e", normalise(frozen.email)) in mine
        )

    def sent(self, source: str, texts: Iterable[bytes]) -> bool:
        """Whether what a vendor was sent names them, by an id, an address or its hashes."""
        pattern = self._sent.get(source)
        return pattern is not None and any(
            pattern.search(text) or pattern.search(unquote_to_bytes(text)) for text in texts
        )


def _in_requests(ids: Iterable[Ref]) -> re.Pattern[bytes] | None:
    """An id, an address or its hash where a value stands in JSON or in a query."""
    values = {ref.value.encode("utf-8", "surrogatepass") for ref in ids}
    values |= {base64.b64encode(value) for value in values if b"@" in value}
    whole = b"|".join(sorted(map(re.escape, values)))
    return re.compile(b'["=](?:%s)(?=["&]|$)' % whole, re.IGNORECASE) if values else None


def _addresses(ids: Iterable[Ref]) -> set[str]:
    return {ref.value for ref in all_forms(ids) if ref.kind == "e"}


def _written(address: str) -> list[str]:
    """How an address may stand in JSON, in lower case: as it is, or as a part of a URL."""
    plain = msgspec.json.encode(address).decode()[1:-1].lower()
    local, at, domain = plain.partition("@")
    if not at:
        return [plain]
    locals = dict.fromkeys((local, quote(local, safe="").lower()))
    return [local + sign + domain for local in locals for sign in ("@", "%40", "%2540")]
