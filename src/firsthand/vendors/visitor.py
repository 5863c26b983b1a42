"""What an event's context says about the visitor: address, language, device, consent string."""

import re
import socket
from functools import lru_cache
from ipaddress import ip_address as parsed
from ipaddress import ip_network
from typing import Any
from urllib.parse import quote

from firsthand.consent.said import read
from firsthand.event import Event
from firsthand.personal import scrub
from firsthand.vendors.fields import Fields

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
COUNTRY = re.compile(r"[A-Za-z]{2}")
LOCALE = re.compile(r"([a-z]{2})(?:[-_][a-z]{4})?(?:[-_]([a-z]{2}))?", re.I)
ADDRESS = re.compile(r"\[([0-9a-f:.]+)\](?::[0-9]+)?|([0-9.]+)(?::[0-9]+)?|([0-9a-f:.]+)", re.I)
"""An IP address as proxies write it, with or without the port."""
INSIDE = [ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
"""Networks that end at a router: no visitor is known by an address in them."""


def ip_address(context: Fields) -> str | None:
    """The visitor's address. Of several, as `X-Forwarded-For` has them, the first that is public."""
    found = context.get("ip")
    if found is None:
        return None
    if isinstance(found, str) and any(_packed(found)):
        return found  # by itself it is taken as it is: in a test, all addresses are private ones
    named = ",".join(str(one) for one in found) if isinstance(found, list) else str(found)
    for text in named.split(","):
        if (match := ADDRESS.fullmatch(text.strip())) and _is_public(address := match[1] or match[2] or match[3]):
            return address
    context.leave_out("ip", "an IPv4 or IPv6 address; of several, the first public one is taken")
    return None


def user_agent(context: Fields) -> str | None:
    """Without what it may say of a person: apps write their own."""
    found = context.get("userAgent")
    return _scrubbed(found) or None if isinstance(found, str) else context.text("userAgent")


@lru_cache(maxsize=1024)
def _scrubbed(user_agent: str) -> str:
    """Few come again and again."""
    return scrub(user_agent).strip()


def _packed(text: str) -> bytes:
    """The bytes of an address, which are all 0 where it is unspecified; none where it is no address."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return b""


def _is_public(text: str) -> bool:
    if not _packed(text):
        return False
    address = parsed(text)
    address = getattr(address, "ipv4_mapped", None) or address
    nowhere = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not nowhere and not any(address in net for net in INSIDE)


def country_and_language(context: Fields) -> tuple[str | None, str | None]:
    """Where they are given as two-letter codes; the country may also be that of the locale."""
    said, country = context.text("locale"), context.text("location.country")
    locale = LOCALE.fullmatch(said or "")
    if said and not locale:
        context.leave_out("locale", "a language, or a language and a country, such as de or de-DE")
    if country and not COUNTRY.fullmatch(country):
        context.leave_out("location.country", "a code of two letters, such as DE")
        country = None
    language, region = locale.groups("") if locale else ("", "")
    return (country or region).upper() or None, language.lower() or None


def advertising_ids(context: Fields) -> dict[str, str]:
    """The device's id for advertising by its system (`ios`, `android`), if its user lets apps track."""
    if context.get("device.adTrackingEnabled") is not True:
        return {}
    system, found = context.text("device.type"), context.text("device.advertisingId")
    if found and not UUID.fullmatch(found):
        context.leave_out("device.advertisingId", "a UUID")
        return {}
    # All zeros is how a device says that tracking is off.
    return {system.lower(): found} if system and found and found.strip("0-") else {}


def tcf(event: Event) -> tuple[bool | None, str]:
    """Whether GDPR applies, if that is known, and the TCF consent string."""
    return tcf_of(event.get("context", "consent"))


def tcf_of(consent: Any) -> tuple[bool | None, str]:
    """The same of a `context.consent`."""
    said = read(consent)
    return said.applies, said.tc_string


def tcf_query(consent: Any, flag: str, string: str, version: str | None = None) -> str:
    """A `context.consent` as parameters of these names, each after `&`; nothing where too little is known.

    Strings of TCF 2 begin with C. A string alone, as it stands in the consent tool's cookie, means that GDPR applies:
    otherwise nobody would have asked the visitor.
    """
    applies, text = tcf_of(consent)
    if applies is not False and text[:1] == "C":
        return f"&{flag}=1&{string}={quote(text, safe='')}" + (f"&{version}=2" if version else "")
    return f"&{flag}=0" if applies is False else ""
