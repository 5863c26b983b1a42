"""One minimal example for each error and warning of Criteo's emulator.

The texts are this project's (Criteo publishes none), so a table of them is also their documentation.
"""

from typing import Any

import pytest

from firsthand.emulators.criteo_s2s_rules import ERRORS, WARNINGS

URL = "/criteo-s2s/eu/m/event?version=s2s_v0"
ITEM = {"id": "SKU-A", "price": 12.5, "quantity": 2}
MD5 = "b58996c504c5638798eb6b511e6f49af"  # of user@example.com, like the following
SHA256 = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
SHA256_MD5 = "7f7892563bd354c8aa47ec54a5ce8c6100c6258089273db2f8c777e1853d365b"
GAID = "cdda802e-fb9c-47ad-9866-0794d394c912"
OTHER_MD5 = "e13743a7f1db7f4246badd6fd6ff54ff"
EMPTY = {
    "md5": "d41d8cd98f00b204e9800998ecf8427e",
    "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha256_md5": "f215faf9d88b7f0a881632ee22459ee452a296c808d261b6cc993d3a1fd0600e",
}


def email(**forms: Any) -> dict[str, Any]:
    return {"id": {"mapping_key": "123", "email": forms}}


def item(**fields: Any) -> dict[str, Any]:
    """A cart with one item, changed; None leaves a field out."""
    changed = {name: value for name, value in {**ITEM, **fields}.items() if value is not None}
    return {"event": "addToCart", "item": [changed]}


def sale(**fields: Any) -> dict[str, Any]:
    return {"event": "trackTransaction", "id": "ORD-1", "item": [ITEM], **fields}


def home(**fields: Any) -> dict[str, Any]:
    return {"event": "viewHome", **fields}


ENVELOPE_ERRORS: list[tuple[dict[str, Any], list[str]]] = [
    ({"version": None}, ["MissingVersion: the body's version must be a text such as s2s_v1.0.0; it is missing"]),
    ({"account": None}, ["AccountMissing: account, the partner id, is required"]),
    ({"account": "XXXX"}, ["AccountInvalid: account must be a partner id such as '12345'; it is 'XXXX'"]),
    ({"account": {"id": "1"}}, ["AccountInvalid: account must be a partner id such as '12345'; it is an object"]),
    ({"ip": None, "useragent": ["x"]}, ["FieldType: useragent must be text; it is a list"]),
    ({"id": "gum"}, ["FieldType: id must be an object; it is 'gum'"]),
    ({"id": {"mapped_user_id": "gum"}}, ["MappingKeyMissing: id.mapping_key is required with id.mapped_user_id"]),
    ({"id": {"mapping_key": "1"}, "retailer_visitor_id": None}, ["UserIdentifierMissing"]),
    (email(md5=MD5.upper()), ["EmailHashInvalid: id.email.md5 must be 32 characters of lower-case hex"]),
    (email(sha256=MD5), ["EmailHashInvalid: id.email.sha256 must be 64 characters of lower-case hex"]),
    (email(sha256="user@example.com"), ["EmailHashInvalid: id.email.sha256 must be 64 characters of lower-case hex"]),
    (email(raw=" User@example.com"), ["EmailHashInvalid: id.email.raw must be trimmed and in lower case"]),
    (email(md5=EMPTY["md5"]), ["EmailHashEmpty: id.email.md5 is the hash of an empty text"]),
    (email(sha256=EMPTY["sha256"]), ["EmailHashEmpty: id.email.sha256 is the hash of an empty text"]),
    (email(sha256_md5=EMPTY["sha256_md5"]), ["EmailHashEmpty: id.email.sha256_md5 is the hash of an empty text"]),
    (
        email(md5=OTHER_MD5, sha256_md5=SHA256_MD5),
        ["EmailHashMismatch: id.email.sha256_md5 is not the SHA-256 of id.email.md5's characters"],
    ),
    (
        email(sha256=SHA256, sha256_md5=SHA256),
        ["EmailHashMismatch: id.email.sha256 and id.email.sha256_md5 are the same"],
    ),
    (
        email(raw="user@example.com", md5=OTHER_MD5, sha256=SHA256),
        ["EmailHashMismatch: id.email.md5 is not the hash of id.email.raw"],
    ),
    ({"events": None}, ["EventsMissing: events must be a list of at least one event; it is missing"]),
    ({"events": []}, ["EventsMissing: events must be a list of at least one event; it is missing"]),
    ({"events": home()}, ["EventsMissing: events must be a list of at least one event; it is an object"]),
]

