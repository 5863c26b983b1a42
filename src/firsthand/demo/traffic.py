"""Sends the hour in a few seconds, as SDKs would, and lets the vendor stumble in the middle of it."""

import base64
import time
from collections.abc import Callable, Sequence

from firsthand.demo.client import Connection
from firsthand.demo.gateway import HOST, WRITE_KEYS, DemoFailed, Gateway
from firsthand.demo.shop import HOUR, Call, Sent

BATCH = 20
"""Calls in one request; Segment's SDKs gather up to 100."""
SEND_SECONDS = 7.0
HICCUP_AT = 0.35
HICCUP_SECONDS = 2.5
VENDOR = "criteo-s2s"


def batches(sent: Sequence[Sent]) -> list[tuple[str, list[Call]]]:
    """Source and calls of each request. Each source gathers its own, so a visitor's calls stay in order."""
    made: list[tuple[str, list[Call]]] = []
    open_: dict[str, list[Call]] = {}
    for one in sent:
        calls = open_.get(one.source)
        if calls is None:
            calls = open_[one.source] = []
            made.append((one.source, calls))
        calls.append(one.call)
        if len(calls) == BATCH:
            del open_[one.source]
    return made


class Vendor:
    """The emulator's switches and counts."""

    def __init__(self, gateway: Gateway) -> None:
        self._connection = Connection(HOST, gateway.emulator_port)

    def live_in_the_past(self) -> None:
        """The hour is sent in seconds: its events are not late for it."""
        self._control("PUT", "settings", {"age": {"warn_seconds": HOUR + 60}})

    def stumble(self) -> None:
        self._control("PUT", "faults", {"kind": "status_500"})

    def recover(self) -> None:
        self._control("DELETE", "faults")

    def counts(self) -> dict[str, int]:
        """What it received and accepted, by its own account."""
        found: dict[str, int] = self._control("GET", "ledger?limit=0")
        return found

    def _control(self, method: str, resource: str, body: object = None) -> dict[str, int]:
        answer = self._connection.request(method, f"/_control/{VENDOR}/{resource}", body)
        if answer.status != 200:
            raise DemoFailed(f"the emulator refused {method} {resource}: {answer.body.decode()}")
        read: dict[str, int] = answer.json()
        return read


def send(
    gateway: Gateway, vendor: Vendor, sent: Sequence[Sent], watch: Callable[[int], None], note: Callable[[str], None]
) -> None:
    """Send all of it. `watch` is told, again and again, how many calls are sent; `note` what happens."""
    connection, requests = Connection(HOST, gateway.port), batches(sent)
    started, count = time.monotonic(), 0
    stumbled_at = recovered_at = None
    for number, (source, calls) in enumerate(requests):
        due = started + SEND_SECONDS * number / len(requests)
        while (left := due - time.monotonic()) > 0:
            watch(count)
            time.sleep(min(left, 0.2))
        if stumbled_at is None and number >= HICCUP_AT * len(requests):
            vendor.stumble()
            stumbled_at = time.monotonic()
            note(f"the vendor answers HTTP 500 from now on, for {HICCUP_SECONDS:g} s")
        elif stumbled_at and not recovered_at and time.monotonic() - stumbled_at > HICCUP_SECONDS:
            vendor.recover()
            recovered_at = time.monotonic()
            note("the vendor works again")
        _post(connection, source, calls)
        count += len(calls)
        if number == len(requests) // 2:
            note(f"a phone lost the answer and sends {len(calls)} events once more: duplicates, known by messageId")
            _post(connection, source, calls)
        gateway.check()
    vendor.recover()
    connection.close()


def _post(connection: Connection, source: str, calls: Sequence[Call]) -> None:
    key = base64.b64encode(f"{WRITE_KEYS[source]}:".encode()).decode()
    answer = connection.request("POST", "/v1/batch", {"batch": calls}, {"authorization": f"Basic {key}"})
    if answer.status != 200:
        raise DemoFailed(f"the collector answered HTTP {answer.status}: {answer.body.decode()[:300]}")
