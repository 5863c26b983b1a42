"""The cost of an event and the memory of the processes with a long backlog waiting, against none."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.gateway import ROLES, Gateway

Row = tuple[str, str, str]
MEASURED = 40_000


def rows(waiting: int) -> list[Row]:
    """One gateway with nothing waiting; one that gets `waiting` events while its vendor is down, then the vendor."""
    with Gateway() as gateway:
        empty = _cost(gateway)
    with TemporaryDirectory(prefix="firsthand-backlog-") as folder:
        data = Path(folder) / "data"
        with Gateway(dead=1, data=data) as gateway:
            gateway.load(20_000, 20, 32)
            before = {role: gateway.memory(role) for role in ROLES}
            started = time.perf_counter()
            for _ in range(waiting // 100_000):
                gateway.load(100_000, 200, 8)
            filled = time.perf_counter() - started
            after = {role: gateway.memory(role) for role in ROLES}
        with Gateway(data=data) as gateway:
            gateway.wait_delivered(2_000)
            full = _cost(gateway)
            late = {role: gateway.memory(role) for role in ROLES}
    grown = ", ".join(f"{role} {before[role]:.0f} → {max(after[role], late[role]):.0f} MB" for role in ROLES)
    return [
        (
            f"CPU per event with {waiting:,} waiting",
            f"collect {full['collect']:.0f} µs, deliver {full['deliver']:.0f} µs; with none waiting "
            f"{empty['collect']:.0f} and {empty['deliver']:.0f} µs",
            "the same",
        ),
        (f"memory over a backlog of {waiting:,} (filled in {filled:.0f} s)", grown, "within 50 MB"),
    ]


def _cost(gateway: Gateway) -> dict[str, float]:
    """CPU microseconds per event: collect's by what it takes in, deliver's by what it delivers meanwhile."""
    gateway.load(2_000, 20, 32)
    delivered, before = int(gateway.vendor(0, "/count")), {role: gateway.cpu(role) for role in ROLES}
    gateway.load(MEASURED, 20, 32)
    gateway.wait_delivered(delivered + MEASURED)
    done = int(gateway.vendor(0, "/count")) - delivered
    cost = {role: (gateway.cpu(role) - before[role]) * 1e6 for role in ROLES}
    return {"collect": cost["collect"] / MEASURED, "deliver": cost["deliver"] / done}
