"""Switches in an event that name integrations: Segment's `integrations` and `context.consent.destinationPreferences`.

Who writes them knows the vendor and not how it is installed here, so capitals, blanks and signs count for nothing:
`Criteo`, `criteo_s2s` and `Criteo Server-to-Server` are all understood.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .codes import said as yes_or_no

ALL = "all"
MOST = 200
"""How many switches of an event are read."""


def plain(name: str) -> str:
    """A name without capitals and without what is no letter or digit."""
    return "".join(filter(str.isalnum, name[:100].casefold()))


def read(given: Any) -> dict[str, bool]:
    """The switches in a JSON value, by plain name. Settings for an integration switch it on, unless
    they have `enabled: false`; of two that are the same
    name, a no wins. Never raises."""
    found: dict[str, bool] = {}
    for name, value in list(given.items())[:MOST] if isinstance(given, Mapping) else ():
        if value is not None and isinstance(name, str):
            key = plain(name)
            on = value.get("enabled") if isinstance(value, Mapping) else value
            found[key] = yes_or_no(on) is not False and found.get(key, True)
    return found


def switched(switches: Mapping[str, bool], names: Sequence[str]) -> bool | None:
    """Whether an integration of these plain names, the most special first, is on or off; None: nothing is said of it.
    A yes to all is none to each."""
    for name in names:
        if name in switches:
            return switches[name]
    return False if switches.get(ALL) is False else None
