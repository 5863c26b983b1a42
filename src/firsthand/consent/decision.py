"""The types consent speaks in: what an integration asks for, and what was decided."""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class Decision(msgspec.Struct, frozen=True):
    """What consent lets us do with one event at one integration, and why.

    `basis` is where the answer came from (`tcf`, `categories`, `gpc`, `us_privacy`, `gpp`, `sensitive`, `opt_out`,
    `none`); `detail` says it for a person, such as "vendor 91, purposes 1 3 4". It never holds an identifier.
    `answered_at` is there where the answer that counted is not the event's own: when the visitor gave it (ISO 8601,
    UTC).
    """

    decision: Literal["allow", "anonymise", "hold", "refuse"]
    basis: str
    detail: str = ""
    answered_at: str | UnsetType = UNSET


class Policy(msgspec.Struct, frozen=True):
    """An integration's rule: on which basis, and what happens on refusal.

    `purposes` are TCF purpose ids, all of which must be granted; `vendor_id` is the vendor's id in the IAB's
    Global Vendor List, or None where it has none; `categories` are canonical consent categories, all of which
    must be granted when the basis is `categories`. `names` are those by which a visitor may have been asked for this
    very integration, as `switches.plain` makes them.
    """

    basis: Literal["tcf", "categories", "none"] = "none"
    on_refusal: Literal["suppress", "anonymise"] = "suppress"
    purposes: tuple[int, ...] = (1, 3, 4)
    categories: tuple[str, ...] = ("marketing",)
    vendor_id: int | None = None
    advertising: bool = True
    names: tuple[str, ...] = ()
