"""Rows → events: a mapping made into functions, once its columns are known to be there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.importing.fields import FIELDS, IDS, OBJECTS, usual_type
from firsthand.importing.mapping import Column, Const, Mapping, Template, Tree, put
from firsthand.importing.rows import Get, Reader, Row
from firsthand.importing.template import FILE, LINE, parts_of
from firsthand.importing.values import converter, string

Make = Callable[[Any, int], Any]
"""Takes a row's cells and its line."""
Maker = Callable[[Row], dict[str, Any]]
"""Makes an event of a row, or raises BadRow."""
ID_CHARACTERS = 32
"""How much of the file's hash is in the ids: 128 bits."""


class _Part(NamedTuple):
    make: Make
    varies: bool
    """Whether it depends on a column, so that it may be absent."""


def id_prefix(file_hash: str) -> str:
    """What the ids of a file's events begin with; their line follows."""
    return f"import-{file_hash[:ID_CHARACTERS]}-"


def maker(mapping: Mapping, reader: Reader, file_hash: str, name: str) -> Maker:
    """Raises ImportFailed where the file lacks columns that the mapping names. `name` is the file's, for that."""
    prefix = id_prefix(file_hash)
    tree = mapping.event
    if tree is None and mapping.format.type == "jsonl":
        return _as_they_are(prefix, mapping.name)
    if tree is None:
        tree = _by_header(reader, mapping.name, name)
    build = _Builder(reader, file_hash, name)
    parts = build.parts(tree, "")
    build.raise_missing()

    def make(row: Row) -> dict[str, Any]:
        event: dict[str, Any] = {}
        for key, part in parts:
            value = part.make(row.cells, row.line)
            if value is not None:
                event[key] = value
        event.setdefault("messageId", f"{prefix}{row.line}")
        return event

    return make


def _as_they_are(prefix: str, name: str | None) -> Maker:
    def make(row: Row) -> dict[str, Any]:
        event: dict[str, Any] = {**row.cells}
        if name is not None:
            event["event"] = name
        if not event.get("type") and event.get("event"):
            event["type"] = "track"
        if not event.get("messageId"):
            event["messageId"] = f"{prefix}{row.line}"
        # Times are those of the past: nothing may move them to today. See FIELDS.
        event.pop("sentAt", None)
        if not event.get("timestamp") and event.get("originalTimestamp"):
            event["timestamp"] = event["originalTimestamp"]
        return event

    return make


def _by_header(reader: Reader, event: str | None, name: str) -> Tree:
    """The mapping that a header of canonical names stands for."""
    tree: Tree = {}
    strange = [column for column in reader.columns if not _is_field(column)]
    twice = [column for column in reader.columns if column not in strange and not _put(tree, column)]
    if strange or twice:
        what = "that are no fields of an event" if strange else "that build the same field"
        raise ImportFailed(
            f"{name} has columns {what}: {', '.join(strange or twice)}. Name them like event, anonymousId or"
            " properties.order_id, or say with --map what becomes of them"
        )
    kind = tree.setdefault("type", Const("track"))
    if event is not None:
        tree["event"] = Const(event)
    if kind == Const("track") and "event" not in tree:
        raise ImportFailed(f"the events in {name} have no name: add a column event, or say --event NAME")
    return {key: _lists(node) for key, node in tree.items()}


def _is_field(column: str) -> bool:
    first, *rest = column.split(".")
    return first in FIELDS and all(rest) and (first in OBJECTS or not rest)


def _put(tree: Tree, column: str) -> bool:
    return put(tree, column.split("."), Column(column=column))


def _lists(node: Any) -> Any:
    """`properties.products.0.price` is in a list: names that count from 0 are its places."""
    if not isinstance(node, dict):
        return node
    inner = {key: _lists(value) for key, value in node.items()}
    return [inner[str(index)] for index in range(len(inner))] if _counts(inner) else inner


def _counts(node: Tree) -> bool:
    return bool(node) and node.keys() == {str(index) for index in range(len(node))}


