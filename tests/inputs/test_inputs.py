"""What shops' systems really send comes to a good end: each case in `cases`, at one gateway for all of them."""

from collections.abc import Iterator

import pytest
from tests.gateway import Emulator, Gateway, criteo, until
from tests.inputs.case import CASES, play, read

SOURCES = [{"key": "shop", "write_key": "server-key"}]
BASIS_NONE = {"basis": "none"}
INTEGRATIONS = [
    criteo(consent=BASIS_NONE),
    criteo("criteo-cat", consent={"basis": "categories", "categories": ["marketing"]}),
    {"key": "raptor", "vendor": "raptor", "settings": {"customer_id": "1234"}, "consent": BASIS_NONE},
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("inputs")
    config = {"sources": SOURCES, "integrations": INTEGRATIONS}
    with Emulator(directory) as vendor, Gateway(directory, config, vendor) as gateway:
        yield gateway


@pytest.mark.parametrize("name", sorted(file.stem for file in CASES.glob("*.json")))
def test_case(gateway: Gateway, name: str) -> None:
    play(read(name), gateway)


def test_ids_that_name_nobody_are_counted(gateway: Gateway) -> None:
    play(read("guest-has-user-id-0"), gateway)
    counted = until("they are counted", lambda: gateway.status()["placeholders"].get("0"))
    assert counted >= 2
    assert gateway.status()["sources"][0]["placeholders"]["0"] == counted
