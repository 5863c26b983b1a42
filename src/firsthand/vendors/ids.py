"""The ids that vendors gave a visitor."""

import re

from firsthand.personal import has_personal
from firsthand.vendors.base import Input
from firsthand.vendors.fields import invalid

# A UUID v4, or 32 hex digits as some scripts make them.
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{32}", re.I)


def vendor_id(given: Input, name: str, is_address: bool = False) -> str | None:
    """An id by its name under `context.ids`: what is known of the visitor, else what the event says. `is_address`: by
    the vendor's protocol it is one."""
    ids = given.event.get("context", "ids")
    found = given.identity.vendor_ids.get(name) or (ids.get(name) if isinstance(ids, dict) else None)
    if found is not None and not isinstance(found, str):
        raise invalid(f"context.ids.{name}", "text")
    return found.strip() or None if found and is_address else sound_id(found, name)


def sound_id(found: str | None, name: str) -> str | None:
    """Refuses what is no vendor's id but the visitor's own address or number, which would leave as it is."""
    if found and has_personal(found):
        raise invalid(f"context.ids.{name}", "an id by the vendor, no e-mail address or phone number")
    return (found and found.strip()) or None


def guid(given: Input, name: str) -> str | None:
    """The same, where it must be a GUID."""
    found = vendor_id(given, name)
    if found and not GUID.fullmatch(found):
        raise invalid(f"context.ids.{name}", "a GUID: a UUID v4, or 32 hex digits")
    return found
