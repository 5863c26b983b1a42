"""What became of a run: the checker's findings, and what else must hold."""

import re
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO

from tests.chaos.world import World
from tests.checker import Findings, check
from tests.gateway import Received, page

SETTLED_SECONDS = 240
HEALTHY_SECONDS = 60
LAST = 100
TROUBLE = (
    *("attempts_exhausted", "outcome_unknown", "vendor_ambiguous"),
    *("auth_failed", "scope_denied", "redirect_refused"),
)
"""Reasons that come of a vendor in trouble: none has any business at the healthy one."""
OURS = ("mapping_error", "poison", "log_damaged", "backlog_overflow")
"""Reasons that come of a fault of the gateway's own."""
TOLD = {0, 200, 503}
"""What a client may be answered: nothing when what it spoke to was killed, 503 while the disk is full."""
ID = re.compile(r"\b(?:web|app|odd|last)-\d+\b")


@dataclass
class Verdict:
    acknowledged: int = 0
    findings: Findings | None = None
    problems: list[str] = field(default_factory=list)
    settled_seconds: float = 0.0

    @property
    def offenders(self) -> list[str]:
        """Message ids that the problems name."""
        return list(dict.fromkeys(id for problem in self.problems for id in ID.findall(problem)))


def settle(world: World) -> float:
    """Waits until every event has come to its end. Some more are sent while the troubled vendor is down; the healthy
    one has them before it is back.

    Returns how many seconds that took. Raises AssertionError where it does not come about.
    """
    began = time.monotonic()
    world.vendor.fault("down")
    last = [page(f"last-{number}", anonymousId=f"last-visitor-{number}") for number in range(LAST)]
    world.gateway.send(*last)
    world.last |= {event["messageId"] for event in last}
    world.gateway.settle("healthy", seconds=HEALTHY_SECONDS)
    troubled = world.gateway.counts("troubled")
    assert troubled["pending"] + troubled["retrying"], f"nothing waits for a vendor that is down: {troubled}"
    world.vendor.behave()
    world.gateway.settle(seconds=SETTLED_SECONDS)
    return time.monotonic() - began


def judge(world: World) -> Verdict:
    verdict = Verdict(problems=[*world.problems, *world.hostile.problems])
    try:
        verdict.settled_seconds = settle(world)
    except Exception as error:
        verdict.problems.append(f"{type(error).__name__}: {error}")
    acknowledged = world.acknowledged
    verdict.acknowledged = len(acknowledged)
    late = _late(world.vendor.received())
    bound = world.duplicates_allowed
    vendors = {"troubled": world.vendor, "healthy": world.other}
    try:
        with redirect_stdout(StringIO()):
            verdict.findings = check(world.gateway, acknowledged, vendors, duplicates=bound + sum(late.values()))
    except Exception as error:
        verdict.problems.append(f"{type(error).__name__}: {error}")
    else:
        verdict.problems += _more(verdict.findings, late, bound)
    for sender in world.senders:
        if strange := sender.answers.keys() - TOLD:
            verdict.problems.append(f"clients were answered {sorted(strange)}: {dict(sender.answers)}")
    if (died := world.died_by_themselves()) and not world.played["disk full"]:
        verdict.problems.append(f"{len(died)} times a process died that nobody killed, first {died[0]}")
    return verdict


def _late(received: Iterable[Received]) -> Counter[str]:
    """How often the vendor took its time over an event: longer, maybe, than the gateway waits."""
    return Counter(entry.id for entry in received if entry.fault == "slow" and entry.taken)


def _more(findings: Findings, late: Counter[str], bound: int) -> list[str]:
    """What the checker can't know."""
    problems = []
    for integration, lane in findings.lanes.items():
        again = {id: count - late[id] for id, count in lane.duplicates.items() if count > late[id]}
        if sum(again.values()) > bound:
            problems.append(f"{integration}: {sum(again.values())} duplicates, at most {bound}: {list(again)[:5]}")
        wrong = [*OURS, *(TROUBLE if integration == "healthy" else ())]
        found = {fate: count for fate, count in lane.states.items() if fate.removeprefix("dead: ") in wrong}
        if found:
            problems.append(f"{integration}: {found}")
    healthy = findings.lanes["healthy"]
    if healthy.repeated:
        problems.append(f"healthy: {healthy.repeated} events repeated for want of an answer")
    return problems
