"""Rows → events: a mapping made into functions, once its columns are known to be there."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from firsthand.importing.faults import BadRow, ImportFailed, shown
from firsthand.importing.fields import FIELDS, OBJECTS, usual_type
from firsthand.importing.grouping import OUT, Group, Key, each, groups, singly
from firsthand.importing.mapping import Column, Condition, Const, Mapping, Template, Tree, put
from firsthand.importing.rows import Ambiguous, Get, Place, Reader, Row
from firsthand.importing.template import FILE, LINE, parts_of
from firsthand.importing.values import Convert, converter, identifier, is_empty, string
from firsthand.times import read_time

Make = Callable[[Sequence[Row]], Any]
"""Takes the rows that are one event, or one of them. Raises BadRow."""
ID_CHARACTERS = 32
"""How much of the file's hash is in the ids: 128 bits."""
NO_TIME = "when it happened is not known, and it did not happen now"


class _Part(NamedTuple):
    make: Make
    varies: bool
    """Whether it depends on a column, so that it may be absent."""


def id_prefix(file_hash: str) -> str:
    """What the ids of a file's events begin with; their line follows."""
    return f"import-{file_hash[:ID_CHARACTERS]}-"


class Maker:
    """What becomes of a file's rows, by its mapping."""

    def __init__(self, mapping: Mapping, reader: Reader, file_hash: str, name: str) -> None:
        """`name` is the file's. Raises ImportFailed where the file lacks what the mapping names, or all times."""
        self._reader = reader
        self._name = mapping.name
        self._prefix = id_prefix(file_hash)
        self._make: Make = self._as_it_is
        self._conditions: list[tuple[Condition, Get]] = []
        self._group: Get | None = None
        self._order: tuple[Key, str] | None = None
        tree = mapping.event
        if tree is None and mapping.format.type != "jsonl":
            tree = _by_header(reader, mapping.name, name)
        if tree is None:
            if not {"timestamp", "originalTimestamp"} & set(reader.columns):
                raise ImportFailed(f"the events in {name} have no timestamp: {NO_TIME}. Give each its own")
            return
        build = _Builder(reader, file_hash, name)
        self._parts = build.parts(tree, "")
        self._make = self._mapped
        self._conditions = [(condition, build.get(condition.column, "where")) for condition in mapping.where]
        if isinstance(mapping.group_by, str):
            self._group = build.get(mapping.group_by, "group_by")
            # Rows without a value belong to no group. Whether they are left out, only a condition on that column says.
            own = [condition for condition in mapping.where if condition.column == mapping.group_by]
            self._without_group = any(not condition.holds("") for condition in own)
        elif mapping.group_by is None:
            self._order = _order(tree, build)
        build.raise_missing()

    def groups(self, start: Place, open: str | None = None) -> Iterator[Group]:
        """The rows from a place on, those together that are one event. `open` is that of the group in front of it.

        Raises ImportFailed at lines of one order where the mapping does not say what they are.
        """
        if self._group is not None:
            return groups(self._reader, start, _group_key(self._group, self.leaves_out), open)
        if self._order is not None:
            return singly(self._reader, start, *self._order)
        return each(self._reader, start)

    def leaves_out(self, row: Row) -> bool:
        """Whether it has no value to be grouped by, and such rows are left out."""
        if self._group is None or not self._without_group or row.fault is not None:
            return False
        return not _text(self._group(row.cells))

    def takes(self, rows: Sequence[Row]) -> bool:
        """Whether all conditions hold: of several rows, each for the first that has its column."""
        for condition, get in self._conditions:
            if not condition.holds(next((text for row in rows if (text := _text(get(row.cells)))), "")):
                return False
        return True

    def event(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The event of rows. Raises BadRow."""
        event: dict[str, Any] = self._make(rows)
        event.setdefault("messageId", f"{self._prefix}{rows[0].line}")
        return event

    def _mapped(self, rows: Sequence[Row]) -> dict[str, Any]:
        event: dict[str, Any] = {}
        for key, part in self._parts:
            value = part.make(rows)
            if value is not None:
                event[key] = value
            elif key == "timestamp" and part.varies:
                raise BadRow("field_missing", f"there is no time: {NO_TIME}", key)
        return event

    def _as_it_is(self, rows: Sequence[Row]) -> dict[str, Any]:
        event: dict[str, Any] = {**rows[0].cells}
        if self._name is not None:
            event["event"] = self._name
        if not event.get("type") and event.get("event"):
            event["type"] = "track"
        if not event.get("messageId"):
            event.pop("messageId", None)
        # Times are those of the past: nothing may move them to today. See FIELDS.
        event.pop("sentAt", None)
        when = event["timestamp"] = event.get("timestamp") or event.get("originalTimestamp")
        if not when:
            raise BadRow("field_missing", f"there is no time: {NO_TIME}", "timestamp")
        try:
            read_time(when)
        except ValueError:
            raise BadRow("field_invalid", f"{shown(when)} is no time: {NO_TIME}", "timestamp") from None
        return event


def _text(value: Any) -> str:
    """A cell as a condition and `group_by` compare it: blanks at its ends are none of it."""
    if isinstance(value, str):
        return value.strip()
    return "" if is_empty(value) else str(string("where")(value))


def _group_key(get: Get, leaves_out: Callable[[Row], bool]) -> Key:
    before = ""

    def key(row: Row) -> str | None:
        nonlocal before
        try:
            found = _text(get(row.cells))
        except (IndexError, TypeError, BadRow):  # too few columns, no columns at all, or no text
            return None
        if row.fault is not None:
            # With columns too many or too few, what stands in this one may be another's.
            return found if found == before else None
        if not found:
            return OUT if leaves_out(row) else None
        before = found
        return found

    return key


def _order(tree: Tree, build: "_Builder") -> tuple[Key, str] | None:
    """A row's order id, and the column that it is made of; None where there is none, or each line makes its own."""
    properties = tree.get("properties")
    node = properties.get("order_id") if isinstance(properties, dict) else None
    columns = [node.column] if isinstance(node, Column) else []
    if isinstance(node, Template):
        names = [text for text, is_name in parts_of(node.template) if is_name]
        columns = [] if LINE in names else [name for name in names if name != FILE]
    if not columns:
        return None
    parts = [
        part for _, part in build.parts({"event": tree.get("event", Const(None)), "properties.order_id": node}, "")
    ]

    def key(row: Row) -> str | None:
        if row.fault is not None:
            return None
        try:
            event, id = (part.make((row,)) for part in parts)
        except BadRow:
            return None
        return None if id is None else f"{id} {event}"

    return key, columns[0]


def _by_header(reader: Reader, event: str | None, name: str) -> Tree:
    """The mapping that a header of canonical names stands for."""
    tree: Tree = {}
    strange = [column for column in reader.columns if not _is_field(column)]
    twice = [column for column in reader.columns if column not in strange and not _put(tree, column)]
    if strange or twice:
        what = "that are no fields of an event" if strange else "twice, or that build the same field"
        raise ImportFailed(
            f"{name} has columns {what}: {', '.join(strange or twice)}. Name them like event, anonymousId or"
            " properties.order_id, or say with --map what becomes of them"
        )
    if "timestamp" not in tree:
        raise ImportFailed(
            f"{name} has no column timestamp: {NO_TIME}. Add one, or say with --map when it was; where the events"
            " happen as they are imported, with timestamp: now"
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
    """Makes functions of a mapping's tree, and notes the columns that are not there.

    Of several rows that are one event, a value is that of the first row that has it, and a list has the entries of
    each row.
    """

    def __init__(self, reader: Reader, file_hash: str, name: str) -> None:
        self._reader = reader
        self._hash = file_hash
        self._name = name
        self._missing: dict[str, str] = {}
        self._ambiguous: list[str] = []

    def raise_missing(self) -> None:
        columns = self._reader.columns
        if self._ambiguous:
            names = [f"{name} {'twice' if columns.count(name) == 2 else 'over twice'}" for name in self._ambiguous]
            first = self._ambiguous[0]
            raise ImportFailed(
                f"{self._name} has the columns {', '.join(names)}, and which is meant is not said: write {first}#1 for"
                f" the first, {first}#2 for the second"
            )
        if self._missing:
            missing = ", ".join(f"{column} (for {field})" for column, field in self._missing.items())
            there = ", ".join(columns) or "none"
            odd = next((mark for mark in ";\t|" if len(columns) == 1 and mark in there), None)
            hint = f'. Is it separated by "{odd}"? Then say format: {{delimiter: "{odd}"}}' if odd else ""
            raise ImportFailed(
                f"{self._name} does not have the columns {missing}. The columns there are: {there}{hint}"
            )

    def get(self, column: str, path: str) -> Get:
        try:
            return self._reader.column(column)
        except Ambiguous:
            self._ambiguous.extend([column] if column not in self._ambiguous else [])
        except KeyError:
            self._missing.setdefault(column, path)
        return lambda cells: None

    def parts(self, tree: Tree, path: str) -> list[tuple[str, _Part]]:
        return [(key, self._part(node, f"{path}.{key}" if path else key)) for key, node in tree.items()]

    def _part(self, node: Any, path: str) -> _Part:
        if isinstance(node, Const):
            value = node.const
            return _Part(lambda rows: value, False)
        if isinstance(node, Column):
            return _Part(self._column(node, path), True)
        if isinstance(node, Template):
            return self._template(node, path)
        if isinstance(node, list):
            return self._list(node, path)
        return self._object(node, path)

    def _convert(self, node: Column | Template, path: str, type: Any) -> Convert:
        usual = usual_type(_steps(path))
        # An id may be said to be text: what spreadsheets make of one is looked for all the same.
        return converter(path, "id" if usual == "id" else type or usual, node.format, node.zone)

    def _column(self, node: Column, path: str) -> Make:
        get, default, convert = self.get(node.column, path), node.default, self._convert(node, path, node.type)

        def make(rows: Sequence[Row]) -> Any:
            for row in rows:
                value = get(row.cells)
                if not is_empty(value):
                    return _converted(convert, value, row)
            return default

        return make

    def _template(self, node: Template, path: str) -> _Part:
        default = node.default
        convert = self._convert(node, path, None) if path == "timestamp" else None
        plain = identifier(path) if usual_type(_steps(path)) == "id" else string(path)
        parts: list[str | Get] = []
        for text, is_name in parts_of(node.template):
            if not is_name:
                parts.append(text)
            elif text == FILE:
                parts.append(self._hash[:ID_CHARACTERS])
            elif text == LINE:
                parts.append(_line)
            else:
                parts.append(self.get(text, path))

        def text_of(row: Row) -> str | None:
            texts: list[str] = []
            for part in parts:
                if isinstance(part, str):
                    texts.append(part)
                    continue
                value = row.line if part is _line else part(row.cells)
                if is_empty(value):
                    return None
                texts.append(plain(value))
            return "".join(texts)

        def make(rows: Sequence[Row]) -> Any:
            for row in rows:
                if (text := _converted(text_of, row, row)) is not None:
                    return text if convert is None else _converted(convert, text, row)
            return default

        return _Part(make, any(part is not _line and not isinstance(part, str) for part in parts))

    def _object(self, node: Tree, path: str) -> _Part:
        parts = self.parts(node, path)

        def make(rows: Sequence[Row]) -> Any:
            found = {}
            for key, part in parts:
                value = part.make(rows)
                if value is not None:
                    found[key] = value
            return found or None

        return _Part(make, any(part.varies for _, part in parts))

    def _list(self, node: list[Any], path: str) -> _Part:
        entries = [self._entry(item, f"{path}[{index}]") for index, item in enumerate(node)]

        def make(rows: Sequence[Row]) -> Any:
            found = []
            for index, row in enumerate(rows):
                for entry in entries:
                    if (entry.varies or not index) and (value := entry.make((row,))) is not None:
                        found.append(value)
            return found

        return _Part(make, True)

    def _entry(self, item: Any, path: str) -> _Part:
        """A list's entry is left out where all its columns are empty, whatever constants stand beside them."""
        if not isinstance(item, dict):
            return self._part(item, path)
        parts = self.parts(item, path)
        varying = any(part.varies for _, part in parts)

        def make(rows: Sequence[Row]) -> Any:
            found, any_there = {}, not varying
            for key, part in parts:
                value = part.make(rows)
                if value is not None:
                    found[key] = value
                    any_there = any_there or part.varies
            return found if any_there and found else None

        return _Part(make, varying)


def _steps(path: str) -> list[str]:
    return path.replace("[", ".").replace("]", "").split(".")


def _converted(convert: Convert, value: Any, row: Row) -> Any:
    """Raises BadRow with the row's line."""
    try:
        return convert(value)
    except BadRow as fault:
        fault.line = row.line
        raise


def _line(cells: Any) -> None:
    """Stands in a template for the row's line."""


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(event: dict[str, Any]) -> bytes:
    """The event as JSON. Raises BadRow."""
    try:
        return _encoder.encode(event)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, UnicodeError) as error:
        raise BadRow("field_invalid", f"this can't be written as JSON: {error}") from None
