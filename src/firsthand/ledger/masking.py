"""What people are shown of bodies and events: raw personal data masked, hashes and vendor ids as they are."""

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import msgspec

from firsthand.personal import mask_text

# Names without case, `_` and `-`.
SECRETS = frozenset(
    {"authorization", "proxyauthorization", "cookie", "setcookie", "apikey", "xapikey", "writekey", "secretkey"}
    | {"secret", "clientsecret", "signingsecret", "xsignature", "password"}
    | {"token", "accesstoken", "refreshtoken", "idtoken"}
)
PHONES = ("phone", "phonenumber", "telephone", "telefon", "mobile", "mobil", "msisdn", "handy", "fax", "tel")
IPS = frozenset({"ip", "ipaddress", "clientip", "xforwardedfor", "xrealip", "remoteaddr"})
LONGEST_NOTE = 200
ENCODED_PERSONS = frozenset({"ruid"})
"""Parameters of URLs that hold an e-mail address in base64, which hides it from nobody."""
_FEW = 5
"""No phone number has so few digits."""
_IPV4 = re.compile(r"(?<![\d.])((?:\d{1,3}\.){3})\d{1,3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])([0-9a-f]{0,4}(?::[0-9a-f]{0,4}){1,6}:)[0-9a-f]{1,4}(?![\w:])", re.I)


def mask(value: Any, key: str = "") -> Any:
    """A copy of a JSON value that may be shown. `key` is the name it stands under."""
    if isinstance(value, dict):
        return {_shown_name(name): mask(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [mask(inner, key) for inner in value]
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return "***" if value is not None and _plain(key) in SECRETS else value
    name = _plain(key)
    if name in SECRETS:
        return "***"
    if name.endswith(PHONES) and sum(map(str.isdigit, text := str(value))) > _FEW:
        return "***" + text[-2:]
    if isinstance(value, str):
        return mask_ip(value) if name in IPS else mask_text(value)
    return value


def _plain(name: Any) -> str:
    return name.lower().replace("_", "").replace("-", "") if isinstance(name, str) else ""


def _shown_name(name: Any) -> Any:
    return mask_text(name) if isinstance(name, str) else name


def brief(value: Any, path: str) -> Any:
    """A value of an event as it may be noted down: masked, by the last name of its path, and text where it is long."""
    shown = mask(value, path.rpartition(".")[2])
    if isinstance(shown, dict | list):
        shown = msgspec.json.encode(shown).decode()
    return shown if not isinstance(shown, str) or len(shown) <= LONGEST_NOTE else shown[: LONGEST_NOTE - 1] + "…"


def mask_words(text: str) -> str:
    """What somebody else says, who may repeat anything that was sent: also without the last parts of addresses."""
    return mask_text(_IPV6.sub(r"\1***", _IPV4.sub(r"\1***", text)))


def mask_ip(text: str) -> str:
    """An address without its last part: `203.0.113.***`, `2001:db8::***`. In a list, or with a port, too."""
    try:
        address = ip_address(text)
    except ValueError:
        return mask_words(text)
    separator = "." if address.version == 4 else ":"
    return text.rpartition(separator)[0] + separator + "***"


def shown_body(body: bytes | None) -> Any:
    """A body as people see it: JSON where it is JSON, else text; None for none."""
    if not body:
        return None if body is None else ""
    try:
        return mask(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return mask_text(body.decode("utf-8", "replace"))


def shown_url(url: str) -> str:
    """A URL as people see it. A JSON document in its query (`data=`) is masked as a body is."""
    base, mark, query = url.partition("?")
    base = mask_text(base)
    pairs = []
    for pair in query.split("&") if query else []:
        name, equals, value = pair.partition("=")
        if name == "data":
            value = msgspec.json.encode(shown_body(unquote(value).encode())).decode()
        if name in ENCODED_PERSONS or _plain(name) in SECRETS:
            value = "***"
        pairs.append(mask_text(name + equals + value))
    return base + mark + "&".join(pairs)
