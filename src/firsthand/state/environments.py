"""Where integrations send, for those who read the ledger, which does not say it.

Read past SQLAlchemy, whose import takes longer than all else that `trace` does.
"""

from collections.abc import Mapping
from pathlib import Path

import apsw
import msgspec

from firsthand.eventlog.files import open_reader

FILE = "state.db"
Environments = Mapping[tuple[str, int | None], str]
"""`sandbox` or `production` by integration and revision; the revision None is the live one."""


class _Snapshot(msgspec.Struct):
    environment: str


def environments(directory: Path) -> Environments:
    """Those of all integrations, removed ones too; none where there is no state to read. Needs no vendor's package."""
    if not (directory / FILE).exists():
        return {}
    found: dict[tuple[str, int | None], str] = {}
    state = open_reader(directory / FILE)
    try:
        for key, number, config in state.execute("SELECT integration, number, config FROM revisions"):
            found[key, number] = msgspec.json.decode(config, type=_Snapshot).environment
        for key, number in state.execute("SELECT key, live_revision FROM integrations"):
            found[key, None] = found[key, number]
    except apsw.Error:
        return {}
    finally:
        state.close()
    return found
