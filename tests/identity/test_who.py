"""Who is meant by an id, by what the hub has learned."""

import pytest
from tests.identity.shop import Shop, event

from firsthand.identity.erasure import Wanted, find_ids
from firsthand.vendors.hashing import md5, sha256

ANN = "ann@example.com"


def ids_of(shop: Shop, kind: str, value: str) -> set[str]:
    found = find_ids(Wanted(kind, value), ["shop"], shop.hub.get)["shop"]  # type: ignore[arg-type]
    return {ref.key for ref in found.ids}


def test_a_user_id_that_is_an_address_is_found_by_it(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="laptop", user_id="Ann@Example.com"), event(2, anonymous_id=ANN))
    assert ids_of(shop, "e", ANN) >= {"a:laptop", "u:Ann@Example.com", f"e:{ANN}", f"a:{ANN}"}
    assert shop.known("laptop", "Ann@Example.com").email is None, "it is not sent as one"


@pytest.mark.parametrize("sent", [md5(ANN), sha256(ANN).upper(), sha256(md5(ANN))])
def test_an_address_that_the_shop_hashes_is_found_by_it(shop: Shop, sent: str) -> None:
    shop.see(event(1, anonymous_id="laptop", email=sent))
    assert "a:laptop" in ids_of(shop, "e", ANN)


def test_the_hash_of_nothing_is_nobodys(shop: Shop) -> None:
    shop.see(event(1, anonymous_id="one", email=sha256("")), event(1, anonymous_id="other", email=sha256("")))
    assert ids_of(shop, "a", "one") == {"a:one"}
