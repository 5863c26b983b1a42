"""What one event teaches of its visitor."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from firsthand.consent import is_answer
from firsthand.consent.storage import refuses_recognition
from firsthand.event import Event
from firsthand.identity.mentions import compared_hash
from firsthand.identity.profile import Answer, Profile, Ref, Seen
from firsthand.personal import has_sign
from firsthand.placeholders import clean_id
from firsthand.vendors.base import AnyVendor
from firsthand.vendors.hashing import bare, normalise
from firsthand.vendors.hashing import is_address as one_address

MOST_CHARACTERS = 512


class Names(NamedTuple):
    """What vendors call their ids: the names that `identify` takes as traits, and those of a sync's vendor.

    `callers` are, by source and name, whose an id is that names no caller. Its name is kept with the caller, so that it
    does not follow the integration to another one.
    """

    traits: frozenset[str]
    of_vendor: Mapping[str, frozenset[str]]
    callers: Mapping[str, Mapping[str, str]] = {}


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
    email: Any
    ids: Any
    consent: Any
    traits: dict[str, Any] | None
    """Of an `identify` call."""
    sync: Any


def lesson_of(event: Event) -> Lesson:
    """Costs next to nothing: nothing is looked into yet."""
    context, properties, kind = event.context, event.properties, event.type
    identify = kind == "identify"
    traits = context.get("traits")
    email = event.traits.get("email") or (traits.get("email") if isinstance(traits, dict) else None)
    return Lesson(
        _somebodys(event.anonymous_id),
        _somebodys(event.user_id),
        _somebodys(event.previous_id),
        kind == "alias",
        email or properties.get("email"),
        context.get("ids"),
        context.get("consent"),
        event.traits if identify else None,
        properties.get("sync") if identify else None,
    )


def _somebodys(id: str | None) -> str | None:
    """An id as it is kept, unless it names nobody."""
    return id if id is not None and clean_id(id) else None


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
    """The e-mail addresses of the visitor, as they are compared: also one that is the user's or a cookie's id, and the
    hash of one that a shop hashes itself."""
    ids = lesson.ids.values() if isinstance(lesson.ids, dict) else ()
    given = (lesson.email, lesson.user_id, lesson.anonymous_id, lesson.previous_id, *ids)
    found = {normalise(text) for text in given if is_address(text)}
    if isinstance(lesson.email, str) and (hashed := compared_hash(lesson.email)):
        found.add(hashed)
    return found


def is_address(text: Any) -> bool:
    """Whether it is one visitor's: nobody is linked by what shops write where they know none."""
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS or not has_sign(text):
        return False
    return one_address(normalise(text))


class Clocks:
    """Where profiles note when something was last seen: what an equal lesson sets forward, and nothing else."""

    __slots__ = ("emails", "links", "refused", "values")

    def __init__(self) -> None:
        self.links: list[tuple[dict[str, int], str]] = []
        self.emails: list[tuple[dict[str, tuple[int, str]], str, str]] = []
        self.values: list[Seen | Answer] = []
        self.refused: list[Profile] = []

    def set(self, at_ms: int) -> bool:
        """Forward to a time, never back. False: another of the visitor's ids learned something newer meanwhile, and
        the lesson is to be taught again."""
        for emails, user, address in self.emails:
            if (known := emails.get(user)) is None or known[1] != address:
                return False
        if any([profile.refuse(at_ms) for profile in self.refused]):
            return False
        for links, key in self.links:
            if links.get(key, at_ms) < at_ms:
                links[key] = at_ms
        for value in self.values:
            if value.last_ms < at_ms:
                value.last_ms = at_ms
        for emails, user, address in self.emails:
            if emails[user][0] < at_ms:
                emails[user] = (at_ms, address)
        return True


