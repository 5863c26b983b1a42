"""What the collector makes of an event: ids, times, the visitor's address and browser."""

from typing import Any

import msgspec
import pytest
from tests.collect.client import BROWSER, NOW, Client, item
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from firsthand.event import Event, format_time
from firsthand.eventlog.base import visitor_hash

EVENT = {"event": "Order Completed", "userId": "u1"}
RECEIVED = format_time(round(NOW * 1000))


def at(seconds: float) -> str:
    """So many seconds after it is received."""
    return format_time(round((NOW + seconds) * 1000))


async def kept(client: Client, **fields: Any) -> Event:
    answer = await client.track(**fields)
    assert answer.status == 200, answer.json
    return client.log.events[-1]


# -- ids ---------------------------------------------------------------------------------------------------------------


async def test_a_message_id_is_made_where_there_is_none(client: Client) -> None:
    first, second = await kept(client), await kept(client)
    assert len(first.message_id) == 36
    assert first.message_id != second.message_id


@pytest.mark.parametrize(("sent", "id"), [("abc", "abc"), (42, "42"), (-7, "-7"), (10**30, "1" + "0" * 30)])
async def test_ids_may_be_numbers(client: Client, sent: Any, id: str) -> None:
    event = await kept(client, messageId=sent, userId=sent, anonymousId=sent)
    assert (event.message_id, event.user_id, event.anonymous_id) == (id, id, id)


@pytest.mark.parametrize("name", ["messageId", "userId", "anonymousId", "groupId", "previousId"])
async def test_ids_have_a_limit(client: Client, name: str) -> None:
    answer = await client.track(**{name: "x" * 513})
    assert (answer.status, answer.error) == (400, ("field_invalid", f"$.{name}"))


async def test_a_visitor_is_known_by_the_anonymous_id_and_else_by_the_user_id(client: Client) -> None:
    await client.track(anonymousId="a1", userId="u1")
    await client.track(userId="u1")
    assert [record.visitor for record in client.log.records] == [visitor_hash("shop", "a1"), visitor_hash("shop", "u1")]


async def test_an_event_needs_somebody(client: Client) -> None:
    answer = await client.track(userId=None, anonymousId=None)
    assert answer.error == ("field_missing", "$.anonymousId")


@pytest.mark.parametrize(
    ("type", "fields", "path"),
    [
        ("track", {}, "$.event"),
        ("track", {"event": ""}, "$.event"),
        ("group", {}, "$.groupId"),
        ("alias", {}, "$.previousId"),
        ("alias", {"previousId": "a", "userId": "", "anonymousId": "a"}, "$.userId"),
    ],
)
async def test_each_call_needs_what_the_spec_says(client: Client, type: str, fields: Any, path: str) -> None:
    answer = await client.post(f"/v1/{type}", {"userId": "u1"} | fields)
    assert (answer.status, answer.error) == (400, ("field_missing", path))


async def test_the_path_says_the_type_of_a_single_event(client: Client) -> None:
    await client.post("/v1/page", {"type": "track", "userId": "u1"})
    assert client.log.events[0].type == "page"


async def test_what_a_batch_says_holds_for_all_its_events_unless_they_differ(client: Client) -> None:
    context = {"library": {"name": "js"}, "locale": "de"}
    await client.batch(item(0, context={"locale": "fr"}), item(1), context=context, integrations={"All": False})
    first, second = client.log.events
    assert first.context == {"library": {"name": "js"}, "locale": "fr"}
    assert second.context == context
    assert first.integrations == {"All": False}


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "becomes", "original"),
    [
        (None, None, 0, False),
        (at(-5), None, -5, False),
        (at(-5), at(0), -5, False),
        (at(-5), at(60), -5, False),  # a minute is let pass
        (at(-5), at(-60), -5, False),
        (at(3595), at(3600), -5, True),  # an hour ahead
        (at(-86_405), at(-86_400), -5, True),  # a day behind
        (None, at(3600), 0, False),
        (at(300), None, 300, False),  # five minutes ahead are let pass, as vendors do
        (at(301), None, 0, True),  # nothing says by how much this clock is wrong: the time of receipt is the nearest
        (at(86_400 * 700), at(0), 0, True),
        (at(7_200), at(3_600), 0, True),
        ("9999-12-31T00:00:00Z", at(-86_400 * 3), 0, True),
        ("9999-12-31T23:59:59-23:00", None, 0, True),
    ],
)
async def test_a_wrong_clock_is_set_right(
    client: Client, timestamp: str | None, sent_at: str | None, becomes: float, original: bool
) -> None:
    event = await kept(client, timestamp=timestamp, sentAt=sent_at)
    assert event.timestamp == at(becomes)
    assert event.original_timestamp == (timestamp if original else None)
    assert event.received_at == RECEIVED
    assert event.sent_at == sent_at


async def test_the_clock_of_a_batch_holds_for_its_events(client: Client) -> None:
    await client.batch(item(0, timestamp=at(3595)), item(1, timestamp=at(-5), sentAt=at(0)), sentAt=at(3600))
    assert [event.timestamp for event in client.log.events] == [at(-5), at(-5)]


