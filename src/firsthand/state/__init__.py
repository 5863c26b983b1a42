"""What the gateway is set up to do: sources, integrations with their revisions, and the replays asked for.

Kept in `state.db` in the data folder. Importing this package imports SQLAlchemy, which takes a while: commands that
don't need it import it where they do.
"""

from firsthand.state.applied import LastApplied
from firsthand.state.changes import Change, Field
from firsthand.state.database import StateError
from firsthand.state.store import Live, Replay, ReplayState, State

__all__ = ["Change", "Field", "LastApplied", "Live", "Replay", "ReplayState", "State", "StateError"]
