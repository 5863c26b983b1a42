"""Configuration as a file writes it: `15m` and not 900 seconds, `10GiB` and not 10737418240."""

from collections.abc import Callable, Mapping
from typing import Any, get_args, get_origin

import msgspec
from msgspec import NODEFAULT

from firsthand.config.faults import Path
from firsthand.config.values import Masked, Read, duration, size, unwrap

Swap = Callable[[Path, Any, bool], Any]
"""What to write for a single value; given its path, the value as it would be written, and whether it is a secret."""

_DURATIONS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_SIZES = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB")


def written(part: msgspec.Struct, swap: Swap, keep: Callable[[Path], bool] | None = None) -> dict[str, Any]:
    """A part of the configuration as mappings, lists and single values.

    What is at its default is left out unless `keep` says otherwise of its path; without a `keep`, everything is there.
    """
    return _Writer(swap, keep).struct(part, ())


def written_duration(seconds: float) -> str | float:
    """In the largest unit of which it is a whole number."""
    for unit, length in _DURATIONS.items():
        text = f"{seconds / length:.0f}{unit}"
        if not text.startswith("0") and duration(text) == seconds:
            return text
    return seconds


def written_size(number: int) -> str | int:
    """In the largest unit of which it is a whole number."""
    for unit in _SIZES:
        count, rest = divmod(number, size(f"1{unit}"))
        if count and not rest and size(f"{count}{unit}") == number:
            return f"{count}{unit}"
    return number


class _Writer:
    def __init__(self, swap: Swap, keep: Callable[[Path], bool] | None) -> None:
        self._swap = swap
        self._keep = keep

    def struct(self, part: msgspec.Struct, path: Path) -> dict[str, Any]:
        entries = {}
        for field in msgspec.structs.fields(part):
            value, here = getattr(part, field.name), (*path, field.encode_name)
            if self._keep is None or value != _default(field) or self._keep(here):
                entries[field.encode_name] = self._value(value, field.type, here)
        return entries

    def _value(self, value: Any, hint: Any, path: Path) -> Any:
        core, notes = unwrap(hint)
        if isinstance(value, msgspec.Struct):
            return self.struct(value, path)
        if isinstance(value, Mapping):
            inner = get_args(core)[1] if get_origin(core) is dict else Any
            return {key: self._value(entry, inner, (*path, key)) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            inner = get_args(core)[0] if get_origin(core) in (tuple, list) else Any
            return [self._value(entry, inner, (*path, index)) for index, entry in enumerate(value)]
        if value is not None:
            value = _single(value, notes, path)
        return self._swap(path, value, any(isinstance(note, Masked) for note in notes))


def _single(value: Any, notes: tuple[Any, ...], path: Path) -> Any:
    reads = [note.function for note in notes if isinstance(note, Read)]
    # A vendor's `max_age_online: float | None` takes 15m as ours do, see `convert`.
    if isinstance(value, float) and (duration in reads or str(path[-1]).startswith("max_age")):
        return written_duration(value)
    if size in reads:
        return written_size(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return msgspec.to_builtins(value)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """A field's default, or `NODEFAULT`, which equals nothing."""
    return field.default if field.default_factory is NODEFAULT else field.default_factory()