@pytest.mark.parametrize(
    ("sent", "kept_as"),
    [
        ("2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000Z"),
        ("2026-11-22T12:00:00.5Z", "2026-11-22T12:00:00.500Z"),
        ("2026-11-22T13:00:00+01:00", "2026-11-22T12:00:00.000Z"),
        ("2026-11-22T12:00:00", "2026-11-22T12:00:00.000Z"),
        ("2026-11-22", "2026-11-22T00:00:00.000Z"),
        ("2026-11-22T12:00:00.123456789Z", "2026-11-22T12:00:00.123Z"),
        (1_795_348_800, "2026-11-22T12:00:00.000Z"),
        ("٢٠٢٦-١١-٢٢T١٢:٠٠:٠٠.٠٠٠Z", "2026-11-22T12:00:00.000Z"),
    ],
)
async def test_times_are_kept_in_utc(client: Client, sent: Any, kept_as: str) -> None:
    assert (await kept(client, timestamp=sent)).timestamp == kept_as


UNREADABLE = ["yesterday", "22.11.2026", "2026-13-01", " ", "NaN", 7, -1, 1e300, True, {}, [], "0000-01-01T00:00:00Z"]


@pytest.mark.parametrize("time", UNREADABLE)
async def test_a_time_that_cannot_be_read_is_that_of_the_receipt(client: Client, time: Any) -> None:
    event = await kept(client, timestamp=time)
    assert event.timestamp == RECEIVED
    assert event.original_timestamp == (time if isinstance(time, str) else msgspec.json.encode(time).decode())
    await client.batch(item(0), item(1, timestamp=time))
    assert [event.timestamp for event in client.log.events] == [RECEIVED] * 3


@pytest.mark.parametrize("time", UNREADABLE)
async def test_a_clock_that_cannot_be_read_is_not_compared(client: Client, time: Any) -> None:
    """It costs neither its event nor the batch."""
    assert (await kept(client, timestamp=at(-5), sentAt=time)).timestamp == at(-5)
    await client.batch(item(0, timestamp=at(-5)), item(1, timestamp=at(3595), sentAt=at(3600)), sentAt=time)
    assert [event.timestamp for event in client.log.events] == [at(-5)] * 3
    await client.batch(item(2, timestamp=at(3595), sentAt=time), sentAt=at(3600))
    assert client.log.events[-1].timestamp == at(-5)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:00", "0001-01-01T00:00:00Z"])
async def test_a_time_stays_within_the_calendar(client: Client, time: str) -> None:
    event = await kept(client, timestamp=time, sentAt=at(86_400 * 3))
    assert (event.timestamp, event.original_timestamp) == (RECEIVED, time)


async def test_the_original_timestamp_of_a_rudderstack_client_is_when_it_happened(client: Client) -> None:
    assert (await kept(client, originalTimestamp=at(-1800), sentAt=at(0))).timestamp == at(-1800)
    assert (await kept(client, originalTimestamp=at(1800), sentAt=at(3600))).timestamp == at(-1800)
    assert (await kept(client, originalTimestamp=at(-1800), timestamp=at(-60))).timestamp == at(-60)
    assert (await kept(client, originalTimestamp=at(-1800), timestamp="yesterday")).timestamp == at(-1800)
    assert (await kept(client, originalTimestamp=at(-1800), timestamp="")).timestamp == at(-1800)


# -- whose address it is -----------------------------------------------------------------------------------------------


async def test_a_browser_is_known_by_its_connection(client: Client) -> None:
    await client.post("/v1/track", EVENT, BROWSER)
    assert client.log.events[0].context == {"ip": "203.0.113.9", "userAgent": "Mozilla/5.0"}


async def test_a_servers_own_address_is_never_the_visitors(client: Client) -> None:
    await client.post("/v1/track", EVENT, {"user-agent": "analytics-python/2.0"})
    assert client.log.events[0].context == {}


async def test_what_the_event_says_itself_counts(client: Client) -> None:
    said = {"ip": "198.51.100.1", "userAgent": "App/1.0"}
    await client.post("/v1/track", EVENT | {"context": said}, BROWSER)
    await client.post("/v1/track", EVENT | {"context": said})
    assert [event.context for event in client.log.events] == [said, said]


async def test_events_of_a_batch_have_the_browsers_address(client: Client) -> None:
    await client.post("/v1/batch", {"batch": [item(0), item(1)]}, BROWSER)
    assert [event.context["ip"] for event in client.log.events] == ["203.0.113.9"] * 2


@pytest.mark.parametrize(
    ("from_", "forwarded", "ip"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.7", "198.51.100.7"),  # the first may be made up
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),  # nobody we trust
    ],
)
async def test_only_a_trusted_proxy_says_for_whom_it_speaks(from_: str, forwarded: str, ip: str) -> None:
    client = Client(app=lambda collector: ProxyHeadersMiddleware(collector, trusted_hosts=["10.0.0.0/8"]))
    client.address = (from_, 40_000)
    await client.post("/v1/track", EVENT, BROWSER | {"x-forwarded-for": forwarded})
    assert client.log.events[0].context["ip"] == ip


async def test_without_trusted_proxies_nobody_speaks_for_another(client: Client) -> None:
    await client.post("/v1/track", EVENT, BROWSER | {"x-forwarded-for": "198.51.100.7"})
    assert client.log.events[0].context["ip"] == "203.0.113.9"
