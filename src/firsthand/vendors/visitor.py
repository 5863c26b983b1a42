"""What an event's context says about the visitor: address, language, device, consent string."""

import re
import socket
from typing import Any
from urllib.parse import quote

from firsthand.consent.said import read
from firsthand.event import Event
from firsthand.vendors.fields import Fields, invalid

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
COUNTRY = re.compile(r"[A-Za-z]{2}")
LOCALE = re.compile(r"([a-z]{2})(?:[-_][a-z]{4})?(?:[-_]([a-z]{2}))?", re.I)


def ip_address(context: Fields) -> str | None:
    found = context.text("ip")
    try:
        if found is not None:
            socket.inet_pton(socket.AF_INET6 if ":" in found else socket.AF_INET, found)
    except (OSError, ValueError):
        raise invalid(context.path + "ip", "an IPv4 or IPv6 address") from None
    return found


def country_and_language(context: Fields) -> tuple[str | None, str | None]:
    """Where they are given as two-letter codes; the country may also be that of the locale."""
    locale = LOCALE.fullmatch(context.text("locale") or "")
    language, region = locale.groups("") if locale else ("", "")
    country = context.text("location.country") or ""
    return (country if COUNTRY.fullmatch(country) else region).upper() or None, language.lower() or None


def advertising_ids(context: Fields) -> dict[str, str]:
    """The device's id for advertising by its system (`ios`, `android`), if its user lets apps track."""
    if context.get("device.adTrackingEnabled") is not True:
        return {}
    system, found = context.text("device.type"), context.text("device.advertisingId")
    if found and not UUID.fullmatch(found):
        raise invalid(context.path + "device.advertisingId", "a UUID")
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

    Strings of TCF 1 begin with B, those of TCF 2 with C, and only they come with `version`. A string alone, as it
    stands in the consent tool's cookie, means that GDPR applies: otherwise nobody would have asked the visitor.
    """
    applies, text = tcf_of(consent)
    if applies is not False and text[:1] in ("B", "C"):
        return f"&{flag}=1&{string}={quote(text, safe='')}" + (f"&{version}=2" if version and text[0] == "C" else "")
    return f"&{flag}=0" if applies is False else ""
