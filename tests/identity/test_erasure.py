"""A visitor is erased from a real gateway: gone from every file, and gone for good."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.gateway import Emulator, Gateway, Json, config, criteo, order, page, until

from firsthand.personal import mask_text
from firsthand.state.store import State

EMAIL = "ann.the.visitor@example.com"
MINE = ("anon-of-ann-1", "anon-of-ann-2", "user-of-ann")
CRITEO = {"criteo_gum_id": "gum-of-ann"}


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(tmp_path) as emulator:
        yield emulator


def anns(id: str, **fields: Any) -> Json:
    """An event of Ann's; her address is in the address of the page too."""
    one = page(id, anonymousId=MINE[0]) | fields
    url = f"https://shop.example/{quote(id)}?m={quote(fields.pop('mail', EMAIL))}"
    return one | {"context": one["context"] | {"page": {"url": url}, "ids": CRITEO}}


def story() -> list[Json]:
    """Ann on two browsers, and others."""
    return [
        anns("a-1"),
        anns("a-2") | {"type": "identify", "userId": MINE[2], "traits": {"email": EMAIL.upper()}},
        page("a-3", anonymousId=MINE[1], userId=MINE[2]),
        page("a-4", anonymousId=MINE[1]),
        order("a-5", anonymousId=MINE[1]),
        page("b-1", anonymousId="anon-of-bob", userId="user-of-bob"),
        order("b-2", anonymousId="anon-of-bob"),
    ]


def traces(folder: Path) -> dict[str, list[str]]:
    """In which files what is left of Ann."""
    return traces_of(folder, *map(re.escape, (EMAIL, quote(EMAIL, safe=""), *MINE, "gum-of-ann")))


def traces_of(folder: Path, *patterns: str) -> dict[str, list[str]]:
    """In which files any of these is left."""
    pattern = re.compile("|".join(patterns).encode(), re.I)
    found = {path.name: sorted({m.decode() for m in pattern.findall(path.read_bytes())}) for path in folder.iterdir()}
    return {name: words for name, words in found.items() if words}


def erase(gateway: Gateway, *who: str, fails: int = 0) -> Json:
    return gateway.command("visitor", "erase", *(who or ("--email", EMAIL)), fails=fails)


def counted(gateway: Gateway) -> Json:
    return {name: value for name, value in gateway.counts().items() if name not in ("health", "lag_seconds")}


def balanced(gateway: Gateway) -> bool:
    return all(row["balanced"] for row in gateway.status(recount=True)["integrations"])