def teach(
    source: str, lesson: Lesson, at_ms: int, names: Names, profiles: Mapping[Ref, Profile]
) -> tuple[set[Ref], Clocks]:
    """Enter what an event says into the profiles of its ids (`refs`).

    Returns those that learned something, and the clocks that an equal lesson sets as long as no newer one was taught.
    """
    changed: set[Ref] = set()
    clocks = Clocks()
    me, user = lesson.anonymous_id, lesson.user_id
    own = [Ref("a", me)] if me else []
    if user:
        own.append(Ref("u", user))
    home = own[0]
    for one, other in _pairs(lesson, own, [ref for ref in profiles if ref.kind == "e"]):
        if one == other:
            continue
        for ref, key in ((one, other.key), (other, one.key)):
            profile = profiles[ref]
            if profile.link(key, at_ms):
                changed.add(ref)
            clocks.links.append((profile.links, key))
    consent = lesson.consent if is_answer(lesson.consent) else None
    profile = profiles[home]
    if consent is not None:
        by = (user or "") if home.kind == "a" else ""
        if profile.answer(consent, at_ms, by):
            changed.add(home)
        clocks.values += [one for one in profile.answers if one.consent == consent and one.user == by]
        if refuses_recognition(consent):
            clocks.refused = [profiles[ref] for ref in own]
            changed.update(ref for ref in own if profiles[ref].refuse(at_ms))
    if is_address(lesson.email):
        address = bare(lesson.email)
        for ref in [ref for ref in own if at_ms > profiles[ref].refused_ms]:
            key = (user or "") if ref.kind == "a" else ""
            profile = profiles[ref]
            if profile.email(address, at_ms, key):
                changed.add(ref)
            clocks.emails.append((profile.emails, key, address))
    if (lesson.ids or lesson.traits or lesson.sync) and _teach_ids(
        profiles[home], source, lesson, at_ms, names, consent, clocks
    ):
        changed.add(home)
    return changed, clocks


def _pairs(lesson: Lesson, own: Sequence[Ref], addresses: Sequence[Ref]) -> Iterable[tuple[Ref, Ref]]:
    """Which ids an event links."""
    previous, user = lesson.previous_id, lesson.user_id
    if len(own) == 2:
        yield own[0], own[1]
    if previous:
        if own[0].kind == "a" and not lesson.alias:
            yield own[0], Ref("a", previous)
        elif user:
            yield Ref("u", user), Ref("a", previous)
            if lesson.alias:  # Segment's alias names either an anonymous id or an older user id
                yield Ref("u", user), Ref("u", previous)
    for address in addresses:
        for ref in own:
            yield ref, address


def _teach_ids(
    profile: Profile,
    source: str,
    lesson: Lesson,
    at_ms: int,
    names: Names,
    consent: dict[str, Any] | None,
    clocks: Clocks,
) -> bool:
    sync = lesson.sync if isinstance(lesson.sync, dict) else {}
    synced = sync.get("status") == "OK"
    news = False
    for name, value in _named(lesson, names, names.callers.get(source, {})):
        known = profile.vendor_id(name)
        if known is None:
            continue
        if known.learn(value, at_ms, synced and "@" in name, consent):
            news = True
        if (seen := known.seen(value)) is not None:
            clocks.values.append(seen)
    if sync and not synced:
        caller, opted_out = str(sync.get("caller") or ""), sync.get("status") == "OptOut"
        for id_name in names.of_vendor.get(str(sync.get("vendor")), ()):
            for name in (f"{id_name}@{caller}", id_name) if caller else (id_name,):
                known = profile.vendor_id(name)
                if known is not None and (known.opt_out(at_ms) if opted_out else known.unknown(at_ms)):
                    news = True
    return news


def _named(lesson: Lesson, names: Names, callers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """Names, with their callers, and values of the vendor ids in an event."""
    ids = lesson.ids if isinstance(lesson.ids, dict) else {}
    traits = lesson.traits or {}
    for name, value in (*ids.items(), *((n, v) for n, v in traits.items() if n.partition("@")[0] in names.traits)):
        id = _somebodys(value) if isinstance(value, str) else None
        if id and len(id) <= MOST_CHARACTERS and 0 < len(name) <= MOST_CHARACTERS:
            yield f"{name}@{callers[name]}" if name in callers else name, id
