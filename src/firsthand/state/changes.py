"""What an `apply` changes, said for a person."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from firsthand.config.values import Masked, unwrap


class Change(msgspec.Struct, frozen=True):
    """What became, or would become, of one source, one integration or the gateway."""

    kind: Literal["added", "changed", "removed", "unchanged"]
    what: str
    """`source web-shop`, `integration criteo` or `gateway`."""
    detail: tuple[str, ...] = ()
    """The fields that changed, such as `settings.partner_id: "12345" → "67890"`. Secrets show as `***`."""
    revision: int | None = None
    """The integration's live revision afterwards."""

    def __str__(self) -> str:
        """For a terminal: `changed integration criteo (revision 2)`, with the fields that changed below it."""
        revision = f" (revision {self.revision})" if self.revision else ""
        return "\n    ".join([f"{self.kind} {self.what}{revision}", *self.detail])


def differences(before: msgspec.Struct, after: msgspec.Struct) -> tuple[str, ...]:
    """The fields in which two structs differ, with what they were and are."""
    old, new = dict(_fields(before)), dict(_fields(after))
    return tuple(
        f"{path}: {_shown(old.get(path))} → {_shown(new.get(path))}"
        for path in dict.fromkeys([*old, *new])
        if _value(old.get(path)) != _value(new.get(path))
    )


class _Field(msgspec.Struct, frozen=True):
    value: Any
    masked: bool


def _fields(value: Any, path: str = "", masked: bool = False) -> Iterator[tuple[str, _Field]]:
    """The innermost fields by path. A list is one field: its order may matter."""
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            notes = unwrap(field.type)[1]
            secret = any(isinstance(note, Masked) for note in notes)
            yield from _fields(getattr(value, field.name), f"{path}{field.encode_name}.", secret)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _fields(item, f"{path}{key}.", masked)
    else:
        yield path[:-1], _Field(value, masked)


def _value(field: _Field | None) -> Any:
    return field.value if field else None


def _shown(field: _Field | None) -> str:
    if field is None:
        return "nothing"
    return "***" if field.masked else msgspec.json.encode(field.value).decode()
