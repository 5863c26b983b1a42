"""Reads a tracking from its address, and finds all that is wrong with it by `raptor_rules`."""

import re
from base64 import b64decode
from binascii import Error
from dataclasses import dataclass, field
from decimal import Context, Decimal
from urllib.parse import unquote, unquote_to_bytes

from firsthand.emulators.raptor_rules import ERRORS, EVENTS, MOST_LEVELS, NAMES, WARNINGS, Settings

ENCODED = re.compile(r"(?:[A-Za-z0-9\-._~!'()*]|%[0-9A-Fa-f]{2})*")  # what encodeURIComponent leaves
PARAMETER = re.compile(r"p[1-9][0-9]{0,2}")
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32}", re.I)
NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,20})?")
COUNT = re.compile(r"[1-9][0-9]{0,8}")
EMAIL = re.compile(r"[^\s@/?&=]@[^\s@]+\.[^\s@]")
URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/]\S*", re.I)
PLACEHOLDER = re.compile(r"\[\w+\]")
EMPTY_GUID = re.compile(r"[0-]*")
EXACT = Context(prec=60)


@dataclass
class Judgement:
    """What was found in one tracking. Of a name that comes twice, the last value is kept."""

    values: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    user: str = ""
    """ruid, decoded."""

    @property
    def event(self) -> str:
        return self.values.get("p1", "").lower()

    def error(self, code: str, what: str = "") -> None:
        self.errors.append(f"{code}: {what}{' ' if what else ''}({ERRORS[code]})")

    def warn(self, code: str, what: str = "") -> None:
        self.warnings.append(f"{code}: {what}{' ' if what else ''}({WARNINGS[code]})")


def judge(method: str, query: str, stream: bool, settings: Settings) -> Judgement:
    """All that can be said of a tracking by itself."""
    found = Judgement()
    if method != "GET":
        found.error("MethodInvalid", method)
    _read(found, query)
    _names(found)
    _visitor(found, stream, settings)
    if stream and found.event != "buy":
        found.error("StreamEventInvalid", found.event[:50])
    if found.event == "itemclick" and not found.values.get("am"):
        found.error("ModuleMissing")
    if settings.usual_positions:
        _positions(found, stream)
    return found


def _read(found: Judgement, query: str) -> None:
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        try:
            if not equals or not ENCODED.fullmatch(value) or not ENCODED.fullmatch(name):
                raise ValueError
            name, text = unquote_to_bytes(name).decode(), unquote_to_bytes(value).decode()
        except ValueError:  # UnicodeDecodeError is one
            found.error("EncodingInvalid", name[:50])
            name, text = (unquote_to_bytes(part).decode("utf-8", "replace") for part in (name, value))
        if name in found.values:
            found.error("ParameterRepeated", name[:50])
        found.values[name] = text


def _names(found: Judgement) -> None:
    event = found.values.get("p1", "")
    if not event:
        found.error("EventMissing")
    elif event != event.lower():
        found.warn("EventCase", event[:50])
    if event and event.lower() not in EVENTS and not event.endswith("click"):
        found.warn("UnknownEvent", event[:50])
    for name, value in found.values.items():
        if name not in NAMES and not PARAMETER.fullmatch(name):
            found.warn("UnknownParameter", name[:50])
        if not value and name not in ("p1", "p10"):
            found.warn("EmptyValue", name[:50])
        if name != "ruid" and EMAIL.search(value):
            found.warn("PersonalData", name[:50])
        if name != "p3" and PLACEHOLDER.fullmatch(unquote(value)):  # p3 is a name, which may be anything
            found.error("PlaceholderLeft", name[:50])
    if "url" in found.values and not URL.fullmatch(found.values["url"]):
        found.error("UrlInvalid", found.values["url"][:50])


def _visitor(found: Judgement, stream: bool, settings: Settings) -> None:
    values = found.values
    for name, code in (("coid", "CookieId"), ("sid", "SessionId")):
        value = values.get(name)
        if stream:
            if value is not None:
                found.warn("StreamOnly", name)
        elif not value:
            found.error(f"{code}Missing")
        elif not GUID.fullmatch(value) or EMPTY_GUID.fullmatch(value):
            found.error(f"{code}Invalid", value[:50])
    if stream and values.get("source") != "webhook":
        found.error("SourceMissing")
    if not stream and "source" in values:
        found.warn("SourceElsewhere")
    if stream and not values.get("ruid"):
        found.warn("StreamUserMissing")
    if values.get("xuid") is not None and (values.get("ruid") is not None or values.get("reaid") is not None):
        found.error("ExternalIdNotAlone")
    if ruid := values.get("ruid"):
        try:
            plain = stream and settings.stream_ruid == "plain"
            found.user = ruid if plain else b64decode(ruid, validate=True).decode()
        except (Error, ValueError):
            found.error("UserIdInvalid")


def _positions(found: Judgement, stream: bool) -> None:
    """What stands where it usually does, by Raptor's reference of events and parameters. Its page about sales in a shop
    shows them without amounts."""
    values, event = found.values, found.event
    if event in ("visit", "buy", "itemclick") and not values.get("p2", "").strip():
        found.error("ProductMissing")
    if event == "basket" and "p10" not in values:
        found.error("BasketMissing")
    if event == "basket" and len(products := values.get("p10", "").split(",")) > len(set(products)):
        found.warn("BasketRepeats")
    if event == "buy" and not values.get("p21"):
        found.error("OrderIdMissing")
    if event == "buy" and not stream and (lacking := [name for name in ("p5", "p12", "p13") if not values.get(name)]):
        found.error("AmountMissing", " ".join(lacking))
    numbers = {"visit": {"p12": NUMBER}, "buy": {"p5": NUMBER, "p12": NUMBER, "p13": COUNT}}.get(event, {})
    wrong = [name for name, form in numbers.items() if values.get(name) and not form.fullmatch(values[name])]
    for name in wrong:
        found.error("NumberInvalid", f"{name}={values[name][:50]}")
    if event == "buy" and not wrong and all(values.get(name) for name in numbers):
        subtotal, price, quantity = (Decimal(values[name]) for name in ("p5", "p12", "p13"))
        if subtotal != EXACT.multiply(price, quantity):
            found.error("SubtotalWrong", f"{subtotal} ≠ {price} × {quantity}")
    if event == "visit":
        if values.get("p15", "true") not in ("true", "false"):
            found.error("StockInvalid", values["p15"][:50])
        if "p4" in values and not all(re.fullmatch(r"[^#;,]+#[^#;,]+", level) for level in values["p4"].split(";")):
            found.error("CategoryInvalid", values["p4"][:50])
        if values.get("p4", "").count(";") >= MOST_LEVELS:
            found.warn("CategoryDeep", values["p4"][:50])
