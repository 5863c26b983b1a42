"""One browser for all tests here, and a gateway for each of their modules."""

import os
import re
from collections.abc import Iterator

import pytest
from tests.browser.chromium import EXECUTABLE, Chromium
from tests.browser.shop import Scene, shop_config
from tests.browser.site import Site
from tests.gateway import Emulator, Gateway


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    if not EXECUTABLE.exists():
        missing = f"there is no {EXECUTABLE}: scripts/ensure-chromium installs it"
        assert os.environ.get("CI") != "true", missing
        pytest.skip(missing)
    with Chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with Site() as pages:
        yield pages


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, _vendors: tuple[Emulator, Emulator], chromium: Chromium
) -> Iterator[Gateway]:
    _vendors[0].forget()
    with Gateway(tmp_path_factory.mktemp("browser"), shop_config(), _vendors[0]) as running:
        yield running


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    chromium: Chromium,
    site: Site,
    gateway: Gateway,
    _vendors: tuple[Emulator, Emulator],
) -> Iterator[Scene]:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    one = Scene(name, chromium, site, gateway, _vendors[0])
    yield one
    one.close()
