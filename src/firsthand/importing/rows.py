"""What the readers of all formats have in common: rows, one at a time, each with its line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from firsthand.importing.faults import BadRow

Get = Callable[[Any], Any]
"""Takes a row's cells and returns the value of one column; None where there is none."""


class Place(NamedTuple):
    """Where a row begins: its line, from 1, and its offset in bytes (Parquet: in rows)."""

    line: int
    offset: int


START = Place(1, 0)


class Row(NamedTuple):
    """`cells` are what the reader's `column` reads, as long as there is no fault. `raw` is the row as it stands in the
    file: text, bytes where they are no text, or a function that makes something for JSON of it."""

    line: int
    cells: Any
    raw: Any
    fault: BadRow | None = None


class Reader(Protocol):
    """Reads a file's rows in constant memory. What can't be read comes as a row with a `fault`."""

    columns: list[str]
    """Names, in the order of the file. Of JSON lines: those in the first lines."""
    first: Place
    """Where the first row begins."""
    place: Place
    """Behind the row yielded last."""

    def column(self, name: str) -> Get:
        """Reads one column, or by a dotted name what is inside one. Raises KeyError where there is none, Ambiguous
        where there are several."""
        ...

    def rows(self, start: Place) -> Iterator[Row]:
        """The rows from `first` on, or from where `place` once was."""
        ...

    def fraction(self) -> float:
        """How much of the file has been read."""
        ...

    def close(self) -> None: ...


def inside(get: Get, steps: Sequence[str]) -> Get:
    """What stands at a path inside the objects of a column."""

    def read(cells: Any) -> Any:
        value = get(cells)
        for step in steps:
            if not isinstance(value, Mapping):
                return None
            value = value.get(step)
        return value

    return read


class Ambiguous(KeyError):
    """Several columns have the name."""


def by_index(columns: Sequence[str], name: str) -> Get:
    """A column of rows that are tuples; `price#2` is the second of that name. Raises KeyError."""
    places = [index for index, column in enumerate(columns) if column == name]
    if len(places) > 1:
        raise Ambiguous(name)
    plain, mark, number = name.rpartition("#")
    if not places and mark and number.isdecimal() and 1 <= int(number) <= columns.count(plain):
        places = [[index for index, column in enumerate(columns) if column == plain][int(number) - 1]]
    if places:
        (index,) = places
        return lambda cells: cells[index]
    prefix, dot, rest = name.rpartition(".")
    if not dot or name in columns:
        raise KeyError(name)
    return inside(by_index(columns, prefix), [rest])
