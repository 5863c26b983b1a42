"""The entry host and its redirect, and what the ledger of Criteo's emulator says of consent, repeats and age."""

import pytest

ENTRY = "/criteo-s2s/m/event?version=s2s_v0"
REGIONAL = "/criteo-s2s/eu/m/event?version=s2s_v0"
SALE = {"event": "trackTransaction", "id": "ORD-1", "item": [{"id": "A", "price": 1, "quantity": 1}]}


async def location(client, envelope, query="", headers=None):
    answered = await client.send("POST", ENTRY + query, envelope(), headers=headers)
    assert answered.status == 307
    return answered.headers["location"]


async def test_the_entry_host_redirects_and_only_counts(client, envelope):
    assert await location(client, envelope) == "http://emulator.test/criteo-s2s/eu/m/event?version=s2s_v0"
    ledger = await client.control("GET", "ledger")
    assert (ledger["received"], ledger["total"], ledger["redirects"]) == ([], 0, 1)


async def test_location_loses_the_rest_of_the_query_unless_told_to_keep_it(client, envelope):
    consent = "&gra=1&grs=CO_7cUE&grv=2"
    assert (await location(client, envelope, consent)).endswith("/eu/m/event?version=s2s_v0")
    await client.control("PUT", "settings", {"location_query": "keep"})
    assert (await location(client, envelope, consent)).endswith(f"/eu/m/event?version=s2s_v0{consent}")


async def test_region_by_switch_and_by_header(client, envelope):
    await client.control("PUT", "settings", {"region": "us", "location": "relative"})
    assert await location(client, envelope) == "/criteo-s2s/us/m/event?version=s2s_v0"
    as_asked = await location(client, envelope, headers={"x-emulator-region": "as"})
    assert as_asked == "/criteo-s2s/as/m/event?version=s2s_v0"


@pytest.mark.parametrize("region", ["eu", "us", "as"])
async def test_regional_hosts(client, envelope, region):
    await client.post(envelope(), REGIONAL.replace("eu", region))
    (entry,) = await client.received()
    assert (entry["hop"], entry["region"]) == ("regional", region)


async def test_without_redirect_the_entry_host_answers(client, envelope):
    await client.control("PUT", "settings", {"redirect": False, "region": "us"})
    assert (await client.post(envelope(), ENTRY)) == {"errors": [], "warnings": []}
    (entry,) = await client.received()
    assert (entry["hop"], entry["region"]) == ("entry", "us")


async def test_there_is_nothing_elsewhere(client):
    for path in ("/criteo-s2s/sid", "/criteo-s2s/cn/m/event", "/criteo-s2s", "/raptor/1.gif", "/"):
        answered = await client.send("GET", path)
        assert answered.status == 404
        assert answered.json()["error"]["message"].startswith(f"there is nothing at {path};")


CONSENT = [
    ("", "none", False),
    ("gra=0", "not_applicable", False),
    ("gra=1", "none", False),
    ("gra=1&grs=GRANTED&grv=2", "granted", False),
    ("gra=1&grs=REFUSED&grv=2", "refused", True),
    ("gra=1&grs=NO_PURPOSE&grv=2", "refused", True),
    ("gra=0&grs=REFUSED&grv=2", "not_applicable", False),
    ("gra=1&grs=nonsense&grv=2", "unreadable", False),
]


@pytest.mark.parametrize(("query", "consent", "violation"), CONSENT)
async def test_identity_against_a_refusal_is_a_privacy_violation(
    client, envelope, tc_string, query, consent, violation
):
    strings = {
        "NO_PURPOSE": tc_string([91], purposes=[2, 3, 4]),
        "GRANTED": tc_string([90, 91]),
        "REFUSED": tc_string([90, 92]),
    }
    for name, string in strings.items():
        query = query.replace(f"grs={name}", f"grs={string}")
    await client.post(envelope(), f"{REGIONAL}&{query}")
    (entry,) = await client.received()
    assert (entry["consent"], entry["privacy_violation"]) == (consent, violation)
    assert entry["matched"] == (consent != "refused")