EVENT_ERRORS: list[tuple[Any, list[str]]] = [
    ("viewHome", ["FieldType: an event is an object, not 'viewHome'"]),
    ({"type": "viewHome"}, ["UnknownEvent: the field event must name the event; it is missing"]),
    (home(event="transactionConfirmation"), ["UnknownEvent: 'transactionConfirmation' is not an event; there are …"]),
    (home(event="viewhome"), ["UnknownEvent: 'viewhome' is not an event; there are …"]),
    ({"event": "viewItem"}, ["ItemMissing: item is required"]),
    ({"event": "viewBasket", "item": []}, ["ItemMissing: item is required"]),
    ({"event": "viewItem", "item": ["A"]}, ["ItemShape: item must be one product id as text; it is a list"]),
    ({"event": "viewItem", "item": ITEM}, ["ItemShape: item must be one product id as text; it is an object"]),
    ({"event": "viewList", "item": "A"}, ["ItemShape: item must be a list of product ids; it is 'A'"]),
    ({"event": "viewList", "item": [ITEM]}, ["ItemShape: item[0] is an object; a product id is expected"]),
    (
        {"event": "addToCart", "item": "A"},
        ["ItemShape: item must be a list of objects with id, price, quantity; it is 'A'"],
    ),
    (
        {"event": "addToCart", "item": ["A"]},
        ["ItemShape: item[0] must be an object with id, price and quantity; it is 'A'"],
    ),
    (item(id=None), ["ItemIdEmpty: item[0] has no id"]),
    ({"event": "viewList", "item": ["A", ""]}, ["ItemIdEmpty: item[1] has no product id"]),
    (item(price=None), ["PriceInvalid: item[0].price is missing"]),
    (item(price="12,50"), ["PriceInvalid: item[0].price '12,50' is not a number"]),
    (item(price="£12.50"), ["PriceInvalid: item[0].price '£12.50' is not a number"]),
    (item(price="1'200.00"), ['PriceInvalid: item[0].price "1\'200.00" is not a number']),
    (item(price="##Price##"), ["PriceInvalid: item[0].price '##Price##' is not a number"]),
    (item(price="NaN"), ["PriceInvalid: item[0].price 'NaN' is not a number"]),
    (item(price=-1), ["PriceInvalid: item[0].price -1 is negative"]),
    (item(price=True), ["PriceInvalid: item[0].price true is not a number"]),
    (item(quantity=None), ["QuantityInvalid: item[0].quantity is missing"]),
    (item(quantity=1.5), ["QuantityInvalid: item[0].quantity 1.5 is not a whole number"]),
    (item(quantity=0), ["QuantityInvalid: item[0].quantity 0 is less than 1"]),
    ({"event": "viewSearch", "nbra": "two"}, ["QuantityInvalid: nbra 'two' is not a whole number"]),
    (
        {"event": "addToCart", "item": [{}, {**ITEM, "price": "1,0", "quantity": -1}]},
        [
            "ItemIdEmpty: item[0] has no id",
            "PriceInvalid: item[0].price is missing",
            "QuantityInvalid: item[0].quantity is missing",
            "PriceInvalid: item[1].price '1,0' is not a number",
            "QuantityInvalid: item[1].quantity -1 is less than 1",
        ],
    ),
    ({"event": "trackTransaction", "item": [ITEM]}, ["TransactionIdMissing: id, the order's id, is required"]),
    (sale(dd="true"), ["DedupInvalid: dd 'true' is neither 0 nor 1"]),
    (sale(dd=True), ["DedupInvalid: dd true is neither 0 nor 1"]),
    (sale(dd=2), ["DedupInvalid: dd 2 is neither 0 nor 1"]),
    (sale(user_segment=19), ["TimestampMissing: timestamp is mandatory for offline sales"]),
    (sale(store_id=["S1"]), ["StoreIdShape: store_id must be one store id; it is a list"]),
    ({"event": "viewStore", "store_id": ["S1"]}, ["StoreIdShape: store_id must be one store id; it is a list"]),
    (
        {"event": "checkAvailability", "item": "A", "store_id": "S1"},
        ["StoreIdShape: store_id must be a list of store ids; it is 'S1'"],
    ),
    (
        home(timestamp="2026-11-22T10:15:00"),
        ["TimestampInvalid: '2026-11-22T10:15:00' is not ISO 8601 with Z or an offset from UTC"],
    ),
    (
        home(timestamp="2026-13-45T10:15:00Z"),
        ["TimestampInvalid: '2026-13-45T10:15:00Z' is not ISO 8601 with Z or an offset from UTC"],
    ),
    (
        home(timestamp="2026-11-22T10:26:00Z"),
        ["TimestampInvalid: '2026-11-22T10:26:00Z' is 360 s in the future"],
    ),
    (
        {"event": "viewSearch", "checkin_date": "02/06/2027"},
        ["DateInvalid: checkin_date '02/06/2027' is not a date, YYYY-MM-DD"],
    ),
    (
        {"event": "viewSearch", "checkin_date": "2027-02-30"},
        ["DateInvalid: checkin_date '2027-02-30' is not a date, YYYY-MM-DD"],
    ),
    (
        {"event": "viewSearch", "checkin_date": "2027-06-02", "checkout_date": "2027-06-01"},
        ["DateInvalid: checkout_date 2027-06-01 is before 2027-06-02"],
    ),
]

