"""Judges a request to Criteo's event endpoint: the address, the envelope, the visitor's identity, the consent.

From Criteo's guide "Server To Server - Website Events" unless a check says otherwise. All faults are reported, in this
order: version, method and type, size, JSON, account, id, events, each event, consent.
"""

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from firsthand.consent import tcf
from firsthand.emulators.criteo_s2s_events import Seen, check_event
from firsthand.emulators.criteo_s2s_rules import (
    BODY_VERSION,
    USER_IDENTIFIER_MISSING,
    VERSION,
    Report,
    Settings,
    show,
)
from firsthand.emulators.exchange import MAX_BODY

CRITEO_VENDOR_ID = 91
"""Criteo in the IAB's Global Vendor List."""

Consent = Literal["none", "not_applicable", "granted", "refused", "unreadable"]
"""What the address says of consent; `none` when nothing complete is said."""

_PARAMETERS = frozenset({"version", "data", "gra", "grs", "grv", "cs", "cv"})
"""`cs` and `cv`, the US privacy string and its version, are the browser tag's."""

# previous_url: Tealium, Commanders Act, walkerOS. country, language: walkerOS. alternate_ids: Criteo's app SDKs.
_TEXTS = ("full_url", "previous_url", "useragent", "retailer_visitor_id", "country", "language")
_ENVELOPE = frozenset(
    {*_TEXTS, "account", "version", "site_type", "ip", "user_agent", "alternate_ids", "id", "events"},
)
_ID = frozenset({"mapping_key", "mapped_user_id", "email", "idfa", "gaid"})
_EMAIL = frozenset({"raw", "md5", "sha256_md5", "sha256"})
_ALTERNATE = frozenset({"type", "value", "hash_method"})

_MD5 = re.compile("[0-9a-f]{32}")
_SHA256 = re.compile("[0-9a-f]{64}")
_EMPTY_HASHES = frozenset(
    {
        "d41d8cd98f00b204e9800998ecf8427e",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "f215faf9d88b7f0a881632ee22459ee452a296c808d261b6cc993d3a1fd0600e",
    }
)
"""MD5, SHA-256 and SHA-256 of the MD5 of an empty text: Criteo's own Android hasher makes them of blanks."""


class Call(msgspec.Struct, frozen=True, gc=False):
    """A request as far as it is judged."""

    method: str
    query: str
    content_type: str
    content_encoding: str
    body: bytes
    size: int


class Judgement(msgspec.Struct, gc=False):
    """What was found. `payload` is the envelope, None where there is none; `raw` the bytes it was read from."""

    errors: list[str]
    warnings: list[str]
    raw: bytes = b""
    raw_is_json: bool = False
    payload: dict[str, Any] | None = None
    account: str = ""
    events: tuple[Seen, ...] = ()
    identity: tuple[str, ...] = ()
    """The fields present that tell or lead to the visitor."""
    matched: bool = False
    """Whether Criteo could find the visitor by one of them, consent aside."""
    consent: Consent = "none"


def judge(call: Call, settings: Settings, now: float) -> Judgement:
    """Judges a request at `now`, seconds since 1970."""
    report = Report()
    parameters = _short_parameters(call.query) if len(call.query) <= 2000 else _parameters(call.query)
    judgement = Judgement(report.errors, report.warnings)
    _check_address(report, parameters)
    if _read_payload(report, call, parameters.get("data"), judgement) and judgement.payload is not None:
        _check_envelope(report, judgement.payload, settings, now, judgement)
    judgement.consent = _check_consent(report, parameters, settings)
    return judgement


def _parameters(query: str) -> Mapping[str, str]:
    return dict(parse_qsl(query, keep_blank_values=True, errors="replace"))


_short_parameters = lru_cache(maxsize=4096)(_parameters)  # a visitor's events have the same consent in their address


def _check_address(report: Report, parameters: Mapping[str, str]) -> None:
    version = parameters.get("version")
    if version != VERSION:
        report.error("MissingVersion", f"the address must have version={VERSION}; it is {show(version)}")
    for name in parameters:
        if name not in _PARAMETERS:
            report.warn("UnknownField", f"the parameter {name} is not in the guide")


