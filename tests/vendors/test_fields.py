"""Reading what shops put into events, for any vendor: what the vendors' own tests do not say."""

from decimal import Decimal
from typing import Any

import pytest

from firsthand.event import Event
from firsthand.reasons import Dead
from firsthand.vendors.base import Notes
from firsthand.vendors.fields import Fields, utc
from firsthand.vendors.options import flag
from firsthand.vendors.products import Shopping
from firsthand.vendors.visitor import ip_address, tcf


@pytest.mark.parametrize(
    ("url", "scrubbed"),
    [
        ("https://shop.example/thanks?id=1#top", "https://shop.example/thanks?id=1#top"),
        ("https://shop.example/?e=jane@example.com", "https://shop.example/?e="),
        ("https://shop.example/?e=jane%40example.com&x=1", "https://shop.example/?e=&x=1"),
        ("https://shop.example/?e=jane%2540example.com&x=1", "https://shop.example/?e=&x=1"),
        ("https://shop.example/?e=jane%2Bnews%40example.com", "https://shop.example/?e="),
        ("https://shop.example/u/o'brien@example.com/orders", "https://shop.example/u//orders"),
        (
            "https://shop.example/?u=%2Flogin%3Fe%3Djane%40example.com%26x%3D1",
            "https://shop.example/?u=%2Flogin%3Fe%3D%26x%3D1",
        ),
        (
            "https://shop.example/?u=%252Flogin%253Fe%253Djane%2540example.com",
            "https://shop.example/?u=%252Flogin%253Fe%253D",
        ),
        ("https://shop.example/?e=j\u00f6rg@m\u00fcller.example", "https://shop.example/?e="),
        ("https://shop.example#e=jane@example.com", "https://shop.example#e="),
        ("https://jane@example.com:secret@shop.example/a", "https://shop.example/a"),
        ("https://shop.example/@jane/100%25?q=50%&r=%40home", "https://shop.example/@jane/100%25?q=50%&r=%40home"),
    ],
)
def test_addresses_are_taken_out_of_urls(url: str, scrubbed: str) -> None:
    assert Fields({"url": url}, "").url("url") == scrubbed


@pytest.mark.parametrize(
    ("timestamp", "sent"),
    [
        ("2026-11-22T10:15:00.000Z", "2026-11-22T10:15:00Z"),
        ("2026-11-22T10:15:00.999Z", "2026-11-22T10:15:00Z"),
        ("2026-11-22T10:15:00+02:00", "2026-11-22T08:15:00Z"),
        ("2026-11-22T10:15:00", "2026-11-22T10:15:00Z"),
        ("2026-11-22 10:15:00.000Z", "2026-11-22T10:15:00Z"),
        ("2026-W47-7T10:15:00.000Z", "2026-11-22T10:15:00Z"),
    ],
)
def test_times_are_in_utc(timestamp: str, sent: str) -> None:
    assert utc(timestamp) == sent


@pytest.mark.parametrize("timestamp", ["2026-13-22T10:15:00.000Z", "2026-11-22T25:15:00.000Z", "noon", "1700000000000"])
def test_times_that_are_refused(timestamp: str) -> None:
    with pytest.raises(Dead) as refusal:
        utc(timestamp)
    assert refusal.value.reason.field == "timestamp"


