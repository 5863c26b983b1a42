"""Raptor's tracking service: the beacon it answers with, and what its live tracking stream shows."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firsthand.emulators.raptor_rules import ERRORS, WARNINGS

COID, SID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "0A1B2C3D4E5F60718293A4B5C6D7E8F9"
IDS = {"coid": COID, "sid": SID}
VISIT = {"p1": "visit", "p2": "SKU-1", "p4": "10#Home;11#Lamps", "p12": "49.9", "p15": "true", **IDS}
BUY = {"p1": "buy", "p2": "SKU-1", "p5": "0.3", "p12": "0.1", "p13": "3", "p21": "ORD-1", **IDS}
SALE = {"p1": "buy", "p2": "SKU-1", "p21": "ORD-1", "ruid": "dXNlckBleGFtcGxlLmNvbQ==", "source": "webhook"}
CONTROL = "/_control/raptor/"


def address(values, endpoint="rsa"):
    return f"/raptor/1234.{endpoint}?{urlencode(values, quote_via=quote, safe='')}"


async def entry(client, url, method="GET"):
    """The ledger's entry for one more request, which is answered with the beacon whatever it holds."""
    answered = await client.send(method, url)
    assert (answered.status, answered.headers["content-type"], answered.body[:6]) == (200, "image/gif", b"GIF89a")
    return (await client.send("GET", f"{CONTROL}ledger")).json()["received"][-1]


def codes(texts):
    return [text.partition(":")[0] for text in texts]


@pytest.mark.parametrize(
    "values",
    [
        {"p1": "pageview", **IDS},
        VISIT,
        {"p1": "basket", "p10": "SKU-1,SKU-2", **IDS},
        {"p1": "basket", "p10": "", **IDS},
        BUY,
        {"p1": "itemclick", "p2": "SKU-1", "am": "GetSimilarItems", **IDS},
        *({"p1": name, "p2": "x", **IDS} for name in ("favorite", "contentvisit", "search", "searchclick")),
        {"p1": "searchresult", **IDS},
        {"p1": "mailclick", "p2": "SKU-1", "am": "Popular", **IDS},
        {"p1": "pageview", "ruid": "w7hAZXhhbXBsZS5jb20=", "reaid": "rea-1", **IDS},
        {"p1": "pageview", "xuid": "x-1", "v": "2.1.20", "url": "https://shop.example/", "ts": "12345", **IDS},
        {"p1": "pageview", "utm_source": "mail", "utm_content": "top", "oc1": "1", "p999": "é", **IDS},
    ],
)
async def test_what_is_in_order(client, values):
    found = await entry(client, address(values))
    assert (found["errors"], found["warnings"], found["accepted"]) == ([], [], True)
    assert found["body"] == values
    assert (found["customer"], found["endpoint"], found["event"]) == ("1234", "rsa", values["p1"])
    assert (found["cookie_id"], found["session_id"]) == (COID, SID)


@pytest.mark.parametrize("value", ["dXNlckBleGFtcGxlLmNvbQ==", "w7hAZXhhbXBsZS5jb20="])
async def test_the_user_is_shown_in_clear(client, value):
    found = await entry(client, address({"p1": "pageview", "ruid": value, **IDS}))
    assert found["user_id"] in ("user@example.com", "ø@example.com")


async def test_a_sale_in_a_shop(client):
    found = await entry(client, address(SALE, "stream"))
    assert (found["errors"], found["warnings"], found["endpoint"]) == ([], [], "stream")
    assert (found["user_id"], found["cookie_id"], found["session_id"]) == ("user@example.com", None, None)


def without(values, *names):
    return {name: value for name, value in values.items() if name not in names}


WRONG = [
    ("EventMissing", IDS),
    ("CookieIdMissing", without(VISIT, "coid")),
    ("CookieIdMissing", {**VISIT, "coid": ""}),
    ("CookieIdInvalid", {**VISIT, "coid": "v_42"}),
    ("CookieIdInvalid", {**VISIT, "coid": "c232ab00-9414-11ec-b3c8-9f6bdeced846"}),
    ("CookieIdInvalid", {**VISIT, "coid": "0" * 32}),
    ("SessionIdMissing", without(VISIT, "sid")),
    ("SessionIdInvalid", {**VISIT, "sid": "none"}),
    ("UserIdInvalid", {**VISIT, "ruid": "user@example.com"}),
    ("UserIdInvalid", {**VISIT, "ruid": "/w=="}),
    ("UserIdInvalid", {**VISIT, "ruid": "abc"}),
    ("UserIdInvalid", {**VISIT, "ruid": "dXNl cg=="}),
    ("ExternalIdNotAlone", {**VISIT, "xuid": "x-1", "reaid": "rea-1"}),
    ("ExternalIdNotAlone", {**VISIT, "xuid": "x-1", "ruid": "YQ=="}),
    ("ModuleMissing", {"p1": "itemclick", "p2": "SKU-1", **IDS}),
    *(("ProductMissing", without(values, "p2")) for values in (VISIT, BUY)),
    ("BasketMissing", {"p1": "basket", **IDS}),
    ("OrderIdMissing", without(BUY, "p21")),
    ("NumberInvalid", {**VISIT, "p12": "49,90"}),
    ("NumberInvalid", {**BUY, "p12": "1e-1"}),
    ("NumberInvalid", {**BUY, "p5": "-1"}),
    ("NumberInvalid", {**BUY, "p13": "0"}),
    ("SubtotalWrong", {**BUY, "p5": "0.30000000000000004"}),
    ("StockInvalid", {**VISIT, "p15": "True"}),
    *(("ProductMissing", {**values, "p2": "  "}) for values in (VISIT, BUY)),
    *(("AmountMissing", without(BUY, name)) for name in ("p5", "p12", "p13")),
    ("AmountMissing", without(BUY, "p5", "p12", "p13")),
    *(("UrlInvalid", {**VISIT, "url": url}) for url in ("shop.example", "/lamps", "https://", "a b", "http:///x")),
    *(("PlaceholderLeft", {**VISIT, "p7": id}) for id in ("[userId]", "%5BuserId%5D", "%5buserId]")),
    *(("CategoryInvalid", {**VISIT, "p4": path}) for path in ("Lamps", "1#A, B", "1#A;", "1#A#B")),
]


