"""Runs the demo: start everything, send the hour, wait until it is settled, say what became of it, stop everything."""

import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from firsthand.demo.gateway import WRITE_KEYS, DemoFailed, Gateway, stop_on_signals
from firsthand.demo.report import attempts, beside, to_read, watcher
from firsthand.demo.shop import AGREES, Call, Hour, an_hour
from firsthand.demo.site import Site
from firsthand.demo.traffic import Vendor, send
from firsthand.event import decoder
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.trace import trace
from firsthand.status import status
from firsthand.terminal.console import own_command, stdout
from firsthand.terminal.status import STATES
from firsthand.terminal.status import show as show_status

INTEGRATION = "criteo"
SETTLE_SECONDS = 60.0
INTERRUPTED = 130
MOST_EVENTS = 20_000


def run(events: int, port: int | None = None) -> int:
    """The whole demo; returns the exit code. At a terminal it goes on serving until Ctrl-C. `port`: as `Gateway`."""
    console = stdout()
    folder = Path(tempfile.mkdtemp(prefix="firsthand-demo-"))
    stop_on_signals()
    keep = False
    try:
        console.print(f"Starting a gateway and the vendors' emulators in {folder} …", soft_wrap=True)
        with Gateway(folder, port) as gateway, Site(gateway.shop_port, gateway.url, gateway.emulator_url) as site:
            console.print(f"The sample shop is at {site.url}", soft_wrap=True)
            hour = an_hour(round(time.time() * 1000), events)
            agree = _play(console, gateway, hour)
            keep = True
            _tell(console, gateway, hour)
            if not agree:
                raise DemoFailed("the counts do not agree")
            if console.is_terminal:
                _go_on(console, gateway, site)
        console.print(f"\nNothing runs any more. The data stays in {folder}", soft_wrap=True)
        return 0
    except DemoFailed as failure:
        keep = True
        _explain(failure, folder)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped; nothing runs any more." + (f" The data stays in {folder}" if keep else ""))
        return 0 if keep else INTERRUPTED
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _play(console: Console, gateway: Gateway, hour: Hour) -> bool:
    """Send the hour and wait until all of it is settled. Says whether our count and the vendor's agree."""
    vendor = Vendor(gateway)
    vendor.live_in_the_past()
    total = len(hour.sent)
    console.print(f"Sending an hour of a small shop, {total:,} events, to {gateway.url}", soft_wrap=True)
    watch = watcher(console, total)
    try:
        send(gateway, vendor, hour.sent, lambda sent: watch.show(sent, _counts(gateway)), watch.note)

        def settled() -> bool:
            row = _integration(asyncio.run(status(gateway.data)))
            watch.show(total, {state: row[state] for state in STATES})
            # How the lane is, it says only every two seconds: the summary is not to show trouble that has passed.
            return not row["pending"] + row["retrying"] + row["held"] and row["health"]["breaker"] == "closed"

        gateway.wait(settled, SETTLE_SECONDS, "everything to be settled")
    finally:
        watch.close()
    found = asyncio.run(status(gateway.data, recount=True))
    console.print()
    show_status(found, console)
    console.print()
    row = _integration(found)
    return beside(console, row["delivered"], vendor.counts()) and row["balanced"]


def _counts(gateway: Gateway) -> dict[str, int]:
    row = _integration(asyncio.run(status(gateway.data)))
    return {state: row[state] for state in STATES}


def _integration(found: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in found["integrations"] if row["key"] == INTEGRATION)
    return row


def _tell(console: Console, gateway: Gateway, hour: Hour) -> None:
    """Three traces worth reading: one that took several attempts, one that was left out, one that could not go."""
    log, ledger = SqliteLogReader(gateway.data), LedgerReader(gateway.data)
    try:

        def found(message_id: str) -> dict[str, Any]:
            return next(iter(trace(message_id, log.sources(), log, ledger)))

        traces = [found(message_id) for message_id in dict.fromkeys([*hour.sales, *_tried_again(log, ledger)])]
        delivered = [one for one in traces if one["deliveries"][0]["state"] == "delivered"]
        best = min(delivered, key=lambda one: (attempts(one) < 2, one["message_id"] not in hour.sales, attempts(one)))
        console.print("\nThree traces to read:")
        for one in (best, found(hour.refused), found(hour.broken)):
            to_read(console, one, gateway.data)
    finally:
        log.close()
        ledger.close()


def _tried_again(log: SqliteLogReader, ledger: LedgerReader) -> list[str]:
    """The message ids of events that met the vendor's trouble and arrived all the same."""
    lane = next(lane for lane in ledger.lanes() if lane.integration == INTEGRATION)
    delivered = (stored.delivery for stored in ledger.newest(lane.id, MOST_EVENTS, state="delivered"))
    rows = (log.get(one.shard, one.position) for one in delivered if one.detail.tries > 1)
    return [decoder.decode(row.body).message_id for row in rows if row is not None]


def _go_on(console: Console, gateway: Gateway, site: Site) -> None:
    """Serve until Ctrl-C."""
    console.print(f"\nGo shopping at {site.url}: its pages send to the gateway, and say what in the browser's console.")
    key = WRITE_KEYS["web"]
    event: Call = {"event": "Product Viewed", "anonymousId": "me", "messageId": "mine-1"}
    event |= {"properties": {"product_id": "tent-2p"}, "context": {"consent": AGREES}}
    console.print(f"The gateway goes on at {gateway.url}, with the write key {key}. Send it something:", soft_wrap=True)
    console.print(
        Text(f"  curl -u {key}: {gateway.url}/v1/track -d '{json.dumps(event)}'", style="bold"), soft_wrap=True
    )
    console.print(Text(f"  {own_command()} trace mine-1 --data {gateway.data}", style="bold"), soft_wrap=True)
    console.print(f"The emulators are at {gateway.emulator_url}. Ctrl-C stops everything.", soft_wrap=True)
    while True:
        gateway.check()
        time.sleep(0.5)


def _explain(failure: DemoFailed, folder: Path) -> None:
    print(f"firsthand: the demo failed: {failure}", file=sys.stderr)
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()
        print(f"--- the end of {log}", file=sys.stderr)
        print("\n".join(lines[-5:]), file=sys.stderr)
