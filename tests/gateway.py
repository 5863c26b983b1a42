"""A whole gateway and the emulator it sends to, as real processes, for tests that kill, starve and restart them.

    with Emulator(tmp_path) as vendor, Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(300)):
            gateway.kill("deliver")
        gateway.settle()

Waiting is polling, never a fixed sleep. Whatever is started is gone at the end, also when the test failed; the logs
stay in the test's folder.
"""

import asyncio
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote, unquote

from firsthand.event import parse_time
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.trace import trace
from firsthand.status import status

T = TypeVar("T")
Json = dict[str, Any]
WRITE_KEY = "key-of-the-web-shop"


def until(what: str, condition: Callable[[], T], seconds: float = 60) -> T:
    """The first truthy answer of `condition`; fails the test when none comes in time."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.03)
    return found


# -- what the shop sends and how the gateway is set up ---------------------------------------------------------------


def page(id: str, **fields: Any) -> Json:
    """A page view. Its address carries its id, which is how it is known again in what the vendor received."""
    context = {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0", "page": {"url": f"https://shop.example/{quote(id)}"}}
    return {"type": "page", "messageId": id, "anonymousId": "visitor-1", "context": context} | fields


def product(id: str, **fields: Any) -> Json:
    viewed = {"type": "track", "event": "Product Viewed", "properties": {"product_id": "lamp-7", "price": 49.9}}
    return page(id) | viewed | fields


def order(id: str, **fields: Any) -> Json:
    """An order whose number is its message id."""
    lines = [{"product_id": "lamp-7", "price": 49.9, "quantity": 2}]
    bought = {"order_id": id, "currency": "EUR", "products": lines}
    return page(id) | {"type": "track", "event": "Order Completed", "properties": bought} | fields


def shopping(count: int, name: str = "event", visitors: int = 500) -> Iterator[Json]:
    """Pages, products and orders of several visitors, with ids such as `event-17`."""
    for number in range(count):
        make = (page, product, order)[number % 3]
        yield make(f"{name}-{number}", anonymousId=f"visitor-{number % visitors}")


def criteo(key: str = "criteo", **fields: Any) -> Json:
    return {"key": key, "vendor": "criteo-s2s", "settings": {"partner_id": "12345", "mapping_key": "123"}} | fields


def config(*integrations: Json, **fields: Any) -> Json:
    return {"sources": [{"key": "web-shop", "write_key": WRITE_KEY}], "integrations": list(integrations)} | fields


# -- processes -------------------------------------------------------------------------------------------------------


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_ports = cycle(random.sample(range(10_000 + 5_000 * WORKER, 15_000 + 5_000 * WORKER), 5_000))


def free_port() -> int:
    """Not among those that the system gives to whoever connects, or that tests side by side use: a gateway that is
    started again must find its port free."""
    for port in _ports:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def call(port: int, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
    """One exchange of JSON; the decoded answer. Raises OSError or HTTPException where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{method} {path}: {answer.status} {text[:300]!r}"
        return json.loads(text)
    finally:
        connection.close()


