"""What one event teaches of its visitor."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from firsthand.consent import is_answer
from firsthand.event import Event, parse_time
from firsthand.identity.profile import Answer, Kind, Profile, Ref, Seen
from firsthand.vendors.base import AnyVendor
from firsthand.vendors.hashing import normalise

MOST_CHARACTERS = 512


class Names(NamedTuple):
    """What vendors call their ids: the names that `identify` takes as traits, and those of a sync's vendor."""

    traits: frozenset[str]
    of_vendor: Mapping[str, frozenset[str]]


def names_of(vendors: Iterable[AnyVendor]) -> Names:
    """The names that installed vendors register. A family's short name (`criteo`) stands for all of its vendors."""
    by_vendor: dict[str, set[str]] = {}
    for vendor in vendors:
        if vendor.id_name is not None:
            for key in (vendor.key, vendor.key.partition("-")[0]):
                by_vendor.setdefault(key, set()).add(vendor.id_name)
    names = {name: frozenset(ids) for name, ids in by_vendor.items()}
    return Names(frozenset().union(*names.values()), names)


class Lesson(NamedTuple):
    """What an event says of who its visitor is, as it stands in the event. Two that are equal teach the same."""

    anonymous_id: str | None
    user_id: str | None
    previous_id: str | None
    alias: bool
    email: str | None
    ids: Any
    consent: Any
    traits: dict[str, Any] | None
    """Of an `identify` call."""
    sync: Any


def lesson_of(event: Event) -> Lesson:
    """Costs next to nothing: nothing is looked into yet."""
    context, kind = event.context, event.type
    identify = kind == "identify"
    return Lesson(
        event.anonymous_id,
        event.user_id,
        event.previous_id,
        kind == "alias",
        event.email,
        context.get("ids"),
        context.get("consent"),
        event.traits if identify else None,
        event.properties.get("sync") if identify else None,
    )


def moment(event: Event, received_ms: int) -> int:
    """When an event happened. No event is newer than its arrival: a clock that runs ahead must not win for ever."""
    try:
        return min(parse_time(event.timestamp), received_ms)
    except ValueError:
        return received_ms


def refs(lesson: Lesson) -> list[Ref]:
    """All ids of the visitor that the event names."""
    found: list[Ref] = []
    if lesson.anonymous_id:
        found.append(Ref("a", lesson.anonymous_id))
    if lesson.user_id:
        found.append(Ref("u", lesson.user_id))
    if lesson.previous_id:
        found.append(Ref("a", lesson.previous_id))
        if lesson.alias:
            found.append(Ref("u", lesson.previous_id))
    found += [Ref("e", address) for address in addresses(lesson)]
    return found


def addresses(lesson: Lesson) -> set[str]:
    """The e-mail addresses of the visitor, as they are compared; also one in a cookie's id."""
    ids = lesson.ids.values() if isinstance(lesson.ids, dict) else ()
    return {normalise(text) for text in (lesson.email, *ids) if isinstance(text, str) and is_address(text)}


def is_address(text: str) -> bool:
    return len(text) <= MOST_CHARACTERS and "@" in text.strip().strip("@")


class Clocks:
    """Where profiles note when something was last seen: what an equal lesson sets forward, and nothing else."""

    __slots__ = ("emails", "links", "values")

    def __init__(self) -> None:
        self.links: list[tuple[dict[str, int], str]] = []
        self.emails: list[tuple[dict[str, tuple[int, str]], str, str]] = []
        self.values: list[Seen | Answer] = []

    def set(self, at_ms: int) -> None:
        """Forward to a time; never back, and what is gone does not come back."""
        for links, key in self.links:
            if links.get(key, at_ms) < at_ms:
                links[key] = at_ms
        for value in self.values:
            if value.last_ms < at_ms:
                value.last_ms = at_ms
        for emails, user, address in self.emails:
            known = emails.get(user)
            if known is not None and known[0] < at_ms and known[1] == address:
                emails[user] = (at_ms, address)


