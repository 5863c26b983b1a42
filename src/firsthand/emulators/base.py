"""What every emulator is made of.

To add a vendor, write a module with a subclass of `Emulator` and name it in `firsthand.emulators.server.EMULATORS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import msgspec

from firsthand.emulators.exchange import Answer, Request
from firsthand.emulators.faults import COMMON_KINDS, FaultKind, Faults
from firsthand.emulators.ledger import Ledger

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Emulator(ABC):
    """A vendor's endpoint: answers requests as the vendor would, judges them strictly, and keeps a ledger of them.

    `clock` gives seconds since 1970; `seed` fixes which requests a fault with a rate below 1 meets.
    """

    key: ClassVar[str]
    """The vendor's key, the first step of its paths."""
    settings_type: ClassVar[type[msgspec.Struct]]
    """The switches of `/_control/{vendor}/settings`, all with defaults."""
    fault_kinds: ClassVar[Mapping[str, FaultKind]] = {}
    """Kinds of faults that only this vendor has."""
    fault_matches: ClassVar[frozenset[str]] = frozenset()
    """What a fault's `match` can look at."""

    counts: ClassVar[tuple[str, ...]] = ()
    """What the ledger counts besides `total`, `accepted` and `redirects`."""

    def __init__(self, clock: Clock, seed: int, sleep: Sleep) -> None:
        self.clock = clock
        self.sleep = sleep
        self.ledger = Ledger(self.counts)
        self.faults = Faults({**COMMON_KINDS, **self.fault_kinds}, self.fault_matches, seed)
        self.settings: Any = self.settings_type()
        """Those in force, an instance of `settings_type`."""

    @abstractmethod
    async def answer(self, request: Request) -> Answer:
        """Answers one request and records it."""

    def forget(self) -> None:
        """Empties the ledger and whatever was learnt from earlier requests."""
        self.ledger.clear()
