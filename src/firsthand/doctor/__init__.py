"""`firsthand doctor`: finds a wrong set-up before it costs an order. Each finding says what to do.

A check is a function that is given the `Context` and yields findings. Nothing here changes anything or sends an event.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import msgspec

from firsthand.doctor import configuration, deliveries, events, gateway, machine, network
from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, Severity, error

__all__ = ["CHECKS", "Context", "Finding", "Report", "Severity", "examine"]

Check = Callable[[Context], Iterator[Finding]]

CHECKS: Mapping[str, Sequence[Check]] = {
    "Configuration": (
        configuration.file,
        configuration.applied,
        configuration.secrets,
        configuration.write_keys,
        configuration.flow,
        configuration.consent,
        configuration.production,
        configuration.ages,
    ),
    "Machine": (machine.folder, machine.room, machine.fsync, gateway.processes, gateway.ports),
    "Vendors": (network.endpoints,),
    "Events": (
        events.lost,
        events.nobody,
        events.coverage,
        events.products,
        events.skew,
        events.left_out,
        events.order,
    ),
    "Deliveries": (deliveries.balance, deliveries.dead),
}


class Report(msgspec.Struct, frozen=True):
    """All findings, by group."""

    groups: dict[str, list[Finding]]

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for findings in self.groups.values() for finding in findings)


def examine(context: Context) -> Report:
    """Make all checks. One that fails itself is a finding too."""
    groups = {}
    for group, checks in CHECKS.items():
        groups[group] = [finding for check in checks for finding in _made(check, context)]
    return Report(groups)


def _made(check: Check, context: Context) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check(context))
    except (apsw.NotADBError, apsw.CorruptError) as problem:
        said, remedy = f"a file in it is damaged: {problem}", "follow `Damaged files` in docs/delivery.md"
        found.append(error(f"damage.{check.__name__}", "data folder", said, remedy))
    except Exception as problem:
        # Its text may hold what it stumbled over, which is not for a page: type and place are enough to report it.
        frame = traceback.extract_tb(problem.__traceback__)[-1]
        said = f"the check itself failed: {type(problem).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        found.append(error("doctor", check.__name__, said, "report it: it is a fault of ours"))
    return found
