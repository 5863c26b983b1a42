"""`integrations resume` as it is typed: credentials were refused, are taken again, and all that waits goes out."""

from pathlib import Path

from tests.checker import check
from tests.commands.conftest import Firsthand
from tests.gateway import Emulator, Gateway, config, criteo, order, until

ORDERS = [order(f"sale-{n}", anonymousId=f"visitor-{n}") for n in range(100)]


def test_refused_credentials(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    here = ("--data", str(tmp_path / "data"))
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        assert firsthand("integrations", "resume", "criteo", *here).out.startswith("criteo has not stopped")
        vendor.fault("status_401")
        gateway.send(*ORDERS)
        until("the lane has stopped", lambda: (gateway.counts()["health"] or {}).get("reason") == "auth_failed")
        until("the lane is known to have stopped", lambda: gateway.counts()["retrying"])
        counts = gateway.counts()
        assert (counts["dead"], counts["health"]["state"]) == (0, "down")
        assert vendor.count() == counts["retrying"] < 40
        page = firsthand("status", *here).out
        assert "breaker    open: the vendor refuses the credentials since " in page
        assert "`firsthand integrations resume criteo`" in " ".join(page.split())
        waits = next(id for id in (f"sale-{n}" for n in range(100)) if gateway.delivery(id)["state"] == "retrying")
        traced = " ".join(firsthand("trace", waits, *here).out.split())
        assert "RETRYING auth_failed" in traced
        assert "the vendor refuses the credentials" in traced
        assert "firsthand integrations resume criteo" in traced
        assert "firsthand replay" not in traced
        assert "refuses the credentials" in firsthand("doctor", *here).out

        vendor.behave()
        said = firsthand("integrations", "resume", "criteo", *here, "--json")
        assert (said.exit_code, said.json) == (0, {"integration": "criteo", "result": "resumed"})
        gateway.settle()
        assert gateway.counts()["delivered"] == 100
        check(gateway, {one["messageId"] for one in ORDERS}, vendor)


def test_new_settings_are_reason_enough(tmp_path: Path, firsthand: Firsthand, vendor: Emulator) -> None:
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        vendor.fault("status_401")
        gateway.send(*ORDERS[:50])
        until("the lane has stopped", lambda: (gateway.counts()["health"] or {}).get("reason") == "auth_failed")
        vendor.behave()
        gateway.configure(config(criteo(settings={"partner_id": "67890", "mapping_key": "123"})))
        gateway.command("apply", str(tmp_path / "firsthand.yaml"))
        gateway.settle(seconds=20)
        assert gateway.counts()["delivered"] == 50
        assert gateway.delivery("sale-49")["revision"] == 2


def test_what_cannot_be_resumed(firsthand: Firsthand, tmp_path: Path, vendor: Emulator) -> None:
    here = ("--data", str(tmp_path / "data"))
    with Gateway(tmp_path, config(criteo(enabled=False)), vendor):
        said = firsthand("integrations", "resume", "raptor", *here)
        assert (said.exit_code, said.err) == (1, "firsthand: there is no integration 'raptor'; there are criteo\n")
        said = firsthand("integrations", "resume", "criteo", *here)
        assert (said.exit_code, said.out) == (1, "criteo is switched off: set enabled: true and apply\n")
    said = firsthand("integrations", "resume", "criteo", *here)
    assert said.exit_code == 1
    assert said.err.startswith("firsthand: no gateway delivers on this data folder")
