"""What a name that no table has was probably meant to be."""

import difflib
import re
from collections.abc import Mapping
from functools import lru_cache

OF_OUR_OWN = frozenset({"Consent Updated"})
"""Events by which `firsthand.js` tells the gateway something. They are for no vendor."""
LIKE = 0.8
LONGEST_NAME = 60


class Suggestions:
    """`events` is a vendor's table. Names are remembered: comparing one takes longer than sending an event does."""

    def __init__(self, events: Mapping[str, str | None]) -> None:
        self._events = events
        self._plain = {_plain(name): name for name in events}
        self.meant = lru_cache(maxsize=1_000)(self._meant)

    def _meant(self, name: str) -> str | None:
        """The event of the vendor's that a name is nearly; None where there is none, or one it has no use for."""
        if len(name) > LONGEST_NAME:
            return None
        close = difflib.get_close_matches(_plain(name), self._plain, n=1, cutoff=LIKE)
        found = self._plain[close[0]] if close else None
        return found if found is not None and self._events[found] is not None else None


def _plain(name: str) -> str:
    """`orderCompleted`, `order_completed` and `Order  Completed` are one."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\W_]+", apart.lower())).strip()