@pytest.mark.parametrize("ip", ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7", None, " "])
def test_addresses_of_visitors(ip: str | None) -> None:
    assert ip_address(Fields({"ip": ip}, "context.")) == (ip if ip and ip.strip() else None)


@pytest.mark.parametrize(
    ("ip", "taken"),
    [
        ("203.0.113.7:17085, 10.0.0.6", "203.0.113.7"),
        ("10.0.0.6,203.0.113.7", "203.0.113.7"),
        ("unknown, 203.0.113.7", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("::1, 2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.6, ::ffff:203.0.113.7", "::ffff:203.0.113.7"),
        (["203.0.113.7", "10.0.0.6"], "203.0.113.7"),
        ([["203.0.113.7"], 5, "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.6", "10.0.0.6"),
    ],
)
def test_of_several_addresses_the_first_public_one_is_taken(ip: Any, taken: str) -> None:
    context = Fields({"ip": ip}, "context.")
    assert ip_address(context) == taken
    assert context.notes == Notes()


@pytest.mark.parametrize(
    "ip",
    [
        *("203.0.113", "203.0.113.256", "203.0.113.07", "2001:db8", ":", "localhost", "1\x002", "1.2.3.4:x"),
        *("0.0.0.0", "::"),
        *("unknown", "10.0.0.6, 192.168.0.1", "127.0.0.1:80", [], {}, 17, True, "jane@example.com"),
    ],
)
def test_addresses_that_are_none_are_left_out(ip: Any) -> None:
    context = Fields({"ip": ip}, "context.")
    assert ip_address(context) is None
    assert [(note.field, note.value) for note in context.notes.left_out] == [("context.ip", ip)]


@pytest.mark.parametrize(
    "url",
    [
        *("$direct", "about:blank", "android-app://com.example.mail/", "file:///index.html", "shop.example/thanks"),
        *("/thanks", "https://", "javascript:void(0)", 5, [], {"href": "https://shop.example/"}),
    ],
)
def test_urls_that_are_none_are_left_out(url: Any) -> None:
    page = Fields({"referrer": url}, "context.page.")
    assert page.url("referrer") is None
    assert [note.field for note in page.notes.left_out] == ["context.page.referrer"]


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("/thanks?order=1", "https://shop.example/thanks?order=1"),
        ("?order=1", "https://shop.example/?order=1"),
        ("//www.shop.example/thanks", "https://www.shop.example/thanks"),
        ("https://elsewhere.example/", "https://elsewhere.example/"),
        ("shop.example/thanks", None),
        ("//[x", None),
        ("$direct", None),
    ],
)
def test_a_relative_url_is_completed_by_the_origin(url: str, whole: str | None) -> None:
    assert Fields({"url": url}, "").url("url", "https://shop.example") == whole


def test_what_is_left_out_names_the_entry_of_a_list() -> None:
    properties = Fields({"stores": ["1", 2, {}]}, "properties.")
    assert properties.texts("stores") == ["1", "2"]
    assert [note.field for note in properties.notes.left_out] == ["properties.stores[2]"]


@pytest.mark.parametrize(
    ("quantity", "read"),
    [
        *((2, 2), (2.0, 2), ("2", 2), ("2.0", 2), ("2.000", 2), (None, 1), (" ", 1)),
        *((" 2 ", 2), ("2\n", 2), ("\u00a02.0\u200b", 2)),
        *((1.85, Decimal("1.85")), ("1.850", Decimal("1.850")), (0.5, Decimal("0.5"))),
    ],
)
def test_quantities_as_shops_write_them(quantity: Any, read: int | Decimal) -> None:
    found = Fields({"quantity": quantity}, "").quantity()
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(
    "quantity",
    [
        *(0, -1, 10**9, 0.0, -0.5, 1e16, 1e-9, True, [], {}),
        *("0.00", "1,000", "1.000,5", "2 pcs", "two", "1e3", "\u0662", "2\n2"),
    ],
)
def test_quantities_that_are_refused(quantity: Any) -> None:
    with pytest.raises(Dead, match="quantity must be a number above 0"):
        Fields({"quantity": quantity}, "").quantity()


@pytest.mark.parametrize(
    ("properties", "name", "hint"),
    [
        ({"transaction_id": "1"}, "order_id", "the event has properties.transaction_id: send it as order_id"),
        ({"OrderID": "1", "id": "2"}, "order_id", "the event has properties.OrderID: send it as order_id"),
        ({"id": 17}, "order_id", "the event has properties.id: send it as order_id"),
        ({"sku": "A"}, "product_id", "the event has properties.sku: send it as product_id, or set product_id: sku"),
        ({"product_id": "A"}, "sku", "the event has properties.product_id: send it as sku, or set product_id: prod"),
        ({"products": [{"id": "A"}]}, "product_id", "the event has properties.products[0].id: send it as prop"),
        ({"products": [{"product_id": "A"}]}, "product_id", "the event has properties.products[0].product_id: send it"),
        ({"lineItems": [{}]}, "products", "the event has properties.lineItems: send it as products"),
        ({"items": "2"}, "products", None),
        ({"unit_price": 1}, "price", "the event has properties.unit_price: send it as price"),
        ({"id": "", "number": None, "order": {}}, "order_id", None),
    ],
)
def test_what_a_required_field_is_called_in_the_event_is_named(
    properties: dict[str, Any], name: str, hint: str | None
) -> None:
    like = "product_id" if name == "sku" else name
    reason = Fields(properties, "properties.").missing(name, like).reason
    assert (reason.code, reason.field) == ("field_missing", f"properties.{name}")
    said = reason.message or ""
    assert said.startswith(f"properties.{name} is required; {hint}" if hint else f"properties.{name} is required")
    assert bool(hint) == ("; the event has" in said)


def test_camel_case_twins_are_read_as_the_usual_names() -> None:
    twins = {"orderId": "O-1", "productId": "A", "checkoutId": "C-1", "couponId": "X"}
    found = Fields(twins, "")
    assert [found.get(name) for name in ("order_id", "product_id", "checkout_id", "coupon_id")] == list(twins.values())
    assert Fields({"order_id": "O-2", "orderId": "O-1"}, "").required("order_id") == "O-2"
    assert Fields({"order_id": " ", "orderId": "O-1"}, "").required("order_id") == "O-1"


@pytest.mark.parametrize(
    ("setting", "value", "found"),
    [("omit", 1, None), (1, None, 1), ("0", None, 0), ("properties.click", "1", 1), ("properties.click", "", None)],
)
def test_flags(setting: int | str, value: Any, found: int | None) -> None:
    assert flag(setting, Event(type="track", properties={"click": value}), Notes()) == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"gdprApplies": True, "tcString": "C1"}, (True, "C1")),
        ({"gdprApplies": 1, "tcString": None}, (True, "")),
        ({"gdprApplies": "perhaps", "tcString": "C1"}, (None, "C1")),
        ([], (None, "")),
    ],
)
def test_consent_strings(given: Any, found: tuple[bool | None, str]) -> None:
    assert tcf(Event(type="track", context={"consent": {"tcf": given}})) == found


