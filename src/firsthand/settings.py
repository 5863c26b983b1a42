"""Settings of the process, from the environment: where data is, and which ports it listens on.

What the gateway does stands in `firsthand.yaml` (`firsthand.config`); this is what differs between two machines
that run the same configuration. A variable that is set but empty counts as not set.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from firsthand.config.faults import ConfigError, Fault
from firsthand.config.values import Unreadable, endpoint_url, page_url


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    data: Path = Path("firsthand-data")
    """The folder of all embedded stores (`FIRSTHAND_DATA`)."""
    event_log: str = "sqlite:"
    """`FIRSTHAND_EVENT_LOG`"""
    database: str = "sqlite:"
    """`FIRSTHAND_DATABASE`: state and ledger."""
    secret_key: str | None = None
    """What signs and encrypts what browsers are given to keep (`FIRSTHAND_SECRET_KEY`). None: one is made in `data`."""
    public_url: str | None = None
    """The address under which pages reach the collector, without a slash at the end (`FIRSTHAND_PUBLIC_URL`)."""
    # The collector is the public side: pages and servers elsewhere must reach it, and in a container 127.0.0.1
    # would reach nobody. It answers nothing without a write key. The control plane is another port.
    collect_host: str = "0.0.0.0"  # noqa: S104
    """`FIRSTHAND_COLLECT_HOST`; 127.0.0.1 where a proxy on the same machine stands in front."""
    collect_port: int = 8080
    """`FIRSTHAND_COLLECT_PORT`; 0 takes any free port."""
    collect_connections: int = 10_000
    """How many clients may be connected at once (`FIRSTHAND_COLLECT_CONNECTIONS`); those above are answered 503."""
    collect_pause: float = 10.0
    """Seconds that a request may stand still, and its head may take (`FIRSTHAND_COLLECT_PAUSE`)."""
    collect_seconds: float = 60.0
    """Seconds that the body of a request may take (`FIRSTHAND_COLLECT_SECONDS`)."""
    control_port: int = 8084
    """`FIRSTHAND_CONTROL_PORT`; 0 takes any free port."""
    emulator_url: str = "http://127.0.0.1:9090"
    """Where integrations in `sandbox` send to, without a slash at the end (`FIRSTHAND_EMULATOR_URL`)."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> "Settings":
        """Raises `ConfigError` with everything that is wrong."""
        faults: list[Fault] = []
        values: dict[str, Any] = {}
        for field, read in _READ.items():
            name = f"FIRSTHAND_{field.upper()}"
            if text := env.get(name):
                try:
                    values[field] = read(text)
                except Unreadable as unreadable:
                    faults.append(Fault(name, unreadable.message, unreadable.remedy))
        settings = cls(**values)
        if settings.collect_port == settings.control_port != 0:
            message = f"collector and control plane can't both listen on port {settings.control_port}"
            faults.append(Fault("FIRSTHAND_CONTROL_PORT", message, "choose another port for one of them"))
        if faults:
            raise ConfigError("the environment", faults)
        return settings


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise Unreadable(f'"{text}" is not a port', "give a number from 0 to 65535")


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000:
        return int(text)
    raise Unreadable(f'"{text}" is not a number of connections', "give a whole number from 1 to 1000000")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0 < seconds <= 3600:
        return seconds
    raise Unreadable(f'"{text}" is not a number of seconds', "give a number above 0, up to 3600")


def _secret_key(text: str) -> str:
    if len(text) >= 32:
        return text
    raise Unreadable("the secret key is too short", "use at least 32 characters, such as from `openssl rand -hex 32`")


def _store(scale_out: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text == "sqlite:":
            return text
        # Never the text itself: such addresses carry passwords.
        if text.startswith(scale_out):
            raise Unreadable(f"{scale_out} is not built in yet", "use sqlite:, or leave it unset")
        raise Unreadable("this store is not known", "use sqlite:, or leave it unset")

    return read


def _base_url(read: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: read(text).rstrip("/")


_READ: dict[str, Callable[[str], Any]] = {
    "data": Path,
    "event_log": _store("kafka://"),
    "database": _store("postgresql://"),
    "secret_key": _secret_key,
    "public_url": _base_url(page_url),
    "collect_host": str,
    "collect_port": _port,
    "collect_connections": _count,
    "collect_pause": _seconds,
    "collect_seconds": _seconds,
    "control_port": _port,
    "emulator_url": _base_url(endpoint_url),
}
