"""What stands against the ledger's file, told apart: what passes by itself, and damage, which does not.

Damage is noted in a file of its own beside the ledger, which may be unable to take a note. As long as it is there,
deliver sends nothing: it mends the ledger at its start, or says what to do (see `firsthand.ledger.mending`).
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import msgspec

from firsthand.eventlog.files import UNREADABLE
from firsthand.ledger.base import LedgerDamaged, LedgerUnavailable
from firsthand.private import create_private

NOTE = "ledger.damaged.json"
REMEDY = "stop the gateway and follow `Damaged files` in docs/delivery.md"
DAMAGED = (*UNREADABLE, apsw.NotADBError, msgspec.DecodeError)
"""What working on a damaged file raises, or on a row with damage in it."""
FREE_SPACE = "free disk space; it goes on by itself"
_REMEDIES: dict[type[apsw.Error], str] = {
    apsw.FullError: FREE_SPACE,
    apsw.IOError: "see whether the disk is full or failing; it goes on by itself when it works again",
    apsw.BusyError: "end what else has ledger.db open; it goes on by itself",
    apsw.ReadOnlyError: "let the gateway write ledger.db and its folder; it goes on by itself",
    apsw.CantOpenError: "let the gateway write ledger.db and its folder; it goes on by itself",
    apsw.PermissionsError: "let the gateway write ledger.db and its folder; it goes on by itself",
}


class Damage(msgspec.Struct, frozen=True):
    """That the ledger is damaged: since when (milliseconds since 1970), and how that showed. `remedy` is there where
    the gateway could not mend it."""

    since_ms: int
    cause: str
    remedy: str | None = None


@contextlib.contextmanager
def guarded(undone: str) -> Iterator[None]:
    """Raises LedgerUnavailable for whatever SQLite raises, LedgerDamaged where the file is damaged. `undone` says what
    could not be done."""
    try:
        yield
    except DAMAGED as error:
        raise LedgerDamaged(f"{undone}: ledger.db is damaged ({error})") from error
    except apsw.Error as error:
        remedy = _REMEDIES.get(type(error), "it is tried again; if that goes on, report it: it is a fault of ours")
        raise LedgerUnavailable(f"{undone} ({type(error).__name__}: {error})", remedy) from error


def noted(directory: Path) -> Damage | None:
    """The damage that is known of the ledger in a data folder."""
    try:
        raw = (directory / NOTE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(raw, type=Damage)
    except (msgspec.DecodeError, UnicodeDecodeError):  # cut off by a crash: what it is there for holds all the same
        return Damage(0, "ledger.db is damaged")


def note(directory: Path, damage: Damage) -> None:
    path = directory / NOTE
    create_private(path)
    path.write_bytes(msgspec.json.encode(damage))


def forget(directory: Path) -> None:
    """It is mended."""
    (directory / NOTE).unlink(missing_ok=True)
