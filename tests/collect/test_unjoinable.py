"""The ids that the collector makes of a visitor: nobody computes them from another vendor's, nor joins data by them."""

from hashlib import algorithms_guaranteed, blake2b, new
from itertools import product
from uuid import UUID

import msgspec
import pytest
from tests.collect.client import NOW
from tests.collect.pages import GRANTED, OTHER_PROPOSAL, PROPOSAL, RAPTOR, WEB, Shop

from firsthand.secret import Secret

SECRET = Secret(b"0" * 32)
NAMES = ("rsa", "rsaSession", "fh_sid")
RAPTOR_IDS = ("raptor_coid", "raptor_sid")


async def ids(secret: Secret = SECRET, proposal: str = PROPOSAL, **changes: object) -> dict[str, str]:
    """The cookies that a new visitor gets."""
    shop = Shop(msgspec.structs.replace(WEB, **changes), integrations=[RAPTOR], secret=secret)
    shop.proposal = proposal
    cookies = (await shop.sends(consent=GRANTED)).cookies
    assert cookies.keys() == {"fh_aid", *NAMES}
    return {name: cookies[name] for name in NAMES}


async def test_one_visitor_of_one_gateway_has_the_same_ids_whichever_process_answers() -> None:
    assert await ids() == await ids(Secret(b"0" * 32))
    assert all(UUID(value).version == 4 for value in (await ids()).values())


async def test_whoever_knows_the_anonymous_id_cannot_compute_the_others() -> None:
    """Criteo is sent the anonymous id, Raptor the other two."""
    known = (PROPOSAL, PROPOSAL.replace("-", ""), UUID(PROPOSAL).bytes)
    lives = {"rsa": 365 * 86_400, "rsaSession": 1200, "fh_sid": 1200}
    guesses: set[bytes] = set()
    for name, id in product(("", *NAMES, *RAPTOR_IDS), known):
        visitor = id if isinstance(id, bytes) else id.encode()
        for age in (None, *lives.values()):
            bucket = b"" if age is None else b"%d " % int(NOW // age)
            for seed in (name.encode() + b" " + bucket + visitor, name.encode() + bucket + visitor, visitor + bucket):
                guesses.add(blake2b(seed, digest_size=16).digest())
                for algorithm in algorithms_guaranteed:
                    if not algorithm.startswith("shake"):
                        guesses.add(new(algorithm, seed, usedforsecurity=False).digest()[:16])
    computable = {str(UUID(bytes=one, version=4)) for one in guesses if len(one) == 16}
    assert not computable & {*(await ids()).values()}


async def test_two_gateways_give_one_visitor_nothing_in_common() -> None:
    one, two = await ids(), await ids(Secret(b"1" * 32))
    assert not {*one.values()} & {*two.values()}


async def test_each_id_is_for_one_purpose() -> None:
    made = await ids()
    assert len({*made.values(), PROPOSAL}) == 4
    assert not {*made.values()} & {*(await ids(proposal=OTHER_PROPOSAL)).values()}


@pytest.mark.parametrize("name", NAMES)
async def test_who_has_an_id_keeps_it(name: str) -> None:
    """Such as those that were given before, or with a secret that is gone."""
    shop = Shop(integrations=[RAPTOR], secret=SECRET)
    shop.jar |= {"fh_aid": PROPOSAL, name: OTHER_PROPOSAL}
    assert (await shop.sends(consent=GRANTED)).cookies[name] == OTHER_PROPOSAL
