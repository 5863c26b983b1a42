"""Switches in an event that name integrations, in the ways in which programs write yes and no."""

from typing import Any

import pytest

from firsthand.consent.switches import read, switched


@pytest.mark.parametrize("no", [False, "false", 0, "0", "no", "denied", {"enabled": False}, {"enabled": "false"}])
def test_a_no_is_one_however_it_is_written(no: Any) -> None:
    assert switched(read({"Criteo": no}), ["criteos2s", "criteo"]) is False
    assert switched(read({"all": no}), ["criteos2s", "criteo"]) is False


@pytest.mark.parametrize("settings", [True, "true", 1, {}, {"enabled": True}, {"cookies": False}])
def test_settings_switch_on_unless_they_say_no(settings: Any) -> None:
    assert switched(read({"All": False, "Criteo": settings}), ["criteos2s", "criteo"]) is True
