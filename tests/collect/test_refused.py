"""What a source's tally of refused items counts: the same, wherever the key stands."""

from typing import Any

import pytest
from tests.collect.client import SLOW, Answered, Client, item

EVENT = {"event": "Order Completed", "userId": "u1"}
EVIL = {"origin": "https://evil.example"}


async def send(client: Client, key: str, where: str, body: dict[str, Any], headers: Any = None) -> Answered:
    path = "/v1/batch" if "batch" in body else "/v1/track"
    if where == "header":
        return await client.post(path, body, key=key, headers=headers)
    return await client.post(path, body | {"writeKey": key}, key=None, headers=headers)


@pytest.mark.parametrize("where", ["header", "body"])
class TestWhereverTheKeyStands:
    async def test_a_fault_counts(self, client: Client, where: str) -> None:
        assert (await send(client, "shop-key", where, {"event": "Order Completed"})).status == 400
        assert (await send(client, "shop-key", where, {"batch": [item(0), {"type": "track"}]})).status == 200
        assert client.log.refusals == {"shop": 2}

    async def test_a_page_of_others_counts(self, client: Client, where: str) -> None:
        assert (await send(client, "site-key", where, EVENT, EVIL)).status == 403
        assert (await send(client, "site-key", where, {"batch": [item(0), item(1)]}, EVIL)).status == 403
        assert client.log.refusals == {"site": 3}

    async def test_what_comes_again_does_not(self, where: str) -> None:
        client = Client(SLOW)
        await send(client, "slow-key", where, {"batch": [item(n) for n in range(10)]})
        assert (await send(client, "slow-key", where, EVENT)).status == 429
        assert (await send(client, "slow-key", where, {"batch": [item(11)]})).status == 429
        assert not client.log.refusals

    async def test_a_key_that_nobody_has_does_not(self, client: Client, where: str) -> None:
        assert (await send(client, "nobody", where, EVENT)).status == 401
        assert not client.log.refusals


async def test_what_lacks_its_signature_does_not() -> None:
    """Anybody who reads a page has its write key."""
    from firsthand.config import Source

    client = Client(Source(key="shop", write_key="shop-key", signing_secret="s" * 32, require_signature=True))
    for where in ("header", "body"):
        assert (await send(client, "shop-key", where, EVENT)).status == 401
    assert not client.log.refusals
