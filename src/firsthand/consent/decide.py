"""Decides, from what an event carries and what an integration asks for, whether the event may be sent.

An event carries the visitor's answer in `context.consent`, each part optional:

    {"tcf": {"gdprApplies": true, "tcString": "…"}, "categories": {"marketing": true}, "gpc": true, "usPrivacy": "1YNN",
     "gpp": "DBABBg~…", "gppSid": [8]}

Segment's own `categoryPreferences` is read as `categories`, its `destinationPreferences` by the integration's names.
A part of the wrong type counts as absent.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ..event import Event, format_time
from .codes import said as yes_or_no
from .decision import Decision, Policy
from .said import Said, read
from .switches import switched
from .tcf import decode

# The US Privacy strings (IAB CCPA Compliance Framework, version 1: version, notice given, opted out of sale, covered
# by the LSPA) that leave an advertiser free to sell: notice given and not opted out, or the law does not apply.
# These are the ones Criteo's own tag accepts; any other, such as no notice given, counts as opted out.
_NOT_OPTED_OUT = frozenset({"1YNY", "1YNN", "1YN-", "1-N-", "1---"})

_NOT_APPLICABLE = "1---"

REFUSALS = ("refuse", "anonymise")
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
    consent = event.get("context", "consent")
    return _withheld(consent, policy) or decide_consent(consent, policy)


def decide_consent(consent: Any, policy: Policy) -> Decision:
    """The same by a `context.consent`, whosesoever."""
    return _decide(read(consent), policy)


def _decide(said: Said, policy: Policy) -> Decision:
    by_tcf = _by_tcf(said, policy)
    if by_tcf.decision in REFUSALS:
        return by_tcf
    own = switched(said.destinations, policy.names)
    if own is False:
        return _refused(policy, "categories", "this integration refused by name")
    if policy.advertising:
        if said.gpc:
            return _refused(policy, "gpc", "Global Privacy Control is on")
        if said.us_privacy and said.us_privacy not in _NOT_OPTED_OUT:
            return _refused(policy, "us_privacy", "the US Privacy string does not allow sale")
        if said.opted_out:
            return _refused(policy, "gpp", said.opted_out)
        if said.categories.get(ADVERTISING) is False:
            return _refused(policy, "categories", f"{ADVERTISING} refused")
    if policy.basis == "tcf":
        return by_tcf
    if policy.basis == "categories":
        return _by_categories(said.categories, policy, own is True)
    return Decision("allow", "none")


def _withheld(consent: Any, policy: Policy) -> Decision | None:
    """Of a page for minors, or of a sensitive kind, no advertising vendor is told anything, and be it without a name.
    It says nothing of the visitor's other pages, so it is no part of what was `Said`."""
    if policy.advertising and isinstance(consent, dict) and yes_or_no(consent.get("sensitive")):
        return Decision("refuse", "sensitive", "the page is marked as for minors or of a sensitive kind")
    return None


def decide_again(
    event: Event, at_ms: int, circles: Iterable[Iterable[GivenAnswer]], policy: Policy
) -> tuple[Decision, GivenAnswer | None]:
    """What may be done with an event of some time when it is about to be sent, and the answer that counted if not its
    own.

    `circles` are the visitor's other answers, from those of the event's own browser to those of the same user's other
    browsers. A refusal of the event stands. What the event does not answer, the nearest circle does that answers it,
    by its newest answer to that; where the event allows, only what was answered since counts. A newer refusal
    counts from wherever it comes.
    """
    consent = event.get("context", "consent")
    said = read(consent)
    own = _withheld(consent, policy) or _decide(said, policy)
    if own.decision in REFUSALS:
        return own, None
    since_ms = at_ms if _answers(said, own, policy) else None
    counted: tuple[Decision, GivenAnswer] | None = None
    for circle in circles:
        found = _newest(circle, since_ms, (consent, said, own), policy)
        if found is None:
            continue
        if counted is None or (found[0].decision in REFUSALS and counted[1].at_ms <= found[1].at_ms):
            counted = found
    if counted is None or (own.decision == counted[0].decision == "allow"):
        return own, None
    decision, answer = counted
    return msgspec.structs.replace(decision, answered_at=_time(answer.at_ms)), answer


def _newest(
    answers: Iterable[GivenAnswer], since_ms: int | None, event: tuple[Any, Said, Decision], policy: Policy
) -> tuple[Decision, GivenAnswer] | None:
    """The newest of these answers that answers what the policy asks. Of two of the same moment, a refusal. `event` is
    what the event itself says, which is nearly always what there is."""
    best: tuple[int, bool] | None = None
    found = None
    for answer in answers:
        if since_ms is not None and answer.at_ms < since_ms:
            continue
        said, decision = event[1:]
        if answer.consent != event[0]:
            said = read(answer.consent)
            decision = _decide(said, policy)
        if not _answers(said, decision, policy):
            continue
        if event[1].applies and said.applies is False:
            continue  # given where another law holds than where the event happened
        rank = answer.at_ms, decision.decision in REFUSALS
        if best is None or rank > best:
            best, found = rank, (decision, answer)
    return found


def _answers(said: Said, decision: Decision, policy: Policy) -> bool:
    """Whether a decision rests on what was said, and not only on what was not."""
    if decision.decision != "allow" or decision.basis != "none":
        return decision.decision != "hold"
    return bool(said.tc_string) or said.applies is False or said.categories.get(ADVERTISING) is True


def is_answer(consent: Any) -> bool:
    """Whether a `context.consent` holds an answer of the visitor's at all, of whatever kind.

    Global Privacy Control that is off, a US Privacy string where that law does not apply, and GDPR that applies, are
    none: they say nothing of what is allowed. Nor does a TC string that cannot be read: it stops its own event, and is
    no withdrawal of what was allowed before.
    """
    said = read(consent)
    if said.applies is False or (said.tc_string and _readable(said.tc_string)) or said.gpc or said.opted_out:
        return True
    if said.us_privacy and said.us_privacy != _NOT_APPLICABLE:
        return True
    return bool(said.destinations) or any(name != "essential" for name in said.categories)


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


def _by_tcf(said: Said, policy: Policy) -> Decision:
    """IAB TCF: the vendor's consent bit and the bit of each purpose must be set; without a vendor id, the purposes."""
    if said.applies is False:
        return Decision("allow", "tcf", "GDPR does not apply")
    if not said.tc_string:
        return Decision("hold", "tcf", "GDPR applies, no TC string yet" if said.applies else "no TCF signal yet")
    # A string without `gdprApplies` counts as GDPR applying: that there is one means that a CMP asked the visitor.
    try:
        consent = decode(said.tc_string)
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


def _by_categories(categories: Mapping[str, bool], policy: Policy, by_name: bool) -> Decision:
    """The CMP's own categories: all that the policy names must be true; one that is false refuses. A yes to this very
    integration (`by_name`) stands for those that nothing is said of."""
    refused = [name for name in policy.categories if categories.get(name) is False]
    if refused:
        return _refused(policy, "categories", f"{' '.join(refused)} refused")
    if by_name:
        return Decision("allow", "categories", "this integration by name")
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
