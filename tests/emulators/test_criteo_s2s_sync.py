"""Criteo's cookie sync: which answer a browser gets, in which form, and what the ledger says of it."""

import asyncio
import json
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.emulators.conftest import Client

from firsthand.emulators.criteo_s2s_sync import gum_id, user_of
from firsthand.emulators.server import create_app

SYNC = "/criteo-s2s/sync"
BACK = "https://collect.shopname.com/v1/sync/criteo/return/SIGNED/@USERID@"
USER = "5a2c5f0e-0b5e-4b0c-9d1e-7a6d0c1f2e3d"
KNOWN = {"cookie": f"other=1; uid={USER}"}


async def call(client, query, headers=None, method="GET"):
    return await client.send(method, f"{SYNC}?{query}", headers=headers)


async def status(client, query="c=123&a=1&r=2&j=cb", headers=None):
    """What the callback is given; it is called once."""
    answered = await call(client, query, headers)
    assert answered.status == 200
    (given,) = re.fullmatch(rb"cb\((.*)\);", answered.body).groups()
    return json.loads(given)


def user_set(answered):
    """The browser's id in the cookie that an answer sets."""
    cookie = answered.headers["set-cookie"]
    (user,) = re.fullmatch(
        r"uid=([0-9a-f-]{36}); Path=/criteo-s2s; Max-Age=33696000; Secure; HttpOnly; SameSite=None", cookie
    ).groups()
    return user


# -- the three forms -------------------------------------------------------------------------------------------------


async def test_the_id_as_text(client):
    answered = await call(client, "c=123&a=1&r=0", KNOWN)
    assert (answered.status, answered.body.decode()) == (200, gum_id("123", USER))
    assert answered.headers["content-type"] == "text/plain; charset=utf-8"
    assert "access-control-allow-origin" not in answered.headers, "pages can't read it"


async def test_the_id_in_a_redirect(client):
    answered = await call(client, f"c=123&a=1&r=1&u={quote(BACK, safe='')}", KNOWN)
    assert (answered.status, answered.body) == (302, b"")
    assert answered.headers["location"] == BACK.replace("@USERID@", gum_id("123", USER))


async def test_the_id_in_a_call(client):
    answered = await call(client, "c=123&a=1&r=2&j=_gum.of$7f3a", KNOWN)
    assert answered.body.decode() == f'_gum.of$7f3a({{"status":"OK","userid":"{gum_id("123", USER)}"}});'
    assert answered.headers["content-type"] == "application/javascript; charset=utf-8"
    assert answered.headers["x-content-type-options"] == "nosniff"
    assert answered.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answered.headers, "it has its cookie"


@pytest.mark.parametrize(
    ("u", "location"),
    [
        (BACK, BACK),
        ("//collect.shopname.com/back/@USERID@", "http://collect.shopname.com/back/@USERID@"),
        ("https://shopname.com/%40USERID%40", "https://shopname.com/@USERID@"),
        ("http://127.0.0.1:8080/@USERID@?v=1", "http://127.0.0.1:8080/@USERID@?v=1"),
        ("http://[::1]:8080/@USERID@", "http://[::1]:8080/@USERID@"),
        ("http://localhost/a+b/@USERID@", "http://localhost/a+b/@USERID@"),
        ("http://localhost/caf%C3%A9/@USERID@", "http://localhost/caf%C3%A9/@USERID@"),
    ],
)
async def test_the_address_may_be_unencoded_and_without_a_scheme(client, u, location):
    answered = await call(client, f"c=123&a=1&r=1&u={u}", KNOWN)
    assert answered.headers.get("location") == location.replace("@USERID@", gum_id("123", USER))


# -- whose id --------------------------------------------------------------------------------------------------------