def _read_payload(report: Report, call: Call, data: str | None, judgement: Judgement) -> bool:
    """Finds the JSON, in the body of a POST or the data of a GET."""
    judgement.raw = call.body if call.body or data is None else data.encode("utf-8", "replace")
    if call.method not in ("GET", "POST"):
        report.error("MethodInvalid", f"{call.method} is neither GET nor POST")
        return False
    media_type = call.content_type.partition(";")[0].strip().lower()
    if call.method == "POST" and media_type != "application/json":
        report.error("ContentTypeInvalid", f"content-type must be application/json; it is {show(media_type or None)}")
    if call.content_encoding not in ("", "identity"):
        report.error("ContentTypeInvalid", f"content-encoding {show(call.content_encoding)} is not taken")
    if call.size > MAX_BODY:
        report.error("BodyTooLarge", f"the body has {call.size} bytes; the limit is {MAX_BODY}")
        return False
    if call.size and data is not None:
        report.error("BodyAndData", "send a body or the parameter data, not both")
        return False
    if call.method == "POST" and not call.size:
        report.error("MalformedJson", "the body is empty")
        return False
    if call.method == "GET" and data is None:
        report.error("MalformedJson", "the parameter data is missing")
        return False
    try:
        payload = msgspec.json.decode(judgement.raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        report.error("MalformedJson", str(error))
        return False
    judgement.raw_is_json = True
    if not isinstance(payload, dict):
        report.error("MalformedJson", f"the payload must be an object; it is {show(payload)}")
        return False
    judgement.payload = payload
    return True


def _check_envelope(report: Report, payload: dict[str, Any], settings: Settings, now: float, found: Judgement) -> None:
    fields = report.tidy(payload, _ENVELOPE)
    found.account = _check_account(report, fields.get("account"))
    _check_body_version(report, fields.get("version"))
    _check_context(report, fields)
    _check_identity(report, fields, settings, found)
    events = fields.get("events")
    if not isinstance(events, list) or not events:
        report.error("EventsMissing", f"events must be a list of at least one event; it is {show(events or None)}")
        return
    seen = []
    for number, event in enumerate(events):
        report.prefix = f"events[{number}]."
        seen.append(check_event(report, event, settings, now))
    report.prefix = ""
    found.events = tuple(seen)


def _check_account(report: Report, account: object) -> str:
    if account is None:
        report.error("AccountMissing", "account, the partner id, is required")
        return ""
    text = str(account) if isinstance(account, (str, int)) and not isinstance(account, bool) else ""
    if not (text.isascii() and text.isdigit()):
        report.error("AccountInvalid", f"account must be a partner id such as '12345'; it is {show(account)}")
        return ""
    return text


def _check_body_version(report: Report, version: object) -> None:
    if not isinstance(version, str):
        report.error(
            "MissingVersion", f"the body's version must be a text such as {BODY_VERSION}; it is {show(version)}"
        )
    elif version != BODY_VERSION:
        report.warn("NonStandardVersion", f"the body's version is {show(version)}, not {BODY_VERSION}")


def _check_context(report: Report, fields: dict[str, Any]) -> None:
    for name in _TEXTS:
        if name in fields and not isinstance(fields[name], str):
            report.error("FieldType", f"{name} must be text; it is {show(fields[name])}")
    if "site_type" in fields and fields["site_type"] not in ("d", "m", "t"):
        report.warn("SiteTypeUnknown", f"site_type must be d, m or t; it is {show(fields['site_type'])}")
    ip = fields.get("ip")
    if ip is None:
        report.warn("MissingIp", "ip is highly recommended")
    elif not (isinstance(ip, str) and _is_ip(ip)):
        report.warn("MissingIp", "ip is not an address")
    if "user_agent" in fields:
        report.warn("AliasUsed", "user_agent is an alias; the field is useragent")
    if "useragent" not in fields and "user_agent" not in fields:
        report.warn("MissingUserAgent", "useragent is highly recommended")
    url = fields.get("full_url")
    if url is None:
        report.warn("MissingUrl", "full_url is highly recommended")
    elif isinstance(url, str) and not url.startswith(("https://", "http://")):
        report.warn("MissingUrl", "full_url is not an absolute web address")


@lru_cache(maxsize=4096)
def _is_ip(value: str) -> bool:
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _check_identity(report: Report, fields: dict[str, Any], settings: Settings, found: Judgement) -> None:
    """At least one of GUM id, e-mail, idfa, gaid is needed, by track.site's reading of a newer copy of the guide."""
    identity: list[str] = []
    ids = fields.get("id", {})
    if not isinstance(ids, dict):
        report.error("FieldType", f"id must be an object; it is {show(ids)}")
        ids = {}
    ids = report.tidy(ids, _ID, "id.")
    for name in ("mapped_user_id", "idfa", "gaid"):
        if name in ids:
            identity.append(f"id.{name}")
            if not report.is_id(ids[name], f"id.{name}"):
                report.error("FieldType", f"id.{name} must be text; it is {show(ids[name])}")
    _check_mapping_key(report, ids)
    if "email" in ids and _check_email(report, ids["email"]):
        identity.append("id.email")
    if "alternate_ids" in fields and _check_alternate(report, fields["alternate_ids"]):
        identity.append("alternate_ids")
    found.matched = bool(identity)
    if "retailer_visitor_id" in fields:
        identity.append("retailer_visitor_id")
    if not (identity if settings.visitor_id_identifies else found.matched):
        report.errors.append(USER_IDENTIFIER_MISSING)
    if "ip" in fields:
        identity.append("ip")
    found.identity = tuple(identity)


def _check_mapping_key(report: Report, ids: dict[str, Any]) -> None:
    key = ids.get("mapping_key")
    if key is None:
        if "mapped_user_id" in ids:
            report.error("MappingKeyMissing", "id.mapping_key is required with id.mapped_user_id")
        else:
            report.warn("MappingKeyMissing", "id.mapping_key is missing")
    elif not isinstance(key, (str, int)) or isinstance(key, bool):
        report.error("FieldType", f"id.mapping_key must be text; it is {show(key)}")


def _check_email(report: Report, email: object) -> bool:
    """Whether an address is present in any form. sha256_md5 is the SHA-256 of the MD5's 32 hexadecimal characters."""
    if not isinstance(email, dict):
        report.error("FieldType", f"id.email must be an object; it is {show(email)}")
        return False
    forms = report.tidy(email, _EMAIL, "id.email.")
    good: dict[str, str] = {}
    for form, pattern in (("md5", _MD5), ("sha256", _SHA256), ("sha256_md5", _SHA256)):
        if form in forms and _check_hash(report, forms[form], pattern, f"id.email.{form}"):
            good[form] = forms[form]
    if "raw" in forms:
        _check_raw(report, forms["raw"], good)
    else:
        md5, sha256_md5 = good.get("md5"), good.get("sha256_md5")
        if md5 and sha256_md5 and hashlib.sha256(md5.encode()).hexdigest() != sha256_md5:
            report.error("EmailHashMismatch", "id.email.sha256_md5 is not the SHA-256 of id.email.md5's characters")
        if sha256_md5 and sha256_md5 == good.get("sha256"):
            report.error("EmailHashMismatch", "id.email.sha256 and id.email.sha256_md5 are the same")
    return not _EMAIL.isdisjoint(forms)


def _check_hash(report: Report, value: object, pattern: re.Pattern[str], where: str) -> bool:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        length = 32 if pattern is _MD5 else 64  # the value isn't shown: it may be the address itself
        report.error("EmailHashInvalid", f"{where} must be {length} characters of lower-case hex")
        return False
    if value in _EMPTY_HASHES:
        report.error("EmailHashEmpty", f"{where} is the hash of an empty text")
        return False
    return True


def _check_raw(report: Report, raw: object, good: dict[str, str]) -> None:
    report.warn("RawEmail", "id.email.raw holds the address itself; send hashes")
    if not isinstance(raw, str):
        report.error("FieldType", f"id.email.raw must be text; it is {show(raw)}")
        return
    if raw != raw.strip().lower():
        report.error("EmailHashInvalid", "id.email.raw must be trimmed and in lower case")
    address = raw.strip().lower().encode("utf-8", "replace")
    md5 = hashlib.md5(address, usedforsecurity=False).hexdigest()
    expected = {
        "md5": md5,
        "sha256": hashlib.sha256(address).hexdigest(),
        "sha256_md5": hashlib.sha256(md5.encode()).hexdigest(),
    }
    for form, value in good.items():
        if value != expected[form]:
            report.error("EmailHashMismatch", f"id.email.{form} is not the hash of id.email.raw")


def _check_alternate(report: Report, alternates: object) -> bool:
    if not isinstance(alternates, list) or not all(isinstance(one, dict) for one in alternates):
        report.error("FieldType", "alternate_ids must be a list of objects with type, value, hash_method")
        return False
    present = False
    for number, one in enumerate(alternates):
        fields = report.tidy(one, _ALTERNATE, f"alternate_ids[{number}].")
        present = present or "value" in fields
        if "value" in fields and fields.get("hash_method") == "md5":
            _check_hash(report, fields["value"], _MD5, f"alternate_ids[{number}].value")
    return present


def _check_consent(report: Report, parameters: Mapping[str, str], settings: Settings) -> Consent:
    """gra says whether GDPR applies, grs is the TC string, grv its version."""
    gra, grs, grv = (parameters.get(name) or None for name in ("gra", "grs", "grv"))
    if gra not in (None, "0", "1"):
        report.warn("ConsentIncomplete", f"gra must be 1 or 0; it is {show(gra)}")
        return "none"
    if grs is None:
        if gra == "1":
            report.warn("ConsentIncomplete", "gra=1 without grs, the TC string")
        elif grv is not None:
            report.warn("ConsentIncomplete", "grv without gra and grs")
        return "not_applicable" if gra == "0" else "none"
    if gra != "1":
        report.warn("ConsentIncomplete", "grs without gra=1 says nothing")
        return "not_applicable" if gra == "0" else "none"
    try:
        consent = tcf.decode(grs)
    except ValueError as error:
        report.warn("ConsentIncomplete", f"grs is not a TC string: {error}")
        return "unreadable"
    if grv is None:
        report.warn("ConsentIncomplete", "grs is a TCF 2 string, so grv must be present")
    return "granted" if consent.grants(CRITEO_VENDOR_ID, settings.purposes) else "refused"
