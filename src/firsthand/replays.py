"""Asking for a replay and watching it: the side of whoever asks. The deliver process runs it."""

import time
from pathlib import Path
from typing import Any

import msgspec

from firsthand.deliver.replay import candidates
from firsthand.event import parse_time
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.balance import account
from firsthand.ledger.reader import Filter, Lane, LedgerReader
from firsthand.ledger.trace import trace
from firsthand.reasons import DEAD, FILTERED

ALONE = "What was delivered is left alone without --resend: the vendor gets it twice"

ENDED, UNDER_WAY = ("delivered", "dead", "filtered"), ("pending", "held", "retrying")


class Unusable(ValueError):
    """A filter that cannot be meant."""


def wanted_deliveries(
    state: str | None, reason: str | None, since: str | None, until: str | None, message_id: str | None, resend: bool
) -> Filter:
    """A filter from what a person wrote. Raises Unusable."""
    if state is not None and state not in ("dead", "filtered", "delivered"):
        raise Unusable(f"--state is dead, filtered or delivered, not {state!r}")
    if state == "delivered" and not resend:
        raise Unusable("what was delivered is only sent again with --resend: the vendor gets it twice")
    if reason is not None and reason not in (*DEAD, *FILTERED):
        raise Unusable(f"there is no reason {reason!r}; docs/reasons.md lists them")
    times = []
    for name, text in (("--from", since), ("--to", until)):
        try:
            times.append(parse_time(text) if text else None)
        except ValueError:
            raise Unusable(f"{name} {text!r} is not a time such as 2026-11-22 or 2026-11-22T10:15:00Z") from None
    if times[0] is not None and times[1] is not None and times[0] >= times[1]:
        raise Unusable(f"--from {since} is not before --to {until}: nothing was received between them")
    return Filter(state=state, code=reason, from_ms=times[0], to_ms=times[1], message_id=message_id, resend=resend)


def find_lane(ledger: LedgerReader, integration: str) -> Lane:
    """The lane of an integration. Raises Unusable."""
    for lane in ledger.lanes():
        if lane.integration == integration:
            return lane
    known = ", ".join(lane.integration for lane in ledger.lanes())
    raise Unusable(f"there is no integration {integration!r}; there are {known or 'none yet'}")


async def dry_run(directory: Path, integration: str, wanted: Filter) -> dict[str, Any]:
    """What a replay would send again, by what became of it before. Sends nothing. Raises Unusable."""
    log, ledger = SqliteLogReader(directory), LedgerReader(directory)
    try:
        by_reason: dict[str, int] = {}
        matched = gone = 0
        async for candidate in candidates(find_lane(ledger, integration).id, wanted, ledger, log):
            if candidate is None:
                gone += 1
                continue
            matched += 1
            state, _, code = candidate.delivery.previous or ("", None, None)
            label = f"{state}: {code}" if code else state
            by_reason[label] = by_reason.get(label, 0) + 1
        return {"integration": integration, "matched": matched, "gone": gone, "by_reason": by_reason}
    finally:
        log.close()
        ledger.close()


async def why_nothing(directory: Path, integration: str, wanted: Filter) -> str:
    """Why a filter takes no delivery of an integration, and what would. Raises Unusable for an event that is not kept
    here."""
    log, ledger = SqliteLogReader(directory), LedgerReader(directory)
    try:
        lane = find_lane(ledger, integration)
        if wanted.message_id is None:
            counts = msgspec.to_builtins(await account(lane, ledger, log, round(time.time() * 1000)))
            there = ", ".join(f"{counts[state]:,} {state}" for state in (*ENDED, *UNDER_WAY) if counts[state])
            said = [f"there is {there or 'nothing'} at {integration}, and none of it is what you asked for"]
            if any(counts[state] for state in UNDER_WAY):
                said.append("What is pending, held or retrying goes on by itself")
            return ". ".join([*said, ALONE] if counts["delivered"] else said)
        traces = trace(wanted.message_id, log.sources(), log, ledger)
        if not traces:
            raise Unusable(f"no event with the message id {wanted.message_id!r} is kept here")
        found = [row for one in traces for row in one["deliveries"] if row["integration"] == integration]
        rows = [row for row in found if not row["superseded"]]
        if not rows:
            return f"{integration} takes no events from {traces[0]['source']}"
        return "; ".join(_why(row, wanted) for row in rows)
    finally:
        log.close()
        ledger.close()


def _why(row: dict[str, Any], wanted: Filter) -> str:
    state, code = row["state"], (row["reason"] or {}).get("code")
    if state in UNDER_WAY:
        return f"it is {state}, and goes on by itself"
    if state == "delivered" and not wanted.resend:
        return f"it is delivered. {ALONE}"
    if state not in wanted.states:
        return f"it is {state}, and you asked for what is {' or '.join(wanted.states)}"
    if wanted.code not in (None, code):
        return f"it is {state} for {code or 'no reason'}, and you asked for {wanted.code}"
    return f"it is {state}, and was received at another time than you asked for, or its event is kept nowhere any more"


def request(directory: Path, integration: str, wanted: Filter, rate: float) -> str:
    """Ask for a replay; returns its id."""
    from firsthand.state.store import State

    wanted = msgspec.structs.replace(wanted, settled_before_ms=round(time.time() * 1000))
    return State.open(directory).queue_replay(integration, {"filter": msgspec.to_builtins(wanted), "rate": rate})


def watch(directory: Path, id: str, total: int, show: bool) -> dict[str, Any]:
    """Follow a replay to its end, with a progress bar where `show`. Returns at once if nobody runs it."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from firsthand.state.store import State

    state = State.open(directory)
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    waited = 0.0
    with Progress(*columns, disable=not show) as bar:
        task = bar.add_task("replay", total=total)
        while True:
            job = next(job for job in state.replays() if job.id == id)
            bar.update(task, completed=job.progress.get("done", 0))
            if job.state in ("done", "failed", "cancelled"):
                break
            if job.state == "queued" and waited > 5:
                break
            time.sleep(0.2)
            waited += 0.2
    result = {"id": job.id, "state": job.state, **job.progress}
    if show:
        if job.state == "queued":
            print("The replay waits: it runs as soon as `firsthand serve` runs on this data folder and gets to it.")
            print(f"Not wanted after all: firsthand replays --cancel {job.id}")
        elif job.state == "failed":
            print(f"The replay failed: {job.progress.get('error')}")
        else:
            counts = ", ".join(
                f"{job.progress.get(name, 0)} {name}" for name in ("delivered", "dead", "filtered", "waiting", "gone")
            )
            print(f"Replayed {job.progress.get('done', 0)}: {counts}")
    return result
