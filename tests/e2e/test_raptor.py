"""Orders on their way to Raptor: one request per line, in their order, and none of them twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway import Emulator, Gateway, Json, call, config, order, until

IDS = {"raptor_coid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "raptor_sid": "9b2d7f1e-06c4-4c8a-b1f3-5d2e8a7c4b10"}
LINES = [
    {"product_id": "lamp-7", "price": 49.9, "quantity": 2},
    {"product_id": "bulb-1", "price": 0.1, "quantity": 3},
    {"product_id": "cord-2", "price": "19.90"},
]
SUBTOTALS = [("lamp-7", "99.8"), ("bulb-1", "0.3"), ("cord-2", "19.90")]


@pytest.fixture
def stream(vendor: Emulator) -> Iterator[Emulator]:
    """The vendors' emulators, of which Raptor's has received nothing yet."""
    for resource in ("ledger", "faults"):
        call(vendor.port, "DELETE", f"/_control/raptor/{resource}")
    yield vendor
    call(vendor.port, "DELETE", "/_control/raptor/faults")


def raptor(**settings: Any) -> Json:
    return config({"key": "raptor", "vendor": "raptor", "settings": {"customer_id": "1234", **settings}})


def bought(id: str, ids: Json | None = None, **properties: Any) -> Json:
    sold = {"order_id": id, "products": LINES, **properties}
    known = {"context": {"ids": IDS if ids is None else ids}, "traits": {"email": "user@example.com"}}
    return order(id, properties=sold, userId="user-7") | known


def received(vendor: Emulator) -> list[Json]:
    found: list[Json] = call(vendor.port, "GET", "/_control/raptor/ledger")["received"]
    assert [entry["errors"] for entry in found if entry["errors"]] == []
    return found


def lines(entries: list[Json]) -> list[tuple[str, str]]:
    return [(entry["body"]["p2"], entry["body"]["p5"]) for entry in entries]


def test_an_order_of_three_lines(tmp_path: Path, stream: Emulator):
    with Gateway(tmp_path, raptor(), stream) as gateway:
        gateway.send(bought("o-1"))
        gateway.settle()
        entries = received(stream)
        assert lines(entries) == SUBTOTALS
        assert [(e["event"], e["endpoint"], e["warnings"], e["duplicate"]) for e in entries] == [
            ("buy", "rsa", [], False)
        ] * 3
        assert {(e["cookie_id"], e["session_id"], e["user_id"]) for e in entries} == {
            (*IDS.values(), "user@example.com")
        }
        assert {(e["body"]["p7"], e["body"]["p21"]) for e in entries} == {("user-7", "o-1")}

        delivery = gateway.delivery("o-1", "raptor")
        assert (delivery["state"], delivery["certainty"]) == ("delivered", "unverifiable")
        assert [attempt["request_index"] for attempt in delivery["attempts"]] == [0, 1, 2]
        shown = [attempt["request"]["url"] for attempt in delivery["attempts"]]
        assert all("&ruid=***&" in url for url in shown), "base64 hides an address from nobody"
        assert gateway.counts("raptor")["balanced"]


def test_only_the_lines_without_a_good_answer_go_again(tmp_path: Path, stream: Emulator):
    fault = {"kind": "status_503", "match": {"product": "bulb-1"}, "count": 1, "seconds": 1}
    call(stream.port, "PUT", "/_control/raptor/faults", fault)
    with Gateway(tmp_path, raptor(), stream) as gateway:
        gateway.send(bought("o-1"))
        gateway.settle()
        entries = received(stream)
        assert lines([entry for entry in entries if entry["accepted"]]) == SUBTOTALS
        assert [entry["status"] for entry in entries] == [200, 503, 200, 200]
        assert gateway.delivery("o-1", "raptor")["state"] == "delivered"


def test_a_line_that_may_have_arrived_is_not_sent_again(tmp_path: Path, stream: Emulator):
    call(stream.port, "PUT", "/_control/raptor/faults", {"kind": "cut", "match": {"product": "bulb-1"}, "count": 1})
    with Gateway(tmp_path, raptor(), stream) as gateway:
        gateway.send(bought("o-1"))
        gateway.settle()
        assert lines(received(stream)) == SUBTOTALS[:2]
        delivery = gateway.delivery("o-1", "raptor")
        assert (delivery["state"], delivery["reason"]["code"]) == ("dead", "outcome_unknown")


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_large_order_in_the_middle_of_which_delivery_ends(tmp_path: Path, stream: Emulator, how: str):
    """A stop ends it between two lines. A kill repeats at most the one under way and what the last 10 ms brought."""
    products = [{"product_id": f"lamp-{n}", "price": 10, "quantity": 1} for n in range(60)]
    call(stream.port, "PUT", "/_control/raptor/faults", {"kind": "slow", "seconds": 0.1})
    with Gateway(tmp_path, raptor(), stream) as gateway:
        gateway.send(bought("o-1", products=products))
        until("it is in the middle", lambda: len(received(stream)) > 10)
        if how == "killed":
            gateway.back("deliver", gateway.kill("deliver"))
        else:
            gateway.stop()
            assert len(received(stream)) < 50
            gateway.start()
        call(stream.port, "DELETE", "/_control/raptor/faults")
        gateway.settle()
        sent = Counter(line for line, _ in lines(received(stream)))
        assert sent.keys() == {product["product_id"] for product in products}
        assert sent.total() - len(sent) <= (2 if how == "killed" else 0)
        assert gateway.delivery("o-1", "raptor")["state"] == "delivered"
        assert gateway.counts("raptor")["balanced"]


def test_a_sale_in_a_shop_and_one_of_nobody_known(tmp_path: Path, stream: Emulator):
    with Gateway(tmp_path, raptor(), stream) as gateway:
        gateway.send(bought("shop-1", ids={}, channel="in_store"), bought("site-1", ids={}))
        gateway.settle()
        entries = received(stream)
        assert lines(entries) == SUBTOTALS
        assert {(e["endpoint"], e["user_id"], e["cookie_id"], e["body"]["source"]) for e in entries} == {
            ("stream", "user@example.com", None, "webhook")
        }
        reason = gateway.delivery("site-1", "raptor")["reason"]
        assert (reason["code"], reason["field"]) == ("identity_missing", "context.ids.raptor_coid")


def test_events_of_the_shops_own(tmp_path: Path, stream: Emulator):
    """A name that no table has is taken where the settings give it one at Raptor."""
    own = raptor(events={"Newsletter Read": "newsletter"}, parameters={"newsletter": {"p2": "issue"}})
    own["integrations"][0]["mapping"] = {"default": "disabled", "events": {"Newsletter Read": {"enabled": True}}}
    with Gateway(tmp_path, own, stream) as gateway:
        known = {"properties": {"issue": 12}, "context": {"ids": IDS}}
        gateway.send(order("n-1") | {"event": "Newsletter Read"} | known, bought("o-1"))
        gateway.settle()
        (entry,) = received(stream)
        assert (entry["event"], entry["body"]["p2"]) == ("newsletter", "12")
        assert gateway.delivery("o-1", "raptor")["reason"]["code"] == "disabled_event"
