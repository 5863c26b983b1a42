"""What an erasure leaves alone: the events of others, whatever these have to do with the visitor."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway import Emulator, Gateway, config, criteo, order, until
from tests.identity.test_erasure import erase, traces_of

ANN = "ann@example.com"


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path) as emulator:
        yield emulator


def test_who_has_a_longer_address_or_sells_at_the_visitors_stays(tmp_path: Path, vendor: Emulator) -> None:
    vendor.fault("status_500")
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        seller = order("sold")["properties"] | {"seller": ANN}
        gateway.send(
            order("joann", anonymousId="joann's", traits={"email": "joann@example.com"}),
            order("sold", anonymousId="bob's", userId="bob", properties=seller),
            order("hers", anonymousId="ann's", traits={"email": ANN}),
        )
        until("all are tried", lambda: gateway.counts()["retrying"] == 3)
        found = gateway.command("visitor", "erase", "--email", ANN, "--dry-run")
        assert (found["events"], found["mentions"]) == (1, 1)
        erase(gateway, "--email", ANN)
        vendor.behave()
        gateway.settle()
        assert [gateway.delivery(id)["state"] for id in ("joann", "sold", "hers")] == ["delivered"] * 2 + ["filtered"]
        assert gateway.event("sold")["properties"]["seller"] == "[erased]"
        assert gateway.event("joann")["traits"] == {"email": "joann@example.com"}
        gateway.stop()
        assert traces_of(gateway.data, "[^o]" + ANN) == {}
