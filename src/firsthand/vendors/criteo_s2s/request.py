"""From an event to the request that carries it: the envelope, the visitor's ids and the address."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

import msgspec

from firsthand.reasons import Dead
from firsthand.vendors.base import Input, Request, Setup
from firsthand.vendors.criteo_s2s.events import criteo_event, known
from firsthand.vendors.criteo_s2s.fields import Fields
from firsthand.vendors.criteo_s2s.hashing import hash_email
from firsthand.vendors.criteo_s2s.settings import CriteoS2S

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
LOCALE = re.compile(r"([a-z]{2})(?:[-_][a-z]{4})?(?:[-_]([a-z]{2}))?", re.I)

encode = msgspec.json.Encoder().encode


def build(setup: Setup[CriteoS2S], inputs: Sequence[Input]) -> list[Request]:
    """One request per event: Criteo's answer does not say which event of several was at fault."""
    return [request(setup, given, index) for index, given in enumerate(inputs)]


def request(setup: Setup[CriteoS2S], given: Input, index: int) -> Request:
    body, url = envelope(setup.settings, given), address(setup, given)
    # Sales are told apart by their order id; anything else counts twice when it arrives twice.
    tries = None if body["events"][0]["event"] == "trackTransaction" else 3
    if setup.settings.method == "get":
        return Request("GET", f"{url}&data={quote(encode(body), safe='')}", items=(index,), max_uncertain=tries)
    return Request("POST", url, {"content-type": "application/json"}, encode(body), (index,), tries)


def envelope(settings: CriteoS2S, given: Input) -> dict[str, Any]:
    """The body of a request. `ip` and `useragent` are the visitor's, never those of a server in between."""
    event, allowed = given.event, given.consent.decision == "allow"
    context, properties = Fields(event.context, "context."), Fields(event.properties, "properties.")
    user_agent = context.scrubbed("userAgent")
    country, language = locality(context) if settings.country_language else (None, None)
    body = known(
        account=settings.partner_id,
        version="s2s_v1.0.0",
        site_type=site_type(user_agent) if user_agent else None,
        ip=visitor_ip(context) if allowed else None,
        full_url=context.url("page.url") or properties.url("url"),
        previous_url=context.url("page.referrer") or properties.url("referrer"),
        useragent=user_agent,
        retailer_visitor_id=Fields({"anonymousId": event.anonymous_id}, "").text("anonymousId") if allowed else None,
        country=country,
        language=language,
        id=known(mapping_key=settings.mapping_key, **(identify(settings, given, context) if allowed else {})),
        events=[criteo_event(settings, event, given.name)],
    )
    if allowed and anonymous(body):
        raise Dead("identity_missing", "Criteo needs a GUM ID, an e-mail address, a device's id or an anonymousId")
    return body


def anonymous(body: dict[str, Any]) -> bool:
    """Whether a request names nobody, as after a refusal of consent. Criteo wants such events nonetheless."""
    return "retailer_visitor_id" not in body and body["id"].keys() == {"mapping_key"}


def identify(settings: CriteoS2S, given: Input, context: Fields) -> dict[str, Any]:
    """Every id we know: Criteo matches on each, and across devices on the e-mail address."""
    device, advertising_id = None, None
    if context.get("device.adTrackingEnabled") is True:
        device, advertising_id = context.text("device.type"), context.text("device.advertisingId")
        if advertising_id and not UUID.fullmatch(advertising_id):
            raise context.invalid("device.advertisingId", "a UUID")
        if advertising_id and not advertising_id.strip("0-"):
            device = None  # all zeros is how a device says that tracking is off
    return {
        "mapped_user_id": given.identity.vendor_ids.get("criteo_gum_id") or None,
        "idfa": advertising_id if device and device.lower() == "ios" else None,
        "gaid": advertising_id if device and device.lower() == "android" else None,
        "email": hash_email(given.event.email or "", settings.hash_forms, settings.hashed_email),
    }


def visitor_ip(context: Fields) -> str | None:
    found = context.text("ip")
    try:
        return found if found is None or ip_address(found) else None
    except ValueError:
        raise context.invalid("ip", "an IPv4 or IPv6 address") from None


def locality(context: Fields) -> tuple[str | None, str | None]:
    """Country and language, where they are given as two-letter codes."""
    locale = LOCALE.fullmatch(context.text("locale") or "")
    language, region = locale.groups("") if locale else ("", "")
    country = context.text("location.country") or ""
    return (country if re.fullmatch("[A-Za-z]{2}", country) else region).upper() or None, language.lower() or None


def site_type(user_agent: str) -> str:
    """t for tablets, m for phones, d for the rest. An Android that is not mobile is a tablet."""
    agent = user_agent.lower().replace("tablet pc", "")  # in the name of desktop browsers
    mobile = "mobi" in agent
    if any(word in agent for word in ("ipad", "tablet", "kindle", "playbook")) or ("android" in agent and not mobile):
        return "t"
    return "m" if mobile or "iphone" in agent or "ipod" in agent else "d"


def address(setup: Setup[CriteoS2S], given: Input) -> str:
    """The URL for events, with the protocol's version and the visitor's consent string."""
    url = setup.endpoints["events"]
    if "?version=" not in url and "&version=" not in url:
        url += ("&" if "?" in url else "?") + "version=s2s_v0"
    applies = given.event.get("context", "consent", "tcf", "gdprApplies")
    string = given.event.text("context", "consent", "tcf", "tcString") or ""
    if setup.settings.consent_carrier == "gum":
        return url
    if applies is False:
        return f"{url}&gra=0"
    if applies is not True or string[:1] not in ("B", "C"):
        return url
    # TCF v2 strings begin with C, those of v1.1 with B. Criteo's guide: `grv` is present only for v2.
    return f"{url}&gra=1&grs={quote(string, safe='')}" + ("&grv=2" if string[0] == "C" else "")