@pytest.mark.parametrize(("code", "values"), WRONG)
async def test_what_is_wrong(client, code, values):
    found = await entry(client, address(values))
    assert (codes(found["errors"]), found["accepted"]) == ([code], False)
    assert ERRORS[code] in found["errors"][0]


@pytest.mark.parametrize(
    "query",
    [
        *("p3=a+b", "p3=æ", "p3=a%2", "p3=%zz", "p3=%ff", "p3=a/b", "p3=a,b", "p3=a:b", "p3=a=b", "p3", "p3=a;b"),
        *("p%C=1", "p3=%ED%A0%80", "p3=a|b", "p3=[id]"),
    ],
)
async def test_what_is_not_url_encoded(client, query):
    found = await entry(client, address({"p1": "pageview", **IDS}) + "&" + query)
    assert codes(found["errors"]) == ["EncodingInvalid"]


async def test_the_template_of_the_documentation_is_no_tracking(client):
    """Placeholders in brackets are to be filled in."""
    query = "p1=itemclick&p2=12345&coid=[cookieId]&ruid=[base64UserId]&sid=[sessionId]&am=[GetSimilarItems]"
    found = await entry(client, f"/raptor/1234.rsa?{query}")
    malformed = {"CookieIdInvalid", "SessionIdInvalid", "UserIdInvalid", "PlaceholderLeft"}
    assert set(codes(found["errors"])) == {*malformed, "EncodingInvalid"}
    found = await entry(client, f"/raptor/1234.rsa?{query.replace('[', '%5B').replace(']', '%5D')}")
    assert set(codes(found["errors"])) == malformed


async def test_a_name_that_comes_twice(client):
    found = await entry(client, address(VISIT) + "&p2=SKU-2")
    assert codes(found["errors"]) == ["ParameterRepeated"]


async def test_only_get_is_a_tracking(client):
    assert codes((await entry(client, address(VISIT), "POST"))["errors"]) == ["MethodInvalid"]


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("UnknownEvent", {"p1": "newsletter", **IDS}),
        ("EventCase", {"p1": "pageView", **IDS}),
        *(("UnknownParameter", {**VISIT, name: "1"}) for name in ("p0", "p01", "p1000", "user")),
        ("EmptyValue", {**VISIT, "p3": ""}),
        ("SourceElsewhere", {**VISIT, "source": "webhook"}),
        ("CategoryDeep", {**VISIT, "p4": "1#A;2#B;3#C;4#D;5#E"}),
        ("AddressLong", {**VISIT, "p3": "a" * 8000}),
        ("BasketRepeats", {"p1": "basket", "p10": "A,B,A", **IDS}),
        ("PersonalData", {**VISIT, "p7": "user@example.com"}),
    ],
)
async def test_what_is_worth_a_warning(client, code, values):
    found = await entry(client, address(values))
    assert (codes(found["warnings"]), found["accepted"]) == ([code], True)
    assert WARNINGS[code] in found["warnings"][0]


@pytest.mark.parametrize(
    ("values", "errors", "warnings"),
    [
        (without(SALE, "source"), ["SourceMissing"], []),
        ({**SALE, "source": "web"}, ["SourceMissing"], []),
        (without(SALE, "ruid"), [], ["StreamUserMissing"]),
        ({**SALE, **IDS}, [], ["StreamOnly", "StreamOnly"]),
        ({**SALE, "ruid": "user@example.com"}, ["UserIdInvalid"], []),
        (without(SALE, "p21"), ["OrderIdMissing"], []),
        ({**SALE, "p1": "visit"}, ["StreamEventInvalid"], []),
    ],
)
async def test_sales_in_a_shop(client, values, errors, warnings):
    found = await entry(client, address(values, "stream"))
    assert (codes(found["errors"]), codes(found["warnings"])) == (errors, warnings)