def teach(lesson: Lesson, at_ms: int, names: Names, profiles: Mapping[Ref, Profile]) -> Set[Ref]:
    """Enter what an event says into the profiles of its ids (`refs`); returns those that learned something."""
    changed: set[Ref] = set()
    me, user = lesson.anonymous_id, lesson.user_id
    home = Ref("a", me) if me else Ref("u", user or "")
    for one, other in _pairs(lesson):
        if one != other:
            for ref, target in ((one, other), (other, one)):
                if profiles[ref].link(target, at_ms):
                    changed.add(ref)
    if lesson.email and is_address(lesson.email):
        address = lesson.email.strip()
        if profiles[home].email(address, at_ms, user or "" if me else ""):
            changed.add(home)
        if user and me and profiles[Ref("u", user)].email(address, at_ms, ""):
            changed.add(Ref("u", user))
    consent = lesson.consent if is_answer(lesson.consent) else None
    if consent is not None and profiles[home].answer(consent, at_ms):
        changed.add(home)
    if _teach_ids(profiles[home], lesson, at_ms, names, consent):
        changed.add(home)
    return changed


def clocks(lesson: Lesson, names: Names, profiles: Mapping[Ref, Profile]) -> Clocks:
    """Those that this lesson sets, once it was taught and while nothing newer was."""
    found = Clocks()
    me, user = lesson.anonymous_id, lesson.user_id
    home = profiles[Ref("a", me) if me else Ref("u", user or "")]
    for one, other in _pairs(lesson):
        if one != other:
            found.links += [(profiles[one].links, other.key), (profiles[other].links, one.key)]
    if lesson.email and is_address(lesson.email):
        address, given = lesson.email.strip(), [(home, user or "" if me else "")]
        if user and me:
            given.append((profiles[Ref("u", user)], ""))
        found.emails = [(profile.emails, key, address) for profile, key in given]
    found.values += [answer for answer in home.answers if answer.consent == lesson.consent]
    for name, value in _named(lesson, names):
        known = home.ids.get(name)
        seen = known.seen(value) if known is not None else None
        if seen is not None:
            found.values.append(seen)
    return found


def _pairs(lesson: Lesson) -> Iterable[tuple[Ref, Ref]]:
    me, user, previous = lesson.anonymous_id, lesson.user_id, lesson.previous_id
    own = [Ref(kind, value) for kind, value in _own(me, user)]
    if me and user:
        yield own[0], own[1]
    if previous:
        if me and not lesson.alias:
            yield own[0], Ref("a", previous)
        elif user:
            yield Ref("u", user), Ref("a", previous)
            if lesson.alias:  # Segment's alias names either an anonymous id or an older user id
                yield Ref("u", user), Ref("u", previous)
    for address in addresses(lesson):
        for ref in own:
            yield ref, Ref("e", address)


def _own(me: str | None, user: str | None) -> Iterable[tuple[Kind, str]]:
    if me:
        yield "a", me
    if user:
        yield "u", user


def _teach_ids(profile: Profile, lesson: Lesson, at_ms: int, names: Names, consent: dict[str, Any] | None) -> bool:
    sync = lesson.sync if isinstance(lesson.sync, dict) else {}
    synced = sync.get("status") == "OK"
    news = False
    for name, value in _named(lesson, names):
        known = profile.vendor_id(name)
        if known is not None and known.learn(value, at_ms, synced and "@" in name, consent):
            news = True
    if sync.get("status") == "OptOut":
        caller = str(sync.get("caller") or "")
        for id_name in names.of_vendor.get(str(sync.get("vendor")), ()):
            for name in (f"{id_name}@{caller}", id_name) if caller else (id_name,):
                known = profile.vendor_id(name)
                if known is not None and known.opt_out(at_ms):
                    news = True
    return news


def _named(lesson: Lesson, names: Names) -> Iterable[tuple[str, str]]:
    """Names and values of the vendor ids in an event."""
    ids = lesson.ids if isinstance(lesson.ids, dict) else {}
    traits = lesson.traits or {}
    for name, value in (*ids.items(), *((n, v) for n, v in traits.items() if n.partition("@")[0] in names.traits)):
        if isinstance(value, str) and 0 < len(value) <= MOST_CHARACTERS and 0 < len(name) <= MOST_CHARACTERS:
            yield name, value
