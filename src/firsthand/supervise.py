"""Runs the gateway's processes: one for each role, started again when it dies, stopped together.

Collect and deliver are processes of their own so that neither can take the other down, and each embedded file has
one writer. Locks in the data folder see to that even when somebody starts a second gateway on it.
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

import apsw
import structlog

from firsthand.eventlog.base import DamagedLog
from firsthand.private import create_private, make_private
from firsthand.settings import Settings

log = structlog.get_logger()

ROLES = ("collect", "deliver")
PORT_TAKEN = 3
LOCKED = 4
AGAIN = 5
"""The process ended well, and wants to be started again with the configuration of now."""
DAMAGED = 6
FINAL = {
    PORT_TAKEN: "it cannot listen on its port",
    LOCKED: "another gateway runs on this data folder",
    DAMAGED: "a file in its data folder is damaged",
}
STOP_SECONDS = 20.0
LOCK_SECONDS = 25.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0
LIVED_SECONDS = 10.0
"""A process that lived this long before it died is started again after the shortest pause."""
SUPERVISED = "FIRSTHAND_SUPERVISED"
"""Names the pipe whose other end the supervisor holds."""

_claims: list[IO[str]] = []


class DataInUse(Exception):
    """Another gateway runs on this data folder."""


def is_supervised() -> bool:
    """Whether a supervisor started this process."""
    return SUPERVISED in os.environ


def claim(directory: Path, whole: bool) -> None:
    """The right to run a gateway on a data folder, until this process ends. Raises DataInUse.

    A `whole` gateway suffers no other beside it; parts of one may share a folder, each with roles of its own.
    """
    handle = _open_lock(directory, "gateway")
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if whole else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DataInUse(f"another gateway runs on {directory}: stop it, or give this one a --data of its own") from None
    _claims.append(handle)
    make_private(directory)  # also what an older version left


def run_role(role: str, settings: Settings) -> None:
    """Be one of the gateway's processes."""
    supervised = is_supervised()
    if supervised:
        _stop_with_parent(int(os.environ.pop(SUPERVISED)))
    lock = _lock(settings.data, role)
    try:
        _run(role, settings, supervised)
    except (DamagedLog, apsw.NotADBError) as error:
        files = [file.name for file in sorted(settings.data.glob("*.db")) if not _is_database(file)]
        cause, remedy = f"{', '.join(files) or 'a file'}: {error}", "follow `Damaged files` in docs/delivery.md"
        log.error("a file in the data folder is damaged", role=role, cause=cause, remedy=remedy)
        sys.exit(DAMAGED)
    lock.close()


def _run(role: str, settings: Settings, supervised: bool) -> None:
    if role == "collect":
        from firsthand.collect import server

        server.main(settings)
    else:
        from firsthand.deliver import process

        while process.main(settings):
            if supervised:
                sys.exit(AGAIN)


def _is_database(file: Path) -> bool:
    with file.open("rb") as raw:
        return raw.read(16) in (b"SQLite format 3\0", b"")


def _open_lock(directory: Path, name: str) -> IO[str]:
    path = directory / f"{name}.lock"
    create_private(path)
    return path.open("a+")


def _lock(directory: Path, role: str) -> IO[str]:
    """The right to write a role's files. A predecessor that is still draining is waited for."""
    handle = _open_lock(directory, role)
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


def try_lock(directory: Path, role: str) -> IO[str] | None:
    """The right to write a role's files, until the handle is closed; None while a process has that role."""
    handle = _open_lock(directory, role)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    return handle


def _stop_with_parent(pipe: int) -> None:
    """A supervisor that was killed cannot stop its children: the end of their pipe tells them, and they stop as if it
    had. That holds from their first moment, also while they wait for a lock."""

    def watch() -> None:
        os.read(pipe, 1)  # nothing is ever written: it returns when nobody is left who could
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


class Child:
    """A role's process, and when it may be started again after it died."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.process: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.due = 0.0
        self.pause = FIRST_PAUSE


class Supervisor:
    """Keeps one process per role. `command` makes a role's command line."""

    def __init__(self, roles: Sequence[str], command: Callable[[str], list[str]], env: Mapping[str, str]) -> None:
        self._children = [Child(role) for role in roles]
        self._command = command
        self._pipe, self._our_end = os.pipe()
        self._env = {**env, SUPERVISED: str(self._pipe)}
        self._stopping = False

    def run(self) -> int:
        """Until SIGTERM or SIGINT, or until a role cannot run at all. Returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        code = 0
        while not self._stopping and code == 0:
            for child in self._children:
                if child.process is None:
                    if time.monotonic() >= child.due:
                        self._start(child)
                elif (ended := child.process.poll()) is not None:
                    if ended in FINAL:
                        log.error("the gateway cannot run", role=child.role, cause=FINAL[ended])
                        code = 1
                        break
                    child.process = None
                    if ended != AGAIN:
                        self._rest(child, ended)
            time.sleep(0.05)
        self._end()
        return code

    def _start(self, child: Child) -> None:
        child.started = time.monotonic()
        child.process = subprocess.Popen(  # noqa: S603 (our own command)
            self._command(child.role), env=self._env, pass_fds=[self._pipe], start_new_session=True
        )

    def _rest(self, child: Child, ended: int) -> None:
        """It died, and waits a little before it is started again; the others are looked after meanwhile."""
        log.error("a process died and is started again", role=child.role, exit_code=ended)
        now = time.monotonic()
        if now - child.started > LIVED_SECONDS:
            child.pause = FIRST_PAUSE
        child.due = now + child.pause
        child.pause = min(child.pause * 2, LONGEST_PAUSE)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        """Stop all at once: what collect still takes in waits in the log."""
        deadline = time.monotonic() + STOP_SECONDS
        running = [(child.role, child.process) for child in self._children if child.process is not None]
        for _, process in running:
            if process.poll() is None:
                process.terminate()
        for role, process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("a process did not stop in time and is killed", role=role)
                process.kill()
                process.wait()
