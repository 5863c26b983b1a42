"""What people are shown of bodies and events: raw personal data masked, hashes and vendor ids as they are."""

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote

import msgspec

# Begins where a word begins and never goes back, so that the time it takes grows with the length alone.
_LOCAL = r"[\w.+\-!#$*^`{|}~']"
EMAIL = re.compile(rf"(?<!{_LOCAL})({_LOCAL}){_LOCAL}*+(@|%40)([\w\-]+(?:\.[\w\-]+)+)")
SECRET_KEYS = frozenset(
    {"authorization", "cookie", "set-cookie", "api_key", "apikey", "writekey", "client_secret", "password"}
)
PHONE_KEYS = frozenset({"phone", "phone_number", "mobile"})
IP_KEYS = frozenset({"ip"})
ENCODED_PERSONS = frozenset({"ruid"})
"""Parameters of URLs that hold an e-mail address in base64, which hides it from nobody."""


def mask(value: Any, key: str = "") -> Any:
    """A copy of a JSON value that may be shown. `key` is the name it stands under."""
    if isinstance(value, dict):
        return {name: mask(inner, name.lower() if isinstance(name, str) else "") for name, inner in value.items()}
    if isinstance(value, list):
        return [mask(inner, key) for inner in value]
    if key in SECRET_KEYS:
        return "***"
    if key in PHONE_KEYS and isinstance(value, (str, int)):
        return "***" + str(value)[-2:]
    if isinstance(value, str):
        return mask_ip(value) if key in IP_KEYS else mask_text(value)
    return value


def mask_text(text: str) -> str:
    """E-mail addresses in a text, also URL-encoded ones: `user@example.com` → `u***@example.com`."""
    return EMAIL.sub(r"\1***\2\3", text) if "@" in text or "%40" in text else text


def mask_ip(text: str) -> str:
    """An address without its last part: `203.0.113.***`, `2001:db8::***`."""
    try:
        address = ip_address(text)
    except ValueError:
        return mask_text(text)
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
    pairs = []
    for pair in query.split("&") if query else []:
        name, equals, value = pair.partition("=")
        if name == "data":
            value = msgspec.json.encode(shown_body(unquote(value).encode())).decode()
        if name in ENCODED_PERSONS:
            value = "***"
        pairs.append(name + equals + mask_text(value))
    return base + mark + "&".join(pairs)
