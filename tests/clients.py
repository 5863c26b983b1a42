"""Clients that nobody here wrote, as npm and Maven install them. Where one can't be installed, its test is skipped."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "e2e" / "node"
JAVA = Path(__file__).parent / "e2e" / "java"


@cache
def _installed(script: str) -> str:
    """What a script that installs clients says, where it does not."""
    ended = subprocess.run([Path(__file__).parents[1] / "scripts" / script], capture_output=True, text=True)
    return ended.stderr.strip()


def npm_clients() -> None:
    """Segment's and RudderStack's clients for Node.js and for pages, in `FOLDER/node_modules`."""
    said = _installed("ensure-node")
    if shutil.which("node") is None or not (FOLDER / "node_modules" / ".package-lock.json").exists():
        pytest.skip(said or "there is no node here")


def java_client() -> None:
    """Segment's client for Java, in `JAVA/target/dependency`."""
    said = _installed("ensure-java")
    if shutil.which("java") is None or not (JAVA / "target" / "dependency").is_dir():
        pytest.skip(said or "there is no java here")
