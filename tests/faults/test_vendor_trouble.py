"""A vendor in trouble: collection does not notice, nor does another integration, and every event is accounted for."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.checker import Findings, check
from tests.gateway import Emulator, Gateway, Json, Sender, config, criteo, shopping, until

OUTAGE_SECONDS = 120 if os.environ.get("FIRSTHAND_LONG") else 15
CONCURRENCY = 32
EVENTS = 600


def both(other: Emulator, **troubled: Any) -> Json:
    elsewhere = {"events": f"{other.url}/criteo-s2s/eu/m/event"}
    return config(criteo("troubled", **troubled), criteo("healthy", endpoints=elsewhere))


def run(gateway: Gateway, vendor: Emulator, other: Emulator, meanwhile: str, duplicates: int = 0) -> Findings:
    """Sends while the vendor is in trouble, waits for a sign of it in the ledger, then ends the trouble."""
    with Sender(gateway, shopping(EVENTS)) as sender:
        pass
    assert sender.answers.keys() == {200}
    assert len(sender.acknowledged) == EVENTS
    gateway.settle("healthy")
    assert gateway.counts("healthy")["delivered"] == EVENTS

    def shows() -> bool:
        troubled = gateway.counts("troubled")
        return bool(troubled.get(meanwhile) or troubled["reasons"].get(meanwhile))

    until(f"some are {meanwhile}", shows)
    vendor.behave()
    gateway.settle()
    return check(gateway, sender, {"troubled": vendor, "healthy": other}, duplicates=duplicates)


@pytest.mark.parametrize("kind", ["down", "status_500"])
def test_it_answers_nothing_of_use(tmp_path: Path, vendor: Emulator, other: Emulator, kind: str):
    """It has none of the events, and says so or cannot speak: all are delivered once it can."""
    vendor.fault(kind)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        states = run(gateway, vendor, other, "retrying").lanes["troubled"].states
    # Of a connection that was cut nobody knows what came through: what counts twice at the vendor is tried three times.
    assert states.keys() <= ({"delivered", "dead: outcome_unknown"} if kind == "down" else {"delivered"})
    assert states["delivered"] > EVENTS * 0.9


@pytest.mark.parametrize("kind", ["cut", "garbage"])
def test_its_answer_is_lost(tmp_path: Path, vendor: Emulator, other: Emulator, kind: str):
    """It has the event, and nobody can know. It is sent again, though a page view only twice."""
    vendor.fault(kind)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        found = run(gateway, vendor, other, "retrying").lanes["troubled"]
        assert found.states.keys() <= {"delivered", "dead: outcome_unknown"}
        assert found.repeated
        received = [entry for entry in vendor.received() if entry.event != "trackTransaction"]
        assert max(sum(entry.id == id for entry in received) for id in {entry.id for entry in received}) <= 3


@pytest.mark.parametrize("kind", ["empty", "html", "truncated"])
def test_its_answer_is_not_an_answer(tmp_path: Path, vendor: Emulator, other: Emulator, kind: str):
    """Two attempts, and then it is said that nobody knows."""
    vendor.fault(kind)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        found = run(gateway, vendor, other, "vendor_ambiguous")
        assert found.lanes["troubled"].states.keys() == {"delivered", "dead: vendor_ambiguous"}


@pytest.mark.parametrize("kind", ["loop", "redirect_foreign"])
def test_its_redirects_lead_nowhere(tmp_path: Path, vendor: Emulator, other: Emulator, kind: str):
    """None is followed; what is still in the log waits until the way is right again."""
    vendor.fault(kind)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        found = run(gateway, vendor, other, "redirect_refused")
        assert found.lanes["troubled"].states.keys() == {"delivered", "dead: redirect_refused"}


def test_it_says_no(tmp_path: Path, vendor: Emulator, other: Emulator):
    vendor.fault("errors")
    with Gateway(tmp_path, both(other), vendor) as gateway:
        found = run(gateway, vendor, other, "vendor_rejected")
        assert found.lanes["troubled"].states.keys() <= {"delivered", "dead: vendor_rejected"}


@pytest.mark.parametrize(("kind", "reason"), [("status_401", "auth_failed"), ("status_403", "scope_denied")])
def test_it_refuses_the_credentials(tmp_path: Path, vendor: Emulator, other: Emulator, kind: str, reason: str):
    """Nothing is lost for it, and a start asks again."""
    vendor.fault(kind)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        with Sender(gateway, shopping(EVENTS)) as sender:
            pass
        gateway.settle("healthy")
        until("the lane has stopped", lambda: gateway.counts("troubled")["reasons"].get(reason))
        assert vendor.count() <= CONCURRENCY + 1
        vendor.behave()
        gateway.stop()
        gateway.start()
        gateway.settle()
        found = check(gateway, sender, {"troubled": vendor, "healthy": other})
        assert found.lanes["troubled"].states == {"delivered": EVENTS}


def test_it_is_slow(tmp_path: Path, vendor: Emulator, other: Emulator):
    vendor.fault("slow", seconds=3)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        found = run(gateway, vendor, other, "pending")
        assert found.lanes["troubled"].states == {"delivered": EVENTS}


def test_it_is_slower_than_we_wait(tmp_path: Path, vendor: Emulator, other: Emulator):
    vendor.fault("slow", seconds=4)
    with Gateway(tmp_path, both(other, delivery={"timeout": "1s"}), vendor) as gateway:
        # What was under way when time ran out, and the probes that found it still slow.
        found = run(gateway, vendor, other, "retrying", duplicates=2 * CONCURRENCY)
        assert found.lanes["troubled"].states.keys() <= {"delivered", "dead: outcome_unknown"}


def test_it_asks_to_be_left_alone(tmp_path: Path, vendor: Emulator, other: Emulator):
    """A 429 with `Retry-After` rests the whole integration, not one event."""
    vendor.fault("status_429", seconds=3)
    with Gateway(tmp_path, both(other), vendor) as gateway:
        found = run(gateway, vendor, other, "retrying")
        assert found.lanes["troubled"].states == {"delivered": EVENTS}
        received = vendor.received()
        at_once = [entry for entry in received if entry.at - received[0].at < 2_500]
        assert len(at_once) <= CONCURRENCY


def test_nobody_is_there_for_a_while(tmp_path: Path, vendor: Emulator, other: Emulator):
    """The backlog stays in the log: it costs disk, not memory. Takes the outage and half of it again."""

    def shop() -> Iterator[Json]:
        ends = time.monotonic() + OUTAGE_SECONDS
        for event in shopping(OUTAGE_SECONDS * 400):
            yield event
            time.sleep(max(0.0, min(0.002, ends - time.monotonic())))

    with Gateway(tmp_path, both(other), vendor) as gateway:
        with Sender(gateway, shopping(2_000, "before")) as before:
            pass
        gateway.settle()
        memory = gateway.rss_mb("deliver")
        vendor.stop()
        with Sender(gateway, shop(), threads=2) as sender:
            pass
        assert sender.answers.keys() == {200}
        gateway.settle("healthy")
        troubled = gateway.counts("troubled")
        assert troubled["delivered"] == 2_000
        assert troubled["retrying"] <= CONCURRENCY
        assert gateway.rss_mb("deliver") - memory < 50
        vendor.start()
        gateway.settle(seconds=180)
        assert gateway.rss_mb("deliver") - memory < 50
        everyone = before.acknowledged | sender.acknowledged
        found = check(gateway, everyone, {"troubled": vendor, "healthy": other})
        assert found.lanes["troubled"].states == {"delivered": len(everyone)}
