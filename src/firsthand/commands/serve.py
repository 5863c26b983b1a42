"""`serve`: the gateway itself, and a word to whoever starts it by hand."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firsthand.commands.shared import fail, settings_with

if TYPE_CHECKING:
    from firsthand.settings import Settings
    from firsthand.state.store import State

FILE = Path("firsthand.yaml")
START_SECONDS = 60.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 (what listens on all addresses is reached on this one)


def serve(
    config: Annotated[
        Path | None,
        typer.Option(help="Apply this file at start. [default: ./firsthand.yaml where there is one]"),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The data folder. [default: FIRSTHAND_DATA or ./firsthand-data]")
    ] = None,
    roles: Annotated[str, typer.Option(help="Which parts to run, by comma: collect, deliver.")] = "collect,deliver",
) -> None:
    """Run the gateway."""
    from firsthand import logging, supervise
    from firsthand.state.store import State

    chosen = [role.strip() for role in roles.split(",") if role.strip()]
    unknown = sorted(set(chosen) - set(supervise.ROLES))
    if unknown or not chosen:
        raise typer.BadParameter(f"roles are {', '.join(supervise.ROLES)}", param_hint="--roles")
    logging.set_up()
    settings = settings_with(data)
    if supervise.is_supervised():
        supervise.run_role(chosen[0], settings)
        return
    supervise.claim(settings.data, whole=len(chosen) > 1)
    state = State.open(settings.data, migrate=True)
    _apply(state, config or (FILE if FILE.exists() else None))
    if len(chosen) == 1:
        supervise.run_role(chosen[0], settings)
        return

    def command(role: str) -> list[str]:
        return [sys.executable, "-m", "firsthand", "serve", "--roles", role, "--data", str(settings.data)]

    if sys.stdout.isatty():  # never into a log: it holds a key
        threading.Thread(target=_welcome, args=(settings, state), daemon=True).start()
    raise SystemExit(supervise.Supervisor(chosen, command, os.environ).run())


def _apply(state: "State", config: Path | None) -> None:
    from firsthand.commands.plan import warnings
    from firsthand.config import load

    if config is not None:
        file = load(config)
        for change in state.apply(file):
            if change.kind != "unchanged":
                print(change, file=sys.stderr)
        for warning in warnings(file):
            print(f"! {warning}", file=sys.stderr)
    if not state.sources():
        none = f"{config} names no sources" if config is not None else "there are no sources yet"
        fail(f"{none}: `firsthand init` writes a firsthand.yaml to begin with")


def _welcome(settings: "Settings", state: "State") -> None:
    """Once it answers: where it listens, and a line that sends it an event."""
    from firsthand.terminal.console import own_command

    host = EVERYWHERE.get(settings.collect_host, settings.collect_host)
    url = settings.public_url or f"http://{host}:{settings.collect_port}"
    if not settings.collect_port or not _answers(f"http://{host}:{settings.collect_port}/healthz", START_SECONDS):
        return
    source = next((source for source in state.sources() if not source.require_signature), None)
    print(f"\nFirsthand collects at {url}, and keeps all in {settings.data}.", flush=True)
    if any(live.integration.environment == "sandbox" for live in state.roster().integrations):
        if _answers(f"{settings.emulator_url}/healthz", 0):
            print(f"What is in the sandbox goes to the emulators at {settings.emulator_url}.")
        else:
            print(f"Nothing answers at {settings.emulator_url}, where what is in the sandbox goes: it waits.")
            print(f"  {own_command()} emulate")
    if source is not None:
        event = {"event": "Product Viewed", "messageId": "first", "anonymousId": "me"} | {
            "properties": {"product_id": "tent-2p"},
            "context": {"consent": {"categories": {"marketing": True}}},
        }
        print("Send it an event, and see what becomes of it:")
        print(f"  curl -u {source.write_key}: {url}/v1/track -d '{json.dumps(event)}'")
        print(f"  {own_command()} trace first --data {settings.data}", flush=True)


def _answers(url: str, seconds: float) -> bool:
    """Whether something answers there, within so many seconds."""
    import time
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener

    ask, end = build_opener(ProxyHandler({})), time.monotonic() + seconds
    while True:
        try:
            with ask.open(url, timeout=2.0):
                return True
        except (URLError, OSError):
            if time.monotonic() >= end:
                return False
            time.sleep(0.2)
