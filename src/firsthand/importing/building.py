"""Values of a mapping made into functions, which take the rows that are one event."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.importing.mapping import FILE, LINE, Column, Const, Template, Tree, parts_of
from firsthand.importing.rows import Ambiguous, Get, Reader, Row
from firsthand.importing.values import Convert, converter, identifier, is_empty, string, usual_type

Make = Callable[[Sequence[Row]], Any]
"""Takes the rows that are one event, or one of them. Raises BadRow."""
ID_CHARACTERS = 32
"""How much of the file's hash is in the ids: 128 bits."""


class Part(NamedTuple):
    make: Make
    varies: bool
    """Whether it depends on a column, so that it may be absent."""


class Builder:
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

    def parts(self, tree: Tree, path: str) -> list[tuple[str, Part]]:
        return [(key, self._part(node, f"{path}.{key}" if path else key)) for key, node in tree.items()]

    def _part(self, node: Any, path: str) -> Part:
        if isinstance(node, Const):
            value = node.const
            return Part(lambda rows: value, False)
        if isinstance(node, Column):
            return Part(self._column(node, path), True)
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

    def _template(self, node: Template, path: str) -> Part:
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

        return Part(make, any(part is not _line and not isinstance(part, str) for part in parts))

    def _object(self, node: Tree, path: str) -> Part:
        parts = self.parts(node, path)

        def make(rows: Sequence[Row]) -> Any:
            found = {}
            for key, part in parts:
                value = part.make(rows)
                if value is not None:
                    found[key] = value
            return found or None

        return Part(make, any(part.varies for _, part in parts))

    def _list(self, node: list[Any], path: str) -> Part:
        entries = [self._entry(item, f"{path}[{index}]") for index, item in enumerate(node)]

        def make(rows: Sequence[Row]) -> Any:
            found = []
            for index, row in enumerate(rows):
                for entry in entries:
                    if (entry.varies or not index) and (value := entry.make((row,))) is not None:
                        found.append(value)
            return found

        return Part(make, True)

    def _entry(self, item: Any, path: str) -> Part:
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

        return Part(make, varying)


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
