"""The identity hub: which ids belong to one visitor, what vendors call them, and what they last answered on consent.

    event log ──► lesson (what one event teaches) ──► profiles (one an id, merged so that order does not matter)
                                                          │
                      known(source, anonymous_id, user_id) ◄── cache, else one look-up each

`identity.db` is written by the deliver process alone. Sources keep sites apart: a profile belongs to a source.
"""

from .hub import Hub
from .known import Known

__all__ = ["Hub", "Known"]
