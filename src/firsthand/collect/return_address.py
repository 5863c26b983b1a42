"""The address to which a vendor redirects a browser back with its id: it says whose id that is.

Everything is in the address, signed, as the cookies of a page that hides behind the vendor may not come along: nobody
else can make one, and it holds for ten minutes. But anybody gets one for their own id, and could show it to others, so
that an id of theirs became his: it holds for the browser that has that visitor's cookie, or for pages of the site that
asked for it.
"""

import hashlib
import zlib
from typing import Any

import msgspec

from firsthand.collect.faults import Fault
from firsthand.secret import Secret

PURPOSE = "sync"
SECONDS = 600


class Return(msgspec.Struct, array_like=True):
    """What such an address says."""

    source: str
    name: str
    """Of the sync."""
    caller: str
    anonymous_id: str
    at: int
    """When it was made, in seconds since 1970."""
    keep: bool
    """The visitor's consent allows cookies of ours."""
    consent: dict[str, Any]
    """The visitor's answer, as a `context.consent`."""
    site: str = ""
    """Of the page that asked: its registrable domain, or its host. Empty: the browser did not say."""


def sign(secret: Secret, said: Return) -> str:
    # Most of it is the consent string, in a URL that browsers and web servers want short.
    return secret.sign(PURPOSE, zlib.compress(msgspec.msgpack.encode(said), 9))


def verify(secret: Secret, token: str, name: str, now: float) -> Return:
    """Raises Fault for what was not made here, or not for this sync, or too long ago."""
    data = secret.verify(PURPOSE, token)
    if data is None:
        raise Fault(403, "address_invalid", "this address was not made here")
    said = msgspec.msgpack.decode(zlib.decompress(data), type=Return)
    if said.name != name:
        raise Fault(403, "address_invalid", "this address was made for another sync")
    if now - said.at > SECONDS:
        raise Fault(403, "address_expired", f"this address held for {SECONDS // 60} minutes")
    return said


def message_id(token: str) -> str:
    """Of the event that an address leads to: come back to twice, it counts once."""
    return "sync-" + hashlib.sha256(token.encode()).hexdigest()[:32]
