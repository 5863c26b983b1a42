"""What goes wrong and when: a pure function of a seed and a number of seconds.

Three tracks run side by side, each a sequence of its own: what happens to the gateway's processes and its disk, to the
vendor, and what clients do. A track draws its steps from a shuffled deck, so that a long run meets every kind. A
shorter run of the same seed is the beginning of a longer one.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from firsthand.emulators.criteo_s2s import CriteoS2S
from firsthand.emulators.faults import COMMON_KINDS

QUIET = 10.0
"""Nothing goes wrong any more in the last seconds of a run, or in the second half of a short one."""
TIMEOUT = 4.0
"""How long the gateway waits for the vendor; a `slow` one may take longer."""
GONE = "gone"
"""The vendor's process is killed, and started again later. All other kinds of faults are the emulator's own."""
VENDOR_KINDS = (*COMMON_KINDS, *CriteoS2S.fault_kinds, GONE)

HOUR, DAY, YEAR = 3_600, 86_400, 31_536_000
CLOCKS = (-10 * YEAR, -30 * DAY, -2 * DAY, -HOUR, -90, 90, HOUR, DAY, 2 * YEAR)

PROCESSES = (
    *["kill collect"] * 3,
    *["kill deliver"] * 3,
    *["kill supervisor"] * 2,
    *["kill everything"] * 2,
    *["restart"] * 2,
    *["disk full"] * 2,
)
CLIENTS = ("burst", "burst", "repeat", "clock", "clock", "hostile", "hostile")


class Step(NamedTuple):
    """`kind` begins `at` seconds after the start and lasts `seconds`; 0 where it is over at once."""

    at: float
    track: str
    kind: str
    seconds: float = 0.0
    detail: dict[str, Any] = {}  # noqa: RUF012 (nobody changes it)

    @property
    def end(self) -> float:
        return round(self.at + self.seconds, 1)

    def __str__(self) -> str:
        lasts = f"for {self.seconds:.1f} s" if self.seconds else ""
        detail = ", ".join(f"{name} {value}" for name, value in self.detail.items() if value is not None)
        return f"{self.at:6.1f} s  {self.track:<9}  {self.kind:<21}  {lasts:<9}  {detail}".rstrip()


def schedule(seed: int, seconds: float) -> list[Step]:
    """All steps of a run, in order of time."""
    end = max(seconds - QUIET, seconds / 2)
    tracks = {"gateway": _processes, "vendor": _vendor, "clients": _clients}
    steps = []
    for name, track in tracks.items():
        for step in track(random.Random(f"{seed} {name}")):
            if step.end > end:
                break
            steps.append(step)
    return sorted(steps, key=lambda step: (step.at, step.track))


def _deck(chance: random.Random, cards: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from chance.sample(cards, len(cards))


def _between(chance: random.Random, least: float, most: float) -> float:
    return round(chance.uniform(least, most), 1)


def _processes(chance: random.Random) -> Iterator[Step]:
    at = _between(chance, 1, 3)
    for kind in _deck(chance, PROCESSES):
        step = Step(at, "gateway", kind)
        if kind == "disk full":
            victim = chance.choice((None, "collect", "deliver"))
            step = step._replace(seconds=_between(chance, 1, 4), detail={"and kill": victim})
        yield step
        at = round(step.end + _between(chance, 1.5, 5), 1)


def _vendor(chance: random.Random) -> Iterator[Step]:
    at = _between(chance, 0.5, 2)
    for kind in _deck(chance, VENDOR_KINDS):
        step = Step(at, "vendor", kind, _between(chance, 1.5, 6), {} if kind == GONE else _fault(chance, kind))
        yield step
        at = round(step.end + _between(chance, 0, 2), 1)


def _fault(chance: random.Random, kind: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"rate": chance.choice((0.05, 0.2, 0.5, 1.0, 1.0))}
    if kind == "slow":
        fields["seconds"] = chance.choice((0.05, 0.5, 2.0, TIMEOUT + 2))
    elif kind in ("status_429", "status_503"):
        fields["seconds"] = chance.choice((1, 2, 3))
    return fields


def _clients(chance: random.Random) -> Iterator[Step]:
    at = _between(chance, 0.5, 2)
    for kind in _deck(chance, CLIENTS):
        step = Step(at, "clients", kind)
        if kind == "burst":
            step = step._replace(detail={"events": chance.randrange(200, 2_500)})
        elif kind == "repeat":
            step = step._replace(detail={"events": chance.randrange(20, 400)})
        elif kind == "hostile":
            step = step._replace(detail={"requests": chance.randrange(3, 12)})
        else:
            offset, stated = chance.choice(CLOCKS), chance.random() < 0.6
            step = step._replace(seconds=_between(chance, 1, 5), detail={"off by": offset, "sentAt": stated})
        yield step
        at = round(step.end + _between(chance, 1, 4), 1)
