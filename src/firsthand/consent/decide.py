"""Decides, from what an event carries and what an integration asks for, whether the event may be sent.

An event carries the visitor's answer in `context.consent`, each part optional:

    {"tcf": {"gdprApplies": true, "tcString": "…"}, "categories": {"marketing": true}, "gpc": true, "usPrivacy": "1YNN"}

Segment's own `categoryPreferences` is read as `categories`. A part of the wrong type counts as absent.
"""

from functools import lru_cache
from typing import Any

from ..event import Event
from .decision import Decision, Policy
from .tcf import decode

# The US Privacy strings (IAB CCPA Compliance Framework, version 1: version, notice given, opted out of sale, covered
# by the LSPA) that leave an advertiser free to sell: notice given and not opted out, or the law does not apply.
# These are the ones Criteo's own tag accepts; any other, such as no notice given, counts as opted out.
_NOT_OPTED_OUT = frozenset({"1YNY", "1YNN", "1YN-", "1-N-", "1---"})


def decide(event: Event, policy: Policy) -> Decision:
    """What may be done with an event now. Pure, and never raises, whatever the event holds.

    A refusal that the event carries is honoured under every basis, also `none`: a TC string that does not grant
    what the policy asks for and, where the vendor is an advertising vendor, Global Privacy Control and an opt-out
    of sale (US Privacy). Without one, the policy's basis decides; `hold` means that the answer is not known yet.
    """
    consent = event.get("context", "consent")
    if not isinstance(consent, dict):
        consent = {}
    by_tcf = _by_tcf(consent.get("tcf"), policy)
    if by_tcf.decision in ("refuse", "anonymise"):
        return by_tcf
    if policy.advertising:
        if consent.get("gpc") is True:
            return _refused(policy, "gpc", "Global Privacy Control is on")
        us_privacy = consent.get("usPrivacy")
        if isinstance(us_privacy, str) and us_privacy and us_privacy not in _NOT_OPTED_OUT:
            return _refused(policy, "us_privacy", "the US Privacy string does not allow sale")
    if policy.basis == "tcf":
        return by_tcf
    if policy.basis == "categories":
        return _by_categories(consent, policy)
    return Decision("allow", "none")


def decide_unknown(policy: Policy) -> Decision:
    """What is done with an event whose hold has run out: as if the visitor had refused."""
    return _refused(policy, policy.basis, "consent stayed unknown")


def _by_tcf(tcf: Any, policy: Policy) -> Decision:
    """IAB TCF: the vendor's consent bit and the bit of each purpose must be set; without a vendor id, the purposes."""
    if not isinstance(tcf, dict):
        return Decision("hold", "tcf", "no TCF signal yet")
    if tcf.get("gdprApplies") is False:
        return Decision("allow", "tcf", "GDPR does not apply")
    text = tcf.get("tcString")
    if not isinstance(text, str) or not text:
        applies = tcf.get("gdprApplies") is True
        return Decision("hold", "tcf", "GDPR applies, no TC string yet" if applies else "no TCF signal yet")
    # A string without `gdprApplies` counts as GDPR applying: that there is one means that a CMP asked the visitor.
    try:
        consent = decode(text)
    except ValueError as error:
        return _refused(policy, "tcf", f"the TC string can't be read: {error}")
    vendor_id = policy.vendor_id
    vendor_missing = vendor_id is not None and not consent.has_vendor(vendor_id)
    purposes_missing = consent.missing_purposes(vendor_id, policy.purposes)
    if not vendor_missing and not purposes_missing:
        return Decision("allow", "tcf", _names(vendor_id, policy.purposes))
    missing = [f"vendor {vendor_id} not granted"] if vendor_missing else []
    if purposes_missing:
        missing.append(f"{_names(None, tuple(purposes_missing))} not granted")
    return _refused(policy, "tcf", ", ".join(missing))


def _by_categories(consent: dict[str, Any], policy: Policy) -> Decision:
    """The CMP's own categories: all that the policy names must be true; one that is false refuses."""
    categories = consent.get("categories")
    if not isinstance(categories, dict):
        categories = consent.get("categoryPreferences")
    if not isinstance(categories, dict):
        categories = {}
    refused = [name for name in policy.categories if categories.get(name) is False]
    if refused:
        return _refused(policy, "categories", f"{' '.join(refused)} refused")
    unknown = [name for name in policy.categories if categories.get(name) is not True]
    if unknown:
        return Decision("hold", "categories", f"{' '.join(unknown)} not known yet")
    return Decision("allow", "categories", " ".join(policy.categories))


def _refused(policy: Policy, basis: str, detail: str) -> Decision:
    return Decision("anonymise" if policy.on_refusal == "anonymise" else "refuse", basis, detail)


@lru_cache(maxsize=1000)
def _names(vendor_id: int | None, purposes: tuple[int, ...]) -> str:
    """Such as "vendor 91, purposes 1 3 4"."""
    names = [] if vendor_id is None else [f"vendor {vendor_id}"]
    if purposes:
        names.append(f"{'purpose' if len(purposes) == 1 else 'purposes'} {' '.join(map(str, purposes))}")
    return ", ".join(names)
