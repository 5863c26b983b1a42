"""The mapping file: how a file's rows become events.

    format: {type: csv, delimiter: whitespace, header: false, columns: [customer, date, dollars]}
    event:
      name: Order Completed
      anonymousId: {column: customer}
      timestamp: {column: date, format: "%Y%m%d", zone: America/New_York}
      properties.products:
        - {price: {column: dollars, type: decimal}, quantity: {const: 1}}

A value is a column, a constant or a template. Dotted names and mappings build objects, lists build lists. Everything
wrong with the file is found before anything is sent, with its line and its path.
"""

import difflib
import hashlib
import os
import re
from collections.abc import Mapping as Dict
from pathlib import Path
from typing import Any, get_args

import msgspec

from firsthand.config.convert import convert
from firsthand.config.document import Document
from firsthand.config.faults import ConfigError, Fault
from firsthand.config.faults import Path as Place
from firsthand.config.values import FromEnvironment, did_you_mean, shown
from firsthand.event import EventType
from firsthand.importing import format as formats
from firsthand.importing import moments, numbers
from firsthand.importing.format import Format
from firsthand.importing.values import FIELDS, OBJECTS, ValueType, usual_type
from firsthand.times import read_time

LINE, FILE = "line", "file"
"""Names that are no columns': the row's line, and the file by its content."""
_PARTS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")
TYPES: tuple[str, ...] = get_args(EventType)
PARTS = ("format", "event", "where", "group_by")
CONDITIONS = ("is", "is_not", "in")


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    column: str
    type: ValueType | None = None
    """None: what the field usually is."""
    format: str | None = None
    zone: str | None = None
    default: Any = None
    """For rows in which the cell is empty."""


class Const(msgspec.Struct, frozen=True):
    const: Any


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    template: str
    default: Any = None
    """For rows in which a column of the template is empty."""
    format: str | None = None
    zone: str | None = None
    """Of a timestamp that is made of several columns."""


class Condition(msgspec.Struct, frozen=True):
    """Which rows become events, by one column. Case and blanks at the ends don't count."""

    column: str
    accepted: bool
    """Whether the texts are those that are taken, or those that are not."""
    texts: tuple[str, ...]

    def holds(self, text: str) -> bool:
        return (text.casefold() in self.texts) == self.accepted


Value = Column | Const | Template
KINDS = {"column": Column, "const": Const, "template": Template}
WORDS = frozenset({"column", "type", "format", "zone", "default", "const", "template"})
Tree = dict[str, Any]
"""Values in the shape of the event: a value, or a tree or a list of them, by name."""


class Mapping(msgspec.Struct, frozen=True):
    format: Format = Format()
    event: Tree | None = None
    """None: the columns are named as the fields of events are, or the rows are events."""
    name: str | None = None
    """The name of every event, in place of the mapping's own."""
    where: tuple[Condition, ...] = ()
    group_by: str | bool | None = None
    """The column whose value makes one event of the rows that follow each other with it. False: each row is an event,
    also where they have the same order id; None: nobody has said so."""

    @property
    def digest(self) -> str:
        """The same for mappings that do the same, whatever their comments and their order."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()

    @property
    def ids(self) -> str:
        """By what rule events get their ids. Mappings with one rule make of one line the same event."""
        own = None if self.event is None else self.event.get("messageId")
        return "" if own is None else msgspec.json.encode(own, order="sorted").decode()


def load(path: Path, name: str | None = None, env: Dict[str, str] = os.environ) -> Mapping:
    """The mapping in a file; `name` is the event's name from the command line. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        fault = Fault(str(path), f"it can't be read: {why}", "name a file that is there and readable, in UTF-8")
        raise ConfigError(str(path), [fault]) from None
    return parse(text, name, env, path.name)


def parse(text: str, name: str | None = None, env: Dict[str, str] = os.environ, file: str = "mapping.yaml") -> Mapping:
    """The mapping in a text. Raises `ConfigError`."""
    document = Document(text, env, file)
    tree = document.tree
    if not isinstance(tree, dict):
        document.fault((), f"{shown(tree)} is not accepted here", "give a mapping with format and event")
        document.raise_faults()
    for key in tree:
        if key not in PARTS:
            document.fault((key,), "there is no such field", did_you_mean(key, PARTS))
    written = tree.get("format", {})
    format = convert(document, Format, written, ("format",))
    if format is not msgspec.UNSET:
        formats.check(document, format, written)
    event = _Event(document).read(tree.get("event"), name)
    where = _where(document, tree.get("where", {}))
    group_by = _group_by(document, tree.get("group_by"), event)
    document.raise_faults()
    return Mapping(format, event, name, where, group_by)


