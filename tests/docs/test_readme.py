"""What the README tells a newcomer to type, typed."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firsthand.demo.gateway import Gateway
from firsthand.vendors.hashing import hash_email

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The demo's gateway, as it goes on after the demo's hour."""
    with Gateway(tmp_path_factory.mktemp("readme"), port=0) as running:  # another demo may run beside this one
        yield running


def snippet(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", README, re.M | re.S)
    assert found
    return found[1]


def delivery(gateway: Gateway, message_id: str) -> Any:
    """What `firsthand trace` says of an event, once it is settled."""
    command = [sys.executable, "-m", "firsthand", "trace", message_id, "--data", str(gateway.data), "--json"]
    for _ in range(50):
        done = subprocess.run(command, capture_output=True, text=True)
        found = json.loads(done.stdout)["deliveries"] if done.returncode == 0 else []
        if found and found[0]["state"] not in ("pending", "retrying"):
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"{message_id} was never settled: {done.stdout}{done.stderr}")


def test_curl(gateway: Gateway) -> None:
    command = snippet("sh").replace("http://localhost:8080", gateway.url)
    assert subprocess.check_output(["sh", "-c", command], stderr=subprocess.DEVNULL) == b'{"success":true}'
    assert delivery(gateway, "by-curl")["state"] == "delivered"


def test_the_python_sdk(gateway: Gateway) -> None:
    code = snippet("python").replace("http://localhost:8080", gateway.url)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    sale = delivery(gateway, "by-sdk")
    assert sale["state"] == "delivered"
    assert sale["attempts"][-1]["request"]["body"]["events"][0]["id"] == "W-1"
    address = hash_email("me@example.com", ("md5", "sha256", "sha256_md5"))
    by_user = delivery(gateway, "by-user-id")
    assert by_user["state"] == "delivered"
    assert by_user["attempts"][-1]["request"]["body"]["id"]["email"] == address
