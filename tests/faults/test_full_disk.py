"""A disk that is full, and a ledger that cannot be written: nothing acknowledged is lost, and it heals by itself."""

import http.client
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from tests.checker import check
from tests.gateway import Emulator, Gateway, Sender, config, criteo, page, shopping, until

# What may be sent twice when deliver has to start again: requests under way, and outcomes no commit had taken.
IN_FLIGHT = 32 + 256


class Disk:
    """A small file system of its own, and a file on it that takes the room."""

    def __init__(self, path: Path) -> None:
        self.data = path / "data"
        self._ballast = path / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all room but some bytes."""
        with self._ballast.open("ab") as file:
            status = os.statvfs(self._ballast)
            os.posix_fallocate(file.fileno(), 0, file.tell() + max(1, status.f_bavail * status.f_frsize - leave))

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


def test_it_takes_no_more_until_there_is_room(tmp_path: Path, vendor: Emulator, disk: Disk):
    with Gateway(tmp_path, config(criteo()), vendor, data=disk.data) as gateway:
        disk.fill(leave=10_000_000)
        with Sender(gateway, shopping(4_000)) as sender:
            until("the disk is full", lambda: sender.answers[503])
            with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                assert answer.status == 503
                assert int(answer.headers["retry-after"]) > 0
            assert gateway.status()["log"]["full"]
            disk.free()
        assert sender.answers.keys() == {200, 503}
        gateway.settle()
        assert check(gateway, sender, vendor).acknowledged == 4_000
        assert not gateway.status()["log"]["full"]


def test_not_a_byte_is_left(tmp_path: Path, vendor: Emulator, disk: Disk):
    """Then outcomes can't be recorded either, and sending stops: what is not recorded would be sent again."""
    vendor.fault("slow", seconds=0.05)
    with Gateway(tmp_path, config(criteo()), vendor, data=disk.data) as gateway:
        with Sender(gateway, shopping(3_000)) as sender:
            until("some are delivered", lambda: vendor.count() > 300)
            disk.fill()
            until("the collector refuses", lambda: sender.answers[503])
            until("sending stops", lambda: "sending has stopped" in gateway.output)
            stopped = vendor.count()
            assert vendor.count() <= stopped + IN_FLIGHT
            disk.free()
        gateway.settle()
        check(gateway, sender, vendor, duplicates=IN_FLIGHT)


def test_the_ledger_cannot_commit(tmp_path: Path, vendor: Emulator):
    """Somebody else holds the ledger: sending stops, and goes on where it was when they let go."""
    vendor.fault("slow", seconds=0.05)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(2_000)) as sender:
            until("some are delivered", lambda: vendor.count() > 100)
            with closing(apsw.Connection(str(gateway.data / "ledger.db"))) as other:
                other.set_busy_timeout(10_000)
                other.execute("BEGIN IMMEDIATE")
                until("sending stops", lambda: "sending has stopped" in gateway.output)
                stopped = vendor.count()
                gateway.send(page("meanwhile"))  # collection does not depend on it
                until("more is taken in", lambda: gateway.status()["sources"][0]["received"] > stopped + IN_FLIGHT)
                assert vendor.count() <= stopped + 32
                other.execute("ROLLBACK")
        gateway.settle()
        check(gateway, sender.acknowledged | {"meanwhile"}, vendor)
