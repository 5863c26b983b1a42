"""What a chaos run plays its schedule on: a gateway with two sources and two vendors, and everybody who sends to it."""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self, TypeVar

from tests.chaos.clients import Hostile, Shop
from tests.chaos.disk import small_disk
from tests.chaos.schedule import GONE, TIMEOUT, Step
from tests.gateway import WRITE_KEY, Emulator, Gateway, Json, Sender, config, criteo

from firsthand.supervise import ROLES

Startable = TypeVar("Startable", Emulator, Gateway)
APP_KEY = "key-of-the-mobile-app"
IN_FLIGHT = 32 + 256
"""What a kill of deliver may repeat at each vendor: requests under way, and outcomes that no commit had taken yet."""
KILLS_DELIVER = ("kill deliver", "kill everything")


def set_up(healthy_url: str) -> Json:
    """Both vendors are Criteo; the second one's emulator is another process, which nobody disturbs."""
    delivery = {"timeout": f"{TIMEOUT:g}s"}
    return config(
        criteo("troubled", delivery=delivery),
        criteo("healthy", delivery=delivery, endpoints={"events": f"{healthy_url}/criteo-s2s/eu/m/event"}),
        sources=[{"key": "web", "write_key": WRITE_KEY}, {"key": "app", "write_key": APP_KEY}],
    )


def _start(stack: ExitStack, what: Startable) -> Startable:
    """Starts it, to be ended with the stack, also when it is interrupted while it starts."""
    stack.push(what)
    what.start()
    return what


class World:
    """`problems` are what went wrong with the gateway while it was played, in words; `last` are ids sent at the end."""

    def __init__(self, directory: Path, seed: int, seconds: float) -> None:
        self.directory = directory
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.last: set[str] = set()
        self.played: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._seed = seed
        self._megabytes = 300 + round(4 * seconds)
        self._began = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.disk = stack.enter_context(small_disk(self.directory / "disk", self._megabytes))
            if self.disk is None:
                self.notes.append("no file system can be mounted here: the disk is never full")
            self.vendor = _start(stack, Emulator(self.directory, "troubled"))
            self.other = _start(stack, Emulator(self.directory, "healthy"))
            data = self.disk.data if self.disk else self.directory / "data"
            gateway = Gateway(self.directory, set_up(self.other.url), self.vendor, data=data)
            self.gateway = _start(stack, gateway)
            self.shops = [Shop("web", WRITE_KEY, self._seed), Shop("app", APP_KEY, self._seed)]
            self.senders = [
                Sender(gateway, shop.events(), threads=3, batch=8, write_key=shop.write_key) for shop in self.shops
            ]
            self.hostile = Hostile(gateway, self._seed)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def acknowledged(self) -> set[str]:
        """Of all events that somebody was told are kept, a copy."""
        found = self.hostile.acknowledged | self.last
        for sender in self.senders:
            with sender._lock:
                found |= sender.acknowledged
        return found

    def is_sending(self) -> bool:
        """Whether a client still has something to send, or waits for an answer."""
        return any(thread.is_alive() for sender in self.senders for thread in sender._threads)

    @property
    def duplicates_allowed(self) -> int:
        """How many events each vendor may have got twice because of kills."""
        return IN_FLIGHT * sum(self.played[kind] for kind in KILLS_DELIVER)

    # -- playing ---------------------------------------------------------------------------------------------------

    def play(self, steps: list[Step], began: float) -> None:
        """One track; each step at its time, or as soon as the one before it is done."""
        self._began = began
        for step in steps:
            if self._waited(began + step.at - time.monotonic()):
                return
            try:
                self._log(f"{step}")
                self._do(step)
                self.played[step.kind] += 1
            except Exception as error:
                self.problems.append(f"{step}: {type(error).__name__}: {error}")
                self._log(self.problems[-1])
                self.stopping.set()

    def _do(self, step: Step) -> None:
        play: Callable[[Step], None] = getattr(self, f"_on_{step.track}")
        play(step)

    def _on_gateway(self, step: Step) -> None:
        if step.kind == "disk full":
            self._fill_disk(step)
        elif step.kind == "kill everything":
            self.gateway.kill_all()
            self.gateway.start()
        elif step.kind == "kill supervisor":
            before = {role: self.gateway.pid(role) or 0 for role in ROLES}
            self.gateway.kill("supervisor")
            self.gateway.start()
            for role, pid in before.items():  # until then the old ones may answer
                self.gateway.back(role, pid)
        elif step.kind == "restart":
            if code := self.gateway.stop():
                self.problems.append(f"{step}: it ended with exit code {code}")
            self.gateway.start()
        else:
            self.gateway.kill(step.kind.removeprefix("kill "))

    def _fill_disk(self, step: Step) -> None:
        if self.disk is None:
            return
        self.disk.fill()
        try:
            self._waited(step.seconds / 2)
            if victim := step.detail["and kill"]:
                pid = self.gateway.pid(victim)  # it may be down: without room it can't start
                if pid is not None:
                    self.played[f"kill {victim}"] += 1
                    os.kill(pid, signal.SIGKILL)
            self._waited(step.seconds / 2)
        finally:
            self.disk.free()

    def _on_vendor(self, step: Step) -> None:
        if step.kind == GONE:
            self.vendor.fault("down")
            self._waited(0.3)  # what it had begun to read is in its ledger by now, which is memory
            self.vendor.stop()
            try:
                self._waited(step.seconds)
            finally:
                self.vendor.start()
        else:
            self.vendor.fault(step.kind, **step.detail)
            self._waited(step.seconds)
            self.vendor.behave()

    def _on_clients(self, step: Step) -> None:
        if step.kind == "hostile":
            self.hostile.send(step.detail["requests"])
            return
        for shop in self.shops:
            if step.kind == "burst":
                shop.burst(step.detail["events"])
            elif step.kind == "repeat":
                shop.repeat(step.detail["events"])
            else:
                shop.clock(step.detail["off by"], step.detail["sentAt"])
        if step.kind == "clock":
            self._waited(step.seconds)
            for shop in self.shops:
                shop.clock(None)

    def _waited(self, seconds: float) -> bool:
        """Waits; says whether the run is being stopped."""
        return self.stopping.wait(max(0.0, seconds))

    def _log(self, line: str) -> None:
        """When steps were really played, beside the gateway's own log."""
        with (self.directory / "played.log").open("a") as file:
            file.write(f"{time.monotonic() - self._began:6.1f}  {line}\n")

    # -- what it was like --------------------------------------------------------------------------------------------

    def died_by_themselves(self) -> list[Json]:
        """Processes that ended otherwise than by kill -9, as the supervisor logged it."""
        found = []
        for line in self.gateway.output.splitlines():
            if '"a process died' in line and (entry := json.loads(line))["exit_code"] != -signal.SIGKILL:
                found.append(entry)
        return found
