"""Does what comes in also go out? These look at the ledger."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, Severity, error, judged, ok, warning
from firsthand.ledger.damage import REMEDY
from firsthand.ledger.records import CANNOT_RUN
from firsthand.terminal.remedies import REMEDIES
from firsthand.terminal.times import pause, span

LATE_SECONDS, VERY_LATE_SECONDS = 300.0, 3600.0
DAY_MINUTES = 24 * 60


def balance(context: Context) -> Iterator[Finding]:
    """The counts balance, and nothing waits for long."""
    status = context.status
    if status is None:
        return
    if status["log"]["full"]:
        yield error("deliveries.log", "event log", "refuses events (503)", "free disk space")
    if damaged := status["damaged"]:
        yield error("deliveries.ledger", "ledger", f"damaged, nothing is sent: {damaged['cause']}", REMEDY)
    keys = {integration.key for integration in context.config.integrations}
    for row in status["integrations"]:
        if (row["health"] or {}).get("reason") == CANNOT_RUN:
            found = pause(row["health"], trouble=True, now_ms=round(time.time() * 1000))
            remedy = "install its vendor's package again, apply settings that fit, or remove it; its backlog waits"
            yield error("deliveries.down", row["key"], found, remedy)
            continue
        if row["key"] not in keys:
            continue
        if not row["balanced"]:
            remedy = "`firsthand status --recount`, and report it with what that says: it is a fault of ours"
            yield error("deliveries.balance", row["key"], "the counts do not balance", remedy)
            continue
        yield _waiting(row, delivering=bool(context.running.get("deliver")))
        health = row["health"] or {}
        if health.get("breaker", "closed") != "closed":
            found = pause(health, trouble=True, now_ms=round(time.time() * 1000))
            reason = health.get("reason")
            if reason:
                yield error("deliveries.credentials", row["key"], found, REMEDIES[reason].replace("KEY", row["key"]))
                continue
            remedy = "see the trace of an event that is retrying; nothing is lost, it goes on by itself"
            yield warning("deliveries.breaker", row["key"], found, remedy)


def _waiting(row: dict[str, Any], delivering: bool) -> Finding:
    """What is held for its consent, or waits for its next try, does so by rule; a backlog may be too long."""
    lag, pending = row["lag_seconds"], row["pending"]
    severity: Severity = "ok" if lag < LATE_SECONDS else "warning" if lag < VERY_LATE_SECONDS else "error"
    waits = [f"{pending:,} wait to be sent, the oldest for {span(lag)}"] if pending else []
    waits += [f"{row['held']:,} held for their consent"] if row["held"] else []
    waits += [f"{row['retrying']:,} to be tried again"] if row["retrying"] else []
    found = f"balanced; {', '.join(waits) or 'nothing waits'}"
    remedy = "raise delivery.concurrency or rate_per_second, and see what the vendor answers: `firsthand status`"
    if not delivering:
        remedy = "start `firsthand serve`: nothing is delivered while it does not run"
    numbers = {"lag_seconds": round(lag, 1)} | {name: row[name] for name in ("pending", "held", "retrying")}
    return judged(severity, "deliveries.lag", row["key"], found, remedy, **numbers)


def dead(context: Context) -> Iterator[Finding]:
    """What could not be sent in the last day, and why."""
    ledger = context.ledger
    if ledger is None:
        return
    keys = {integration.key for integration in context.config.integrations}
    for lane in ledger.lanes():
        if lane.integration not in keys:
            continue
        ended: Counter[str] = Counter()
        codes: Counter[str] = Counter()
        for _, counted in ledger.minutes(lane.id, int(time.time() // 60) - DAY_MINUTES):
            ended[counted.state] += counted.count
            if counted.state == "dead" and counted.code:
                codes[counted.code] += counted.count
        whole = sum(count for state, count in ended.items() if state in ("delivered", "dead", "filtered"))
        for code, count in codes.most_common():
            if count > 0:
                found, remedy = f"{count:,} dead in a day ({count / whole:.1%}): {code}", REMEDIES.get(code, "")
                yield warning("deliveries.dead", lane.integration, found, remedy, code=code, count=count)
        if whole and not any(count > 0 for count in codes.values()):
            yield ok("deliveries.dead", lane.integration, f"none dead of {whole:,} in a day")
