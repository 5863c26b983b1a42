"""Which ids go together when a visitor is erased."""

from collections import defaultdict

import pytest

from firsthand.identity.closure import closure
from firsthand.identity.profile import Profile, Ref


def linked(*pairs: str) -> dict[Ref, Profile]:
    """`linked("a:1 u:2")`: an anonymous id and a user id that were seen together."""
    profiles: dict[Ref, Profile] = defaultdict(Profile)
    for pair in pairs:
        one, other = pair.split()
        for ref, key in ((one, other), (other, one)):
            profile = profiles[Ref.of(ref)]
            profile.ref = Ref.of(ref)
            profile.link(key, 1)
    return dict(profiles)


FAMILY = ("a:tablet u:ann", "a:tablet u:bob", "a:phone u:ann", "u:ann e:ann@x", "a:bobs u:bob")


@pytest.mark.parametrize(
    ("pairs", "start", "ids", "shared"),
    [
        ((), "e:x@y", "e:x@y", ""),
        (("a:1 u:1", "a:2 u:1", "u:1 e:x@y"), "e:x@y", "a:1 a:2 e:x@y u:1", ""),
        (("a:1 u:1", "a:2 u:1", "u:1 e:x@y"), "a:2", "a:1 a:2 e:x@y u:1", ""),
        (("a:1 a:2", "a:2 a:3", "a:3 e:x@y"), "e:x@y", "a:1 a:2 a:3 e:x@y", ""),
        (("u:1 e:x@y", "u:2 e:x@y", "a:2 u:2"), "u:1", "a:2 e:x@y u:1 u:2", ""),
        (("u:1 u:old", "a:1 u:old"), "u:1", "a:1 u:1 u:old", ""),
        (FAMILY, "e:ann@x", "a:phone e:ann@x u:ann", "a:tablet"),
        (FAMILY, "u:bob", "a:bobs u:bob", "a:tablet"),
        (FAMILY, "a:phone", "a:phone e:ann@x u:ann", "a:tablet"),
        (FAMILY, "a:tablet", "a:tablet", ""),
    ],
)
def test_closure(pairs: tuple[str, ...], start: str, ids: str, shared: str) -> None:
    found = closure(linked(*pairs).get, Ref.of(start))
    assert {ref.key for ref in found.ids} == set(ids.split())
    assert {ref.key for ref in found.shared} == set(shared.split())