class _Builder:
    """Makes functions of a mapping's tree, and notes the columns that are not there."""

    def __init__(self, reader: Reader, file_hash: str, name: str) -> None:
        self._reader = reader
        self._hash = file_hash
        self._name = name
        self._missing: dict[str, str] = {}

    def raise_missing(self) -> None:
        if self._missing:
            missing = ", ".join(f"{column} (for {field})" for column, field in self._missing.items())
            there = ", ".join(self._reader.columns) or "none"
            raise ImportFailed(f"{self._name} does not have the columns {missing}. The columns there are: {there}")

    def parts(self, tree: Tree, path: str) -> list[tuple[str, _Part]]:
        return [(key, self._part(node, f"{path}.{key}" if path else key)) for key, node in tree.items()]

    def _part(self, node: Any, path: str) -> _Part:
        if isinstance(node, Const):
            value = node.const
            return _Part(lambda cells, line: value, False)
        if isinstance(node, Column):
            return _Part(self._column(node, path), True)
        if isinstance(node, Template):
            return self._template(node, path)
        if isinstance(node, list):
            return self._list(node, path)
        return self._object(node, path)

    def _get(self, column: str, path: str) -> Get:
        try:
            return self._reader.column(column)
        except KeyError:
            self._missing.setdefault(column, path)
            return lambda cells: None

    def _column(self, node: Column, path: str) -> Make:
        get, default = self._get(node.column, path), node.default
        steps = path.replace("[", ".").replace("]", "").split(".")
        type = node.type or usual_type(steps)
        if path in IDS and type != "string":
            type = "string"
        convert = converter(path, type, node.format, node.zone)

        def make(cells: Any, line: int) -> Any:
            value = get(cells)
            # A cell may be empty in the way of each format: no text, null, or not a number.
            if value is None or value == "" or value != value or (isinstance(value, str) and value.isspace()):
                return default
            return convert(value)

        return make

    def _template(self, node: Template, path: str) -> _Part:
        make_text, default = string(path), node.default
        parts: list[str | Get] = []
        for text, is_name in parts_of(node.template):
            if not is_name:
                parts.append(text)
            elif text == FILE:
                parts.append(self._hash[:ID_CHARACTERS])
            elif text == LINE:
                parts.append(_line)
            else:
                parts.append(self._get(text, path))

        def make(cells: Any, line: int) -> Any:
            texts: list[str] = []
            for part in parts:
                if isinstance(part, str):
                    texts.append(part)
                    continue
                value = line if part is _line else part(cells)
                if value is None or value == "" or value != value:
                    return default
                texts.append(make_text(value))
            return "".join(texts)

        return _Part(make, any(part is not _line and not isinstance(part, str) for part in parts))

    def _object(self, node: Tree, path: str) -> _Part:
        parts = self.parts(node, path)

        def make(cells: Any, line: int) -> Any:
            found = {}
            for key, part in parts:
                value = part.make(cells, line)
                if value is not None:
                    found[key] = value
            return found or None

        return _Part(make, any(part.varies for _, part in parts))

    def _list(self, node: list[Any], path: str) -> _Part:
        entries = [self._entry(item, f"{path}[{index}]") for index, item in enumerate(node)]

        def make(cells: Any, line: int) -> Any:
            return [value for entry in entries if (value := entry(cells, line)) is not None]

        return _Part(make, True)

    def _entry(self, item: Any, path: str) -> Make:
        """A list's entry is left out where all its columns are empty, whatever constants stand beside them."""
        if not isinstance(item, dict):
            return self._part(item, path).make
        parts = self.parts(item, path)
        varying = any(part.varies for _, part in parts)

        def make(cells: Any, line: int) -> Any:
            found, any_there = {}, not varying
            for key, part in parts:
                value = part.make(cells, line)
                if value is not None:
                    found[key] = value
                    any_there = any_there or part.varies
            return found if any_there and found else None

        return make


def _line(cells: Any) -> None:
    """Stands in a template for the row's line."""


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(event: dict[str, Any]) -> bytes:
    """The event as JSON. Raises BadRow."""
    try:
        return _encoder.encode(event)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, UnicodeError) as error:
        raise BadRow("field_invalid", f"this can't be written as JSON: {error}") from None
