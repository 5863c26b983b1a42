"""A request as the bytes that go out. Nothing that is put into it can become a header or a request of its own."""

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import quote, urlsplit

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
"""HEAD and CONNECT have answers of another shape."""
WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
"""These say how long their body is even where there is none: RFC 9110, 8.6."""
FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade", "expect"})

URI_MARKS = "-._~:/?#[]@!$&'()*+,;=%"
"""All that may stand in a URI beside letters and digits: RFC 3986, 2."""
_HOST_AND_PORT = r"(https?://[^/?#\\\x00-\x20\x7f]*)"
_URL = re.compile(rf"{_HOST_AND_PORT}((?:[/?][0-9A-Za-z{re.escape(URI_MARKS.replace('#', ''))}]*)?)", re.I)
_ANY_URL = re.compile(rf"{_HOST_AND_PORT}((?:[/?][^#]*)?)(?:#.*)?", re.I | re.S)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[0-9a-z._-]+")
_FIELD_NAME = re.compile(r"[0-9A-Za-z!#$%&'*+.^_`|~-]+")
_LINE_END = re.compile(r"[\x00\r\n]")


class Origin(NamedTuple):
    """Whom a connection leads to. `authority` is what the Host header says."""

    secure: bool
    host: str
    port: int
    authority: str


def encode(method: str, url: str, headers: Mapping[str, str], body: bytes | None, agent: str) -> tuple[Origin, bytes]:
    """Whom to send to, and what. `headers` win over the ones that are set here.

    Raises ValueError for what is no request. Its text tells what is wrong, and nothing of what stands there.
    """
    if method not in METHODS:
        raise ValueError(f"the method is none of {', '.join(sorted(METHODS))}")
    parts = _URL.fullmatch(url)
    origin, target = (_origin(parts[1]), parts[2]) if parts else _mended(url)
    if target[:1] != "/":
        target = f"/{target}"
    fields = {"host": f"Host: {origin.authority}", "user-agent": f"User-Agent: {agent}", "accept": "Accept: */*"}
    for name, value in headers.items():
        key, line = _field(name, value)
        fields[key] = line
    if body is not None or method in WITH_CONTENT:
        fields["content-length"] = f"Content-Length: {len(body or b'')}"
    try:
        head = "\r\n".join((f"{method} {target} HTTP/1.1", *fields.values(), "\r\n")).encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a header's value has characters in it that no header can carry") from None
    return origin, head + body if body else head


@lru_cache(256)
def _origin(text: str) -> Origin:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        if "[" in parts.netloc:
            host = str(IPv6Address(host))
            shown = f"[{host}]"
        else:
            host = shown = host.encode("idna").decode()
    except ValueError:
        raise ValueError("the address has no host that can be asked") from None
    if "@" in parts.netloc or not (":" in host or _HOST.fullmatch(host)):
        raise ValueError("the address has no host that can be asked")
    secure = parts.scheme == "https"
    usual = 443 if secure else 80
    return Origin(secure, host, usual if port is None else port, shown if port in (None, usual) else f"{shown}:{port}")


def _mended(url: str) -> tuple[Origin, str]:
    """Of a URL with a fragment, which is not sent, or with characters in it that have to be percent-encoded."""
    parts = _ANY_URL.fullmatch(url)
    if parts is None or _CONTROL.search(url):
        raise ValueError("the address is no URL of http or https")
    try:
        return _origin(parts[1]), quote(parts[2], safe=URI_MARKS)
    except UnicodeEncodeError:
        raise ValueError("the address has characters in it that no URL can carry") from None


@lru_cache(256)
def _field(name: str, value: str) -> tuple[str, str]:
    """A header's name in lower case, and its line."""
    key = name.lower()
    if key in FRAMING or not _FIELD_NAME.fullmatch(name):
        raise ValueError("a header has a name that may not be given")
    if _LINE_END.search(value):
        raise ValueError("a header's value has a line break in it")
    return key, f"{name}: {value}"
