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
from firsthand.importing.fields import FIELDS, OBJECTS, ValueType, usual_type
from firsthand.importing.format import Format
from firsthand.importing.template import BadTemplate, parts_of

TYPES: tuple[str, ...] = get_args(EventType)


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
        if key not in ("format", "event"):
            document.fault((key,), "there is no such field", did_you_mean(key, ("format", "event")))
    written = tree.get("format", {})
    format = convert(document, Format, written, ("format",))
    if format is not msgspec.UNSET:
        formats.check(document, format, written)
    event = _Event(document).read(tree.get("event"), name)
    document.raise_faults()
    return Mapping(format, event, name)


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
            node = Const(_plain(value)) if literal else self._node(value, path)
            if node is not None:
                self._put(tree, key, node, path)
        self._name(tree, name)
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
            found = Template(template=str(found.template), default=_plain(found.default))
            try:
                parts_of(found.template)
            except BadTemplate as error:
                self._fault((*path, "template"), str(error), 'write it like "order-{line}" or "{shop}-{number}"')
        elif isinstance(found, Column):
            found = msgspec.structs.replace(found, column=str(found.column), default=_plain(found.default))
            self._check(found, path)
        else:
            return None
        return found

    def _check(self, column: Column, path: Place) -> None:
        type = column.type or usual_type([step for key in path[1:] for step in str(key).split(".")])
        wrong = None
        if column.format is not None and type not in ("timestamp", "date", "decimal"):
            wrong = "this has no format", "say type: timestamp, date or decimal with it, or leave it out"
        elif column.format is not None:
            wrong = (numbers if type == "decimal" else moments).check_format(column.format)
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
