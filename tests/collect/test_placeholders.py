"""Ids that name nobody: what programs write where a visitor is not known. The event is kept and links nobody."""

from typing import Any

import msgspec
import pytest
from tests.collect.client import BROWSER, SITE, Client, item

from firsthand.config import Integration
from firsthand.placeholders import WORDS, clean_id
from firsthand.vendors import registry

NOBODY: list[tuple[Any, str]] = [
    (0, "0"),
    (0.0, "0"),
    (-1, "-1"),
    ("0", "0"),
    (" 0 ", "0"),
    ("NULL", "null"),
    ('"undefined"', "undefined"),
    ("'undefined'", "undefined"),
    ('" Guest "', "guest"),
    ("%22null%22", "null"),
    ("\ufeffNone\u200b", "none"),
    ("[object object]", "[object Object]"),
    ("N/A", "n/a"),
    (False, "false"),
    (True, "true"),
    ({}, "{}"),
    ([], "[]"),
    ({"id": "u1"}, "[object Object]"),
    ("00000000-0000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000"),
    ("  ", "(blank)"),
    ('""', "(blank)"),
    ('"', "(blank)"),
    ("-", "(blank)"),
    ("\u201cguest\u201d", "guest"),
    ("\u201enull\u201c", "null"),
    ("\xabnull\xbb", "null"),
    ("`null`", "null"),
    ("%27null%27", "null"),
    ("\u200fguest\u200e", "guest"),
    ("\xa0guest\xa0", "guest"),
    ("0.0", "0"),
    ("0,00", "0"),
    ("-1.0", "-1"),
    ("(not set)", "not set"),
    ("(null)", "null"),
    ("<null>", "null"),
    ("{00000000-0000-0000-0000-000000000000}", "00000000-0000-0000-0000-000000000000"),
    ("{{user_id}}", "(template)"),
    ("{{ customer.id | default: '' }}", "(template)"),
    ("${user.id}", "(template)"),
    ("[[userId]]", "(template)"),
    ("<%= user.id %>", "(template)"),
    ("M\ufffdller", "(unreadable)"),
]


@pytest.mark.parametrize(("sent", "word"), NOBODY)
async def test_a_user_id_that_names_nobody_is_dropped_and_counted(client: Client, sent: Any, word: str) -> None:
    assert (await client.track(userId=sent, anonymousId="a1")).status == 200
    assert (client.log.events[0].user_id, client.log.events[0].anonymous_id) == (None, "a1")
    assert client.log.noted == {("placeholder", "shop", word): 1}


@pytest.mark.parametrize("sent", [*WORDS, *(word.upper() for word in WORDS), *(f' "{word}"' for word in WORDS)])
def test_every_word_of_the_list_names_nobody(sent: str) -> None:
    assert clean_id(sent) is None


@pytest.mark.parametrize(
    ("sent", "id"),
    [
        (" u1 ", "u1"),
        ('"u1"', "u1"),
        ("%22u1%22", "u1"),
        ('u"1"', 'u"1"'),
        ("00", "00"),
        ("null-42", "null-42"),
        ("\u201cu1\u201d", "u1"),
        ("(u1)", "(u1)"),
        ("{u1}", "{u1}"),
        ("-u1", "-u1"),
        ("10.0", "10.0"),
        ("0.5", "0.5"),
        ("test", "test"),
        ("\U0001f600", "\U0001f600"),
        (12.0, "12"),
        (1.5, "1.5"),
    ],
)
async def test_of_any_other_id_what_stands_around_it_goes(client: Client, sent: Any, id: str) -> None:
    await client.track(userId=sent, anonymousId=sent)
    assert (client.log.events[0].user_id, client.log.events[0].anonymous_id) == (id, id)
    assert not client.log.noted


@pytest.mark.parametrize(
    "ids", [{"userId": 0}, {"userId": "", "anonymousId": ""}, {"userId": "null", "anonymousId": {}}]
)
async def test_an_event_that_names_nobody_is_kept_under_an_id_of_its_own(client: Client, ids: dict[str, Any]) -> None:
    for number in (1, 2, 1):
        sent = {"event": "Order Completed", "messageId": f"m{number}"} | ids
        assert (await client.post("/v1/track", sent)).status == 200
    first, second = client.log.events
    assert first.anonymous_id != second.anonymous_id
    assert first.user_id is second.user_id is None
    assert client.log.records[0].visitor != client.log.records[1].visitor


@pytest.mark.parametrize(
    ("type", "fields"),
    [
        ("alias", {"previousId": "undefined", "userId": "u1"}),
        ("alias", {"previousId": "a1", "userId": "undefined"}),
        ("group", {"groupId": "null", "userId": "u1"}),
    ],
)
async def test_calls_that_link_nobody_are_kept(client: Client, type: str, fields: dict[str, Any]) -> None:
    assert (await client.post(f"/v1/{type}", fields)).status == 200
    assert not {"undefined", "null"} & set(vars_of(client))


def vars_of(client: Client) -> list[str]:
    event = msgspec.to_builtins(client.log.events[0])
    return [value for value in event.values() if isinstance(value, str)]


async def test_one_word_as_the_id_of_many_messages_makes_them_no_duplicates(client: Client) -> None:
    await client.batch(*(item(0, messageId=sent) for sent in ("undefined", "undefined", "null", "null", "{}")))
    assert len({event.message_id for event in client.log.events}) == 5


async def test_vendors_ids_are_held_against_the_same_list() -> None:
    client = Client()
    ids = {"criteo_gum_id": "undefined", "raptor_coid": 0, "raptor_sid": ' "s1" ', "other": 12, "none": None}
    await client.track(context={"ids": ids})
    assert client.log.events[0].context["ids"] == {"raptor_sid": "s1", "other": "12"}
    assert client.log.noted == {("placeholder", "shop", "undefined"): 1, ("placeholder", "shop", "0"): 1}


async def test_a_vendors_id_among_the_traits_is_held_against_it_too() -> None:
    traits = {"criteo_gum_id": "null", "criteo_gum_id@123": "undefined", "nickname": "null"}
    for sources, left in ((None, {"nickname": "null"}), (("tills",), traits)):
        settings = registry()["criteo-s2s"].settings(partner_id="12345", mapping_key="123")
        client = Client(
            integrations=[Integration(key="criteo", vendor="criteo-s2s", settings=settings, sources=sources)]
        )
        await client.post("/v1/identify", {"userId": "u1", "traits": traits})
        assert client.log.events[0].traits == left, "no vendor's where none is fed by this source"


async def test_a_pixel_names_nobody_either() -> None:
    client = Client()
    query = "writeKey=shop-key&event=Opened&userId=%22undefined%22&anonymousId=a1&context.ids.criteo_gum_id=null"
    await client.send("GET", "/v1/pixel/track", {}, query=query)
    event = client.log.events[0]
    assert (event.user_id, event.anonymous_id, event.context["ids"]) == (None, "a1", {})
    assert client.log.noted == {("placeholder", "shop", "undefined"): 1, ("placeholder", "shop", "null"): 1}


async def test_words_of_a_batch_are_counted_by_source() -> None:
    client = Client()
    await client.batch(item(0, userId="null"), item(1, userId="NULL"), item(2, userId="guest", anonymousId="a"))
    await client.post("/v1/track", item(3, userId="null"), BROWSER, key=SITE.write_key)
    assert client.log.noted == {
        ("placeholder", "shop", "null"): 2,
        ("placeholder", "shop", "guest"): 1,
        ("placeholder", "site", "null"): 1,
    }
