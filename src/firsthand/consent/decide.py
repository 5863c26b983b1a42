"""Decides, from what an event carries and what an integration asks for, whether the event may be sent.

An event carries the visitor's answer in `context.consent`, each part optional:

    {"tcf": {"gdprApplies": true, "tcString": "…"}, "categories": {"marketing": true}, "gpc": true, "usPrivacy": "1YNN",
     "gpp": "DBABBg~…", "gppSid": [8]}

Segment's own `categoryPreferences` is read as `categories`. A part of the wrong type counts as absent.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ..event import Event, format_time
from .decision import Decision, Policy
from .gpp import with_gpp
from .tcf import decode, gdpr_applies

# The US Privacy strings (IAB CCPA Compliance Framework, version 1: version, notice given, opted out of sale, covered
# by the LSPA) that leave an advertiser free to sell: notice given and not opted out, or the law does not apply.
# These are the ones Criteo's own tag accepts; any other, such as no notice given, counts as opted out.
_NOT_OPTED_OUT = frozenset({"1YNY", "1YNN", "1YN-", "1-N-", "1---"})

ADVERTISING = "marketing"
"""The category whose refusal every advertising vendor keeps to, whatever the integration's basis."""


class GivenAnswer(NamedTuple):
    """What a visitor said, as a `context.consent`, and when (milliseconds since 1970)."""

    consent: dict[str, Any]
    at_ms: int


def decide(event: Event, policy: Policy) -> Decision:
    """What may be done with an event now, by what it carries itself. Pure, and never raises, whatever it holds.

    A refusal that the event carries is honoured under every basis, also `none`: a TC string that does not grant
    what the policy asks for and, where the vendor is an advertising vendor, Global Privacy Control, an opt-out of
    sale (US Privacy, GPP) and `marketing: false`. Without one, the policy's basis decides; `hold` means that the answer
    is not known yet.
    """
    return decide_consent(event.get("context", "consent"), policy)


def decide_consent(consent: Any, policy: Policy) -> Decision:
    """The same by a `context.consent`, whosesoever."""
    consent = with_gpp(consent) if isinstance(consent, dict) else {}
    by_tcf = _by_tcf(consent.get("tcf"), policy)
    if by_tcf.decision in ("refuse", "anonymise"):
        return by_tcf
    if policy.advertising:
        if consent.get("gpc") is True:
            return _refused(policy, "gpc", "Global Privacy Control is on")
        us_privacy = consent.get("usPrivacy")
        if isinstance(us_privacy, str) and us_privacy and us_privacy not in _NOT_OPTED_OUT:
            return _refused(policy, "us_privacy", "the US Privacy string does not allow sale")
        if opted_out := consent.get("optedOut"):
            return _refused(policy, "gpp", opted_out)
        if _categories(consent).get(ADVERTISING) is False:
            return _refused(policy, "categories", f"{ADVERTISING} refused")
    if policy.basis == "tcf":
        return by_tcf
    if policy.basis == "categories":
        return _by_categories(consent, policy)
    return Decision("allow", "none")


def decide_again(
    event: Event, others: Iterable[GivenAnswer | None], policy: Policy
) -> tuple[Decision, GivenAnswer | None]:
    """What may be done with an event when it is about to be sent, and the answer that counted if not its own.

    A refusal of the event stands. What the event does not answer, the newest of the visitor's other answers that
    this policy can be decided by does. And where the event allows, a refusal given since wins: `others` are answers
    newer than the event's, where it has one.
    """
    consent = event.get("context", "consent")
    own = decide_consent(consent, policy)
    if own.decision in ("refuse", "anonymise"):
        return own, None
    newest = sorted((answer for answer in others if answer is not None), key=lambda answer: answer.at_ms, reverse=True)
    for answer in newest:
        other = decide_consent(answer.consent, policy)
        if other.decision == "hold" or other.basis == "none":
            continue  # it says nothing of what is asked here
        if other.decision == "allow" and own.decision == "allow":
            return own, None
        return msgspec.structs.replace(other, answered_at=_time(answer.at_ms)), answer
    return own, None


def is_answer(consent: Any) -> bool:
    """Whether a `context.consent` holds an answer of the visitor's at all, of whatever kind.

    Global Privacy Control that is off, and GDPR that applies, are none: they say nothing of what is allowed. Nor does
    a TC string that cannot be read: it stops its own event, and is no withdrawal of what was allowed before.
    """
    if not isinstance(consent, dict):
        return False
    consent = with_gpp(consent)
    tcf = consent.get("tcf")
    if isinstance(tcf, dict):
        string = tcf.get("tcString")
        if gdpr_applies(tcf) is False or (isinstance(string, str) and _readable(string)):
            return True
    if (
        consent.get("gpc") is True
        or consent.get("optedOut")
        or (isinstance(consent.get("usPrivacy"), str) and consent["usPrivacy"])
    ):
        return True
    return any(isinstance(granted, bool) for name, granted in _categories(consent).items() if name != "essential")


def _readable(string: str) -> bool:
    try:
        decode(string)
    except ValueError:
        return False
    return True


def decide_unknown(policy: Policy, early: str = "") -> Decision:
    """What is done with an event whose hold has run out: as if the visitor had refused. `early` says why it did
    before its time."""
    return _refused(policy, policy.basis, f"consent stayed unknown{'; ' + early if early else ''}")


def decide_opted_out(at_ms: int) -> Decision:
    """What is done with an event whose visitor allowed it here and opted out at the vendor itself: the vendor wants
    such events, and may not recognise anybody in them."""
    return Decision("anonymise", "opt_out", "the visitor opted out at the vendor", _time(at_ms))


def _by_tcf(tcf: Any, policy: Policy) -> Decision:
    """IAB TCF: the vendor's consent bit and the bit of each purpose must be set; without a vendor id, the purposes."""
    if not isinstance(tcf, dict):
        return Decision("hold", "tcf", "no TCF signal yet")
    applies = gdpr_applies(tcf)
    if applies is False:
        return Decision("allow", "tcf", "GDPR does not apply")
    text = tcf.get("tcString")
    if not isinstance(text, str) or not text:
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


def _categories(consent: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("categories", "categoryPreferences"):
        categories = consent.get(key)
        if isinstance(categories, dict):
            return categories
    return {}


def _by_categories(consent: Mapping[str, Any], policy: Policy) -> Decision:
    """The CMP's own categories: all that the policy names must be true; one that is false refuses."""
    categories = _categories(consent)
    refused = [name for name in policy.categories if categories.get(name) is False]
    if refused:
        return _refused(policy, "categories", f"{' '.join(refused)} refused")
    unknown = [name for name in policy.categories if categories.get(name) is not True]
    if unknown:
        return Decision("hold", "categories", f"{' '.join(unknown)} not known yet")
    return Decision("allow", "categories", " ".join(policy.categories))


def _time(at_ms: int) -> str:
    try:
        return format_time(at_ms)
    except (ValueError, OverflowError, OSError):  # no time that a calendar has
        return format_time(0)


def _refused(policy: Policy, basis: str, detail: str) -> Decision:
    return Decision("anonymise" if policy.on_refusal == "anonymise" else "refuse", basis, detail)


@lru_cache(maxsize=1000)
def _names(vendor_id: int | None, purposes: tuple[int, ...]) -> str:
    """Such as "vendor 91, purposes 1 3 4"."""
    names = [] if vendor_id is None else [f"vendor {vendor_id}"]
    if purposes:
        names.append(f"{'purpose' if len(purposes) == 1 else 'purposes'} {' '.join(map(str, purposes))}")
    return ", ".join(names)
