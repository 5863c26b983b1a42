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
from tests.gateway import Emulator, Gateway, Json, Sender, config, criteo, page, shopping, until

# What may be sent twice when deliver has to start again: requests under way, and outcomes no commit had taken.
IN_FLIGHT = 32 + 256


class Disk:
    """A small file system of its own, and a file on it that takes the room. What a test sends has room without it."""

    def __init__(self, path: Path) -> None:
        self.data = path / "data"
        self._ballast = path / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all room but some bytes, also while others take theirs."""
        size = 1 << 20
        with self._ballast.open("ab", buffering=0) as file:
            while size > 0:
                room = os.statvfs(self._ballast)
                size = max(0, min(size, room.f_bavail * room.f_frsize - leave))
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def free(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "none", path], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a small disk can't be mounted here: {mounted.stderr.strip()}")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


def endless() -> Iterator[Json]:
    return shopping(1_000_000)


def test_it_takes_no_more_until_there_is_room(tmp_path: Path, vendor: Emulator, disk: Disk):
    with Gateway(tmp_path, config(criteo()), vendor, data=disk.data) as gateway:
        disk.fill(leave=4_000_000)
        with Sender(gateway, endless()) as sender:
            until("the disk is full", lambda: sender.answers[503])
            with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                assert answer.status == 503
                assert int(answer.headers["retry-after"]) > 0
            disk.free()
            sender.enough()
        assert sender.answers.keys() == {200, 503}
        gateway.settle()
        check(gateway, sender, vendor)


def test_the_status_says_so(tmp_path: Path, vendor: Emulator, disk: Disk):
    """Also when there is no room to write it down."""
    with Gateway(tmp_path, config(criteo()), vendor, data=disk.data) as gateway:
        disk.fill()
        with Sender(gateway, shopping(20)) as sender:
            until("the disk is full", lambda: sender.answers[503])
            until("the status says so", lambda: gateway.status()["log"]["full"], seconds=10)
            disk.free()
        until("the status says so", lambda: not gateway.status()["log"]["full"])
        gateway.settle()
        check(gateway, sender, vendor)


def test_not_a_byte_is_left(tmp_path: Path, vendor: Emulator, disk: Disk):
    """Then outcomes can't be recorded either, and sending stops: what is not recorded would be sent again."""
    vendor.fault("slow", seconds=0.05)
    with Gateway(tmp_path, config(criteo()), vendor, data=disk.data) as gateway:
        with Sender(gateway, endless()) as sender:
            until("some are delivered", lambda: vendor.count() > 100)
            disk.fill()
            until("the collector refuses", lambda: sender.answers[503])
            until("sending stops", lambda: "sending has stopped" in gateway.output)
            stopped = vendor.count()
            until("clients have asked again", lambda: sender.answers[503] > 50)
            assert vendor.count() <= stopped + IN_FLIGHT
            vendor.behave()
            disk.free()
            sender.enough()
        gateway.settle()
        check(gateway, sender, vendor, duplicates=IN_FLIGHT)


def test_the_ledger_cannot_commit(tmp_path: Path, vendor: Emulator):
    """Somebody else holds the ledger: sending stops, and goes on where it was when they let go."""
    vendor.fault("slow", seconds=0.5)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(2_000)) as sender:
            until("some are delivered", lambda: vendor.count() > 50)
            with closing(apsw.Connection(str(gateway.data / "ledger.db"))) as other:
                other.set_busy_timeout(10_000)
                other.execute("BEGIN IMMEDIATE")
                until("sending stops", lambda: "sending has stopped" in gateway.output)
                stopped = vendor.count()
                gateway.send(page("meanwhile"))  # collection does not depend on it
                assert vendor.count() <= stopped + 32
                other.execute("ROLLBACK")
            vendor.behave()
        gateway.settle()
        check(gateway, sender.acknowledged | {"meanwhile"}, vendor)


def test_a_kill_while_the_ledger_is_slow(tmp_path: Path, vendor: Emulator):
    """What is not recorded is sent again, so little is ever left unrecorded, however long a commit takes."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(8_000)) as sender:
            until("some are delivered", lambda: vendor.count() > 100)
            with closing(apsw.Connection(str(gateway.data / "ledger.db"))) as other:
                other.set_busy_timeout(10_000)
                other.execute("BEGIN IMMEDIATE")
                until("sending stops", lambda: "sending has stopped" in gateway.output)
                gateway.kill("deliver")
                other.execute("ROLLBACK")
        gateway.settle()
        check(gateway, sender, vendor, duplicates=3 * IN_FLIGHT)
