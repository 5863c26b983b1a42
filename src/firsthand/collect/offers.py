"""Which cookie syncs a source's pages may be offered, and for how long a browser remembers that one was made."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from firsthand.collect.cookies import Jar, set_cookie
from firsthand.collect.hosts import Site
from firsthand.config import Integration
from firsthand.consent import Policy, decide
from firsthand.event import Event
from firsthand.vendors import get
from firsthand.vendors.base import Sync
from firsthand.vendors.installed import policy_of, setup_of

MARKER = "fh_sync_"
"""How the names of cookies begin that say when a vendor need be asked again."""
_NO_GDPR: dict[str, Any] = {"tcf": {"gdprApplies": False}}


class Offer(NamedTuple):
    """The sync of one integration."""

    declared: Sync
    policy: Policy
    sync: Callable[[dict[str, Any]], Sync | None]
    """By a `context.consent`: with addresses that carry the consent."""


def offers_of(source: str, integrations: Iterable[Integration], emulator_url: str) -> tuple[Offer, ...]:
    """The syncs of the integrations that a source feeds."""
    fed = [one for one in integrations if one.enabled and one.takes_source(source)]
    return tuple(offer for integration in fed if (offer := _offer(integration, emulator_url)))


def _offer(integration: Integration, emulator_url: str) -> Offer | None:
    vendor = get(integration.vendor)
    setup = setup_of(integration, vendor, emulator_url)
    declared = vendor.sync(setup, _NO_GDPR)
    if declared is None:
        return None
    return Offer(declared, policy_of(integration, vendor), lambda consent: vendor.sync(setup, consent))


def allowed(offers: Iterable[Offer], event: Event) -> Iterator[Sync]:
    """Those that an event's consent allows, one a caller."""
    consent = event.context.get("consent")
    seen: set[tuple[str, str]] = set()
    for offer in offers:
        key = offer.declared.name, offer.declared.caller
        if key not in seen and decide(event, offer.policy).decision == "allow":
            sync = offer.sync(consent if isinstance(consent, dict) else {})
            if sync is not None:
                seen.add(key)
                yield sync


class Marker:
    """The cookie of all syncs of one name: by caller, until when (seconds since 1970) it is not to be asked."""

    def __init__(self, name: str, offers: Sequence[Offer], jar: Jar, now: float) -> None:
        self._name = MARKER + name
        self._now = now
        ages = {offer.declared.caller: offer.declared.max_age for offer in offers if offer.declared.name == name}
        self.until: dict[str, int] = {}
        for part in (jar.get(self._name, str.isascii) or "").split("/"):
            caller, _, end = part.rpartition(":")
            caller = unquote(caller)
            if caller in ages and end.isdigit() and len(end) < 12 and now < int(end) <= now + ages[caller] + 1:
                self.until[caller] = int(end)

    def set(self, caller: str, age: float, site: Site, secure: bool) -> tuple[bytes, bytes]:
        """The header that makes the browser remember a sync for `age` seconds, and what it remembers already."""
        until: Mapping[str, int] = {**self.until, caller: int(self._now + age)}
        value = "/".join(f"{quote(one, safe='')}:{end}" for one, end in until.items())
        return set_cookie(self._name, value, max(until.values()) - int(self._now), site, secure)
