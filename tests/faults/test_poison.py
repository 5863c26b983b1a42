"""A vendor module, not ours, that kills the process on one event: that event is set aside, the others are delivered."""

import os
from pathlib import Path

import pytest
from tests.checker import check
from tests.gateway import Emulator, Gateway, Json, Sender, config, order, page, shopping, until

MODULE = """
import dataclasses, os, signal

from firsthand.vendors import criteo_s2s


def build(setup, inputs):
    if any(given.event.message_id.startswith("poison-build") for given in inputs):
        os.kill(os.getpid(), signal.SIGKILL)
    return criteo_s2s.build(setup, inputs)


def judge(setup, request, answer):
    if answer.status == 200 and b"poison-judge" in (request.body or b""):
        os._exit(1)
    return criteo_s2s.judge(setup, request, answer)


VENDOR = dataclasses.replace(criteo_s2s.VENDOR, key="toy", name="Toy", build=build, judge=judge)
"""


@pytest.fixture
def package(tmp_path: Path) -> str:
    """An installed package with a vendor in it, as pip leaves one; what PYTHONPATH must say to have it."""
    folder = tmp_path / "site"
    about = folder / "toy-1.0.dist-info"
    about.mkdir(parents=True)
    (folder / "toy_vendor.py").write_text(MODULE)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[firsthand.vendors]\ntoy = toy_vendor:VENDOR\n")
    return os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))


def toy() -> Json:
    return {"key": "toy", "vendor": "toy", "settings": {"partner_id": "12345", "mapping_key": "123"}}


def test_in_the_log(tmp_path: Path, vendor: Emulator, package: str):
    """Met among others. Takes a while: a process that dies again and again is started again after longer pauses."""
    events = [*shopping(200, "before"), page("poison-build"), *shopping(200, "after")]
    with Gateway(tmp_path, config(toy()), vendor, PYTHONPATH=package) as gateway:
        with Sender(gateway, events, threads=1) as sender:
            pass
        gateway.settle()
        set_aside = gateway.delivery("poison-build", "toy")
        assert (set_aside["state"], set_aside["reason"]["code"]) == ("dead", "poison")
        assert "died" in set_aside["reason"]["message"]
        found = check(gateway, sender, vendor, duplicates=10 * (32 + 256))
        assert found.lanes["toy"].states == {"delivered": 400, "dead: poison": 1}


def test_among_retries_while_others_come_and_go(tmp_path: Path, vendor: Emulator, package: str):
    """It kills at its second attempt, when the lane has long gone on."""
    with Gateway(tmp_path, config(toy()), vendor, PYTHONPATH=package) as gateway:
        vendor.fault("status_500", count=1)
        gateway.send(order("poison-judge"))
        until("it is to be tried again", lambda: gateway.counts("toy")["retrying"])
        with Sender(gateway, shopping(1_000_000), threads=1, batch=1) as sender:
            until("it is set aside", lambda: gateway.counts("toy")["reasons"].get("poison"), seconds=90)
            sender.enough()
        gateway.settle()
        found = check(gateway, sender.acknowledged | {"poison-judge"}, vendor, duplicates=10_000)
        assert found.lanes["toy"].states["dead: poison"] == 1
