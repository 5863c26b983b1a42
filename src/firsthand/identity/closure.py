"""Everything that belongs to one visitor: what an erasure takes and an export shows.

A person is a user id, with the older names of that user and with the addresses that came with them. Anybody can give
any address, so it tells less than an id: one that came with other users too is shared, and who else has it is not
the same person unless whoever asks says so.

With a person go the browsers they were seen in. A browser that somebody else was seen in is shared. Of what is
shared, an erasure takes what names the person or nobody, and leaves what names the others.
"""

from collections.abc import Callable, Iterable

import msgspec

from firsthand.identity.mentions import forms
from firsthand.identity.profile import Profile, Ref

Get = Callable[[Ref], Profile | None]


class Closure(msgspec.Struct):
    """`ids` are the visitor's alone; `shared` are browsers and addresses that others use too. `others` are the users
    that were reached over an address only, and are left out."""

    ids: set[Ref]
    shared: set[Ref]
    others: set[Ref]


class Person(msgspec.Struct):
    users: set[Ref]
    addresses: set[Ref]
    """All that came with these users, in all their forms; also with others."""
    others: set[Ref]


def closure(get: Get, start: Ref, with_others: bool = False) -> Closure:
    """All ids of the visitor that one id names, within a source. The id itself is always among them.

    `with_others`: also the users that have an address with them.
    """
    browser = _spread(get, start, "a") if start.kind == "a" else set()
    person = _person_in(get, browser) if browser else _person(get, start)
    if person is None:
        return Closure(browser, set(), set())
    if with_others:
        person = _joined(get, person)
    theirs = person.users or {start}
    addresses = {ref for ref in person.addresses if get(ref) is not None}
    shared = {ref for ref in addresses if _linked(get, [ref], "u") - person.users} - {start}
    found = Closure({start} | browser | person.users | (addresses - shared), shared, person.others)
    for ref in sorted(_linked(get, found.ids, "a")):
        if ref in found.ids or ref in found.shared:
            continue
        other = _spread(get, ref, "a")
        users = _linked(get, other, "u")
        if users and not users & theirs:
            continue  # it is somebody else's, who has an address with this visitor
        alone = users <= theirs and _linked(get, other, "e") <= person.addresses
        (found.ids if alone else found.shared).update(other)
    return found


def _person(get: Get, start: Ref) -> Person:
    """Whom a user id or an address names. An address that several users have names none of them."""
    if start.kind == "u":
        return _of(get, _spread(get, start, "u"), set())
    users = _linked(get, [start], "u")
    groups = {frozenset(_spread(get, ref, "u")) for ref in users}
    return _of(get, set(groups.pop()) if len(groups) == 1 else set(), all_forms([start]))


def _person_in(get: Get, browser: set[Ref]) -> Person | None:
    """The one who was seen in a browser; None where it was more than one, or nobody."""
    users, addresses = _linked(get, browser, "u"), all_forms(_linked(get, browser, "e"))
    if not users:
        if len({frozenset(all_forms([ref])) for ref in _linked(get, browser, "e")}) != 1:
            return None
        return _of(get, set(), addresses)
    person = _of(get, _spread(get, min(users), "u"), set())
    return person if users <= person.users and addresses <= person.addresses else None


def _of(get: Get, users: set[Ref], addresses: set[Ref]) -> Person:
    addresses = addresses | all_forms(_linked(get, users, "e"))
    return Person(users, addresses, _linked(get, addresses, "u") - users)


def _joined(get: Get, person: Person) -> Person:
    """With the users who have an address with them, and no further: not with those whom these share another with."""
    users = set(person.users)
    for ref in person.others:
        users |= _spread(get, ref, "u")
    return _of(get, users, person.addresses)


def all_forms(refs: Iterable[Ref]) -> set[Ref]:
    """Ids, and what shops make of an address before they send it."""
    return {Ref(ref.kind, form) for ref in refs for form in (forms(ref.value) if ref.kind == "e" else (ref.value,))}


def _linked(get: Get, refs: Iterable[Ref], kinds: str) -> set[Ref]:
    found = set()
    for ref in all_forms(refs):
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