async def test_a_new_browser_gets_a_cookie_and_keeps_its_id(client):
    first = await call(client, "c=123&a=1&r=0")
    user = user_set(first)
    again = await call(client, "c=123&a=1&r=0", {"cookie": f"uid={user}"})
    assert again.body == first.body == gum_id("123", user).encode()
    other = await call(client, "c=123&a=1&r=0")
    assert other.body != first.body


async def test_each_caller_gets_an_id_of_its_own(client):
    one, other = [await status(client, f"c={caller}&a=1&r=2&j=cb", KNOWN) for caller in ("123", "777")]
    assert one["userid"] != other["userid"]
    assert USER not in (one["userid"], other["userid"])


@given(caller=st.text("0123456789", min_size=1, max_size=20), user=st.uuids().map(str))
def test_an_id_leads_back_to_its_browser_with_its_caller_only(caller, user):
    id = gum_id(caller, user)
    assert re.fullmatch("[A-Za-z0-9_-]{32}", id)
    assert user_of(caller, id) == user
    assert user_of(caller + "0", id) is None


@given(st.text() | st.binary(max_size=40).map(lambda data: data.hex()))
def test_an_id_made_up_leads_nowhere(id):
    assert user_of("123", id) is None


@pytest.mark.parametrize("cookie", ["uid=", "uid=nonsense", "xuid=" + USER, f"uid={USER}0", "uid=" + "é" * 36])
async def test_a_cookie_that_is_not_criteos_counts_for_none(client, cookie):
    answered = await call(client, "c=123&a=1&r=0", {"cookie": cookie.encode().decode("latin-1")})
    assert user_set(answered) != USER


# -- no id -----------------------------------------------------------------------------------------------------------


async def answers_without_id(client, query, headers, word):
    """Of one situation, all three forms."""
    assert await status(client, f"{query}&r=2&j=cb", headers) == {"status": word}
    plain = await call(client, f"{query}&r=0", headers)
    assert (plain.status, plain.body) == (200, b"")
    redirect = await call(client, f"{query}&r=1&u={quote(BACK, safe='')}", headers)
    assert redirect.headers["location"] == BACK.replace("@USERID@", "")


async def test_an_id_is_made_on_request_only(client):
    await answers_without_id(client, "c=123&a=0", None, "Unknown")
    assert "set-cookie" not in (await call(client, "c=123&a=0&r=0")).headers
    assert (await status(client, "c=123&a=0&r=2&j=cb", KNOWN))["status"] == "OK"


async def test_without_a_it_takes_two_calls(client):
    first = await call(client, "c=123&r=0")
    assert first.body == b""
    second = await call(client, "c=123&r=0", {"cookie": f"uid={user_set(first)}"})
    assert second.body == gum_id("123", user_set(first)).encode()


async def test_the_mode_without_an_id_at_the_first_call(client):
    await client.control("PUT", "settings", {"sync": {"id_at_first_call": False}})
    await answers_without_id(client, "c=123&a=1", None, "Unknown")
    user = user_set(await call(client, "c=123&a=1&r=0"))
    assert (await status(client, headers={"cookie": f"uid={user}"}))["userid"] == gum_id("123", user)


async def test_who_opted_out_is_not_named(client):
    headers = {"cookie": f"uid={USER}; optout=1"}
    await answers_without_id(client, "c=123&a=1", headers, "OptOut")


async def test_a_browser_that_blocks_third_party_cookies(client):
    await client.control("PUT", "settings", {"sync": {"third_party_cookies": False}})
    await answers_without_id(client, "c=123&a=1", KNOWN, "Unknown")
    assert "set-cookie" not in (await call(client, "c=123&a=1&r=0")).headers


async def test_the_macro_may_stay_where_there_is_no_id(client):
    await client.control("PUT", "settings", {"sync": {"without_id": "macro"}})
    answered = await call(client, f"c=123&a=0&r=1&u={quote(BACK, safe='')}")
    assert answered.headers["location"] == BACK


