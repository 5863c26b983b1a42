"""Everything that belongs to one visitor: what an erasure takes and an export shows.

A person is a user id or an e-mail address, with those linked to it directly. With a person go the browsers they were
seen in. A browser that several persons were seen in is shared: of it, an erasure of one of them takes what names
that person or nobody, and leaves what names the others.
"""

from collections.abc import Callable, Iterable

import msgspec

from firsthand.identity.profile import Profile, Ref

Get = Callable[[Ref], Profile | None]


class Closure(msgspec.Struct):
    """`ids` are the visitor's alone; `shared` are anonymous ids of browsers that others use too."""

    ids: set[Ref]
    shared: set[Ref]


def closure(get: Get, start: Ref) -> Closure:
    """All ids of the visitor that one id names, within a source. The id itself is always among them."""
    found = Closure({start}, set())
    if start.kind == "a":
        browser = _browser(get, start)
        found.ids |= browser
        persons = _persons(get, browser)
        if len(persons) != 1:
            return found
        person = persons[0]
    else:
        person = _person(get, start)
    found.ids |= person
    for ref in _linked(get, person, "a"):
        if ref in found.ids or ref in found.shared:
            continue
        browser = _browser(get, ref)
        alone = all(other <= person for other in _persons(get, browser))
        (found.ids if alone else found.shared).update(browser)
    return found


def _linked(get: Get, refs: Iterable[Ref], kinds: str) -> set[Ref]:
    found = set()
    for ref in refs:
        profile = get(ref)
        if profile is not None:
            found |= {other for key in profile.links if (other := Ref.of(key)).kind in kinds}
    return found


def _spread(get: Get, start: Ref, kinds: str) -> set[Ref]:
    """All that is linked with an id over ids of these kinds."""
    found, queue = {start}, {start}
    while queue:
        queue = _linked(get, queue, kinds) - found
        found |= queue
    return found


def _browser(get: Get, start: Ref) -> set[Ref]:
    return _spread(get, start, "a")


def _person(get: Get, start: Ref) -> set[Ref]:
    return _spread(get, start, "ue")


def _persons(get: Get, browser: Iterable[Ref]) -> list[set[Ref]]:
    """The persons who were seen in a browser."""
    persons: list[set[Ref]] = []
    for ref in sorted(_linked(get, browser, "ue")):
        if not any(ref in person for person in persons):
            persons.append(_person(get, ref))
    return persons