def _where(document: Document, written: Any) -> tuple[Condition, ...]:
    found: list[Condition] = []
    remedy = "write {COLUMN: {is: VALUE}}, {COLUMN: {is_not: VALUE}} or {COLUMN: {in: [VALUE, …]}}"
    if not isinstance(written, dict):
        document.fault(("where",), f"{shown(written)} is no condition", remedy)
        return ()
    for column, tests in written.items():
        if not isinstance(tests, dict) or not tests:
            document.fault(("where", column), f"{shown(tests)} is no condition", remedy)
            continue
        for test, value in tests.items():
            path: Place = ("where", column, test)
            if test not in CONDITIONS:
                document.fault(path, "there is no such condition", did_you_mean(test, CONDITIONS))
            elif isinstance(value, list) != (test == "in") and not (test == "is_not" and isinstance(value, list)):
                document.fault(path, f"{shown(value)} does not go with {test}", remedy)
            else:
                paths: list[Place] = [(*path, i) for i in range(len(value))] if isinstance(value, list) else [path]
                values = value if isinstance(value, list) else [value]
                texts = [_written(document, item, place) for item, place in zip(values, paths, strict=True)]
                found.append(Condition(column, test != "is_not", tuple(texts)))
    return tuple(found)


def _written(document: Document, value: Any, path: Place) -> str:
    """A value as it is written: `1.10` is not 1.1 to a column of text."""
    if isinstance(value, dict | list):
        document.fault(path, f"{shown(value)} is no value of a cell", "give a text")
    text = str(value) if isinstance(value, FromEnvironment) else document.raw(path)
    return "" if value is None or text is None else text.strip().casefold()


def _group_by(document: Document, written: Any, event: Tree) -> str | bool | None:
    if isinstance(written, dict) and written.keys() == {"column"}:
        written = written["column"]
    if written is None or written is False:
        return written
    if not isinstance(written, str):
        remedy = "write {column: NAME}, or false where each row is an event"
        document.fault(("group_by",), f"{shown(written)} is no column", remedy)
        return None
    properties = event.get("properties")
    if isinstance(properties, Column) or (
        isinstance(properties, dict) and isinstance(properties.get("products"), Column)
    ):
        what = "a column of all products does not go with group_by"
        document.fault(
            ("group_by",), what, "list what each row has, products: [{product_id: …}], or leave group_by out"
        )
    return str(written)


def put(tree: Tree, steps: list[str], node: Any) -> bool:
    """Put a node where a dotted name says; False where something else stands there."""
    for step in steps[:-1]:
        inner = tree.setdefault(step, {})
        if not isinstance(inner, dict):
            return False
        tree = inner
    there = tree.setdefault(steps[-1], node)
    if there is node:
        return True
    if isinstance(there, dict) and isinstance(node, dict):
        return all(put(there, [key], value) for key, value in node.items())
    return False


class BadTemplate(ValueError):
    """The text says what is wrong with it."""


def parts_of(template: str) -> list[tuple[str, bool]]:
    """Texts, and names (True) of what is put in. `{{` and `}}` are braces. Raises BadTemplate."""
    parts: list[tuple[str, bool]] = []
    for match in _PARTS.finditer(template):
        found = match[0]
        if found in ("{", "}"):
            raise BadTemplate(f"a {found} is left over")
        if match[1] is not None:
            if not match[1].strip():
                raise BadTemplate("there is no name between { and }")
            parts.append((match[1], True))
        else:
            parts.append(({"{{": "{", "}}": "}"}.get(found, found), False))
    if not any(is_name for _, is_name in parts):
        raise BadTemplate("there is nothing to put in: a constant is written {const: …}")
    return parts