ENVELOPE_WARNINGS: list[tuple[dict[str, Any], list[str]]] = [
    ({"id": {"gaid": GAID}}, ["MappingKeyMissing: id.mapping_key is missing"]),
    ({"customer_id": "c1"}, ["UnknownField: customer_id is not in the guide"]),
    ({"previous_url": ""}, ["EmptyValue: previous_url is empty; leave it out"]),
    (email(md5=MD5, sha256=""), ["EmptyValue: id.email.sha256 is empty; leave it out"]),
    ({"useragent": None, "user_agent": "Mozilla/5.0"}, ["AliasUsed: user_agent is an alias; the field is useragent"]),
    ({"site_type": "m,d,or t"}, ["SiteTypeUnknown: site_type must be d, m or t; it is 'm,d,or t'"]),
    ({"ip": None}, ["MissingIp: ip is highly recommended"]),
    ({"ip": "203.0.113.x"}, ["MissingIp: ip is not an address"]),
    ({"useragent": None}, ["MissingUserAgent: useragent is highly recommended"]),
    ({"full_url": None}, ["MissingUrl: full_url is highly recommended"]),
    ({"full_url": "/cart"}, ["MissingUrl: full_url is not an absolute web address"]),
    (email(raw="user@example.com"), ["RawEmail: id.email.raw holds the address itself; send hashes"]),
    ({"version": "walkeros_criteo_1.0.0"}, ["NonStandardVersion: the body's version is 'walkeros_criteo_1.0.0', …"]),
]

EVENT_WARNINGS: list[tuple[dict[str, Any], list[str]]] = [
    (home(currency="USD"), ["UnknownField: currency is not in the guide"]),
    (sale(total=25.0), ["UnknownField: total is not in the guide"]),
    (sale(dd=""), ["EmptyValue: dd is empty; leave it out"]),
    ({"event": "viewProduct", "item": "A"}, ["AliasUsed: viewProduct is an alias; the event is viewItem"]),
    ({"event": "viewList", "products": ["A"]}, ["AliasUsed: products is an alias; the field is item"]),
    (sale(deduplication=1), ["AliasUsed: deduplication is the browser tag's name; the field is dd"]),
    (item(price="12.50"), ["NumberAsString: item[0].price '12.50' is a number in quotes"]),
    (item(quantity="2"), ["NumberAsString: item[0].quantity '2' is a number in quotes"]),
    ({"event": "viewItem", "item": 1234}, ["IdAsNumber: item 1234 is a number; ids are text"]),
    (item(id=1234), ["IdAsNumber: item[0].id 1234 is a number; ids are text"]),
    (
        {"event": "viewList", "item": ["A"], "keyword": "shirt"},
        ["KeywordIgnored: keyword is ignored; the field is keywords"],
    ),
    (sale(currency="dollars"), ["CurrencyUnknown: 'dollars' is not an ISO 4217 code"]),
    (
        {"event": "viewList", "item": ["A", "B", "C", "D"]},
        ["MoreThanThreeItems: item has 4 products; the top three are enough"],
    ),
    (
        home(timestamp="2026-11-22T10:04:59Z"),
        ["TimestampTooOld: '2026-11-22T10:04:59Z' is 901 s old; send events within 15 minutes"],
    ),
    (home(timestamp=1795342800), ["TimestampEpoch: 1795342800 is a number since 1970; send ISO 8601"]),
]

