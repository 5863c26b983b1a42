"""The kinds of values that a configuration holds, as types: `timeout: Duration`, `key: Slug`.

A type carries a `Read`, which turns what stands in the file into the value and refuses what can't be used.
Vendors use the same types in their settings.
"""

import difflib
import ipaddress
import json
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import msgspec

from firsthand.personal import mask_text


class Unreadable(ValueError):
    """A value that can't be used: what was found, and what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class FromEnvironment(str):
    """Text with values from the environment in it. It may be a secret, so messages show `reference` in its place."""

    __slots__ = ("reference",)
    reference: str

    def __new__(cls, value: str, reference: str) -> "FromEnvironment":
        self = super().__new__(cls, value)
        self.reference = reference
        return self


def did_you_mean(word: str, accepted: Iterable[str]) -> str:
    """A remedy that lists what is accepted, the likely one first."""
    known = sorted(accepted)
    if not known:
        return "remove it: nothing is accepted here"
    close = difflib.get_close_matches(word, known, 1)
    return (f"did you mean {close[0]}? " if close else "") + f"accepted: {', '.join(known)}"


def shown(value: object) -> str:
    """A value from the file, for a message."""
    if isinstance(value, FromEnvironment):
        return f"the value of {value.reference}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if value is None:
        return "nothing"
    return mask_text(json.dumps(value, ensure_ascii=False))


@dataclass(frozen=True)
class Read:
    """Marks a type with how its values are read; the function raises `Unreadable`. That of a text gets text only."""

    function: Callable[[Any], Any]


@dataclass(frozen=True)
class Masked:
    """Marks a type whose values are never shown."""


Secret = Annotated[str, Masked()]
"""Text that is never shown: not in a message, not in the list of what an `apply` changed."""


def unwrap(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type inside `Annotated` and `| None`, and the notes on it."""
    notes: tuple[Any, ...] = ()
    while True:
        if get_origin(hint) is Annotated:
            hint, notes = hint.__origin__, (*notes, *hint.__metadata__)
        elif is_optional(hint) and len(get_args(hint)) == 2:
            hint = next(arg for arg in get_args(hint) if arg is not type(None))
        else:
            return hint, notes


def is_optional(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return is_optional(hint.__origin__)
    return get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)


# Durations and sizes

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def duration(value: object) -> float:
    """Seconds: `"15m"`, `"10s"`, `"48h"`, `"7d"`, `"500ms"`, or a number of seconds."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        seconds = float(match[1]) * _SECONDS[match[2]]
    else:
        raise Unreadable(f"{shown(value)} is not a duration", "write it like 500ms, 10s, 15m, 48h or 7d")
    if seconds < 0:
        raise Unreadable(f"{shown(value)} is negative", "give a duration of 0 or more")
    return seconds


def size(value: object) -> int:
    """Bytes: `"10GB"` (powers of 1000), `"10GiB"` (powers of 1024), or a number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)):
        return int(float(match[1]) * _BYTES[match[2]])
    raise Unreadable(f"{shown(value)} is not a size", "write it like 500MB, 10GB or 10GiB, or as a number of bytes")


Duration = Annotated[float, Read(duration)]
"""Seconds, written `15m`, `10s`, `48h`, `7d`, `500ms` or as a number of seconds."""

Size = Annotated[int, Read(size), msgspec.Meta(ge=1)]
"""Bytes, written `10GB`, `10GiB` or as a number of bytes."""


# Names, keys and addresses


def slug(value: str) -> str:
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        return value
    raise Unreadable(
        f"{shown(value)} can't be a key",
        "use lower-case letters, digits and hyphens, at most 63, and no hyphen in front",
    )


def write_key(value: str) -> str:
    # Basic auth carries the key as its user name, which ends at the first colon.
    if re.fullmatch(r"[!-9;-~]{1,200}", value):
        return value
    raise Unreadable(
        "this can't be a write key", "use 1 to 200 printable ASCII characters in quotes, without blanks and colons"
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(value: str) -> tuple[SplitResult, str]:
    """The parts of a whole http(s) URL, and its host."""
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("https", "http") and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        whole = False
    if not whole or not parts.hostname or re.search(r"[\s\\]", value):
        raise Unreadable(f"{shown(value)} is not a whole URL", "write it like https://shop.example")
    if parts.username is not None or parts.password is not None:
        raise Unreadable("the URL holds a user name or a password", "leave it out of the URL")
    return parts, parts.hostname


def endpoint_url(value: str) -> str:
    """A URL that events are sent to: https, or http on this machine (an emulator, a test)."""
    parts, host = _split(value)
    if parts.scheme == "http" and not is_loopback(host):
        raise Unreadable(
            f"{shown(value)} is not encrypted",
            "use https://; http:// is accepted for this machine only (localhost, 127.0.0.1, [::1])",
        )
    return value


def page_url(value: str) -> str:
    """The URL of a page, compared as it stands with the one in the event."""
    _split(value)
    return value


def origin(value: str) -> str:
    """An origin exactly as browsers send it, since it is compared as text."""
    parts, host = _split(value)
    if "*" in host:
        raise Unreadable(f"{shown(value)} has a wildcard", "name each origin by itself")
    default_port = {"https": 443, "http": 80}[parts.scheme]
    try:
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()  # ä becomes xn--
    except UnicodeError:
        raise Unreadable(f"{shown(value)} has no host name", "write it like https://shop.example") from None
    port = f":{parts.port}" if parts.port not in (None, default_port) else ""
    exact = f"{parts.scheme}://{host}{port}"
    if exact != value:
        remedy = "write it like https://shop.example" if isinstance(value, FromEnvironment) else f"write {exact}"
        raise Unreadable(f"{shown(value)} is not an origin as browsers send it", remedy)
    if parts.scheme == "http" and not (is_loopback(parts.hostname or "") or _leads_here(host)):
        raise Unreadable(
            f"{shown(value)} is not encrypted, and not on this machine",
            "use https://; http:// is accepted for localhost, *.localhost, 127.0.0.1, [::1] and names that lead to this"
            f" machine, as the line `127.0.0.1 {host}` in the hosts file makes one",
        )
    return value


def _leads_here(host: str) -> bool:
    """Whether a name stands for this machine alone, at the moment: mostly by its hosts file, for development."""
    if host.endswith(".localhost"):  # to browsers always
        return True
    try:
        return all(is_loopback(str(address[0])) for *_, address in socket.getaddrinfo(host, None))
    except (OSError, UnicodeError):
        return False


def network(value: str) -> str:
    """An IP address or a range of them in CIDR form."""
    try:
        ipaddress.ip_network(value)
    except ValueError:
        remedy = "write it like 10.0.0.1 or 10.0.0.0/8"
        raise Unreadable(f"{shown(value)} is not an address or a range", remedy) from None
    return value


Slug = Annotated[str, Read(slug)]
WriteKey = Annotated[str, Read(write_key), Masked()]
EndpointUrl = Annotated[str, Read(endpoint_url)]
PageUrl = Annotated[str, Read(page_url)]
Origin = Annotated[str, Read(origin)]
Network = Annotated[str, Read(network)]