CONSENT = [
    ("gdpr=0", "not_applicable", True),
    ("gdpr=0&gdpr_consent=REFUSED", "not_applicable", True),
    ("gdpr_consent=REFUSED", "none", True),
    ("gdpr=1&gdpr_consent=GRANTED", "granted", True),
    ("gdpr=1&gdpr_consent=OLD", "refused", False),
    ("gdpr=1&gdpr_consent=REFUSED", "refused", False),
    ("gdpr=1&gdpr_consent=NO_PURPOSE", "refused", False),
    ("gdpr=1&gdpr_consent=nonsense", "refused", False),
    ("gdpr=1&gdpr_consent=", "refused", False),
    ("gdpr=1", "refused", False),
]


@pytest.mark.parametrize(("query", "consent", "named"), CONSENT)
async def test_consent(client, tc_string, query, consent, named):
    strings = {
        "NO_PURPOSE": tc_string([91], purposes=[2, 3, 4]),
        "REFUSED": tc_string([90, 92]),
        "GRANTED": tc_string([90, 91]),
        "OLD": tc_string([91], version=1),
    }
    for name, string in strings.items():
        query = query.replace(f"gdpr_consent={name}", f"gdpr_consent={string}")
    if named:
        assert (await status(client, f"c=123&a=1&r=2&j=cb&{query}", KNOWN))["userid"] == gum_id("123", USER)
    else:
        await answers_without_id(client, f"c=123&a=1&{query}", KNOWN, "Unknown")
        assert "set-cookie" not in (await call(client, f"c=123&a=1&r=0&{query}")).headers
    assert {entry["consent"] for entry in await client.received()} == {consent}


# -- what is refused -------------------------------------------------------------------------------------------------