CONSENT_WARNINGS: list[tuple[str, str]] = [
    ("gra=1", "ConsentIncomplete: gra=1 without grs, the TC string"),
    ("grs=TC2&grv=2", "ConsentIncomplete: grs without gra=1 says nothing"),
    ("grv=2", "ConsentIncomplete: grv without gra and grs"),
    ("gra=yes", "ConsentIncomplete: gra must be 1 or 0; it is 'yes'"),
    ("gra=1&grs=TC2", "ConsentIncomplete: grs is a TCF 2 string, so grv must be present"),
    ("gra=1&grs=TC1", "ConsentIncomplete: grs is not a TC string: it is of version 1, and only 2 is in use"),
    ("gra=1&grs=consent&grv=2", "ConsentIncomplete: grs is not a TC string: …"),
    ("consent=1", "UnknownField: the parameter consent is not in the guide"),
]


def matches(texts: list[str], expected: list[str], prefix: str = "") -> bool:
    """Whether the texts are the expected ones; `…` stands for any rest."""
    if len(texts) != len(expected):
        return False
    for text, wanted in zip(texts, (prefix + one for one in expected), strict=True):
        if not (text.startswith(wanted[:-1]) if wanted.endswith("…") else text == wanted):
            return False
    return True


@pytest.mark.parametrize(("fields", "expected"), ENVELOPE_ERRORS, ids=lambda value: str(value)[:60])
async def test_envelope_errors(client, envelope, fields, expected):
    answer = await client.post(envelope(**fields))
    assert matches(answer["errors"], expected), answer
    (entry,) = await client.received()
    assert (entry["accepted"], entry["errors"]) == (False, answer["errors"])


@pytest.mark.parametrize(("event", "expected"), EVENT_ERRORS, ids=lambda value: str(value)[:60])
async def test_event_errors_name_their_event(client, envelope, event, expected):
    answer = await client.post(envelope(home(), event))
    assert matches(answer["errors"], expected, "events[1]."), answer


@pytest.mark.parametrize(("fields", "expected"), ENVELOPE_WARNINGS, ids=lambda value: str(value)[:60])
async def test_envelope_warnings(client, envelope, fields, expected):
    answer = await client.post(envelope(**fields))
    assert answer["errors"] == []
    assert matches(answer["warnings"], expected), answer
    (entry,) = await client.received()
    assert (entry["accepted"], entry["warnings"]) == (True, answer["warnings"])


@pytest.mark.parametrize(("event", "expected"), EVENT_WARNINGS, ids=lambda value: str(value)[:60])
async def test_event_warnings_name_their_event(client, envelope, event, expected):
    answer = await client.post(envelope(event))
    assert answer["errors"] == []
    assert matches(answer["warnings"], expected, "events[0]."), answer


@pytest.mark.parametrize(("query", "expected"), CONSENT_WARNINGS)
async def test_consent_warnings(client, envelope, tc_string, query, expected):
    query = query.replace("TC2", tc_string([91])).replace("TC1", tc_string([91], version=1))
    answer = await client.post(envelope(), f"{URL}&{query}")
    assert answer["errors"] == []
    assert matches(answer["warnings"], [expected]), answer


