"""Whether something may be stored in the visitor's browser: a cookie that recognises them."""

from typing import Any

from firsthand.config import Cookies
from firsthand.consent.said import read
from firsthand.consent.tcf import decode

STORING = ("marketing", "analytics", "personalization", "functional")
"""Any of these categories lets the visitor be recognised; `essential` does not."""


def may_store(consent: Any, rule: Cookies) -> bool:
    """Whether a first-party cookie may be set, by an event's `context.consent`.

    With `requires: none` always. Else where GDPR is known not to apply, or the TC string grants purpose 1 ("store
    and access information on a device"), or, where the page has no TCF, one of `STORING` is granted. Global Privacy
    Control is about sale, not about storing, and does not forbid it. Where nothing is known, nothing is stored.
    """
    if rule.requires == "none":
        return True
    said = read(consent)
    if said.applies is False:
        return True
    if said.tc_string:
        return _grants_storing(said.tc_string)
    return not said.applies and any(said.categories.get(name) for name in STORING)


def refuses_storing(consent: Any) -> bool:
    """Whether an answer that does not allow a cookie is one at all; one that is not known yet removes none."""
    said = read(consent)
    return (said.applies is not False and bool(said.tc_string)) or any(
        said.categories.get(name) is False for name in STORING
    )


def refuses_recognition(consent: Any) -> bool:
    """Whether an answer is a no to being recognised at all: it refuses to have anything stored, and allows none."""
    return refuses_storing(consent) and not may_store(consent, Cookies())


def _grants_storing(string: str) -> bool:
    try:
        return not decode(string).missing_purposes(None, (1,))
    except ValueError:
        return False
