"""Is the machine up to it? Disk, its speed, and who may read what is on it."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, error, ok, warning
from firsthand.state.environments import FILE

FSYNC_ROUNDS = 40
FSYNC_SECONDS = 3.0
FSYNC_BYTES = 4096
SLOW_FSYNC_MS = 20.0
KEPT_FREE = 64 << 20
"""The collector refuses events when less is free, or a twentieth of a small disk."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def folder(context: Context) -> Iterator[Finding]:
    """Only the gateway's own user can read what it keeps."""
    data = context.data
    if not data.exists():
        yield ok("disk.folder", "data folder", f"{data} is not there yet: the first apply makes it")
        return
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield error("disk.folder", "data folder", f"you can't write in {data}", "run this as the user of the gateway")
        return
    sound = True
    mode = stat.S_IMODE(data.stat().st_mode)
    if mode & OTHERS:
        found = f"{data} is open to other users (mode {mode:o}), and holds personal data"
        yield warning("disk.folder", "data folder", found, f"chmod 700 {data}")
        sound = False
    database = data / FILE
    if database.exists() and (mode := stat.S_IMODE(database.stat().st_mode)) & OTHERS:
        found = f"{database} is open to other users (mode {mode:o}), and holds secrets"
        yield error("disk.folder", "secrets", found, f"chmod 600 {database}")
        sound = False
    foreign = [path.name for path in sorted(data.glob("*.db")) if path.stat().st_uid != os.geteuid()]
    if foreign:
        found = f"{', '.join(foreign)} belong to another user"
        yield warning("disk.folder", "owner", found, "run the gateway, and this, as one user")
        sound = False
    if sound:
        yield ok("disk.folder", "data folder", f"{data}, for its owner only")


def room(context: Context) -> Iterator[Finding]:
    """There is room for what the log may still grow to."""
    place = _nearest(context.data)
    usage = shutil.disk_usage(place)
    log = context.config.log
    held = (context.status or {}).get("log", {}).get("bytes", 0)
    grows = max(0, log.max_bytes - held)
    found = f"{_bytes(usage.free)} free"
    if usage.free < min(KEPT_FREE, usage.total // 20):
        remedy = "free some, or put the data folder on another disk"
        yield error("disk.room", "disk", f"{found}: the collector refuses events (503)", remedy, free_bytes=usage.free)
    elif usage.free < grows:
        found = f"{found}, and the log may still grow by {_bytes(grows)}"
        remedy = "lower log.max_bytes, or free some: a full disk stops collection"
        yield warning("disk.room", "disk", found, remedy, free_bytes=usage.free)
    else:
        yield ok("disk.room", "disk", f"{found}; the log takes at most {_bytes(log.max_bytes)}", free_bytes=usage.free)


def fsync(context: Context) -> Iterator[Finding]:
    """Each answer of the collector waits for one fsync, which it shares with those that come at the same time."""
    if not os.access(context.data, os.W_OK):
        return
    times = sorted(_fsyncs(context.data))
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    found = f"{p50:.1f} ms at the median, {p99:.1f} ms at the 99th percentile"
    numbers = {"p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
    if p50 > SLOW_FSYNC_MS:
        remedy = "a disk of its own, an SSD with power-loss protection, no network file system"
        yield warning("disk.fsync", "fsync", f"slow: {found}", remedy, **numbers)
    elif p99 > SLOW_FSYNC_MS:
        remedy = "see what else writes to this disk; answers wait this long now and then"
        yield warning("disk.fsync", "fsync", f"uneven: {found}", remedy, **numbers)
    else:
        yield ok("disk.fsync", "fsync", found, **numbers)


def _fsyncs(folder: Path) -> list[float]:
    """Milliseconds that a write of 4 kB takes to be on the disk, some times over."""
    times: list[float] = []
    block = os.urandom(FSYNC_BYTES)
    begun = time.perf_counter()
    with tempfile.TemporaryFile(dir=folder, prefix="doctor-", buffering=0) as file:
        while len(times) < FSYNC_ROUNDS and time.perf_counter() - begun < FSYNC_SECONDS:
            started = time.perf_counter()
            file.write(block)
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return times


def _nearest(path: Path) -> Path:
    """The folder itself, or the one that it will be made in."""
    path = path.resolve()
    while not path.exists():
        path = path.parent
    return path


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"
