"""Whose cookies a host may set: its registrable domain, by the public-suffix list (a copy comes with the library).

`events.shop.co.uk` sets cookies for `.shop.co.uk`, so that the pages of `www.shop.co.uk` have them too.
"""

import re
from functools import cache, lru_cache
from ipaddress import ip_address

import msgspec
from publicsuffixlist import PublicSuffixList

MAX_LENGTH = 253
_NAME = rb"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)\.?(?::[0-9]{1,5})?"
_HOST = re.compile(_NAME, re.IGNORECASE)
_ORIGIN = re.compile(rb"https?://(" + _NAME + rb")", re.IGNORECASE)


class Site(msgspec.Struct, frozen=True):
    """A host that may set cookies. Its name is in lower case, without a port and without a dot at the end."""

    name: str
    domain: str | None
    """The registrable domain. None: an address or this machine's own name, whose cookies are for it alone."""


@cache
def suffixes() -> PublicSuffixList:
    """The list. Reading it takes some 30 ms, once."""
    return PublicSuffixList()


@lru_cache(maxsize=4096)
def site_of(host: bytes) -> Site | None:
    """The site of a `Host` header. None for a public suffix such as `co.uk`, and for what is no host name."""
    match = _HOST.fullmatch(host)
    name = match[1].decode().lower() if match else ""
    if not name or len(name) > MAX_LENGTH:
        return None
    # A browser takes a name with a number at its end for an address, or for nothing.
    if name[0] == "[" or name.rpartition(".")[2].isdigit():
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return None
        return Site(name, None)
    domain = suffixes().privatesuffix(name)
    if domain is None and ("." in name or suffixes().is_public(name, accept_unknown=False)):
        return None
    return Site(name, domain)


@lru_cache(maxsize=4096)
def site_of_page(origin: bytes) -> Site | None:
    """The site of a page, by its origin."""
    match = _ORIGIN.fullmatch(origin)
    return site_of(match[1]) if match else None


@lru_cache(maxsize=4096)
def same_site(origin: bytes, host: bytes) -> bool:
    """Whether a page's origin and the host it asks belong together: one registrable domain, or the very same host."""
    page, here = site_of_page(origin), site_of(host)
    if page is None or here is None:
        return False
    return page.name == here.name or (page.domain is not None and page.domain == here.domain)