async def test_the_user_of_a_sale_may_be_plain_where_that_is_set(client):
    await client.send("PUT", f"{CONTROL}settings", {"stream_ruid": "plain"})
    found = await entry(client, address({**SALE, "ruid": "user@example.com"}, "stream"))
    assert (found["errors"], found["user_id"]) == ([], "user@example.com")
    found = await entry(client, address({**VISIT, "ruid": "user@example.com"}))
    assert codes(found["errors"]) == ["UserIdInvalid"]


async def test_positions_are_not_judged_where_they_are_the_customers_own(client):
    await client.send("PUT", f"{CONTROL}settings", {"usual_positions": False})
    found = await entry(client, address({"p1": "buy", "p3": "SKU-1", "p12": "red", **IDS}))
    assert found["errors"] == []
    assert codes((await entry(client, address({"p1": "buy"})))["errors"]) == ["CookieIdMissing", "SessionIdMissing"]


async def test_an_order_line_that_comes_again_is_flagged(client):
    first = await entry(client, address(BUY))
    others = [await entry(client, address({**BUY, **other})) for other in ({"p2": "SKU-2"}, {"p21": "ORD-2"})]
    assert [found["duplicate"] for found in (first, *others)] == [False, False, False]
    again = await entry(client, address({**BUY, "sid": "F" * 32}))
    assert (again["duplicate"], codes(again["warnings"]), again["accepted"]) == (True, ["DuplicateBuy"], True)
    elsewhere = await entry(client, address(BUY).replace("1234", "99"))
    assert elsewhere["duplicate"] is False
    ledger = (await client.send("GET", f"{CONTROL}ledger?limit=0")).json()
    assert (ledger["total"], ledger["accepted"], ledger["duplicate"]) == (5, 5, 1)
    await client.send("DELETE", f"{CONTROL}ledger")
    assert (await entry(client, address(BUY)))["duplicate"] is False


async def test_two_equal_lines_of_one_order_are_no_repetition(client):
    """Nothing in them says so; but they come one behind the other, and whoever had an answer does not send again."""
    lines = [BUY, BUY, {**BUY, "p2": "SKU-2"}]
    assert [(await entry(client, address(line)))["duplicate"] for line in lines] == [False] * 3
    assert [(await entry(client, address(line)))["duplicate"] for line in lines] == [True] * 3


async def test_a_line_whose_answer_was_lost_is_repeated(client):
    await client.send("PUT", f"{CONTROL}faults", {"kind": "truncated", "count": 1})
    await client.send("GET", address(BUY))
    assert (await entry(client, address(BUY)))["duplicate"] is True


async def test_an_order_of_one_line_that_comes_again_later_is_repeated(client):
    await entry(client, address(BUY))
    client.now += 2
    assert (await entry(client, address(BUY)))["duplicate"] is True


async def test_pages_that_come_again_are_no_duplicates(client):
    await entry(client, address(VISIT))
    assert (await entry(client, address(VISIT)))["duplicate"] is False


@pytest.mark.parametrize("path", ["/raptor/1234", "/raptor/.rsa", "/raptor/12/34.rsa", "/raptor/1234.gif", "/raptor/"])
async def test_there_is_nothing_elsewhere(client, path):
    answered = await client.send("GET", path)
    assert answered.status == 404
    assert answered.json()["error"]["message"].startswith(f"there is nothing at {path};")


async def test_a_fault_for_one_order_line(client):
    fault = {"kind": "status_503", "match": {"event": "buy", "product": "SKU-2"}, "count": 1}
    await client.send("PUT", f"{CONTROL}faults", fault)
    statuses = [(await client.send("GET", address({**BUY, "p2": f"SKU-{n}"}))).status for n in (1, 2, 2)]
    assert statuses == [200, 503, 200]
    received = (await client.send("GET", f"{CONTROL}ledger")).json()["received"]
    shown = [(found["accepted"], found["fault"], found["duplicate"]) for found in received]
    assert shown == [(True, None, False), (False, "status_503", False), (True, None, False)]


async def test_slow(client):
    await client.send("PUT", f"{CONTROL}faults", {"kind": "slow", "seconds": 3})
    await entry(client, address(VISIT))
    assert client.slept == [3]


def test_every_code_is_met_here() -> None:
    """What has no example may as well not be there."""
    shown = {code for code, _ in WRONG} | {"EncodingInvalid", "ParameterRepeated", "MethodInvalid", "SourceMissing"}
    shown |= {"StreamEventInvalid"}
    assert shown == set(ERRORS)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=80))
@pytest.mark.parametrize("endpoint", ["rsa", "stream"])
async def test_whatever_is_sent_is_answered_with_the_beacon(client, endpoint, query):
    found = await entry(client, f"/raptor/1234.{endpoint}?p1=buy&{query}&p5={query}&ruid={query}&p4={query}")
    assert found["accepted"] == (not found["errors"])
