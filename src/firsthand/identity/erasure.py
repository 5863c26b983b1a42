"""What an erasure is about: who was asked for, which ids that came to, and which events are theirs."""

from collections.abc import Callable, Iterable
from urllib.parse import quote

import msgspec

from firsthand.event import Event
from firsthand.eventlog.base import Position, visitor_hash
from firsthand.identity.closure import Closure, closure
from firsthand.identity.lesson import lesson_of, refs
from firsthand.identity.profile import Kind, Profile, Ref
from firsthand.vendors.hashing import normalise

Place = tuple[int, Position]


class Wanted(msgspec.Struct, frozen=True):
    """The visitor who was asked for. `source` None: at all sources."""

    kind: Kind
    value: str
    source: str | None = None

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, normalise(self.value) if self.kind == "e" else self.value)


class Plan(msgspec.Struct):
    """Once worked out, what is to go: written down before anything does, so that a restart goes on with it.

    `events` are places in the log up to `upto`. An erasure of events that came late has nothing but these.
    """

    ids: dict[str, list[Ref]] = {}
    shared: dict[str, list[Ref]] = {}
    events: list[Place] = []
    upto: dict[int, Position] = {}
    erased_ms: int = 0


def find_ids(wanted: Wanted, sources: Iterable[str], get: Callable[[str, Ref], Profile | None]) -> dict[str, Closure]:
    """By source, all ids of the visitor who was asked for."""
    named = [wanted.source] if wanted.source is not None else sources
    return {source: closure(lambda ref, source=source: get(source, ref), wanted.ref) for source in named}  # type: ignore[misc]


class Match:
    """Tells which events are a visitor's."""

    def __init__(self, ids: dict[str, list[Ref]], shared: dict[str, list[Ref]]) -> None:
        self._ids = {source: frozenset(refs) for source, refs in ids.items()}
        self._shared = {source: frozenset(refs) for source, refs in shared.items()}
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
        self.addresses = sorted(form for ref in every if ref.kind == "e" for form in _forms(ref.value))
        self._addresses = {
            source: [form.encode() for ref in refs if ref.kind == "e" for form in _forms(ref.value)]
            for source, refs in ids.items()
        }

    def event(self, source: str, event: Event, body: bytes) -> bool:
        """`body` is the event as it stands in the log."""
        mine = self._ids.get(source)
        if mine is None:
            return False
        named = set(refs(lesson_of(event)))
        if named & mine:
            return True
        if event.anonymous_id and Ref("a", event.anonymous_id) in self._shared.get(source, ()):
            return all(ref.kind == "a" for ref in named)
        addresses = self._addresses[source]
        return bool(addresses) and any(form in body.lower() for form in addresses)


def _forms(address: str) -> list[str]:
    """How an address may stand in JSON: as it is, or as a part of a URL."""
    plain = msgspec.json.encode(address).decode()[1:-1]
    return list(dict.fromkeys((plain.lower(), quote(address, safe="").lower(), address.replace("@", "%40").lower())))
