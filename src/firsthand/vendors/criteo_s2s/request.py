"""From an event to the request that carries it: the address, the envelope and the visitor's ids."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec import json

from firsthand.event import Event
from firsthand.personal import has_personal
from firsthand.reasons import Dead
from firsthand.vendors.anonymity import anonymous_text, anonymous_url, ids_of
from firsthand.vendors.base import Built, Input, Notes, Request, Setup
from firsthand.vendors.criteo_s2s.events import criteo_event
from firsthand.vendors.criteo_s2s.settings import CriteoS2S
from firsthand.vendors.fields import Fields, invalid, known
from firsthand.vendors.hashing import hash_email
from firsthand.vendors.ids import sound_id
from firsthand.vendors.useragent import device
from firsthand.vendors.visitor import advertising_ids, country_and_language, ip_address, tcf_query, user_agent

encode = json.Encoder().encode
NOBODY = (
    "Criteo needs something to know the visitor by: an e-mail address (traits.email), a GUM ID"
    " (context.ids.criteo_gum_id), an anonymousId or a device's advertising id. A userId tells Criteo nothing; it is"
    " enough where an identify call with that userId and traits.email came before"
)
NO_PERSON = "something other than an e-mail address or a phone number"


def endpoints(settings: CriteoS2S, emulator_base: str | None) -> dict[str, str]:
    """`events`, by region, and `gum`, the sync that gives a browser its GUM ID.

    Criteo's guide writes the regional addresses with http; they answer on https, and events hold personal data.
    """
    region = "" if settings.region == "auto" else settings.region
    if emulator_base is None:
        host = f"widget.{region}.criteo.com" if region else "widget.criteo.com"
        return {"events": f"https://{host}/m/event?version=s2s_v0", "gum": "https://gum.criteo.com/sync"}
    base = emulator_base.rstrip("/") + "/criteo-s2s"
    return {"events": f"{base}/{region}/m/event" if region else f"{base}/m/event", "gum": f"{base}/sync"}


def build(setup: Setup[CriteoS2S], inputs: Sequence[Input]) -> Built:
    """One event per request: Criteo's answer does not say which event of several was at fault."""
    (given,) = inputs
    notes = Notes()
    url, body = setup.endpoints["events"], envelope(setup.settings, given, notes)
    if "?version=" not in url and "&version=" not in url:
        url += ("&" if "?" in url else "?") + "version=s2s_v0"
    if setup.settings.consent_carrier == "event":
        url += tcf_query(given.event.get("context", "consent"), "gra", "grs", "grv")
    # Sales are told apart by their order id; anything else counts twice when it arrives twice.
    tries = None if body["events"][0]["event"] == "trackTransaction" else 3
    if setup.settings.method == "get":
        request = Request("GET", f"{url}&data={quote(encode(body), safe='')}", max_uncertain=tries)
    else:
        request = Request("POST", url, {"content-type": "application/json"}, encode(body), max_uncertain=tries)
    return Built([request], (notes,))


def envelope(settings: CriteoS2S, given: Input, notes: Notes) -> dict[str, Any]:
    """The body of a request. `ip` and `useragent` are the visitor's, never those of a server in between."""
    event, allowed = given.event, given.consent.decision == "allow"
    context, properties = Fields(event.context, "context.", notes), Fields(event.properties, "properties.", notes)
    visitor = Fields({"anonymousId": event.anonymous_id}, "", notes)
    agent = user_agent(context)
    country, language = country_and_language(context) if settings.country_language else (None, None)
    body = {
        "account": settings.partner_id,
        "version": "s2s_v1.0.0",
        "site_type": device(agent)[0] if agent else None,  # d, m or t
        "ip": ip_address(context) if allowed else None,
        "full_url": context.url("page.url", given.origin) or properties.url("url", given.origin),
        "previous_url": context.url("page.referrer") or properties.url("referrer"),
        "useragent": agent,
        "retailer_visitor_id": visitor_id(visitor) if allowed else None,
        "country": country,
        "language": language,
        "id": identity(settings, given, context) if allowed else {"mapping_key": settings.mapping_key},
        "events": [criteo_event(settings, event, given.name, notes)],
    }
    if allowed and anonymous(body):
        if event.anonymous_id:
            raise invalid("anonymousId", NO_PERSON)  # there is one that can't be sent
        raise Dead("identity_missing", NOBODY)
    return known(body if allowed else without_ids(body, event))


def visitor_id(visitor: Fields) -> str | None:
    """The visitor's pseudonym, unless it names the person."""
    found: str | None = visitor.get("anonymousId")
    if found and has_personal(found):
        visitor.leave_out("anonymousId", NO_PERSON)
        return None
    return found


def without_ids(body: dict[str, Any], event: Event) -> dict[str, Any]:
    """The same for a visitor who is not to be named: addresses and texts that shops write may tell who it was."""
    ids, (sent,) = ids_of(event), body["events"]
    texts = {name: anonymous_text(sent[name], ids) for name in ("category", "keywords") if name in sent}
    urls = {name: anonymous_url(body[name], ids) for name in ("full_url", "previous_url")}
    return {
        **body,
        **urls,
        "useragent": anonymous_text(body["useragent"], ids),
        "events": [known({**sent, **texts})],
    }


def identity(settings: CriteoS2S, given: Input, context: Fields) -> dict[str, Any]:
    """Every id we know: Criteo matches on each, and across devices on the e-mail address."""
    devices, email = advertising_ids(context), given.event.email or given.identity.email
    ids = {
        "mapping_key": settings.mapping_key,
        "mapped_user_id": sound_id(given.identity.vendor_ids.get("criteo_gum_id"), "criteo_gum_id"),
        "idfa": devices.get("ios"),
        "gaid": devices.get("android"),
        "email": hash_email(email, settings.hash_forms, settings.hashed_email) if email else None,
    }
    return known(ids)


def anonymous(body: dict[str, Any]) -> bool:
    """Whether a request names nobody, as after a refusal of consent. Criteo wants such events nonetheless."""
    return body.get("retailer_visitor_id") is None and body["id"].keys() == {"mapping_key"}
