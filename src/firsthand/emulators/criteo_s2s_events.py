"""Checks one event of Criteo's server-to-server events: names, items, prices, times.

From Criteo's guide "Server To Server - Website Events" unless a check says otherwise. Aliases are those of Criteo's
OneTag loader and iOS SDK; whether the endpoint takes them is undocumented, so they are taken with a warning.
"""

import math
import re
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from firsthand.emulators.criteo_s2s_rules import Report, Settings, show

OFFLINE_SEGMENT = 19
"""`user_segment` of an offline sale."""

_COMMON = frozenset({"event", "timestamp", "deduplication_page_view_id"})  # the last: walkerOS, Tealium
_ITEMS = _COMMON | {"item", "product", "products", "currency"}


class Rule(NamedTuple):
    """What an event takes. `item`: one product id, a list of ids, a list of priced items, or none."""

    item: str
    fields: frozenset[str]


RULES: dict[str, Rule] = {
    "viewPage": Rule("none", _COMMON),
    "login": Rule("none", _COMMON),
    "viewHome": Rule("none", _COMMON),
    "viewList": Rule("ids", _COMMON | {"item", "product", "products", "category", "keywords", "keyword"}),
    "viewItem": Rule("id", _COMMON | {"item", "product", "products"}),
    "addToCart": Rule("items", _ITEMS),
    "viewBasket": Rule("items", _ITEMS),
    "beginCheckout": Rule("items", _ITEMS),
    "addPaymentInfo": Rule("none", _COMMON),
    "trackTransaction": Rule("items", _ITEMS | {"id", "dd", "deduplication", "delivery", "store_id", "user_segment"}),
    "viewSearch": Rule(
        "none", _COMMON | {"checkin_date", "checkout_date", "din", "dout", "nbra", "nbrc", "nbri", "nbrr"}
    ),
    "viewStore": Rule("none", _COMMON | {"store_id"}),
    "checkAvailability": Rule("id", _COMMON | {"item", "product", "products", "store_id"}),
    "reserveInStore": Rule("items", _ITEMS | {"store_id"}),
}

ALIASES = {
    "vpg": "viewPage",
    "vh": "viewHome",
    "vl": "viewList",
    "viewListing": "viewList",
    "viewCategory": "viewList",
    "viewSearchResult": "viewList",
    "vp": "viewItem",
    "viewProduct": "viewItem",
    "ac": "addToCart",
    "vb": "viewBasket",
    "vc": "trackTransaction",
    "vs": "viewSearch",
}

_ITEM_FIELDS = frozenset({"id", "price", "quantity"})
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH_MS = 100_000_000_000  # as seconds this is the year 5138

_ISO_4217 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD "
    "LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP "
    "PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP "
    "TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG"
)
CURRENCIES = frozenset(_ISO_4217.split())


class Seen(msgspec.Struct, frozen=True, gc=False):
    """What the ledger wants to know of an event."""

    name: str | None = None
    transaction_id: str | None = None
    too_late: bool = False


_NOTHING = Seen()


def check_event(report: Report, event: object, settings: Settings, now: float) -> Seen:
    """Checks one event at `now`, seconds since 1970."""
    if not isinstance(event, dict):
        report.error("FieldType", f"an event is an object, not {show(event)}")
        return _NOTHING
    name = event.get("event")
    if not isinstance(name, str) or not name:
        report.error("UnknownEvent", f"the field event must name the event; it is {show(name)}")
        return _NOTHING
    if name in ALIASES:
        report.warn("AliasUsed", f"{name} is an alias; the event is {ALIASES[name]}")
        name = ALIASES[name]
    rule = RULES.get(name)
    if rule is None:
        report.error("UnknownEvent", f"{show(name)} is not an event; there are {', '.join(RULES)}")
        return _NOTHING
    event = report.tidy(event, rule.fields)
    if rule.item != "none":
        _check_item(report, event, rule.item, settings.lenient)
    currency = event.get("currency")
    if currency is not None and not (isinstance(currency, str) and currency in CURRENCIES):
        report.warn("CurrencyUnknown", f"{show(currency)} is not an ISO 4217 code")
    offline = False
    transaction_id = None
    if name == "trackTransaction":
        transaction_id = _check_sale(report, event)
        offline = event.get("user_segment") in (OFFLINE_SEGMENT, str(OFFLINE_SEGMENT))
    elif name == "viewList":
        _check_list(report, event)
    elif name == "viewSearch":
        _check_travel(report, event)
    if "store_id" in event:
        _check_store(report, event["store_id"], name)
    return Seen(name, transaction_id, _check_time(report, event, offline, settings, now))