REFUSED = [
    ("a=1&r=0", "CallerInvalid"),
    ("c=abc&a=1&r=0", "CallerInvalid"),
    ("c=&a=1&r=0", "CallerInvalid"),
    ("c=%D9%A1&a=1&r=0", "CallerInvalid"),
    ("c=123&a=1&r=3", "ResponseInvalid"),
    ("c=123&a=1&r=", "ResponseInvalid"),
    ("c=123&a=1", "ResponseInvalid"),
    ("c=123&a=2&r=0", "FlagInvalid"),
    ("c=123&a=1&r=2", "CallbackInvalid"),
    ("c=123&a=1&r=2&j=", "CallbackInvalid"),
    ("c=123&a=1&r=2&j=alert(1)", "CallbackInvalid"),
    ("c=123&a=1&r=2&j=a%0A", "CallbackInvalid"),
    ("c=123&a=1&r=2&j=1a", "CallbackInvalid"),
    ("c=123&a=1&r=2&j=%C3%A9", "CallbackInvalid"),
    ("c=123&a=1&r=2&j=" + "a" * 65, "CallbackInvalid"),
    ("c=123&a=1&r=1", "ReturnMissing"),
    ("c=123&a=1&r=1&u=", "ReturnMissing"),
    ("c=123&a=1&r=1&u=/back/@USERID@", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=javascript:alert(1)", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=ftp://shopname.com/", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=https://shopname.com@evil.example/", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=https://evil.example%5C.shopname.com/", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=https://shopname.com/%0D%0Aset-cookie:x=1", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=https://[evil/", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=https://shopname.com:x/", "ReturnInvalid"),
    ("c=123&a=1&r=1&u=https://evil.example/", "ReturnRefused"),
    ("c=123&a=1&r=1&u=//evil.example/", "ReturnRefused"),
    ("c=123&a=1&r=1&u=https://evilshopname.com/", "ReturnRefused"),
    ("c=123&a=1&r=1&u=https://shopname.com.evil.example/", "ReturnRefused"),
    ("c=123&a=1&r=1&u=https://127.0.0.1.evil.example/", "ReturnRefused"),
]


@pytest.mark.parametrize(("query", "code"), REFUSED)
async def test_refusals(client, query, code):
    answered = await call(client, query, KNOWN)
    assert (answered.status, answered.json()["error"]["code"]) == (400, code)
    assert answered.headers["content-type"] == "application/json"
    assert {"location", "set-cookie"}.isdisjoint(answered.headers)
    (entry,) = await client.received()
    assert (entry["accepted"], entry["sync"], entry["id"], entry["user"]) == (False, None, None, None)
    assert entry["errors"][0].startswith(f"{code}: ")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT"])
async def test_get_only(client, method):
    answered = await call(client, "c=123&a=1&r=0", method=method)
    assert (answered.status, answered.headers["allow"]) == (405, "GET")


async def test_a_callers_hosts_can_be_set(client):
    await client.control("PUT", "settings", {"sync": {"return_hosts": {"123": ["collect.shop.example"]}}})
    assert (await call(client, "c=123&a=1&r=1&u=https://collect.shop.example/@USERID@")).status == 302
    for u in ("https://shop.example/", "https://www.shopname.com/", "http://127.0.0.1/"):
        assert (await call(client, f"c=123&a=1&r=1&u={u}")).status == 400
    assert (await call(client, "c=777&a=1&r=1&u=https://www.shopname.com/")).status == 302


@given(query=st.text("caruj=&%123/:@?#[]\\ \ngdpronset_", max_size=80))
def test_no_query_breaks_it(query):
    client = Client(create_app())
    answered = asyncio.run(client.send("GET", f"{SYNC}?{quote(query, safe='=&%/:@?')}"))
    assert answered.status in (200, 302, 400)
    assert not {"\n", "\r"} & set("".join(answered.headers.values()))


# -- the ledger ------------------------------------------------------------------------------------------------------


async def test_a_call_is_recorded_and_counted_as_a_sync(client):
    await call(client, "c=123&a=1&r=2&j=cb&x=1", KNOWN)
    ledger = await client.control("GET", "ledger")
    (entry,) = ledger["received"]
    assert entry == {
        "index": 0,
        "at": "2026-11-22T10:20:00.000Z",
        "method": "GET",
        "url": "http://emulator.test/criteo-s2s/sync?c=123&a=1&r=2&j=cb&x=1",
        "body": "",
        "accepted": True,
        "errors": [],
        "warnings": ["UnknownField: the parameter x is not in the guide"],
        "status": 200,
        "fault": None,
        "caller": "123",
        "response": "2",
        "sync": "OK",
        "id": gum_id("123", USER),
        "user": USER,
        "consent": "none",
    }
    assert (ledger["total"], ledger["syncs"], ledger["accepted"]) == (1, 1, 0), "accepted are events"


async def test_an_event_is_matched_to_the_browser_by_its_callers_id(client, envelope):
    ids = [
        {"mapping_key": "123", "mapped_user_id": gum_id("123", USER)},
        {"mapping_key": 123, "mapped_user_id": gum_id("123", USER)},
        {"mapping_key": "777", "mapped_user_id": gum_id("123", USER)},
        {"mapping_key": "123", "mapped_user_id": "made-up"},
        {"mapping_key": "123", "mapped_user_id": 5},
        {"mapping_key": "123"},
    ]
    for one in ids:
        await client.post(envelope(id=one))
    assert [entry["user"] for entry in await client.received()] == [USER, USER, None, None, None, None]


@pytest.mark.parametrize(
    ("kind", "accepted", "http"), [("status_503", False, 503), ("empty", False, 200), ("slow", True, 200)]
)
async def test_faults_meet_syncs_too(client, envelope, kind, accepted, http):
    await client.control("PUT", "faults", {"kind": kind, "seconds": 9, "match": {"event": "sync"}})
    await client.post(envelope())
    assert (await call(client, "c=123&a=1&r=0")).status == http
    event, sync = await client.received()
    assert (event["fault"], sync["fault"], sync["accepted"]) == (None, kind, accepted)
    assert client.slept == ([9] if kind == "slow" else [])
