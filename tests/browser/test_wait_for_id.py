"""With `delivery.wait_for_id`, the first page of a new visitor reaches Criteo with the GUM id, which comes after it."""

from collections.abc import Iterator

import pytest
from tests.browser.chromium import Chromium
from tests.browser.shop import CALLER, Scene, shop_config
from tests.browser.test_vendors import agreeing, criteo, sync_of
from tests.gateway import Emulator, Gateway


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, _vendors: tuple[Emulator, Emulator], chromium: Chromium
) -> Iterator[Gateway]:
    config = shop_config()
    config["integrations"][0]["delivery"] = {"wait_for_id": "20s"}
    _vendors[0].forget()
    with Gateway(tmp_path_factory.mktemp("waiting"), config, _vendors[0]) as running:
        yield running


def test_the_first_page_of_a_new_visitor_has_it(scene: Scene) -> None:
    agreeing(scene)
    scene.open(scene.visitor())
    first = scene.event("page")
    gum = sync_of(scene)["context"]["ids"][f"criteo_gum_id@{CALLER}"]
    assert scene.delivery(first, "criteo")["state"] == "delivered"
    (sent,) = criteo(scene, "viewPage")
    assert sent["id"]["mapped_user_id"] == gum