def _check_item(report: Report, event: dict[str, Any], shape: str, lenient: bool) -> None:
    item = event.get("item")
    for alias in ("product", "products"):
        if alias in event:
            report.warn("AliasUsed", f"{alias} is an alias; the field is item")
            item = event[alias] if item is None else item
    if item is None or item == [] or item == {}:
        report.error("ItemMissing", "item is required")
    elif shape == "items":
        if isinstance(item, list):
            for number, one in enumerate(item):
                _check_priced(report, one, f"item[{number}]")
        else:
            report.error("ItemShape", f"item must be a list of objects with id, price, quantity; it is {show(item)}")
    elif shape == "ids" and isinstance(item, list):
        for number, one in enumerate(item):
            _check_product_id(report, one, f"item[{number}]", lenient)
        if len(item) > 3:
            report.warn("MoreThanThreeItems", f"item has {len(item)} products; the top three are enough")
    elif shape == "id" and (isinstance(item, (str, int)) or lenient):
        for one in item if isinstance(item, list) else [item]:
            _check_product_id(report, one, "item", lenient)
    else:
        expected = "one product id as text" if shape == "id" else "a list of product ids"
        report.error("ItemShape", f"item must be {expected}; it is {show(item)}")


def _check_product_id(report: Report, value: object, where: str, lenient: bool) -> None:
    if isinstance(value, dict):
        text = f"{where} is an object; a product id is expected"
        if not lenient:
            report.error("ItemShape", text)
            return
        report.warn("ItemShape", text)
        value = value.get("id")
    if value is None or value == "":
        report.error("ItemIdEmpty", f"{where} has no product id")
    elif not report.is_id(value, where):
        report.error("ItemShape", f"{where} must be a product id; it is {show(value)}")


def _check_priced(report: Report, item: object, where: str) -> None:
    if not isinstance(item, dict):
        report.error("ItemShape", f"{where} must be an object with id, price and quantity; it is {show(item)}")
        return
    item = report.tidy(item, _ITEM_FIELDS, f"{where}.")
    identifier = item.get("id")
    if identifier is None:
        report.error("ItemIdEmpty", f"{where} has no id")
    elif not report.is_id(identifier, f"{where}.id"):
        report.error("ItemShape", f"{where}.id must be text; it is {show(identifier)}")
    price = item.get("price")
    if price is None:
        report.error("PriceInvalid", f"{where}.price is missing")
    elif (number := _number(report, price, f"{where}.price")) is None:
        report.error("PriceInvalid", f"{where}.price {show(price)} is not a number")
    elif number < 0:
        report.error("PriceInvalid", f"{where}.price {show(price)} is negative")
    quantity = item.get("quantity")
    if quantity is None:
        report.error("QuantityInvalid", f"{where}.quantity is missing")
    else:
        _check_whole(report, quantity, f"{where}.quantity", 1)


def _check_whole(report: Report, value: object, where: str, least: int) -> None:
    number = _number(report, value, where)
    if number is None or number != int(number):
        report.error("QuantityInvalid", f"{where} {show(value)} is not a whole number")
    elif number < least:
        report.error("QuantityInvalid", f"{where} {show(value)} is less than {least}")


def _number(report: Report, value: object, where: str) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        report.warn("NumberAsString", f"{where} {value!r} is a number in quotes")
        return float(value)
    return None


