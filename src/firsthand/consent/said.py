"""A `context.consent` as everybody reads it who asks what the visitor said, in whatever form it came."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .codes import said as yes_or_no
from .gpp import EU, decode
from .switches import read as read_switches

ASKING = "cmpuishown"
NO_STRING = ("null", "undefined", "none")
"""What programs write where there is no string."""
TCF_1 = "B"
"""What strings of version 1 begin with: its six bits in base64."""


class Said(NamedTuple):
    """What the visitor said. What is not there, or nothing that can be read, is empty or None."""

    applies: bool | None = None
    """Whether GDPR applies."""
    tc_string: str = ""
    categories: Mapping[str, bool] = {}
    gpc: bool = False
    us_privacy: str = ""
    opted_out: str = ""
    """Where a GPP string opts out of what advertising needs, in words for a person."""
    destinations: Mapping[str, bool] = {}
    """What the visitor said of single integrations, by plain name (`firsthand.consent.switches`)."""


NOTHING = Said()


def read(consent: Any) -> Said:
    """Never raises, whatever an event holds.

    Yes and no may be written in any of the ways that consent tools and query strings have (`true`, `1`, `"granted"`).
    Of Segment's `categoryPreferences` and `categories`, a refusal in either wins. What a GPP string says of TCF and of
    US Privacy counts where the event does not say it otherwise; one that cannot be read opts out. No answer is what a
    consent tool has while it still asks, and a string of TCF 1, which ended in 2020.
    """
    if not isinstance(consent, dict) or not consent:
        return NOTHING
    tcf = consent.get("tcf")
    applies, tc_string, asking = None, "", False
    if isinstance(tcf, dict):
        applies, asking = yes_or_no(tcf.get("gdprApplies")), tcf.get("eventStatus") == ASKING
        tc_string = _answered(tcf)
    us_privacy, opted_out = _text(consent.get("usPrivacy") or consent.get("us_privacy")), ""
    if gpp := _text(consent.get("gpp")):
        sections = consent.get("gppSid")
        named = frozenset(n for n in sections if isinstance(n, int)) if isinstance(sections, list) else frozenset()
        try:
            found = decode(gpp, named)
        except ValueError as error:
            opted_out = f"the GPP string can't be read: {error}"
        else:
            opted_out = found.opted_out
            us_privacy = us_privacy or found.us_privacy
            if not tc_string and not asking and applies is not False:
                tc_string, applies = found.tc_string, True if EU in named else applies
    gpc, destinations = yes_or_no(consent.get("gpc")) is True, read_switches(consent.get("destinationPreferences"))
    return Said(applies, tc_string, _categories(consent), gpc, us_privacy, opted_out, destinations)


def _answered(tcf: Mapping[str, Any]) -> str:
    """The TC string of IAB Europe's `TCData`, as it is or as a server passes it on. With `cmpuishown` it is the one
    from before the visitor's answer."""
    string = _text(tcf.get("tcString")).strip()
    none = tcf.get("eventStatus") == ASKING or string[:1] == TCF_1 or string.lower() in NO_STRING
    return "" if none else string


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _categories(consent: Mapping[str, Any]) -> dict[str, bool]:
    """Their names are also found in lower case, as the canonical ones are."""
    found: dict[str, bool] = {}
    for key in ("categories", "categoryPreferences"):
        given = consent.get(key)
        for name, answer in given.items() if isinstance(given, dict) else ():
            granted = yes_or_no(answer)
            if granted is not None:
                for form in {name, name.lower()}:
                    found[form] = granted and found.get(form, True)
    return found