async def test_an_anonymous_event_respects_a_refusal(client, envelope, tc_string):
    payload = envelope(ip=None, retailer_visitor_id=None, id={"mapping_key": "123"})
    answer = await client.post(payload, f"{REGIONAL}&gra=1&grs={tc_string([])}&grv=2")
    assert answer["errors"] == ["UserIdentifierMissing"]
    (entry,) = await client.received()
    assert (entry["consent"], entry["identity"], entry["privacy_violation"]) == ("refused", [], False)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ip", {"ip": "203.0.113.7"}),
        ("retailer_visitor_id", {"retailer_visitor_id": "v_42"}),
        ("id.gaid", {"id": {"mapping_key": "123", "gaid": "cdda802e-fb9c-47ad-9866-0794d394c912"}}),
    ],
)
async def test_what_else_leads_to_the_visitor(client, envelope, tc_string, name, fields):
    payload = envelope(**{"ip": None, "retailer_visitor_id": None, "id": {"mapping_key": "123"}, **fields})
    await client.post(payload, f"{REGIONAL}&gra=1&grs={tc_string([])}&grv=2")
    (entry,) = await client.received()
    assert (entry["identity"], entry["privacy_violation"]) == ([name], True)


async def test_a_sale_sent_again_is_a_duplicate_within_its_account(client, envelope):
    payloads = [
        envelope(SALE),
        envelope(SALE),
        envelope(SALE, account="777"),
        envelope({**SALE, "id": "ORD-2"}, {**SALE, "id": "ORD-2"}),
        envelope(),
    ]
    for payload in payloads:
        await client.post(payload)
    assert [entry["duplicate"] for entry in await client.received()] == [False, True, False, True, False]


async def test_a_refused_sale_is_not_remembered(client, envelope):
    await client.post(envelope(SALE, account="shop"))
    await client.post(envelope(SALE))
    assert [entry["duplicate"] for entry in await client.received()] == [False, False]


AGES = [
    ({"event": "viewHome", "timestamp": "2026-11-21T10:20:00Z"}, False),
    ({"event": "viewHome", "timestamp": "2026-11-21T10:19:59Z"}, True),
    ({**SALE, "user_segment": 19, "timestamp": "2026-11-20T10:20:00Z"}, False),
    ({**SALE, "user_segment": 19, "timestamp": "2026-11-20T10:19:59Z"}, True),
]


@pytest.mark.parametrize(("event", "discarded"), AGES)
async def test_late_events_are_accepted_and_discarded(client, envelope, event, discarded):
    await client.post(envelope(event))
    (entry,) = await client.received()
    assert (entry["accepted"], entry["discarded_late"]) == (True, discarded)


async def test_the_clock_and_the_thresholds_can_be_set(client, envelope):
    event = {"event": "viewHome", "timestamp": "2026-11-22T10:20:00Z"}
    assert (await client.post(envelope(event)))["warnings"] == []
    client.now += 3600
    assert (await client.post(envelope(event)))["warnings"] != []
    await client.control("PUT", "settings", {"age": {"warn_seconds": 7200, "online_seconds": 1800}})
    assert (await client.post(envelope(event)))["warnings"] == []
    assert [entry["discarded_late"] for entry in await client.received()] == [False, False, True]


async def test_a_body_that_is_not_json_is_kept_as_text(client):
    await client.send("POST", REGIONAL, body=b"caf\xe9 {", headers={"content-type": "application/json"})
    (entry,) = await client.received()
    assert entry["body"] == "caf� {"


async def test_settings(client):
    default = await client.control("GET", "settings")
    assert default["region"] == "eu"
    changed = await client.control("PUT", "settings", {"region": "as"})
    assert changed == {**default, "region": "as"}
    changed = await client.control("PUT", "settings", {"lenient": True})
    assert changed == {**default, "lenient": True}
    assert await client.control("DELETE", "settings") == default


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"region": "cn"}, "Invalid enum value 'cn' - at `$.region`; accepted: region (as|eu|us), redirect (bool), "),
        ({"colour": 1}, "Object contains unknown field `colour`; accepted: region"),
        ({"age": {"warn_seconds": "1h"}}, "Expected `float`, got `str` - at `$.age.warn_seconds`; accepted: "),
        ([], "Expected `object`, got `array`; accepted: "),
    ],
)
async def test_settings_that_are_refused(client, settings, message):
    answered = await client.send("PUT", "/_control/criteo-s2s/settings", settings)
    assert answered.status == 400
    assert answered.json()["error"]["message"].startswith(message)
    assert await client.control("GET", "settings") == await client.control("DELETE", "settings")
