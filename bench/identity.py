"""The identity hub with a million visitors: what it costs to learn of them, to be told nothing new, and to be asked."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from firsthand.event import Event, format_time
from firsthand.identity import Hub
from firsthand.identity.hub import Entry
from firsthand.identity.lesson import Names

Row = tuple[str, str, str]
VISITORS = 1_000_000
BATCH = 256
ASKED = 100_000
NOW_MS = 1_795_348_800_000
NAMES = Names(frozenset({"criteo_gum_id"}), {})
CONSENT = {"categories": {"marketing": True, "analytics": True}}


def visitor(number: int) -> str:
    return str(UUID(int=number * 0x9E3779B97F4A7C15_F39CC0605CEDC835 % 2**128, version=4))


def page(number: int, at_ms: int) -> Event:
    """An event of a page: with consent and a GUM id; one visitor in five is signed in."""
    return Event(
        type="page",
        message_id="m",
        anonymous_id=visitor(number),
        user_id=f"customer-{number}" if number % 5 == 0 else None,
        context={"consent": CONSENT, "ids": {"criteo_gum_id@123": f"k-{visitor(number)}"}},
        timestamp=format_time(at_ms),
    )


def entries(numbers: Iterable[int], position: int, at_ms: int) -> Iterator[Entry]:
    for number in numbers:
        position += 1
        yield position, "shop", at_ms, page(number, at_ms)


def observe(hub: Hub, numbers: list[int], at_ms: int) -> float:
    """Seconds of CPU that the hub takes for an event of each of these visitors."""
    spent = 0.0
    for start in range(0, len(numbers), BATCH):
        position = hub.position(0)
        batch = list(entries(numbers[start : start + BATCH], position, at_ms))
        before = time.process_time()
        hub.observe(0, batch, position + len(batch))
        spent += time.process_time() - before
        if start % (BATCH * 20) == 0:
            hub.checkpoint()
    return spent


def per_second(ask: Callable[[str], object], visitors: list[str]) -> float:
    started = time.process_time()
    for one in visitors:
        ask(one)
    return len(visitors) / (time.process_time() - started)


def rows() -> list[Row]:
    chance = random.Random(1)
    with TemporaryDirectory() as folder:
        hub = Hub(Path(folder), NAMES)
        learned = observe(hub, list(range(VISITORS)), NOW_MS)
        hub.checkpoint()
        size = (Path(folder) / "identity.db").stat().st_size

        def ask(anonymous_id: str) -> object:
            return hub.known("shop", anonymous_id, None).vendor_id("criteo_gum_id@123", NOW_MS, lambda consent: False)

        strangers = [visitor(chance.randrange(VISITORS)) for _ in range(ASKED)]
        familiar = [visitor(number) for number in range(VISITORS - 10_000, VISITORS)] * (ASKED // 10_000)
        cold = per_second(ask, strangers)
        per_second(ask, familiar[:10_000])
        warm = per_second(ask, familiar)
        repeated = [VISITORS - 1 - number % 5_000 for number in range(50_000)]
        observe(hub, repeated[:5_000], NOW_MS + 1)
        nothing_new = observe(hub, repeated, NOW_MS + 2)
        hub.close()
    return [
        ("a million visitors: identity.db", f"{size >> 20:,} MiB, {size / VISITORS:.0f} bytes a visitor", ""),
        ("an event that teaches something new, CPU", f"{learned / VISITORS * 1e6:.1f} µs", ""),
        ("an event that teaches nothing new, CPU", f"{nothing_new / len(repeated) * 1e6:.1f} µs", "≤ 10 µs"),
        ("look-ups a second, visitors at random", f"{cold:,.0f}", "≥ 20,000"),
        ("look-ups a second, visitors of the last minutes", f"{warm:,.0f}", "≥ 100,000"),
    ]
