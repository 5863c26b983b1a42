"""Whether something may be stored in the visitor's browser: a cookie that recognises them."""

from collections.abc import Mapping
from typing import Any

from firsthand.config import Cookies
from firsthand.consent.gpp import with_gpp
from firsthand.consent.tcf import decode, gdpr_applies

STORING = ("marketing", "analytics", "personalization", "functional")
"""Any of these categories lets the visitor be recognised; `essential` does not."""


def may_store(consent: Mapping[str, Any], rule: Cookies) -> bool:
    """Whether a first-party cookie may be set, by an event's `context.consent`.

    With `requires: none` always. Else where GDPR is known not to apply, or the TC string grants purpose 1 ("store
    and access information on a device"), or, where the page has no TCF, one of `STORING` is granted. Global Privacy
    Control is about sale, not about storing, and does not forbid it. Where nothing is known, nothing is stored.
    """
    if rule.requires == "none":
        return True
    if not isinstance(consent, dict):
        return False
    consent = with_gpp(consent)
    tcf = consent.get("tcf")
    if isinstance(tcf, dict):
        applies, string = gdpr_applies(tcf), tcf.get("tcString")
        if applies is False:
            return True
        if isinstance(string, str) and string:
            return _grants_storing(string)
        if applies:
            return False
    categories = consent.get("categories")
    if not isinstance(categories, dict):
        categories = consent.get("categoryPreferences")
    return isinstance(categories, dict) and any(categories.get(name) is True for name in STORING)


def _grants_storing(string: str) -> bool:
    try:
        return not decode(string).missing_purposes(None, (1,))
    except ValueError:
        return False
