"""Plain values into the types of the model, or of a vendor's settings, with every fault noted and not only the first.

msgspec stops at the first fault and speaks of types; this goes on and speaks of the file.
"""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta

from firsthand.config.document import Document
from firsthand.config.faults import Path
from firsthand.config.values import (
    FromEnvironment,
    Masked,
    Read,
    Unreadable,
    did_you_mean,
    duration,
    is_optional,
    shown,
    unwrap,
)

_NOUNS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def convert(document: Document, hint: Any, value: Any, path: Path) -> Any:
    """The value as the type `hint`; `UNSET`, with faults noted in the document, where that can't be."""
    core, notes = unwrap(hint)
    if value is UNSET or (value is None and is_optional(hint)):
        return value
    if isinstance(core, type) and issubclass(core, msgspec.Struct):
        return _struct(document, core, value, path)
    if get_origin(core) in (tuple, list) and len(items := [arg for arg in get_args(core) if arg is not ...]) == 1:
        return _list(document, get_origin(core), items[0], notes, value, path)
    if get_origin(core) is dict:
        return _mapping(document, get_args(core)[1], value, path)
    return _leaf(document, hint, core, notes, value, path)


def _struct(document: Document, struct: type[msgspec.Struct], value: Any, path: Path) -> Any:
    if not isinstance(value, Mapping):
        document.fault(path, f"{shown(value)} is not accepted here", "give a mapping with " + ", ".join(_names(struct)))
        return UNSET
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    arguments: dict[str, Any] = {}
    for name in value:
        if name not in fields:
            document.fault((*path, name), "there is no such field", did_you_mean(name, fields))
    for name, field in fields.items():
        if name in value:
            hint = field.type
            if name.startswith("max_age"):  # a vendor's `max_age_online: float | None` takes 15m as ours do
                hint = Annotated[hint, Read(duration)]
            arguments[field.name] = convert(document, hint, value[name], (*path, name))
        elif field.required:
            document.fault((*path, name), "this field is missing", f"give {_accepted(*unwrap(field.type))}")
            arguments[field.name] = UNSET
    if any(argument is UNSET for argument in arguments.values()):
        return UNSET
    try:
        return struct(**arguments)
    except Unreadable as unreadable:  # raised by its __post_init__
        document.fault(path, unreadable.message, unreadable.remedy)
        return UNSET
    except (ValueError, TypeError) as error:  # that of a vendor's settings
        document.fault(path, str(error), "see the vendor's documentation for what goes together")
        return UNSET


def _names(struct: type[msgspec.Struct]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(struct)]


def _list(document: Document, kind: Any, hint: Any, notes: tuple[Any, ...], value: Any, path: Path) -> Any:
    if not isinstance(value, list):
        document.fault(path, f"{shown(value)} is not a list", f"write it as a list: [{_example(value)}]")
        return UNSET
    if not value and any(isinstance(note, Meta) and note.min_length for note in notes):
        document.fault(path, "the list is empty", "name at least one, or leave the field out for its default")
        return UNSET
    items = [convert(document, hint, item, (*path, index)) for index, item in enumerate(value)]
    return UNSET if any(item is UNSET for item in items) else kind(items)


def _example(value: Any) -> str:
    return "…" if isinstance(value, (dict, FromEnvironment)) or value is None else str(value)


def _mapping(document: Document, hint: Any, value: Any, path: Path) -> Any:
    if not isinstance(value, Mapping):
        document.fault(path, f"{shown(value)} is not accepted here", "give a mapping")
        return UNSET
    items = {key: convert(document, hint, item, (*path, key)) for key, item in value.items()}
    return UNSET if any(item is UNSET for item in items.values()) else items


def _leaf(document: Document, hint: Any, core: Any, notes: tuple[Any, ...], value: Any, path: Path) -> Any:
    masked = any(isinstance(note, Masked) for note in notes)
    found = "this value" if masked else shown(value)
    if core is str and isinstance(value, (int, float)):
        # As it is written in the file: the number 1.10 has already become 1.1.
        raw = None if masked else document.raw(path)
        written = f': "{raw}"' if raw is not None else ""
        kind = "a switch" if isinstance(value, bool) else "a number"
        document.fault(path, f"{found} is {kind}, not text", f"put it in quotes, so that no zero is lost{written}")
        return UNSET
    if core is str and not isinstance(value, str):
        document.fault(path, f"{found} is not accepted here", f"give {_accepted(core, notes)}")
        return UNSET
    try:
        for note in notes:
            value = note.function(value) if isinstance(note, Read) else value
        if isinstance(value, FromEnvironment):
            # The environment has text only, so a number or a switch may come as text from there.
            return msgspec.convert(str(value), hint, strict=False)
        return msgspec.convert(value, hint)
    except Unreadable as unreadable:
        document.fault(path, unreadable.message, unreadable.remedy)
    except msgspec.ValidationError:
        remedy = did_you_mean(str(value), map(str, get_args(core))) if get_origin(core) is Literal else ""
        document.fault(path, f"{found} is not accepted here", remedy or f"give {_accepted(core, notes)}")
    return UNSET


def _accepted(core: Any, notes: tuple[Any, ...]) -> str:
    """What a field takes, in words: `a whole number from 1 to 1024`."""
    metas = [note for note in notes if isinstance(note, Meta)]
    is_duration = any(isinstance(note, Read) and note.function is duration for note in notes)
    words = ["a duration" if is_duration else _noun(core), _bounds(metas, " seconds" if is_duration else "")]
    # A look-ahead at the end guards against a final newline; it explains nothing to a reader.
    words += [f"of the form {meta.pattern.split('(?!')[0]}" for meta in metas if meta.pattern]
    descriptions = [meta.description for meta in metas if meta.description]
    return " ".join(word for word in words if word) + "".join(f" ({text.rstrip('.')})" for text in descriptions)


def _noun(core: Any) -> str:
    if get_origin(core) is Literal:
        return "one of " + ", ".join(map(str, get_args(core)))
    if get_origin(core) in (Union, UnionType):
        return " or ".join(_accepted(*unwrap(arg)) for arg in get_args(core) if arg is not type(None))
    if isinstance(core, type) and issubclass(core, msgspec.Struct):
        return "a mapping with " + ", ".join(_names(core))
    if get_origin(core) in (tuple, list):
        return "a list"
    return _NOUNS.get(core, "a mapping")


def _bounds(metas: list[Meta], unit: str) -> str:
    limits: dict[str, Any] = {}
    for meta in metas:
        limits |= {name: limit for name in ("ge", "gt", "le", "lt") if (limit := getattr(meta, name)) is not None}
    if "ge" in limits and "le" in limits:
        return f"from {limits['ge']:g} to {limits['le']:g}{unit}"
    signs = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    return " and ".join(f"{signs[name]} {limit:g}{unit}" for name, limit in limits.items())
