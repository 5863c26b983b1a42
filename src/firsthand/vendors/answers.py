"""What answers of vendors have in common: `{"errors": […], "warnings": […]}`, with texts or objects in it."""

from typing import Any

import msgspec


class Faults(msgspec.Struct):
    errors: list[Any]
    warnings: Any = None


_faults = msgspec.json.Decoder(Faults)


def faults(body: bytes) -> Faults | None:
    """What a body has of errors and warnings; None where it is no such answer."""
    try:
        return _faults.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def joined(faults: Any) -> str:
    """One or several of them in a line of at most 1,000 characters."""
    faults = faults if isinstance(faults, list) else [faults]
    return "; ".join(one if isinstance(one, str) else msgspec.json.encode(one).decode() for one in faults)[:1000]
