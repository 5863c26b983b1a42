"""`make bench`: what an event costs from HTTP in to delivered and recorded, and what holds when a vendor is down.

    python -m bench [--runs 3] [--events 60000] [--backlog 1000000] [--only NAME]

Writes its table to bench/results.md.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import backlog, browser, http, identity, isolation, payloads
from bench.gateway import ROLES, Gateway

Row = tuple[str, str, str]


def per_event(batch: int, connections: int, events: int) -> dict[str, float]:
    """CPU microseconds per event in each role, and events a second, for one run on a fresh gateway."""
    with Gateway() as gateway:
        gateway.load(2_000, batch, connections)
        gateway.wait_delivered(2_000)
        gateway.vendor(0, "/reset")
        before = {role: gateway.cpu(role) for role in ROLES}
        started = time.perf_counter()
        answer = gateway.load(events, batch, connections)
        gateway.wait_delivered(events)
        seconds = time.perf_counter() - started
        time.sleep(0.2)  # the last outcomes are being recorded
        cost = {role: (gateway.cpu(role) - before[role]) / events * 1e6 for role in ROLES}
        return {**cost, "total": sum(cost.values()), "rate": events / seconds, "p99": answer["p99"]}


def cost_rows(runs: int, events: int, batch: int, limit: int) -> list[Row]:
    found = [per_event(batch, 64, events) for _ in range(runs)]
    median = {key: statistics.median(run[key] for run in found) for key in found[0]}
    what = f"batches of {batch}" if batch > 1 else "single posts"
    spread = ", ".join(f"{run['total']:.0f}" for run in found)
    return [
        (
            f"CPU per event, {what}, 64 connections",
            f"{median['total']:.0f} µs (collect {median['collect']:.0f}, deliver {median['deliver']:.0f};"
            f" runs: {spread})",
            f"≤ {limit} µs",
        ),
        (f"events a second, {what}, all on this machine", f"{median['rate']:,.0f}", ""),
    ]


def answer_rows(runs: int, events: int) -> list[Row]:
    """The collector's answers under a steady load of 2,000 single posts a second."""
    found = []
    for _ in range(runs):
        with Gateway() as gateway:
            gateway.load(2_000, 1, 64)
            found.append(gateway.load(events // 3, 1, 64, rate=2_000))
    p99 = statistics.median(run["p99"] for run in found)
    p50 = statistics.median(run["p50"] for run in found)
    return [
        (
            "collector's answer, 2,000 single posts a second, 64 connections",
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms",
            "p99 < 30 ms",
        )
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument(
        "--only", help="payloads, http, identity, batches, singles, answers, browser, isolation or backlog"
    )
    options = parser.parse_args()
    scenarios: dict[str, Callable[[], list[Row]]] = {
        "payloads": lambda: payloads.rows(options.runs),
        "http": lambda: http.rows(options.runs),
        "identity": identity.rows,
        "batches": lambda: cost_rows(options.runs, options.events, 20, 120),
        "singles": lambda: cost_rows(options.runs, options.events // 2, 1, 150),
        "answers": lambda: answer_rows(options.runs, options.events),
        "browser": lambda: browser.rows(options.runs, options.events // 3),
        "isolation": lambda: isolation.rows(options.runs),
        "backlog": lambda: backlog.rows(options.backlog),
    }
    rows: list[Row] = []
    for name, scenario in scenarios.items():
        if options.only in (None, name):
            print(f"{name} …", file=sys.stderr, flush=True)
            rows += scenario()
    text = table(rows)
    print(text)
    if options.only is None:
        Path("bench/results.md").write_text(header(options) + text + "\n")


def header(options: argparse.Namespace) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    cpu = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpu if "model name" in line), "?")
    return (
        "# Results\n\nMade by `make bench`; medians of "
        f"{options.runs} runs. An event is an order of two lines with an e-mail address; the vendor is a stand-in\n"
        "that answers at once; everything runs on one machine, the load generator too.\n\n"
        f"Commit {commit}, {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
        f"{os.cpu_count()} × {model}\n\n"
    )


def table(rows: list[Row]) -> str:
    lines = ["| what | measured | to reach |", "|---|---|---|"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


if __name__ == "__main__":
    main()
