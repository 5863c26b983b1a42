"""The demo's own gateway and emulators: child processes on loopback, in a folder of their own, always stopped."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, NamedTuple

import apsw

from firsthand.demo.client import get
from firsthand.ledger.reader import LedgerReader

HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 25.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WRITE_KEYS = {"web": "demo-web-key", "tills": "demo-tills-key"}
CONFIG = f"""\
# The demo's shop: a site and the tills of its stores send, one vendor receives. What a browser does in the sample
# shop goes to two.
sources:
  - {{key: web-shop, name: Web shop, write_key: {WRITE_KEYS["web"]}, home_urls: ["https://shop.example/"]}}
  - {{key: store-tills, name: Tills, write_key: {WRITE_KEYS["tills"]}}}
  - {{key: sample-shop, name: Sample shop, write_key: demo-shop-key}}

integrations:
  - key: criteo
    vendor: criteo-s2s
    environment: sandbox
    settings: {{partner_id: "12345", mapping_key: "123", country_language: true}}
    consent: {{basis: categories, categories: [marketing]}}
  - key: raptor
    vendor: raptor
    environment: sandbox
    sources: [sample-shop]
    settings: {{customer_id: "1234"}}
    consent: {{basis: categories, categories: [personalization]}}

log: {{max_bytes: 1GiB}}
"""


class DemoFailed(Exception):
    """The demo cannot go on. The text says why."""


class Child(NamedTuple):
    name: str
    process: subprocess.Popen[bytes]
    log: Path


class Gateway:
    """Starts when entered, stops when left. `data` is the folder that `firsthand trace --data` takes.

    `port` and the two behind it are the collector's, the shop's and the emulators'; with 0 any free ones, with None the
    usual ones, or any free ones where those are taken. Raises DemoFailed where one that was asked for is taken.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        usual = (8080, 8081, 9090)
        wanted = [port + n if port else 0 for n in range(3)] if port is not None else usual
        self.port, self.shop_port, self.emulator_port = [_port(one, or_any=port is None) for one in wanted]
        self._children: list[Child] = []

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def emulator_url(self) -> str:
        return f"http://{HOST}:{self.emulator_port}"

    @property
    def logs(self) -> list[Path]:
        return [child.log for child in self._children]

    def __enter__(self) -> "Gateway":
        config = self.folder / "firsthand.yaml"
        config.write_text(CONFIG)
        # What the user has set for a gateway of their own must not reach this one.
        env = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND_")}
        env |= {
            "FIRSTHAND_COLLECT_HOST": HOST,
            "FIRSTHAND_COLLECT_PORT": str(self.port),
            "FIRSTHAND_CONTROL_PORT": "0",
            "FIRSTHAND_EMULATOR_URL": self.emulator_url,
        }
        try:
            self._start("emulate", ["--port", str(self.emulator_port)], env)
            self._start("serve", ["--config", str(config), "--data", str(self.data)], env)
            self.wait(lambda: _answers(self.emulator_port), START_SECONDS, "the emulators to answer")
            self.wait(lambda: _answers(self.port), START_SECONDS, "the collector to answer")
            self.wait(self._delivers, START_SECONDS, "delivery to start")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, command: str, arguments: list[str], env: dict[str, str]) -> None:
        log = self.folder / f"{command}.log"
        output: IO[bytes]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 (our own command)
                [sys.executable, "-m", "firsthand", command, *arguments],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C is for us: we stop them in order
            )
        self._children.append(Child(command, process, log))

    def check(self) -> None:
        """Raises DemoFailed when a child has ended."""
        for child in self._children:
            if (code := child.process.poll()) is not None:
                raise DemoFailed(f"`firsthand {child.name}` ended with exit code {code}")

    def wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Until `done`, while the children live."""
        deadline = time.monotonic() + seconds
        while not done():
            self.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"waited {seconds:.0f} s in vain for {what}")
            time.sleep(0.05)

    def _delivers(self) -> bool:
        """Whether the integration has its lane: from there on every event is its own."""
        try:
            ledger = LedgerReader(self.data)
        except (FileNotFoundError, apsw.Error):
            return False
        try:
            return bool(ledger.lanes())
        except apsw.Error:  # the file is there and its tables are not yet
            return False
        finally:
            ledger.close()

    def stop(self) -> None:
        """Ends the children: the gateway first, so that what it is sending still arrives. An impatient second Ctrl-C
        must not leave one behind."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
        try:
            for child in reversed(self._children):
                if child.process.poll() is None:
                    child.process.terminate()
                    try:
                        child.process.wait(STOP_SECONDS)
                    except subprocess.TimeoutExpired:
                        child.process.kill()
                        child.process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def stop_on_signals() -> None:
    """SIGTERM and a closed terminal stop the demo as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in SIGNALS[1:]:
        signal.signal(number, stop)


def _port(wanted: int, or_any: bool) -> int:
    """The port wanted, or any free one where somebody has it."""
    for port in (wanted, 0) if or_any else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed(f"port {wanted} is taken: choose another --port, or 0 for any")


def _answers(port: int) -> bool:
    try:
        return get(HOST, port, "/healthz").status == 200
    except (OSError, http.client.HTTPException):
        return False
