"""A gateway that runs takes over what is applied, and loses nothing while it does."""

import json
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.checker import check
from tests.gateway import WRITE_KEY, Emulator, Gateway, Program, Sender, call, config, criteo, order, until

Json = dict[str, Any]


def apply(gateway: Gateway, file: Json) -> str:
    """`firsthand apply` beside the gateway; what it said."""
    path = gateway.directory / "changed.yaml"
    path.write_text(json.dumps(file))
    program = Program(["apply", str(path), "--data", str(gateway.data)], gateway.directory / "apply.log", {})
    assert program.wait() == 0, program.output
    return program.output


def account(partner_id: str, **fields: Any) -> Json:
    return config(criteo(settings={"partner_id": partner_id, "mapping_key": "123"}, **fields))


def orders() -> Any:
    return (order(f"order-{number}", anonymousId=f"visitor-{number % 50}") for number in count())


def accounts(vendor: Emulator) -> set[str]:
    return {entry.body.get("account", "") for entry in vendor.received()}


def send(gateway: Gateway, id: str, write_key: str = WRITE_KEY) -> int:
    with Sender(gateway, [order(id)], threads=1, write_key=write_key) as sender:
        until("it is answered", lambda: sender.answers)
        give_up(sender)
    return next(iter(sender.answers))


def give_up(sender: Sender) -> None:
    """Don't send again what was refused."""
    sender.enough()
    sender._stop.set()


def starts_of_delivery(output: str) -> int:
    return output.count('"event": "delivering"')


def test_another_account_while_events_flow(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, account("11111"), vendor) as gateway:
        with Sender(gateway, orders(), threads=2, batch=5) as sender:
            until("some went to the first account", lambda: vendor.count() > 200)
            said = apply(gateway, account("22222"))
            until("some went to the second account", lambda: "22222" in accounts(vendor))
            after = vendor.count()
            until("more do", lambda: vendor.count() > after + 200)
            sender.enough()
        gateway.settle()

        assert 'settings.partner_id  "11111" → "22222"' in said
        assert "takes it over" in said
        assert accounts(vendor) == {"11111", "22222"}
        assert check(gateway, sender, vendor).acknowledged == len(sender.acknowledged)
        first, last = gateway.delivery("order-0"), gateway.delivery(f"order-{len(sender.acknowledged) - 1}")
        assert (first["revision"], last["revision"]) == (1, 2)
        assert starts_of_delivery(gateway.output) == 1, "the lane is another, the process is not"
        assert "died" not in gateway.output


def test_other_sources_at_once_and_without_a_pause(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, account("11111"), vendor) as gateway:
        assert send(gateway, "before") == 200
        file = account("11111")
        file["sources"][0]["write_key"] = "another-key"
        with Sender(gateway, orders(), threads=1, batch=1) as sender:
            apply(gateway, file)
            until("the old key is refused", lambda: sender.answers[401])
            give_up(sender)

        assert set(sender.answers) == {200, 401}, "the collector answered all the time"
        assert send(gateway, "after", "another-key") == 200
        assert starts_of_delivery(gateway.output) == 1, "a write key is no concern of it"


def test_a_new_source_and_a_new_integration(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, account("11111", sources=["web-shop"]), vendor) as gateway:
        file = account("11111", sources=["web-shop"])
        file["sources"].append({"key": "tills", "write_key": "key-of-the-tills"})
        file["integrations"] = [*file["integrations"], criteo("tills", sources=["tills"])]
        apply(gateway, file)
        until("the new integration is there", lambda: len(gateway.status()["integrations"]) == 2)
        until("its source is there", lambda: send(gateway, "sold", "key-of-the-tills") == 200)
        gateway.settle()

        assert gateway.delivery("sold", "tills")["state"] == "delivered"


def test_what_is_applied_again_disturbs_nobody(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, account("11111"), vendor) as gateway:
        assert "Nothing to change" in apply(gateway, account("11111"))
        time.sleep(1.5)  # longer than the processes wait between two looks
        assert starts_of_delivery(gateway.output) == 1


@pytest.mark.parametrize("trusted", [["127.0.0.1"], []])
def test_proxies_to_trust(tmp_path: Path, vendor: Emulator, trusted: list[str]) -> None:
    """Whose X-Forwarded-For is believed changes with the configuration too."""
    proxied = {
        "X-Forwarded-For": "203.0.113.9",
        "Origin": "https://shop.example",
        "Authorization": f"Bearer {WRITE_KEY}",
    }
    opposite = [] if trusted else ["127.0.0.1"]
    event = {"messageId": "", "anonymousId": "v", "event": "Product Viewed", "properties": {"product_id": "1"}}
    with Gateway(tmp_path, account("11111") | {"trusted_proxies": opposite}, vendor) as gateway:
        apply(gateway, account("11111") | {"trusted_proxies": trusted})
        until("collect has it", lambda: "collect goes on with it" in gateway.output)
        call(gateway.port, "POST", "/v1/track", event | {"messageId": "m"}, proxied)

        assert gateway.trace("m")["event"]["context"]["ip"].startswith("203.0.113." if trusted else "127.0.0.")


def test_a_role_by_itself_runs_on_with_what_is_applied(tmp_path: Path, vendor: Emulator) -> None:
    with Gateway(tmp_path, account("11111"), vendor) as gateway:
        gateway.stop()
        collect = gateway.launch("--roles", "collect", log="collect.log")
        deliver = gateway.launch("--roles", "deliver", log="deliver.log")
        until("it collects", gateway.collects)
        until("it delivers", lambda: starts_of_delivery(deliver.output))
        apply(gateway, account("22222"))
        until("the lane is replaced", lambda: "an integration's configuration changed" in deliver.output)
        send(gateway, "later")
        gateway.settle()

        assert accounts(vendor) == {"22222"}
        assert (collect.exit_code, deliver.exit_code) == (None, None)
