"""Cookies as they stand in headers: read within bounds, written so that no script can read them."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, unquote

from firsthand.collect.hosts import Site

HEADER_BYTES = 32 << 10
"""What is read of a Cookie header at most. Browsers send up to some hundred cookies of 4 kB each; web servers that
stand in front take 8 to 32 kB."""
MOST = 1000
VALUE_LENGTH = 1024
"""Of a value of ours, as it stands in the header."""

# What a cookie may hold (RFC 6265), less the percent sign.
_SIGNS = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_is_plain = re.compile(f"[A-Za-z0-9{re.escape(_SIGNS)}]*").fullmatch


class Jar:
    """The cookies of a request.

    `whole` is false where there were too many to look at: then none is known, and it is not known which are missing.
    """

    __slots__ = ("_all", "_text", "whole")

    def __init__(self, header: bytes | None) -> None:
        self._all: dict[str, str] | None = None
        self._text = ""
        self.whole = header is None or (len(header) <= HEADER_BYTES and header.count(b";") < MOST)
        if header is not None and self.whole:
            self._text = header.decode("latin-1")

    def may_have(self, names: Iterable[str]) -> bool:
        """Whether one of these names stands somewhere in the header: quicker than to read it."""
        return any([name in self._text for name in names])

    @property
    def all(self) -> dict[str, str]:
        """Each value as it stands in the header. Of those that stand twice, the first: the one for the more exact
        path, else the older one."""
        if self._all is None:
            self._all = {}
            for pair in self._text.split(";"):
                name, equals, value = pair.partition("=")
                if equals:
                    self._all.setdefault(name.strip(), value.strip())
        return self._all

    def __contains__(self, name: str) -> bool:
        return next(self._values(name), None) is not None

    def get(self, name: str, is_valid: Callable[[str], object]) -> str | None:
        """The first value under a name that is valid, decoded. Somebody else may have set another one for a part of
        the site, and browsers send both."""
        text, start = self._text, f"{name}="
        at = text.find(start)
        if at < 0:
            return None
        if at == 0 or text[at - 2 : at] == "; ":  # nearly always the first is the one
            end = text.find(";", at)
            value = text[at + len(start) : len(text) if end < 0 else end]
            if "%" not in value and len(value) <= VALUE_LENGTH and is_valid(value):
                return value
        for value in self._values(name):
            if len(value) <= VALUE_LENGTH:
                decoded = unquote(value) if "%" in value else value
                if is_valid(decoded):
                    return decoded
        return None

    def _values(self, name: str) -> Iterator[str]:
        text, start = self._text, f"{name}="
        at = text.find(start)
        while at >= 0:
            end = text.find(";", at)
            # Not in the middle of another one's value: `; ` stands before it, or nothing.
            if at == 0 or text[at - 1] == ";" or (text[at - 1] == " " and text[at - 2 : at - 1] in (";", "")):
                yield text[at + len(start) : len(text) if end < 0 else end].strip()
            at = text.find(start, end) if end >= 0 else -1


def set_cookie(name: str, value: str, max_age: float, site: Site, secure: bool) -> tuple[bytes, bytes]:
    """The header that sets a cookie for `max_age` seconds, or with 0 removes it, on the whole site."""
    if not _is_plain(value):
        value = quote(value, safe=_SIGNS)
    return b"set-cookie", f"{name}={value}{_attributes(round(max_age), site.domain, secure)}".encode()


@lru_cache(maxsize=1024)
def _attributes(max_age: int, domain: str | None, secure: bool) -> str:
    of_domain = f"; Domain=.{domain}" if domain else ""
    return f"; Max-Age={max_age}{of_domain}; Path=/{'; Secure' if secure else ''}; HttpOnly; SameSite=Lax"
