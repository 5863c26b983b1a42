"""A restart with another configuration: what waits goes out by the new one, and nothing is forgotten."""

from pathlib import Path

from tests.checker import check
from tests.gateway import Emulator, Gateway, Json, Sender, config, criteo, order, page, shopping, until


def account(partner_id: str) -> Json:
    return config(criteo(settings={"partner_id": partner_id, "mapping_key": "123"}))


def test_later_deliveries_carry_the_new_revision(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, account("11111"), vendor) as gateway:
        gateway.send(order("before"))
        gateway.settle()
        assert gateway.stop() == 0
        gateway.start()  # with the same file: no new revision
        gateway.send(order("still"))
        gateway.settle()
        assert gateway.stop() == 0
        gateway.configure(account("22222"))
        gateway.start()
        gateway.send(order("after"))
        gateway.settle()
        assert [gateway.delivery(id)["revision"] for id in ("before", "still", "after")] == [1, 1, 2]
        assert [entry.body["account"] for entry in vendor.received()] == ["11111", "11111", "22222"]
        check(gateway, {"before", "still", "after"}, vendor)


def test_the_backlog_goes_by_the_new_one(tmp_path: Path, vendor: Emulator):
    """Also what was tried by the old one and waits for its next try."""
    vendor.fault("status_500")
    with Gateway(tmp_path, account("11111"), vendor) as gateway:
        with Sender(gateway, shopping(300)) as sender:
            pass
        until("some are retried", lambda: gateway.counts()["retrying"])
        assert gateway.stop() == 0
        vendor.behave()
        gateway.configure(account("22222"))
        gateway.start()
        gateway.settle()
        assert {entry.body["account"] for entry in vendor.received() if entry.taken} == {"22222"}
        check(gateway, sender, vendor)


def test_an_integration_that_comes_later(tmp_path: Path, vendor: Emulator, other: Emulator):
    """It begins with what is received from then on; the first one does not notice."""
    elsewhere = criteo("second", endpoints={"events": f"{other.url}/criteo-s2s/eu/m/event"})
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("before"))
        gateway.settle()
        assert gateway.stop() == 0
        gateway.configure(config(criteo(), elsewhere))
        gateway.start()
        gateway.send(page("after"))
        gateway.settle()
        assert [entry.id for entry in vendor.received()] == ["before", "after"]
        assert [entry.id for entry in other.received()] == ["after"]
        assert [row["received"] for row in gateway.status()["integrations"]] == [2, 1]
        check(gateway, {"before", "after"}, {"criteo": vendor, "second": other}, since={"second": "after"})


def test_an_integration_that_goes_and_comes_back(tmp_path: Path, vendor: Emulator):
    """What came while it was gone is not meant for it, though it is still in the log."""
    with Gateway(tmp_path, config(criteo("first"), criteo("second")), vendor) as gateway:
        gateway.send(page("before"))
        gateway.settle()
        assert gateway.stop() == 0
        gateway.configure(config(criteo("first")))
        gateway.start()
        gateway.send(page("meanwhile"))
        gateway.settle("first")
        assert gateway.stop() == 0
        gateway.configure(config(criteo("first"), criteo("second")))
        gateway.start()
        gateway.send(page("after"))
        gateway.settle()
        assert [entry.id for entry in vendor.received()].count("meanwhile") == 1
        assert [row["received"] for row in gateway.status(recount=True)["integrations"]] == [3, 2]
        assert all(row["balanced"] for row in gateway.status(recount=True)["integrations"])


def test_a_source_for_one_integration_only(tmp_path: Path, vendor: Emulator, other: Emulator):
    elsewhere = {"events": f"{other.url}/criteo-s2s/eu/m/event"}
    shops = [{"key": name, "write_key": f"key-of-{name}"} for name in ("north", "south")]
    both = config(criteo("all"), criteo("south-only", sources=["south"], endpoints=elsewhere), sources=shops)
    with Gateway(tmp_path, both, vendor) as gateway:
        with (
            Sender(gateway, shopping(200, "north"), write_key="key-of-north") as north,
            Sender(gateway, shopping(100, "south"), write_key="key-of-south") as south,
        ):
            pass
        gateway.settle()
        found = check(gateway, north.acknowledged | south.acknowledged, {"all": vendor, "south-only": other})
        assert found.lanes["all"].states == {"delivered": 300}
        assert found.lanes["south-only"].states == {"delivered": 100}
        assert {entry.id.partition("-")[0] for entry in other.received()} == {"south"}