class _Event:
    """Reads the part `event`, noting faults in the document."""

    def __init__(self, document: Document) -> None:
        self._fault = document.fault
        self._document = document

    def read(self, written: Any, name: str | None) -> Tree:
        tree: Tree = {}
        if not isinstance(written, dict) or not written:
            self._fault(("event",), "it says nothing of the events", "give name, anonymousId, timestamp, …")
            return tree
        for key, value in written.items():
            path: Place = ("event", key)
            field = key.partition(".")[0]
            if field not in FIELDS or (field not in OBJECTS and field != key):
                self._fault(path, "an event has no such field", did_you_mean(key, FIELDS))
                continue
            literal = key in ("name", "event", "type", "category") and isinstance(value, str)
            if key == "timestamp" and value == "now":
                tree[key] = Const(None)
                continue
            node = Const(_plain(value)) if literal else self._node(value, path)
            if node is not None:
                self._put(tree, key, node, path)
        self._name(tree, name)
        self._timestamp(tree, written)
        return tree

    def _name(self, tree: Tree, name: str | None) -> None:
        """`name` is what people call the `event` of a track call; pages and screens have a `name` of their own."""
        kind = tree.setdefault("type", Const("track"))
        if isinstance(kind, Const) and kind.const not in TYPES:
            self._fault(("event", "type"), f"{shown(kind.const)} is no type", did_you_mean(str(kind.const), TYPES))
        if kind != Const("track"):
            if name is not None:
                tree["name" if isinstance(kind, Const) else "event"] = Const(name)
            return
        if "name" in tree and "event" in tree:
            self._fault(("event", "event"), "this is the same as name", "leave one of them out")
        given = tree.pop("name", tree.pop("event", None))
        if name is None and given is None:
            self._fault(("event", "name"), "the events have no name", "give one, such as name: Order Completed")
        tree["event"] = given if name is None else Const(name)

    def _timestamp(self, tree: Tree, written: Dict[str, Any]) -> None:
        """Rows are of the past: where nobody says when they happened, none of them happened now."""
        if "timestamp" not in written:
            remedy = "give timestamp: {column: NAME}; or timestamp: now, where they happen as they are imported"
            self._fault(("event", "timestamp"), "nothing says when the events happened", remedy)
            return
        node = tree.get("timestamp")
        fixed = "const" if isinstance(node, Const) and written["timestamp"] != "now" else "default"
        value = node.const if isinstance(node, Const) else getattr(node, "default", None)
        if isinstance(node, dict | list) or (value is None and fixed == "const"):
            self._fault(("event", "timestamp"), "this is no time", "give a column, a template or a constant")
        elif value is not None:
            try:
                read_time(value)
            except ValueError:
                remedy = 'write it like "2026-11-22T10:15:00Z"'
                self._fault(("event", "timestamp", fixed), f"{shown(value)} is no time", remedy)

    def _put(self, tree: Tree, key: str, node: Any, path: Place) -> None:
        if not put(tree, key.split("."), node):
            self._fault(path, "another name builds the same field", "leave one of them out")

    def _node(self, written: Any, path: Place) -> Any:
        """A value, or a tree or list of them; None, with a fault noted, where it is none."""
        if isinstance(written, list):
            return [self._node(item, (*path, index)) for index, item in enumerate(written)]
        if isinstance(written, dict):
            kinds = [kind for kind in KINDS if kind in written]
            if len(kinds) > 1:
                self._fault(path, f"{' and '.join(kinds)} don't go together", "leave one of them out")
                return None
            if kinds:
                return self._value(kinds[0], written, path)
            if written and (odd := self._odd_word(written)):
                self._fault((*path, odd), "there is no such field", did_you_mean(odd, KINDS))
                return None
            tree: Tree = {}
            for key, value in written.items():
                if (node := self._node(value, (*path, key))) is not None:
                    self._put(tree, key, node, (*path, key))
            return tree
        if written is not msgspec.UNSET:  # UNSET has its fault already
            remedy = f"write {{column: {written}}} or {{const: {written}}}"
            self._fault(path, f"{shown(written)} may be a column or a constant", remedy)
        return None

    def _odd_word(self, written: Dict[str, Any]) -> str | None:
        """A misspelt word of a value: objects have values inside, not texts."""
        if any(isinstance(value, dict | list) for value in written.values()):
            return None
        strange = [key for key in written if key not in WORDS]
        close = [key for key in strange if difflib.get_close_matches(key, KINDS, 1)]
        return next(iter(close or (strange if len(strange) < len(written) else [])), None)

    def _value(self, kind: str, written: Dict[str, Any], path: Place) -> Value | None:
        if kind == "const":
            for key in written.keys() - {"const"}:
                self._fault((*path, key), "there is no such field", "a constant has nothing else beside it")
            return Const(_plain(written["const"]))
        found: Value | Any = convert(self._document, KINDS[kind], written, path)
        if isinstance(found, Template):
            found = msgspec.structs.replace(found, template=str(found.template), default=_plain(found.default))
            try:
                parts_of(found.template)
            except BadTemplate as error:
                self._fault((*path, "template"), str(error), 'write it like "order-{line}" or "{shop}-{number}"')
            self._check(found, None, path)
        elif isinstance(found, Column):
            found = msgspec.structs.replace(found, column=str(found.column), default=_plain(found.default))
            self._check(found, found.type, path)
        else:
            return None
        return found

    def _check(self, column: Column | Template, type: ValueType | None, path: Place) -> None:
        if isinstance(column, Template):
            type = "timestamp" if path == ("event", "timestamp") else "string"
        type = type or usual_type([step for key in path[1:] for step in str(key).split(".")])
        wrong = None
        if column.format is not None and type not in ("timestamp", "date", "decimal", "quantity"):
            wrong = "this has no format", "say type: timestamp, date, decimal or quantity with it, or leave it out"
        elif column.format is not None:
            wrong = (numbers if type in ("decimal", "quantity") else moments).check_format(column.format)
        if wrong:
            self._fault((*path, "format"), *wrong)
        if column.zone is not None:
            wrong = ("only times have a zone", "say type: timestamp with it, or leave it out")
            if type in ("timestamp", "date"):
                wrong = moments.check_zone(column.zone)
            if wrong:
                self._fault((*path, "zone"), *wrong)


def _plain(value: Any) -> Any:
    """Without the mark that a text came from the environment, of which JSON knows nothing."""
    if isinstance(value, FromEnvironment):
        return str(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