def test_an_erased_visitor_is_gone_from_every_file_and_stays_gone(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(*story())
        gateway.settle()
        assert set(traces(gateway.data)) >= {"events.db-wal", "ledger.db-wal", "identity.db-wal"}
        would = gateway.command("visitor", "erase", "--email", EMAIL, "--dry-run")
        assert would["ids"] == {
            "web-shop": {"anonymous_ids": [*MINE[:2]], "user_ids": [MINE[2]], "emails": [mask_text(EMAIL)]},
        }
        assert (would["events"], would["open_deliveries"]) == (5, 0)
        before = counted(gateway)

        done = erase(gateway)

        assert (done["state"], done["ids"], done["events"]) == ("done", 4, 5)
        assert traces(gateway.data) == {}
        assert counted(gateway) == before, "what happened still counts"
        assert balanced(gateway)
        assert gateway.event("a-5") == {
            "type": "track",
            "messageId": "a-5",
            "context": {"erased": True},
            **{name: gateway.event("a-5")[name] for name in ("timestamp", "receivedAt")},
        }
        attempts = gateway.delivery("a-5")["attempts"]
        assert [(a["request"]["body"], a["response"]["status"]) for a in attempts][-1] == (None, 200)
        assert gateway.delivery("b-2")["attempts"][-1]["request"]["body"]["retailer_visitor_id"] == "anon-of-bob"

        gateway.command("consent", "verify")
        sent = vendor.count()
        gateway.command("replay", "--integration", "criteo", "--resend")
        gateway.settle()
        assert {gateway.delivery(f"a-{n}")["reason"]["code"] for n in range(1, 6)} == {"erased"}
        assert vendor.count() == sent + 2, "Bob's two"
        assert traces(gateway.data) == {}
        assert balanced(gateway)
        gateway.stop()
        assert traces(gateway.data) == {}


def test_what_arrives_late_is_erased_and_what_is_new_is_a_new_visitors(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(*story())
        gateway.settle()
        erase(gateway, "--anonymous-id", MINE[0])

        gateway.send(order("late", anonymousId=MINE[1], userId=MINE[2], timestamp="2026-01-01T12:00:00Z"))
        until("the late event is decided", lambda: gateway.delivery("late")["state"] == "filtered")
        assert gateway.delivery("late")["reason"]["code"] == "erased"
        until("it is gone from the log", lambda: traces(gateway.data) == {})

        gateway.send(order("new", anonymousId=MINE[1]))
        gateway.settle()
        assert gateway.delivery("new")["state"] == "delivered"
        assert vendor.received_of("new")[0].body["id"] == {"mapping_key": "123"}
        assert balanced(gateway)


def test_what_waits_is_not_sent(tmp_path: Path, vendor: Emulator) -> None:
    """Retrying at a vendor that is down, held for want of consent, and behind them in the log."""
    vendor.fault("status_500")
    held = criteo("asks", consent={"basis": "categories"})
    with Gateway(tmp_path, config(criteo(), held), vendor) as gateway:
        gateway.send(*story())
        until("some are open", lambda: gateway.counts()["retrying"] and gateway.counts("asks")["held"] == 6)
        gateway.send(*(order(f"a-more-{n}", anonymousId=MINE[0]) for n in range(50)))
        assert erase(gateway, "--user-id", MINE[2])["state"] == "done"
        assert traces(gateway.data) == {}
        assert (gateway.counts("asks")["held"], gateway.counts("asks")["reasons"]["erased"]) == (2, 54)
        vendor.forget()
        gateway.settle("criteo")
        assert {entry.id for entry in vendor.received()} == {"b-1", "b-2"}
        assert balanced(gateway)
        assert traces(gateway.data) == {}


def test_it_works_while_nothing_runs(tmp_path: Path, vendor: Emulator) -> None:
    vendor.fault("status_500")
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(*story())
        until("some are open", lambda: gateway.counts()["retrying"] > 0)
        gateway.stop()
        assert traces(gateway.data)
        assert erase(gateway)["state"] == "done"
        assert traces(gateway.data) == {}
        assert balanced(gateway)
        vendor.forget()
        gateway.start()
        gateway.settle()
        assert {entry.id for entry in vendor.received()} == {"b-1", "b-2"}
        assert balanced(gateway)


@pytest.mark.parametrize("role", ["deliver", "collect"])
def test_a_kill_in_the_middle_does_not_stop_it(tmp_path: Path, vendor: Emulator, role: str) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(*story())
        gateway.settle()
        # The other half stops where it is, so that the erasure is half done when this one is killed.
        other = gateway.pid("collect" if role == "deliver" else "deliver")
        assert other is not None
        os.kill(other, signal.SIGSTOP)
        asking = gateway.launch_command("visitor", "erase", "--email", EMAIL)
        until("it is asked for", lambda: "carry it out" in asking.output)
        time.sleep(0.6)
        killed = gateway.kill(role)
        gateway.back(role, killed)
        os.kill(other, signal.SIGCONT)
        assert asking.wait() == 0
        assert traces(gateway.data) == {}
        assert balanced(gateway)


def test_a_shared_browser(tmp_path: Path, vendor: Emulator) -> None:
    """Bob's events on Ann's browser stay; those that name nobody go."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(
            page("1", anonymousId="family", userId="ann", properties={"email": EMAIL}),
            page("2", anonymousId="family", userId="bob"),
            page("3", anonymousId="family"),
            page("4", anonymousId="bobs-own", userId="bob"),
        )
        gateway.settle()
        found = gateway.command("visitor", "erase", "--email", EMAIL, "--dry-run")
        assert found["shared_browsers"] == {"web-shop": ["family"]}
        erase(gateway)
        late = {"timestamp": "2026-01-01T12:00:00Z"}
        gateway.send(order("5", anonymousId="family", **late), order("6", anonymousId="family", userId="bob", **late))
        gateway.settle()
        until("the late one is gone from the log", lambda: "erased" in gateway.event("5")["context"])
        left = [id for id in "123456" if "erased" not in gateway.event(id)["context"]]
        assert left == ["2", "4", "6"]
        assert vendor.received_of("5") == []


def test_export_shows_all_that_erase_would_take(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(*story())
        gateway.settle()
        file = tmp_path / "ann.json"
        program = gateway.launch_command("visitor", "export", "--user-id", MINE[2], "--output", str(file))
        assert program.wait() == 0
        assert file.stat().st_mode & 0o077 == 0
        found = json.loads(file.read_text())
        assert sorted(row["event"]["messageId"] for row in found["events"]) == ["a-1", "a-2", "a-3", "a-4", "a-5"]
        assert {row["id"] for row in found["profiles"]} == {*MINE, EMAIL}
        ids = [v for row in found["profiles"] for v in row["vendor_ids"]]
        assert [(v["name"], v["value"], v["expires_at"]) for v in ids] == [("criteo_gum_id@123", "gum-of-ann", None)]
        bodies = [a["body"] for row in found["deliveries"] for a in row["attempts"]]
        assert any(MINE[1] in (body or "") for body in bodies)
        assert "anon-of-bob" not in file.read_text()
        places = {row["position"]: row["event"]["messageId"] for row in found["events"]}
        assert {row["position"]: row["message_id"] for row in found["deliveries"]} == places


def test_who_is_not_there(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("1"))
        gateway.settle()
        erase(gateway, "--email", "nobody@example.com", fails=1)
        erase(gateway, "--email", "nobody", fails=2)
        erase(gateway, "--email", EMAIL, "--user-id", "x", fails=2)


def test_a_visitor_with_more_ids_than_a_query_takes(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        for start in range(0, 1_000, 200):
            browsers = range(start, start + 200)
            gateway.send(*(page(f"p-{n}", anonymousId=f"browser-{n}", userId=MINE[2]) for n in browsers))
        gateway.settle()
        deliver = gateway.pid("deliver")
        assert gateway.command("visitor", "erase", "--user-id", MINE[2], "--dry-run")["events"] == 1_000
        done = erase(gateway, "--user-id", MINE[2])
        assert (done["state"], done["events"], done["deliveries"]) == ("done", 1_000, 1_000)
        assert traces_of(gateway.data, "browser-", MINE[2]) == {}
        assert gateway.pid("deliver") == deliver


def test_a_fault_of_ours_ends_the_erasure_and_not_the_process(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(*story())
        gateway.settle()
        state, deliver = State.open(gateway.data), gateway.pid("deliver")
        asked = [state.erasures.ask(who) for who in ({"kind": "?"}, {"kind": "e", "value": EMAIL})]
        until("both are over", lambda: all(state.erasures.get(id).state in ("done", "failed") for id in asked))
        failed, done = map(state.erasures.get, asked)
        assert (failed.state, done.state) == ("failed", "done")
        assert failed.result["error"].startswith("ValidationError: ")
        assert gateway.pid("deliver") == deliver