class Program:
    """`firsthand …` as a process, in a session of its own, its output in a file."""

    def __init__(self, arguments: Iterable[str], log: Path, env: Mapping[str, str]) -> None:
        self.log = log
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FIRSTHAND_")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "firsthand", *arguments],
                stdout=output,
                stderr=output,
                cwd=log.parent,
                env={**kept, **env},
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        if self.exit_code is None:
            os.killpg(self._process.pid, number)

    def wait(self, seconds: float = 60) -> int:
        """The exit code, once it has ended by itself."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the process goes on after {seconds:g} s:\n{self.output[-2000:]}") from None

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait()


class Received(NamedTuple):
    """A request the vendor received, at a time in milliseconds.

    `taken`: the vendor has the event, whatever it answered. `fault`: how its answer was spoilt, if it was.
    """

    id: str
    event: str
    at: int
    taken: bool
    fault: str | None
    body: Json


class Emulator:
    """The vendors' emulators. What they received outlives `stop`, also `start`."""

    def __init__(self, directory: Path, name: str = "vendor") -> None:
        self._log = directory / f"{name}.log"
        self._before: list[Json] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._program.kill()

    def start(self) -> None:
        self._program = Program(["emulate", "--port", str(self.port)], self._log, {})
        until("the emulator answers", self._answers)

    def stop(self) -> None:
        """Nobody listens on its port any more."""
        self.fault("down")  # so that nothing is received between reading the ledger and the end
        self._before += self._ledger()["received"]
        self._program.kill()

    def fault(self, kind: str, **fields: Any) -> None:
        """Misbehave: see `firsthand.emulators.faults`."""
        call(self.port, "PUT", "/_control/criteo-s2s/faults", {"kind": kind, **fields})

    def behave(self) -> None:
        call(self.port, "DELETE", "/_control/criteo-s2s/faults")

    def forget(self) -> None:
        """As if it had just been started for the first time."""
        if not self._answers():
            self.start()
        self.behave()
        self._before = []
        call(self.port, "DELETE", "/_control/criteo-s2s/ledger")

    def count(self) -> int:
        """How many requests it received since `start`; redirects are none."""
        return int(self._ledger("?limit=0")["total"])

    def received(self) -> list[Received]:
        return [self._read(entry) for entry in [*self._before, *self._ledger()["received"]]]

    def received_of(self, id: str) -> list[Received]:
        return [entry for entry in self.received() if entry.id == id]

    def _read(self, entry: Json) -> Received:
        body = entry["body"] if isinstance(entry["body"], dict) else {}
        event = (body.get("events") or [{}])[0]
        id = unquote(body.get("full_url", "").rpartition("/")[2])
        at = parse_time(entry["at"])
        return Received(id, event.get("event", ""), at, entry["accepted"], entry["fault"], body)

    def _ledger(self, query: str = "") -> Json:
        found: Json = call(self.port, "GET", f"/_control/criteo-s2s/ledger{query}")
        return found

    def _answers(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return bool(call(self.port, "GET", "/healthz"))
        return False


class Gateway:
    """`firsthand serve` with its processes, its logs in `directory` and its data there or in a folder of its own.

    `env` are further variables of its environment.
    """

    def __init__(self, directory: Path, config: Json, vendor: Emulator, data: Path | None = None, **env: str) -> None:
        self.directory = directory
        self.data = data or directory / "data"
        self.port = free_port()
        self.vendor = vendor
        self._config = directory / "firsthand.yaml"
        self._env = {"FIRSTHAND_COLLECT_PORT": str(self.port), "FIRSTHAND_EMULATOR_URL": vendor.url, **env}
        self.configure(config)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self.kill_all()

    def configure(self, config: Json) -> None:
        """What the next `start` applies."""
        self._config.write_text(json.dumps(config))  # JSON is YAML

    def launch(self, *arguments: str, log: str = "gateway.log", **env: str) -> Program:
        """`firsthand serve` on this data folder, without waiting for anything."""
        serve = ["serve", "--config", str(self._config), "--data", str(self.data), *arguments]
        return Program(serve, self.directory / log, {**self._env, **env})

    def start(self, *arguments: str) -> None:
        self._program = self.launch(*arguments)
        self.wait_ready()

    def stop(self) -> int:
        """As an operator does it: SIGTERM to the one process that was started. Returns its exit code."""
        os.kill(self._program._process.pid, signal.SIGTERM)
        return self._program.wait()

    def wait_ready(self) -> None:
        """Until it takes events and delivers to every integration."""
        until("the gateway is ready", lambda: self._running() and self.collects() and self._delivers())

    def collects(self) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException, AssertionError):
            return bool(call(self.port, "GET", "/readyz"))
        return False

    def _delivers(self) -> bool:
        with contextlib.suppress(Exception), contextlib.closing(LedgerReader(self.data)) as ledger:
            wanted = {integration["key"] for integration in json.loads(self._config.read_text())["integrations"]}
            return wanted <= {lane.integration for lane in ledger.lanes()}
        return False

    def _running(self) -> bool:
        assert self._program.exit_code is None, self._program.output[-3000:]
        return True

    @property
    def output(self) -> str:
        return self._program.output

    # Processes

    def pid(self, role: str) -> int | None:
        """The running process of a role: `collect`, `deliver` or `supervisor`."""
        if role == "supervisor":
            return self._program._process.pid if self._program.exit_code is None else None
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int((self.data / f"{role}.lock").read_text())
            return pid if pid in self.processes() else None
        return None

    def kill(self, role: str) -> int:
        """kill -9; returns the pid of what is no more."""
        pid = until(f"{role} runs", lambda: self.pid(role))
        os.kill(pid, signal.SIGKILL)
        until(f"{role} is gone", lambda: pid not in self.processes() or self._program.exit_code is not None)
        return pid

    def back(self, role: str, killed: int) -> None:
        """Until a role that was killed runs again."""
        until(f"{role} runs again", lambda: self._running() and self.pid(role) not in (None, killed))

    def kill_all(self) -> None:
        """kill -9 of everything that has to do with this data folder."""
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._program._process.wait(0.05)

    def processes(self) -> list[int]:
        """The pids of all processes that name this data folder; it is this test's alone."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and str(self.data).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def rss_mb(self, role: str) -> float:
        """The memory of a role's process."""
        pages = int(Path(f"/proc/{self.pid(role)}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    # What it says

    def status(self, recount: bool = False) -> Json:
        return asyncio.run(status(self.data, recount))

    def counts(self, integration: str = "criteo") -> Json:
        """The row of one integration in `status`."""
        found: Json = next(row for row in self.status()["integrations"] if row["key"] == integration)
        return found

    def settle(self, integration: str | None = None, seconds: float = 90) -> None:
        """Until nothing is pending, retrying or held, at one integration or at all."""

        def waiting() -> list[Json]:
            rows = [row for row in self.status()["integrations"] if integration in (None, row["key"])]
            return [row for row in rows if row["pending"] or row["retrying"] or row["held"]]

        try:
            until("everything is settled", lambda: not waiting(), seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {waiting()}") from None

    def trace(self, id: str) -> Json:
        """What `firsthand trace` says of one event."""
        log, ledger = SqliteLogReader(self.data), LedgerReader(self.data)
        with contextlib.closing(log), contextlib.closing(ledger):
            found: Json = trace(id, log.sources(), log, ledger)[0]
            return found

    def delivery(self, id: str, integration: str = "criteo") -> Json:
        """The newest delivery of one event at one integration, from its trace."""
        rows = self.trace(id)["deliveries"]
        found: Json = next(row for row in rows if row["integration"] == integration and not row["superseded"])
        return found

    def knows(self, id: str) -> bool:
        """Whether the log has an event."""
        with contextlib.closing(SqliteLogReader(self.data)) as log:
            return any(log.find(source, id) for source in log.sources())

    def event(self, id: str) -> Json:
        """An event as the log has it."""
        with contextlib.closing(SqliteLogReader(self.data)) as log:
            places = [place for source in log.sources() if (place := log.find(source, id))]
            row = log.get(*places[0])
            assert row is not None
            found: Json = json.loads(row.body)
            return found

    def command(self, *arguments: str, fails: int = 0) -> Json:
        """What a command says with `--json`; nothing where it is expected to fail with this exit code."""
        whole = [sys.executable, "-m", "firsthand", *arguments, "--data", str(self.data), "--json"]
        ended = subprocess.run(whole, capture_output=True, text=True, timeout=90)
        assert ended.returncode == fails, ended.stderr
        found: Json = {} if fails else json.loads(ended.stdout)
        return found

    def says(self, *arguments: str) -> str:
        """What a command prints, however it ends."""
        whole = [sys.executable, "-m", "firsthand", *arguments, "--data", str(self.data)]
        return subprocess.run(whole, capture_output=True, text=True, timeout=90, env=os.environ | self._env).stdout

    def launch_command(self, *arguments: str) -> Program:
        """A command beside the gateway, without waiting for it."""
        return Program([*arguments, "--data", str(self.data)], self.directory / "command.log", {})

    def send(self, *events: Json, write_key: str = WRITE_KEY) -> Json:
        """One batch, all of which is expected to be taken."""
        body = {"batch": list(events), "writeKey": write_key}
        answer: Json = call(self.port, "POST", "/v1/batch", body, {"content-type": "application/json"})
        return answer


# -- senders ---------------------------------------------------------------------------------------------------------


class Sender:
    """Clients that send events in batches, each batch again and again until it is acknowledged.

    An event counts as acknowledged when HTTP 200 came and it is not among the `rejected`. What the gateway answered
    is counted in `answers`, by status; 0 is none. Leaving the `with` waits until all is sent.
    """

    def __init__(
        self, gateway: Gateway, events: Iterable[Json], *, threads: int = 4, batch: int = 20, write_key: str = WRITE_KEY
    ) -> None:
        self.acknowledged: set[str] = set()
        self.answers: Counter[int] = Counter()
        self._gateway = gateway
        self._events = iter(events)
        self._batch = batch
        self._write_key = write_key
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        try:
            if kind is None:
                self._wait()
        finally:
            self._stop.set()

    def _wait(self) -> None:
        """Until all is sent; not for ever where nothing is acknowledged any more."""
        known, deadline = -1, 0.0
        while any(thread.is_alive() for thread in self._threads):
            if self.answers[200] != known:
                known, deadline = self.answers[200], time.monotonic() + 60
            assert time.monotonic() < deadline, f"no more is acknowledged; answers by status: {self.answers}"
            time.sleep(0.03)

    def enough(self) -> None:
        """Send no more than what is under way."""
        with self._lock:
            self._events = iter(())

    def _send(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stop.is_set() and (batch := self._next()):
            while not self._stop.is_set():
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=15)
                    if self._post(connection, batch):
                        break
                except (OSError, http.client.HTTPException):
                    self.answers[0] += 1
                    if connection is not None:
                        connection.close()
                    connection = None
                self._stop.wait(0.05)
        if connection is not None:
            connection.close()

    def _next(self) -> list[Json]:
        with self._lock:
            return list(islice(self._events, self._batch))

    def _post(self, connection: http.client.HTTPConnection, batch: list[Json]) -> bool:
        body = json.dumps({"batch": batch, "writeKey": self._write_key})
        connection.request("POST", "/v1/batch", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        with self._lock:
            self.answers[answer.status] += 1
            if answer.status == 200:
                rejected = {item["messageId"] for item in json.loads(text)["rejected"]}
                self.acknowledged |= {event["messageId"] for event in batch} - rejected
        return answer.status == 200
