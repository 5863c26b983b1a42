"""Starting where something is in the way, and stopping in the middle of work."""

import contextlib
import http.client
import json
import os
import signal
import socket
from pathlib import Path

from tests.checker import check
from tests.gateway import WRITE_KEY, Emulator, Gateway, Sender, config, criteo, order, page, shopping, until

CONCURRENCY = 32


def test_sigterm_lets_what_is_under_way_end(tmp_path: Path, vendor: Emulator):
    vendor.fault("slow", seconds=2)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(300)) as sender:
            until("all slots are busy", lambda: vendor.count() >= CONCURRENCY)
        assert gateway.stop() == 0
        assert not gateway.counts()["retrying"]
        vendor.behave()
        gateway.start()
        gateway.settle()
        check(gateway, sender, vendor)  # nothing went twice


def test_sigterm_does_not_wait_for_ever(tmp_path: Path, vendor: Emulator):
    """A vendor that takes a minute is not waited for: the gateway is gone within 20 s. Takes that long."""
    vendor.fault("slow", seconds=60)
    with Gateway(tmp_path, config(criteo(delivery={"timeout": "90s"})), vendor) as gateway:
        with Sender(gateway, shopping(300)) as sender:
            until("all slots are busy", lambda: vendor.count() >= CONCURRENCY)
        os.kill(gateway.pid("supervisor"), signal.SIGTERM)
        until("it has ended", lambda: gateway.pid("supervisor") is None, seconds=20)
        vendor.behave()
        gateway.start()
        gateway.settle()
        check(gateway, sender, vendor, duplicates=CONCURRENCY)


def test_sigterm_while_clients_send(tmp_path: Path, vendor: Emulator):
    """What has an answer is kept, what has none is sent again: to the client a restart is a pause."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(100_000)) as sender:
            for _ in range(2):
                at_least = len(sender.acknowledged) + 500
                until("more is acknowledged", lambda at_least=at_least: len(sender.acknowledged) >= at_least)
                assert gateway.stop() == 0
                gateway.start()
            sender.enough()
        assert sender.answers.keys() <= {200, 503, 0}
        gateway.settle()
        check(gateway, sender, vendor)


def test_what_was_refused_is_counted_to_the_end(tmp_path: Path, vendor: Emulator):
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("good"))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
            body = json.dumps({"batch": [page("also-good"), {"type": "track"}], "writeKey": WRITE_KEY})
            connection.request("POST", "/v1/batch", body)
            assert connection.getresponse().status == 200
        assert gateway.stop() == 0
        (source,) = gateway.status()["sources"]
        assert (source["received"], source["refused"]) == (2, 1)
        gateway.start()
        gateway.settle()
        check(gateway, {"good", "also-good"}, vendor)


def test_a_second_gateway_on_the_same_data(tmp_path: Path, vendor: Emulator):
    """It says so and ends, and its configuration touches nothing."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.configure(config(criteo(settings={"partner_id": "99999", "mapping_key": "123"})))
        second = gateway.launch(log="second.log")
        assert second.wait() == 1
        assert f"another gateway runs on {gateway.data}" in second.output
        assert "Traceback" not in second.output
        gateway.send(order("o-1"))
        gateway.kill("deliver")  # a new process would find what the second one left
        gateway.send(order("o-2"))
        gateway.settle()
        assert {entry.body["account"] for entry in vendor.received()} == {"12345"}
        check(gateway, {"o-1", "o-2"}, vendor, duplicates=1)


def test_the_port_is_taken(tmp_path: Path, vendor: Emulator):
    gateway = Gateway(tmp_path, config(criteo()), vendor)
    with socket.create_server(("0.0.0.0", gateway.port)), contextlib.ExitStack() as stack:
        stack.callback(gateway.kill_all)
        program = gateway.launch()
        assert program.wait() == 1
        assert f"port {gateway.port} is taken" in program.output
        assert "FIRSTHAND_COLLECT_PORT" in program.output
        assert "Traceback" not in program.output


def test_the_configuration_is_wrong(tmp_path: Path, vendor: Emulator):
    """It is said what is wrong, and nothing that was there is changed."""
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        gateway.send(page("before"))
        gateway.settle()
        assert gateway.stop() == 0
        before, file = gateway.status(), tmp_path / "firsthand.yaml"
        good = file.read_text()
        for name, text in {"no-yaml": "sources: [", "unknown": "surces: []"}.items():
            file.write_text(text)
            wrong = gateway.launch(log=f"{name}.log")
            assert wrong.wait() == 1
            assert "firsthand.yaml" in wrong.output
            assert "Traceback" not in wrong.output
        assert gateway.status() == before
        file.write_text(good)
        gateway.start()
        check(gateway, {"before"}, vendor)


def test_nobody_is_left_behind_by_supervisors_that_are_killed(tmp_path: Path, vendor: Emulator):
    """One is killed, and the next one too while its processes still wait for those of the first to end."""
    vendor.fault("slow", seconds=3)
    with Gateway(tmp_path, config(criteo()), vendor) as gateway:
        with Sender(gateway, shopping(300)) as sender:
            until("all slots are busy", lambda: vendor.count() >= CONCURRENCY)
        gateway.kill("supervisor")
        second = gateway.launch(log="second.log")
        until("its processes are there", lambda: len(gateway.processes()) >= 4)
        second.kill()
        until("all have noticed", lambda: not gateway.processes())
        vendor.behave()
        gateway.start()
        gateway.settle()
        check(gateway, sender, vendor)
