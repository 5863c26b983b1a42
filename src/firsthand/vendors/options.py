"""Types that the settings of vendors are made of."""

from typing import Annotated, Literal

from msgspec import Meta

from firsthand.event import Event
from firsthand.vendors.base import Notes

END = r"$(?!\n)"  # `$` alone also matches before a final newline, which a value read from a file may have

Path = Annotated[str, Meta(pattern=rf"^[^.\s]+(\.[^.\s]+)*{END}")]
"""Where something is in an object of an event, such as `variant.id`."""
Flag = (
    Annotated[int, Meta(ge=0, le=1)]
    | Annotated[str, Meta(pattern=rf"^(omit|0|1|(properties|context|traits)(\.[^.\s]+)+){END}")]
)
"""0, 1 or `omit`, or where in an event that is, such as `properties.consented`."""
Amount = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Fractions = Literal["fold", "refuse"]
"""What becomes of a quantity such as 1.85 at a vendor that takes whole numbers: 1 at price × quantity, or a refusal."""
OrderLines = Literal["lenient", "strict"]
"""Whether lines that are no products (a tip, a voucher) are left out of an order, or the order is refused for them."""


def about(text: str) -> Meta:
    """The help text of a setting."""
    return Meta(description=text)


def flag(setting: int | str, event: Event, notes: Notes) -> int | None:
    """A `Flag` as it is for this event."""
    path = str(setting)
    value = event.get(*path.split(".")) if "." in path else setting
    if value in (None, "", "omit"):
        return None
    if isinstance(value, bool) or value not in (0, 1, "0", "1"):
        notes.leave_out(path, value, "must be 0 or 1")
        return None
    return int(value)
