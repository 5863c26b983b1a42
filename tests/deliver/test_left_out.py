"""What an event is sent without is said in its trace and counted, and costs it nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.json import encode
from tests.deliver.toys import VENDORS, says
from tests.deliver.world import World, event, toy

from firsthand.config import Source
from firsthand.doctor import Context, events
from firsthand.ledger.reader import LedgerReader
from firsthand.ledger.trace import trace
from firsthand.settings import Settings
from firsthand.status import status
from firsthand.vendors import criteo_s2s

GOOD: dict[str, Any] = {"errors": [], "warnings": []}
SALE: dict[str, Any] = {
    "order_id": "O-1",
    "total": 54.8,
    "products": [{"product_id": "lamp-3", "price": 49.9}, {"price": 4.9}],
}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setitem(VENDORS, "criteo-s2s", criteo_s2s.VENDOR)
    async with World(tmp_path) as made:
        made.sources = [Source(key="shop", write_key="key-of-shop", origins=("https://shop.example",))]
        made.answer = lambda call: says(GOOD)
        await made.start(criteo())
        yield made


def criteo() -> Any:
    return toy("criteo", "criteo-s2s", settings=criteo_s2s.CriteoS2S(partner_id="12345", mapping_key="123"))


async def test_it_stands_in_the_trace_masked(world: World) -> None:
    await world.collect(event("m1", properties=SALE, context={"ip": "10.0.0.6, 192.168.17.4:80"}))
    await world.settle()
    (found,) = trace("m1", ["shop"], world.log, world.reader)
    (delivery,) = found["deliveries"]
    assert delivery["state"] == "delivered"
    assert delivery["left_out"] == [
        {
            "field": "context.ip",
            "value": "10.0.0.***, 192.168.17.***:80",
            "why": "must be an IPv4 or IPv6 address; of several, the first public one is taken",
        },
        {
            "field": "properties.products[1]",
            "value": '{"price":4.9}',
            "why": "properties.products[1].product_id is required",
        },
    ]
    assert delivery["total"] == {"field": "properties.total", "said": "54.8", "lines": "49.9"}


async def test_a_total_that_the_lines_come_to_is_not_worth_a_word(world: World) -> None:
    await world.collect(event("m1", properties=SALE | {"total": "49.90", "products": SALE["products"][:1]}))
    await world.settle()
    (found,) = trace("m1", ["shop"], world.log, world.reader)
    assert (found["deliveries"][0]["left_out"], found["deliveries"][0]["total"]) == ([], None)


async def test_it_is_counted_by_field_once_an_event(world: World, tmp_path: Path) -> None:
    listed = {"products": [{"product_id": "A", "position": "x"}, {"product_id": "B", "position": "y"}]}
    page = {"page": {"url": "https://shop.example/", "referrer": "$direct"}}
    await world.collect(*(event(f"m{n}", "Product List Viewed", properties=listed, context=page) for n in range(3)))
    await world.collect(event("n1", "Product Viewed", properties={"product_id": "A"}, context=page))
    await world.settle()
    counted = {"context.page.referrer": 4, "properties.products[].position": 3}
    assert (await status(tmp_path))["left_out"] == counted
    assert (await status(tmp_path))["integrations"][0]["left_out"] == counted
    lane = world.reader.lanes()[0].id
    delivered, notes = world.reader.left_out_of_late(lane)
    assert (delivered, len(notes)) == (4, 10)


async def test_a_relative_page_url_is_completed_by_the_origin_of_its_source(world: World) -> None:
    await world.collect(
        event("m1", "Product Viewed", properties={"product_id": "A"}, context={"page": {"url": "/a?b=1"}})
    )
    await world.settle()
    assert world.calls[-1].json["full_url"] == "https://shop.example/a?b=1"
    assert world.delivery("m1", "criteo").delivery.detail.left_out == []


async def test_a_ledger_from_before_it_was_counted_is_read(world: World, tmp_path: Path) -> None:
    await world.crash()
    from apsw import Connection

    with Connection(str(tmp_path / "ledger.db")) as old:
        old.execute("DROP TABLE left_out")
    reader = LedgerReader(tmp_path)
    assert reader.left_out(1) == {}
    reader.close()
    await world.start(criteo())
    await world.collect(event("m1", properties=SALE))
    await world.settle()
    assert world.reader.left_out(1) == {"properties.products[]": 1}


@pytest.mark.parametrize(("channel", "says_so"), [("in_store", "over 2 days old"), ("web", "in near real time")])
async def test_what_is_too_old_is_told_the_rule_of_its_channel(world: World, channel: str, says_so: str) -> None:
    long_ago = world.clock.now_ms() - 5 * 86_400_000
    await world.collect(event("m1", properties=SALE | {"channel": channel}, at_ms=long_ago))
    await world.settle()
    assert world.state("m1", "criteo") == ("filtered", "too_old")
    assert says_so in world.message("m1", "criteo")


async def test_doctor_names_what_is_left_out_often(world: World, tmp_path: Path) -> None:
    view: dict[str, Any] = {"name": "Product Viewed", "properties": {"product_id": "A"}}
    await world.collect(*(event(f"g{n}", **view) for n in range(30)))
    await world.collect(*(event(f"b{n}", context={"ip": "unknown"}, **view) for n in range(3)))
    await world.collect(event("r1", context={"page": {"referrer": "$direct"}}, **view))
    await world.settle()
    file = tmp_path / "firsthand.yaml"
    integration = {"key": "criteo", "vendor": "criteo-s2s", "settings": {"partner_id": "12345", "mapping_key": "123"}}
    file.write_bytes(encode({"sources": [{"key": "shop", "write_key": "key-of-shop"}], "integrations": [integration]}))
    (finding,) = events.left_out(Context(Settings(data=tmp_path), file, env={}))
    assert (finding.severity, finding.title) == ("warning", "criteo")
    assert finding.found.startswith("context.ip was left out 3 times in the last 34 deliveries: must be an IPv4")
