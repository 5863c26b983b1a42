"""A seeded fault run: `python -m tests.chaos.run --seed 7 --seconds 60`, or `make chaos`. See docs/chaos.md."""

import argparse
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.table import Table
from tests.chaos.schedule import Step, schedule
from tests.chaos.verdict import Verdict, judge
from tests.chaos.world import World
from tests.gateway import until

TRACES = 3
PROGRESS_SECONDS = 10.0
"""How often a line is printed where there is no terminal."""


def run(seed: int, seconds: float, directory: Path, console: Console) -> Verdict:
    """Plays the seed's schedule and follows every event to its end. Everything it leaves is in `directory`."""
    steps = schedule(seed, seconds)
    console.print(f"seed {seed}, {seconds:g} seconds, {len(steps)} steps; logs in {directory}\n")
    for step in steps:
        console.print(f"  {step}", highlight=False, soft_wrap=True)
    console.print()
    with World(directory, seed, seconds) as world:
        for note in world.notes:
            console.print(note)
        try:
            with contextlib.ExitStack() as sending:
                for sender in world.senders:
                    sending.enter_context(sender)
                _play(world, steps, seconds, console)
                for sender in world.senders:
                    sender.enough()
                until("everything is acknowledged", lambda: not world.is_sending())
        except AssertionError as error:
            world.problems.append(str(error))
        with console.status("waiting until every event has come to its end"):
            verdict = judge(world)
        _print_summary(world, verdict, console)
        if verdict.problems:
            _print_problems(world, verdict, console)
            if world.disk is not None:  # it goes with its mount
                world.gateway.kill_all()
                shutil.copytree(world.gateway.data, directory / "data", dirs_exist_ok=True)
            console.print(f"the data is in {directory / 'data'}, the logs beside it")
    return verdict


def _play(world: World, steps: list[Step], seconds: float, console: Console) -> None:
    """All tracks side by side, until the time is up or one of them failed."""
    began = time.monotonic()
    tracks = [[step for step in steps if step.track == track] for track in ("gateway", "vendor", "clients")]
    threads = [threading.Thread(target=world.play, args=(track, began), daemon=True) for track in tracks]
    for thread in threads:
        thread.start()
    try:
        with _progress(console) as tell:
            while time.monotonic() - began < seconds and not world.stopping.is_set():
                tell(_now(world, time.monotonic() - began, seconds))
                time.sleep(0.5)
    except BaseException:
        world.stopping.set()
        raise
    finally:
        for thread in threads:  # or it would start a gateway again behind our back
            thread.join(120)
    if any(thread.is_alive() for thread in threads):
        world.problems.append("a step did not come to its end")


@contextlib.contextmanager
def _progress(console: Console) -> Iterator:
    if console.is_terminal:
        with console.status("") as line:
            yield line.update
        return
    told = time.monotonic()

    def tell(text: str) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            console.print(text, highlight=False)

    yield tell


def _now(world: World, elapsed: float, seconds: float) -> str:
    parts = [f"{elapsed:4.0f} of {seconds:g} s", f"{sum(len(s.acknowledged) for s in world.senders)} acknowledged"]
    with contextlib.suppress(Exception):  # its files may be in the making, or somebody else's just now
        for row in world.gateway.status()["integrations"]:
            waiting = row["pending"] + row["retrying"] + row["held"]
            parts.append(f"{row['key']}: {row['delivered']} delivered, {row['dead']} dead, {waiting} waiting")
    return " · ".join(parts)


def _print_summary(world: World, verdict: Verdict, console: Console) -> None:
    answers = {status: sum(sender.answers[status] for sender in world.senders) for status in (200, 503, 0)}
    table = Table("", "troubled", "healthy", title="What became of them")
    if verdict.findings is not None:
        lanes = [verdict.findings.lanes[key] for key in ("troubled", "healthy")]
        for fate in sorted({fate for lane in lanes for fate in lane.states}):
            table.add_row(fate, *(str(lane.states[fate]) for lane in lanes))
        table.add_section()
        table.add_row("sent twice, by a kill or a timeout", *(str(sum(lane.duplicates.values())) for lane in lanes))
        table.add_row("sent again, the answer was lost", *(str(lane.repeated) for lane in lanes))
        console.print(table)
    played = ", ".join(f"{count} {kind}" for kind, count in sorted(world.played.items()))
    died = len(world.died_by_themselves())
    repeated = sum(shop.repeated for shop in world.shops)
    for line in (
        f"acknowledged {verdict.acknowledged} events",
        f"clients sent {repeated} events again by themselves, and {world.hostile.requests} hostile requests",
        f"answers: {answers[200]} taken, {answers[503]} refused for now, {answers[0]} lost with a process",
        f"played: {played}",
        f"processes that died and that nobody killed: {died}",
        f"settled after {verdict.settled_seconds:.1f} s; kills allow for {world.duplicates_allowed} duplicates",
    ):
        console.print(line, highlight=False)


def _print_problems(world: World, verdict: Verdict, console: Console) -> None:
    for problem in verdict.problems:
        console.print(f"PROBLEM: {problem}", markup=False, style="bold red")
    for id in verdict.offenders[:TRACES]:
        console.rule(id)
        try:
            found = json.dumps(world.gateway.trace(id), indent=1) if world.gateway.knows(id) else "not in the log"
        except Exception as error:
            found = f"no trace: {type(error).__name__}: {error}"
        console.print(found, markup=False)
        for vendor in (world.vendor, world.other):
            for entry in vendor.received_of(id):
                console.print(f"{vendor.url} received {entry}", markup=False)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="what the schedule is made of; by default a random one")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long to send and to disturb (default 180)")
    parser.add_argument("--keep", action="store_true", help="keep logs and data also where all is well")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if arguments.seed is None else arguments.seed
    console = Console(soft_wrap=True)
    signal.signal(signal.SIGTERM, _stop)
    directory = Path(tempfile.mkdtemp(prefix=f"firsthand-chaos-{seed}-"))
    verdict = run(seed, arguments.seconds, directory, console)
    if verdict.problems:
        console.print(f"FAILED; again with: make chaos CHAOS_SEED={seed} CHAOS_SECONDS={arguments.seconds:g}")
        return 1
    if not arguments.keep:
        shutil.rmtree(directory, ignore_errors=True)
    console.print(f"seed {seed}: nothing lost, nothing unexplained")
    return 0


def _stop(number: int, frame: object) -> NoReturn:
    """So that all that was started is ended, also then."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
