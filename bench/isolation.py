"""A second lane while the first one's vendor is down: from the shop's clock to the vendor's, per event."""

import statistics

from bench.gateway import Gateway

Row = tuple[str, str, str]
EVENTS = 6_000
RATE = 500


def latency(dead: int) -> float:
    """p99 in milliseconds of the second integration, with the first one's vendor dead or alive."""
    with Gateway(vendors=2, dead=dead) as gateway:
        gateway.load(1_000, 1, 16)
        gateway.wait_delivered(1_000, number=1)
        gateway.vendor(1, "/reset")
        gateway.load(EVENTS, 1, 16, rate=RATE)
        gateway.wait_delivered(EVENTS, number=1)
        found = sorted(float(text) for text in gateway.vendor(1, "/latencies").split(","))
        return found[int(len(found) * 0.99)]


def rows(runs: int) -> list[Row]:
    alive = [latency(dead=0) for _ in range(runs)]
    down = [latency(dead=1) for _ in range(runs)]
    a, d = statistics.median(alive), statistics.median(down)
    return [
        (
            f"second lane, {RATE} events a second, from sending to the vendor: p99",
            f"{d:.1f} ms with the first one's vendor down, {a:.1f} ms with it up",
            "within 10 %",
        )
    ]
