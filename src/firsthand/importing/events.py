"""Rows → events: a mapping made into functions, once its columns are known to be there."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec

from firsthand.importing.building import ID_CHARACTERS, Builder, Make
from firsthand.importing.faults import BadRow, ImportFailed, shown
from firsthand.importing.grouping import OUT, Group, Key, each, groups, singly
from firsthand.importing.mapping import FILE, LINE, Column, Condition, Const, Mapping, Template, Tree, parts_of, put
from firsthand.importing.rows import Get, Place, Reader, Row
from firsthand.importing.values import FIELDS, OBJECTS, is_empty, string
from firsthand.times import read_time

AHEAD = 3600.0
"""Seconds by which a shop's clock may be ahead of ours. Vendors take an event of tomorrow for one of now."""
NO_TIME = "when it happened is not known, and it did not happen now"


def id_prefix(file_hash: str) -> str:
    """What the ids of a file's events begin with; their line follows."""
    return f"import-{file_hash[:ID_CHARACTERS]}-"


class Maker:
    """What becomes of a file's rows, by its mapping."""

    def __init__(
        self, mapping: Mapping, reader: Reader, file_hash: str, name: str, clock: Callable[[], float] = time.time
    ) -> None:
        """`name` is the file's. Raises ImportFailed where the file lacks what the mapping names, or all times."""
        self._reader = reader
        self._clock = clock
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
        build = Builder(reader, file_hash, name)
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
        when = event.get("timestamp")
        if when is not None and read_time(when) > (self._clock() + AHEAD) * 1000:
            reason = f"{shown(when)} is in the future: is it of another zone, or are day and month in another order?"
            raise BadRow("field_invalid", reason, "timestamp")
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


def _order(tree: Tree, build: Builder) -> tuple[Key, str] | None:
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


_encoder = msgspec.json.Encoder(decimal_format="number")


def encode(event: dict[str, Any]) -> bytes:
    """The event as JSON. Raises BadRow."""
    try:
        return _encoder.encode(event)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, UnicodeError) as error:
        raise BadRow("field_invalid", f"this can't be written as JSON: {error}") from None
