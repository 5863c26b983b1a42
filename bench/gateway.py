"""The gateway under measurement: real processes on free ports, CPU and memory read from /proc."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
ROLES = ("collect", "deliver")

CONFIG = """
sources: [{{key: bench, write_key: bench}}]
integrations:
{integrations}
"""
INTEGRATION = """  - key: {key}
    vendor: criteo-s2s
    environment: production
    settings: {{partner_id: "12345", mapping_key: "123", max_age_online: null}}
    endpoints: {{events: "http://127.0.0.1:{port}/m/event?version=s2s_v0"}}
    consent: {{basis: none}}
    delivery: {{concurrency: 32}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Gateway:
    """A gateway with one integration per vendor port, and the stand-ins behind them."""

    def __init__(self, vendors: int = 1, dead: int = 0, data: Path | None = None) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="firsthand-bench-")))
        self.data = data or folder / "data"
        self.port = free_port()
        self.vendor_ports = [free_port() for _ in range(vendors)]
        self.integrations = [f"criteo-{number}" for number in range(vendors)]
        # The first `dead` vendors have nobody listening.
        for port in self.vendor_ports[dead:]:
            self._spawn([sys.executable, "-m", "bench.standin", str(port)])
        config = folder / "firsthand.yaml"
        integrations = "".join(
            INTEGRATION.format(key=key, port=port)
            for key, port in zip(self.integrations, self.vendor_ports, strict=True)
        )
        config.write_text(CONFIG.format(integrations=integrations))
        env = {**os.environ, "FIRSTHAND_COLLECT_PORT": str(self.port), "FIRSTHAND_COLLECT_HOST": "127.0.0.1"}
        command = [sys.executable, "-m", "firsthand", "serve", "--config", str(config), "--data", str(self.data)]
        self._log = (folder / "log").open("w")
        self._spawn(command, env=env, stderr=self._log, stdout=self._log)
        self._wait_until_ready()

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _spawn(self, command: list[str], **options: Any) -> None:
        child = subprocess.Popen(command, **options)

        def end() -> None:
            child.terminate()
            child.wait(30)

        self._stack.callback(end)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=1).read()
                if (self.data / "ledger.db").exists():
                    time.sleep(0.3)
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the gateway did not start: {Path(self._log.name).read_text()[-2000:]}")

    def pid(self, role: str) -> int:
        return int((self.data / f"{role}.lock").read_text())

    def cpu(self, role: str) -> float:
        """CPU seconds that a role has used, in user and system mode, over all its threads."""
        fields = Path(f"/proc/{self.pid(role)}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, role: str) -> float:
        """Resident memory in MB, file pages (SQLite's shared memory) left out."""
        for line in Path(f"/proc/{self.pid(role)}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
        return 0.0

    def load(
        self, events: int, batch: int, connections: int, rate: float = 0.0, sender: str = "server"
    ) -> dict[str, Any]:
        arguments = [str(value) for value in (self.port, events, batch, connections, rate, sender)]
        output = subprocess.run(
            [sys.executable, "-m", "bench.load", *arguments], capture_output=True, text=True, check=True
        )
        answer: dict[str, Any] = json.loads(output.stdout)
        if answer["failed"]:
            raise RuntimeError(f"{answer['failed']} requests were not answered with 200")
        return answer

    def vendor(self, number: int, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.vendor_ports[number]}{path}", timeout=30) as answer:
            return str(answer.read().decode())

    def wait_delivered(self, count: int, number: int = 0, seconds: float = 600) -> None:
        deadline = time.monotonic() + seconds
        while int(self.vendor(number, "/count")) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {self.vendor(number, '/count')} of {count} were delivered")
            time.sleep(0.05)
