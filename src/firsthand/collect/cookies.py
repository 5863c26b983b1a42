"""Cookies as they stand in headers: read within bounds, written so that no script can read them."""

from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, unquote

from firsthand.collect.hosts import Site

HEADER_BYTES = 32 << 10
"""What is read of a Cookie header at most. Browsers send up to some hundred cookies of 4 kB each; web servers that
stand in front take 8 to 32 kB."""
MOST = 1000
VALUE_LENGTH = 1024
"""Of a value of ours, as it stands in the header."""


class Jar:
    """The cookies of a request, each value as it stands in the header.

    `whole` is false where there were too many to look at: then none is known, and it is not known which are missing.
    """

    __slots__ = ("_again", "first", "whole")

    def __init__(self, header: bytes | None) -> None:
        self.first: dict[str, str] = {}
        """By name; of those that stand twice, the first: the one for the more exact path, else the older one."""
        self._again: dict[str, list[str]] = {}
        self.whole = header is None or (len(header) <= HEADER_BYTES and header.count(b";") < MOST)
        if header is None or not self.whole:
            return
        for pair in header.decode("latin-1").split(";"):
            name, equals, value = pair.partition("=")
            name = name.strip()
            if not equals or not name:
                continue
            if name in self.first:
                self._again.setdefault(name, []).append(value.strip())
            else:
                self.first[name] = value.strip()

    def __contains__(self, name: str) -> bool:
        return name in self.first

    def get(self, name: str, is_valid: Callable[[str], object]) -> str | None:
        """The first value under a name that is valid, decoded. Somebody else may have set another one for a part of
        the site, and browsers send both."""
        value = self.first.get(name)
        if value is None:
            return None
        for candidate in (value, *self._again.get(name, ())):
            if len(candidate) <= VALUE_LENGTH:
                decoded = unquote(candidate) if "%" in candidate else candidate
                if is_valid(decoded):
                    return decoded
        return None


def set_cookie(name: str, value: str, max_age: float, site: Site, secure: bool) -> tuple[bytes, bytes]:
    """The header that sets a cookie for `max_age` seconds, or with 0 removes it, on the whole site."""
    # The value's safe characters are what a cookie may hold (RFC 6265) less the percent sign.
    safe = quote(value, safe="!#$&'()*+-./:<=>?@[]^_`{|}~")
    return b"set-cookie", f"{name}={safe}{_attributes(round(max_age), site.domain, secure)}".encode()


@lru_cache(maxsize=1024)
def _attributes(max_age: int, domain: str | None, secure: bool) -> str:
    of_domain = f"; Domain=.{domain}" if domain else ""
    return f"; Max-Age={max_age}{of_domain}; Path=/{'; Secure' if secure else ''}; HttpOnly; SameSite=Lax"
