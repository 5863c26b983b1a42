"""kill -9 at any moment under load: nothing acknowledged is lost, and little is sent twice."""

import os
import random
from pathlib import Path

import pytest
from tests.checker import check
from tests.gateway import Emulator, Gateway, Sender, config, criteo, shopping, until

# What a kill of deliver may repeat: the requests under way, and outcomes that no commit had taken yet.
CONCURRENCY, COMMIT = 32, 256
IN_FLIGHT = CONCURRENCY + COMMIT
KILLS = 2
SEEDS = range(1, 11 if os.environ.get("FIRSTHAND_LONG") else 2)


def moments(seed: int, total: int) -> list[int]:
    """After how many events to kill: as chance has it, the same each time."""
    return sorted(random.Random(seed).sample(range(50, total * 3 // 4), KILLS))


@pytest.mark.parametrize("seed", SEEDS)
def test_of_collect(tmp_path: Path, vendor: Emulator, seed: int):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(3000), threads=6) as sender:
            for moment in moments(seed, 3000):
                until("some are acknowledged", lambda moment=moment: len(sender.acknowledged) >= moment)
                gateway.back("collect", gateway.kill("collect"))
        gateway.settle()
        # What a client sends again, because the kill took its answer, the log knows: no duplicates at all.
        assert check(gateway, sender, vendor).acknowledged == 3000


@pytest.mark.parametrize("seed", SEEDS)
def test_of_deliver(tmp_path: Path, vendor: Emulator, seed: int):
    vendor.fault("slow", seconds=0.03)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(2000)) as sender:
            for moment in moments(seed, 2000):
                until("some are delivered", lambda moment=moment: vendor.count() >= moment)
                gateway.back("deliver", gateway.kill("deliver"))
        gateway.settle()
        check(gateway, sender, vendor, duplicates=KILLS * IN_FLIGHT)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_the_supervisor(tmp_path: Path, vendor: Emulator, seed: int):
    """Its processes notice, end as if it had told them, and make room for the next one's."""
    vendor.fault("slow", seconds=0.03)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(2000)) as sender:
            for moment in moments(seed, 2000):
                until("some are delivered", lambda moment=moment: vendor.count() >= moment)
                gateway.kill("supervisor")
                gateway.start()
        gateway.settle()
        check(gateway, sender, vendor)


@pytest.mark.parametrize("seed", SEEDS)
def test_of_everything_at_once(tmp_path: Path, vendor: Emulator, seed: int):
    """As when the machine loses its power, but for what the disk has."""
    vendor.fault("slow", seconds=0.03)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(2000)) as sender:
            for moment in moments(seed, 2000):
                until("some are delivered", lambda moment=moment: vendor.count() >= moment)
                gateway.kill_all()
                gateway.start()
        gateway.settle()
        check(gateway, sender, vendor, duplicates=KILLS * IN_FLIGHT)
