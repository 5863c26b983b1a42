"""A small disk of the run's own, where one can be mounted."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.faults.test_full_disk import Disk


@contextlib.contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Disk | None]:
    """A file system in memory, gone at the end with what is on it; None where mounting is not permitted."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(path)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield Disk(path) if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