TRANSPORT_ERRORS: list[tuple[str, str, dict[str, Any], str]] = [
    ("POST", "/criteo-s2s/eu/m/event", {}, "MissingVersion: the address must have version=s2s_v0; it is missing"),
    ("POST", f"{URL[:-6]}s2s_v1.0.0", {}, "MissingVersion: the address must have version=s2s_v0; it is 's2s_v1.0.0'"),
    ("PUT", URL, {}, "MethodInvalid: PUT is neither GET nor POST"),
    (
        "POST",
        URL,
        {"headers": {"content-type": "text/plain"}},
        "ContentTypeInvalid: content-type must be application/json; it is 'text/plain'",
    ),
    (
        "POST",
        URL,
        {"headers": {"content-encoding": "gzip"}},
        "ContentTypeInvalid: content-encoding 'gzip' is not taken",
    ),
    ("POST", URL + "&data=%7B%7D", {}, "BodyAndData: send a body or the parameter data, not both"),
    ("GET", URL + "&data=%7B%7D", {}, "BodyAndData: send a body or the parameter data, not both"),
    ("POST", URL, {"body": b" " * 1_048_577}, "BodyTooLarge: the body has 1048577 bytes; the limit is 1048576"),
    ("POST", URL, {"body": b""}, "MalformedJson: the body is empty"),
    ("GET", URL, {"body": b""}, "MalformedJson: the parameter data is missing"),
    ("POST", URL, {"body": b'{"events": [{"event": "viewSearch",}]}'}, "MalformedJson: JSON is malformed: trailing …"),
    ("POST", URL, {"body": b"{## comment\n}"}, "MalformedJson: JSON is malformed: …"),
    ("POST", URL, {"body": b'{"account": "\xff"}'}, "MalformedJson: 'utf-8' codec can't decode …"),
    ("POST", URL, {"body": b"[" * 100_000}, "MalformedJson: maximum recursion depth exceeded …"),
    ("POST", URL, {"body": b"[]"}, "MalformedJson: the payload must be an object; it is a list"),
]


@pytest.mark.parametrize(("method", "url", "parts", "expected"), TRANSPORT_ERRORS, ids=lambda value: str(value)[:60])
async def test_transport_errors(client, envelope, method, url, parts, expected):
    if "body" in parts:
        parts = {"headers": {"content-type": "application/json"}, **parts}
    else:
        parts = {"json": envelope(), **parts}
    answered = await client.send(method, url, **parts)
    assert answered.status == 200
    assert matches(answered.json()["errors"], [expected]), answered


async def test_all_faults_are_reported_in_order(client):
    payload = {"version": "x", "events": [{"event": "viewItem"}, {"event": "nothing"}]}
    answer = await client.post(payload, "/criteo-s2s/eu/m/event?gra=1")
    assert [text.partition(":")[0] for text in answer["errors"]] == [
        "MissingVersion",
        "AccountMissing",
        "UserIdentifierMissing",
        "events[0].ItemMissing",
        "events[1].UnknownEvent",
    ]
    assert [text.partition(":")[0] for text in answer["warnings"]] == [
        "NonStandardVersion",
        "MissingIp",
        "MissingUserAgent",
        "MissingUrl",
        "MappingKeyMissing",
        "ConsentIncomplete",
    ]


async def test_lenient_takes_objects_where_ids_are_expected(client, envelope):
    await client.control("PUT", "settings", {"lenient": True})
    events = [{"event": "viewItem", "item": ITEM}, {"event": "viewList", "item": [ITEM, "B"]}]
    answer = await client.post(envelope(*events))
    assert answer["errors"] == []
    assert answer["warnings"] == [
        "events[0].ItemShape: item is an object; a product id is expected",
        "events[1].ItemShape: item[0] is an object; a product id is expected",
    ]


async def test_an_address_sent_in_place_of_its_hash_is_not_repeated(client, envelope):
    answer = await client.post(envelope(id={"mapping_key": "1", "email": {"md5": "user@example.com"}}))
    assert "user@" not in str(answer)


def test_every_code_has_an_example():
    def codes(*lists: list[Any]) -> set[str]:
        texts = {text for one in lists for example in one for text in example[-1]}
        return {text.partition(":")[0] for text in texts}

    transport = codes([[[text]] for *_, text in TRANSPORT_ERRORS])
    consent = codes([[[text]] for _, text in CONSENT_WARNINGS])
    assert codes(ENVELOPE_ERRORS, EVENT_ERRORS) | transport == set(ERRORS)
    assert codes(ENVELOPE_WARNINGS, EVENT_WARNINGS) | consent | {"ItemShape"} == set(WARNINGS)
