"""Who runs on a data folder: each of the gateway's processes holds the lock of its role."""

import fcntl
from collections.abc import Iterable
from pathlib import Path


def holders(data: Path, roles: Iterable[str] = ("collect", "deliver")) -> dict[str, int]:
    """The process ids of those who hold a lock, by role; 0 where the id is not known."""
    return {role: pid for role in roles if (pid := _holder(data / f"{role}.lock")) is not None}


def command_line(pid: int) -> str:
    """What a process was started with; empty where that can't be seen."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _holder(path: Path) -> int | None:
    try:
        with path.open() as lock:
            try:
                # Held for a moment only, and a gateway that begins just then tries again.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = lock.read().strip()
                return int(text) if text.isdigit() else 0
    except OSError:
        pass
    return None
