"""What Criteo's server-to-server endpoint takes without a word. Each request is answered with two empty lists."""

from typing import Any

import pytest

ITEMS = [{"id": "SKU-A", "price": 49.99, "quantity": 2}, {"id": "SKU-B", "price": 30.01, "quantity": 1}]
AT = "2026-11-22T10:15:00Z"

EVENTS: dict[str, dict[str, Any]] = {
    "visit": {"event": "viewPage", "timestamp": AT},
    "login": {"event": "login", "timestamp": AT},
    "home": {"event": "viewHome"},
    "listing": {
        "event": "viewList",
        "item": ["SKU-A", "SKU-B", "SKU-C"],
        "category": "shoes > men's shoes > nike",
        "keywords": "blue shirt",
    },
    "product": {"event": "viewItem", "item": "SKU-A"},
    "add to cart": {"event": "addToCart", "currency": "USD", "item": ITEMS[:1]},
    "basket": {"event": "viewBasket", "currency": "JPY", "item": ITEMS},
    "checkout": {"event": "beginCheckout", "item": ITEMS},
    "payment info": {"event": "addPaymentInfo"},
    "sale": {"event": "trackTransaction", "timestamp": AT, "id": "ORD-001", "currency": "GBP", "item": ITEMS},
    "sale attributed by the shop": {"event": "trackTransaction", "id": "ORD-001", "dd": 1, "item": ITEMS},
    "sale with dd as text": {"event": "trackTransaction", "id": "ORD-001", "dd": "0", "item": ITEMS},
    "free product": {"event": "addToCart", "item": [{"id": "GIFT", "price": 0, "quantity": 1}]},
    "click and collect": {
        "event": "trackTransaction",
        "id": "ORD-002",
        "delivery": "store",
        "store_id": "A734Gd87",
        "item": ITEMS,
    },
    "offline sale": {
        "event": "trackTransaction",
        "timestamp": "2026-11-20T18:00:00+01:00",  # older than 15 minutes, which is usual for offline sales
        "id": "ORD-003",
        "user_segment": 19,
        "store_id": "A734Gd87",
        "item": ITEMS,
    },
    "travel search": {
        "event": "viewSearch",
        "checkin_date": "2027-06-02",
        "checkout_date": "2027-06-09",
        "nbra": 2,
        "nbrc": 1,
        "nbri": 0,
        "nbrr": 1,
    },
    "store": {"event": "viewStore", "store_id": "A734Gd87"},
    "availability": {"event": "checkAvailability", "store_id": ["A734Gd87", "A734Gd897"], "item": "1234abc"},
    "reservation": {"event": "reserveInStore", "store_id": "A734Gd87", "item": ITEMS},
    "reservation in stores": {"event": "reserveInStore", "store_id": ["A734Gd87", "A734Gd897"], "item": ITEMS},
    "time with fraction and offset": {"event": "viewHome", "timestamp": "2026-11-22T15:49:59.123+05:30"},
    "clock a little ahead": {"event": "viewHome", "timestamp": "2026-11-22T10:25:00Z"},
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
async def test_event(client, envelope, event):
    assert await client.post(envelope(event)) == {"errors": [], "warnings": []}
    (entry,) = await client.received()
    assert (entry["accepted"], entry["matched"], entry["events"]) == (True, True, [event["event"]])


async def test_a_whole_sale_with_consent(client, tc_string):
    payload = {
        "account": "12345",
        "version": "s2s_v1.0.0",
        "site_type": "m",
        "ip": "203.0.113.7",
        "full_url": "https://shop.example/thanks",
        "previous_url": "https://shop.example/pay",
        "useragent": "Mozilla/5.0 (iPhone; ...)",
        "retailer_visitor_id": "v_42",
        "id": {
            "mapping_key": "123",
            "mapped_user_id": "<opaque GUM id>",
            "email": {
                "md5": "b58996c504c5638798eb6b511e6f49af",
                "sha256": "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
                "sha256_md5": "7f7892563bd354c8aa47ec54a5ce8c6100c6258089273db2f8c777e1853d365b",
            },
        },
        "events": [EVENTS["sale"]],
    }
    url = f"/criteo-s2s/eu/m/event?version=s2s_v0&gra=1&grs={tc_string([91])}&grv=2"
    answered = await client.send("POST", url, payload)
    assert (answered.status, answered.body) == (200, b'{"errors":[],"warnings":[]}')
    (entry,) = await client.received()
    assert entry == {
        "index": 0,
        "at": "2026-11-22T10:20:00.000Z",
        "method": "POST",
        "url": f"http://emulator.test{url}",
        "body": payload,
        "accepted": True,
        "errors": [],
        "warnings": [],
        "status": 200,
        "fault": None,
        "hop": "regional",
        "region": "eu",
        "account": "12345",
        "events": ["trackTransaction"],
        "consent": "granted",
        "identity": ["id.mapped_user_id", "id.email", "retailer_visitor_id", "ip"],
        "privacy_violation": False,
        "user": None,
        "matched": True,
        "anonymous": False,
        "duplicate": False,
        "discarded_late": False,
    }


async def test_get_with_the_payload_in_data(client):
    url = (
        "/criteo-s2s/eu/m/event?version=s2s_v0&data=%7B%22account%22%3A%2212345%22%2C%22site_type%22%3A%22d%22%2C"
        "%22id%22%3A%7B%22mapping_key%22%3A%22123%22%2C%22mapped_user_id%22%3A%22x%22%7D%2C%22events%22%3A%5B%7B"
        "%22event%22%3A%22viewHome%22%7D%5D%2C%22version%22%3A%22s2s_v1.0.0%22%7D"
    )
    answered = await client.send("GET", url)
    assert answered.json()["errors"] == []
    (entry,) = await client.received()
    assert (entry["method"], entry["accepted"]) == ("GET", True)
    assert entry["body"]["events"] == [{"event": "viewHome"}]


async def test_an_anonymous_event_has_no_identifier_and_nothing_else_wrong(client, envelope):
    answer = await client.post(envelope(ip=None, retailer_visitor_id=None, id={"mapping_key": "123"}))
    assert answer["errors"] == ["UserIdentifierMissing"]
    (entry,) = await client.received()
    assert (entry["accepted"], entry["anonymous"], entry["matched"]) == (False, True, False)


@pytest.mark.parametrize(
    "identity",
    [
        {
            "id": {
                "mapping_key": "1",
                "email": {"sha256": "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"},
            }
        },
        {"id": {"mapping_key": "1", "idfa": "EA7583CD-A667-48BC-B806-42ECB2B48606"}},
        {"id": {"mapping_key": "1", "gaid": "cdda802e-fb9c-47ad-9866-0794d394c912"}},
        {
            "id": {"mapping_key": "1"},
            "alternate_ids": [{"type": "email", "value": "b58996c504c5638798eb6b511e6f49af", "hash_method": "md5"}],
        },
    ],
    ids=["e-mail", "idfa", "gaid", "alternate id"],
)
async def test_one_identifier_is_enough(client, envelope, identity):
    answer = await client.post(envelope(retailer_visitor_id=None, **identity))
    assert answer == {"errors": [], "warnings": []}


async def test_the_visitor_id_identifies_but_does_not_match(client, envelope):
    payload = envelope(id={"mapping_key": "123"})
    assert (await client.post(payload))["errors"] == []
    await client.control("PUT", "settings", {"visitor_id_identifies": False})
    assert (await client.post(payload))["errors"] == ["UserIdentifierMissing"]
    assert [entry["matched"] for entry in await client.received()] == [False, False]


async def test_numbers_for_account_and_mapping_key(client, envelope):
    answer = await client.post(envelope(account=12345, id={"mapping_key": 123, "mapped_user_id": "x"}))
    assert answer == {"errors": [], "warnings": []}


async def test_several_events_in_one_request(client, envelope):
    events = [{"event": "viewHome"}, {"event": "viewPage"}, {"event": "viewItem", "item": "SKU-A"}]
    assert await client.post(envelope(*events)) == {"errors": [], "warnings": []}
