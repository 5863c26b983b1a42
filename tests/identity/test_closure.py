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


ONE_ADDRESS = ("a:1 u:1", "u:1 e:x@y", "u:2 e:x@y", "u:3 e:x@y", "u:3 e:z@y", "u:4 e:z@y", "a:4 e:x@y")
"""Three users, one of whom has another address with a fourth."""
FAMILY = ("a:tablet u:ann", "a:tablet u:bob", "a:phone u:ann", "u:ann e:ann@x", "a:bobs u:bob")


@pytest.mark.parametrize(
    ("pairs", "start", "ids", "shared", "others"),
    [
        ((), "e:x@y", "e:x@y", "", ""),
        (("a:1 u:1", "a:2 u:1", "u:1 e:x@y"), "e:x@y", "a:1 a:2 e:x@y u:1", "", ""),
        (("a:1 u:1", "a:2 u:1", "u:1 e:x@y"), "a:2", "a:1 a:2 e:x@y u:1", "", ""),
        (("a:1 a:2", "a:2 a:3", "a:3 e:x@y"), "e:x@y", "a:1 a:2 a:3 e:x@y", "", ""),
        (("u:1 u:old", "a:1 u:old"), "u:1", "a:1 u:1 u:old", "", ""),
        (FAMILY, "e:ann@x", "a:phone e:ann@x u:ann", "a:tablet", ""),
        (FAMILY, "u:bob", "a:bobs u:bob", "a:tablet", ""),
        (FAMILY, "a:phone", "a:phone e:ann@x u:ann", "a:tablet", ""),
        (FAMILY, "a:tablet", "a:tablet", "", ""),
        (ONE_ADDRESS, "u:1", "a:1 u:1", "e:x@y", "u:2 u:3"),
        (ONE_ADDRESS, "e:x@y", "a:4 e:x@y", "", "u:1 u:2 u:3"),
        (ONE_ADDRESS, "a:1", "a:1 u:1", "e:x@y", "u:2 u:3"),
        (ONE_ADDRESS, "a:4", "a:4", "e:x@y", "u:1 u:2 u:3"),
        (("a:pc u:1", "u:1 e:one@x", "a:pc e:guest@x"), "e:guest@x", "e:guest@x", "", ""),
        (("a:pc u:1", "u:1 e:one@x", "a:pc e:guest@x"), "u:1", "e:one@x u:1", "a:pc", ""),
    ],
)
def test_closure(pairs: tuple[str, ...], start: str, ids: str, shared: str, others: str) -> None:
    found = closure(linked(*pairs).get, Ref.of(start))
    assert {ref.key for ref in found.ids} == set(ids.split())
    assert {ref.key for ref in found.shared} == set(shared.split())
    assert {ref.key for ref in found.others} == set(others.split())


@pytest.mark.parametrize(
    ("start", "ids"),
    [
        ("u:1", "a:1 a:4 e:x@y u:1 u:2 u:3"),
        ("e:x@y", "a:1 a:4 e:x@y u:1 u:2 u:3"),
        ("u:4", "e:z@y u:3 u:4"),
    ],
)
def test_the_users_of_one_address_go_together_where_that_is_asked_for(start: str, ids: str) -> None:
    found = closure(linked(*ONE_ADDRESS).get, Ref.of(start), with_others=True)
    assert {ref.key for ref in found.ids} == set(ids.split())


def test_a_thousand_users_of_one_address_are_looked_at_once() -> None:
    """Anybody who has a page's write key can make them."""
    crowd = linked(*(f"u:{n} e:shop@x" for n in range(1_000)), *(f"a:{n} u:{n}" for n in range(1_000)))
    asked = 0

    def get(ref: Ref) -> Profile | None:
        nonlocal asked
        asked += 1
        return crowd.get(ref)

    found = closure(get, Ref.of("u:7"))
    assert {ref.key for ref in found.ids} == {"u:7", "a:7"}
    assert len(found.others) == 999
    assert asked < 100