def _check_sale(report: Report, event: dict[str, Any]) -> str | None:
    identifier = event.get("id")
    if identifier is None:
        report.error("TransactionIdMissing", "id, the order's id, is required")
    elif not report.is_id(identifier, "id"):
        report.error("FieldType", f"id must be text; it is {show(identifier)}")
        identifier = None
    dd = event.get("dd")
    if dd is not None and (isinstance(dd, (bool, float)) or dd not in (0, 1, "0", "1")):
        report.error("DedupInvalid", f"dd {show(dd)} is neither 0 nor 1")
    if "deduplication" in event:
        report.warn("AliasUsed", "deduplication is the browser tag's name; the field is dd")
    segment = event.get("user_segment")
    if segment is not None and _number(report, segment, "user_segment") is None:
        report.error("FieldType", f"user_segment must be a number; it is {show(segment)}")
    if "delivery" in event and not isinstance(event["delivery"], str):
        report.error("FieldType", f"delivery must be text; it is {show(event['delivery'])}")
    return None if identifier is None else str(identifier)


def _check_list(report: Report, event: dict[str, Any]) -> None:
    for field in ("category", "keywords"):
        if field in event and not isinstance(event[field], str):
            report.error("FieldType", f"{field} must be text; it is {show(event[field])}")
    if "keyword" in event:
        report.warn("KeywordIgnored", "keyword is ignored; the field is keywords")


def _check_travel(report: Report, event: dict[str, Any]) -> None:
    days: dict[str, str] = {}
    for field, alias in (("checkin_date", "din"), ("checkout_date", "dout")):
        if alias in event:
            report.warn("AliasUsed", f"{alias} is an alias; the field is {field}")
        value = event.get(field, event.get(alias))
        if value is None:
            continue
        if _is_date(value):
            days[field] = value
        else:
            report.error("DateInvalid", f"{field} {show(value)} is not a date, YYYY-MM-DD")
    if len(days) == 2 and days["checkout_date"] < days["checkin_date"]:
        report.error("DateInvalid", f"checkout_date {days['checkout_date']} is before {days['checkin_date']}")
    for field in ("nbra", "nbrc", "nbri", "nbrr"):
        if field in event:
            _check_whole(report, event[field], field, 0)


def _is_date(value: object) -> bool:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _check_store(report: Report, store_id: object, event: str) -> None:
    """The guide shows a list for checkAvailability, both forms for reserveInStore, and one store for the rest."""
    many = isinstance(store_id, list)
    if many != (event == "checkAvailability") and not (many and event == "reserveInStore"):
        expected = "a list of store ids" if event == "checkAvailability" else "one store id"
        report.error("StoreIdShape", f"store_id must be {expected}; it is {show(store_id)}")
        return
    for one in store_id if isinstance(store_id, list) else [store_id]:
        if one == "" or not report.is_id(one, "store_id"):
            report.error("StoreIdShape", f"store_id must be text; it is {show(one)}")


def _check_time(report: Report, event: dict[str, Any], offline: bool, settings: Settings, now: float) -> bool:
    """Whether the event is so late that it is accepted and then discarded, without a word."""
    timestamp = event.get("timestamp")
    if timestamp is None:
        if offline:
            report.error("TimestampMissing", "timestamp is mandatory for offline sales")
        return False
    when = _seconds(report, timestamp)
    if when is None:
        report.error("TimestampInvalid", f"{show(timestamp)} is not ISO 8601 with Z or an offset from UTC")
        return False
    age = now - when
    if age < -settings.age.future_seconds:
        report.error("TimestampInvalid", f"{show(timestamp)} is {-age:.0f} s in the future")
        return False
    if offline:
        return age > settings.age.offline_seconds
    if age > settings.age.warn_seconds:
        report.warn("TimestampTooOld", f"{show(timestamp)} is {age:.0f} s old; send events within 15 minutes")
    return age > settings.age.online_seconds


def _seconds(report: Report, timestamp: object) -> float | None:
    if isinstance(timestamp, str) and _TIME.fullmatch(timestamp):
        try:
            return datetime.fromisoformat(timestamp).timestamp()
        except ValueError:
            return None
    if isinstance(timestamp, bool) or not isinstance(timestamp, (str, int, float)):
        return None
    if isinstance(timestamp, str) and not _NUMBER.fullmatch(timestamp):
        return None
    number = float(timestamp)
    report.warn("TimestampEpoch", f"{timestamp} is a number since 1970; send ISO 8601")
    return number / 1000 if number >= _EPOCH_MS else number
