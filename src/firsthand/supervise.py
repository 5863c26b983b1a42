"""Runs the gateway's processes: one for each role, started again when it dies, stopped together.

Collect and deliver are processes of their own so that neither can take the other down, and each embedded file has
one writer. A lock in the data folder sees to that even when somebody starts a second gateway on it.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import structlog

from firsthand.settings import Settings

log = structlog.get_logger()

ROLES = ("collect", "deliver")
PORT_TAKEN = 3
LOCKED = 4
FINAL = {PORT_TAKEN: "its port is taken", LOCKED: "another gateway runs on this data folder"}
STOP_SECONDS = 20.0
LOCK_SECONDS = 25.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0


def run_role(role: str, settings: Settings) -> None:
    """Be one of the gateway's processes."""
    lock = _lock(settings.data, role)
    _stop_with_parent()
    if role == "collect":
        from firsthand.collect import server

        server.main(settings)
    else:
        from firsthand.deliver import process

        process.main(settings)
    lock.close()


def _lock(directory: Path, role: str) -> IO[str]:
    """The right to write a role's files. A predecessor that is still draining is waited for."""
    handle = (directory / f"{role}.lock").open("a+")
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                log.error("another gateway runs on this data folder", role=role, data=str(directory))
                sys.exit(LOCKED)
            time.sleep(0.1)
        else:
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return handle


def _stop_with_parent() -> None:
    """A supervisor that was killed cannot stop its children: they notice, and stop as if it had told them."""
    parent = os.getppid()
    if os.environ.get("FIRSTHAND_SUPERVISED") != str(parent):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Supervisor:
    """Keeps one process per role. `command` makes a role's command line."""

    def __init__(self, roles: Sequence[str], command: Callable[[str], list[str]], env: Mapping[str, str]) -> None:
        self._roles = roles
        self._command = command
        self._env = {**env, "FIRSTHAND_SUPERVISED": str(os.getpid())}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._pauses = dict.fromkeys(roles, FIRST_PAUSE)
        self._stopping = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a role cannot run at all. Returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        code = 0
        started = {role: self._start(role) for role in self._roles}
        while not self._stopping and code == 0:
            time.sleep(0.05)
            for role, child in list(self._children.items()):
                ended = child.poll()
                if ended is None or self._stopping:
                    continue
                if ended in FINAL:
                    log.error("the gateway cannot run", role=role, cause=FINAL[ended])
                    code = 1
                    break
                if time.monotonic() - started[role] > 10:
                    self._pauses[role] = FIRST_PAUSE
                log.error("a process died and is started again", role=role, exit_code=ended)
                time.sleep(self._pauses[role])
                self._pauses[role] = min(self._pauses[role] * 2, LONGEST_PAUSE)
                if not self._stopping:
                    started[role] = self._start(role)
        self._end()
        return code

    def _start(self, role: str) -> float:
        self._children[role] = subprocess.Popen(  # noqa: S603 (our own command)
            self._command(role), env=self._env, start_new_session=True
        )
        return time.monotonic()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        """Collect first: what it still takes in, deliver may still send."""
        deadline = time.monotonic() + STOP_SECONDS
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        for role, child in self._children.items():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("a process did not stop in time and is killed", role=role)
                child.kill()
                child.wait()