@pytest.mark.parametrize("written", [" EUR ", "eur\n", "\u00a0EUR\u200b"])
def test_blanks_at_the_ends_of_a_text_are_no_part_of_it(written: str) -> None:
    assert Fields({"currency": written}, "").currency() == "EUR"
    assert Fields({"url": " https://shop.example/\n"}, "").url("url") == "https://shop.example/"
    assert Fields({"order_id": " O-1\n"}, "").required("order_id") == "O-1"


@pytest.mark.parametrize(("id", "text"), [(12345, "12345"), (12345.0, "12345"), (0.0, "0"), ("12345.0", "12345.0")])
def test_a_whole_number_is_an_id_however_it_is_written(id: Any, text: str) -> None:
    assert Fields({"order_id": id}, "").required("order_id") == text
    assert Fields({"order_id": id}, "").text("order_id") == text


@pytest.mark.parametrize("id", [12345.5, 1e21, 10**25, float("nan"), True, ["1"], {"id": 1}])
def test_what_is_no_whole_number_nor_text_is_no_id(id: Any) -> None:
    with pytest.raises(Dead, match="order_id must be text or a whole number"):
        Fields({"order_id": id}, "").required("order_id")


LINE = {"product_id": "A", "price": 1}


@pytest.mark.parametrize(
    "products",
    [
        [LINE],
        LINE,
        {"0": LINE},
        {"3": LINE},
        '[{"product_id": "A", "price": 1}]',
        [LINE, None],
        [LINE, [], {}],
        [LINE | {"quantity": 0}, LINE],
        [LINE | {"quantity": "0.00"}, LINE],
        [LINE, LINE | {"price": "-5,00"}],
        [LINE, LINE | {"price": "\u22125.00 "}],
        [LINE, {"product_id": 0, "price": 1}],
        [LINE, {"product_id": "undefined", "price": 1}],
        [LINE | {"product_id": " A "}],
        [LINE | {"product_id": "A\u200b"}],
    ],
)
def test_products_in_any_shape_that_can_only_mean_one_thing(products: Any) -> None:
    shop = Shopping({"products": products}, "properties.")
    assert shop.lines() == [{"id": "A", "price": 1, "quantity": 1}]


@pytest.mark.parametrize(
    ("products", "field"),
    [
        ([LINE, "B"], "properties.products[1]"),
        ([LINE, 5], "properties.products[1]"),
        ([[LINE]], "properties.products[0]"),
        ([None], "properties.products[0]"),
        ("A", "properties.products"),
        ("[A]", "properties.products"),
        ([], "properties.products"),
        ({}, "properties.products"),
        ([{"product_id": "null", "price": 1}], "properties.products[0].product_id"),
        ([LINE | {"quantity": 0}], "properties.products[0].quantity"),
        ([LINE, LINE | {"quantity": -1}], "properties.products[1].quantity"),
        ([LINE, LINE | {"quantity": False}], "properties.products[1].quantity"),
    ],
)
def test_products_that_may_mean_anything_are_refused(products: Any, field: str) -> None:
    with pytest.raises(Dead) as refusal:
        Shopping({"products": products}, "properties.").lines()
    assert refusal.value.reason.field == field


@pytest.mark.parametrize("line", [None, LINE | {"quantity": 0}, {"name": "tip", "price": 1}])
def test_with_strict_lines_nothing_is_left_out(line: Any) -> None:
    with pytest.raises(Dead):
        Shopping({"products": [LINE, line]}, "properties.", order_lines="strict").lines()


def test_of_a_listing_what_has_no_id_is_left_out() -> None:
    shop = Shopping({"products": [{"product_id": "A"}, {"name": "Shirt"}, {"product_id": "B"}]}, "properties.")
    assert shop.top(3) == ["A", "B"]
    assert [note.field for note in shop.notes.left_out] == ["properties.products[1]"]
