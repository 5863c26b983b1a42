"""What deliver is told by the configuration, all of one moment."""

import msgspec

from firsthand.config import Integration, Process, Source


class Live(msgspec.Struct, frozen=True):
    """An integration as it is to run now."""

    integration: Integration
    revision: int
    since_ms: int = 0
    """When it was added (milliseconds since 1970): events received before that are not meant for it."""
    again: bool = False
    """It had been removed, and was added again then."""

    @property
    def vendor(self) -> str:
        return self.integration.vendor


class Roster(msgspec.Struct, frozen=True):
    """`unreadable` says by key why an integration cannot be read: its vendor is not installed, or its settings do not
    fit the vendor's any more."""

    integrations: tuple[Live, ...] = ()
    sources: tuple[Source, ...] = ()
    process: Process = Process()
    unreadable: dict[str, str] = {}

    @property
    def keys(self) -> set[str]:
        return {live.integration.key for live in self.integrations} | self.unreadable.keys()

    def get(self, key: str) -> Live:
        return next(live for live in self.integrations if live.integration.key == key)
