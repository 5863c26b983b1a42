"""The ids of a product catalogue, and which of them another id was probably meant to be."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

SEPARATOR = re.compile(r"[-_.:/|~ ]")
ID_COLUMNS = ("id", "g:id", "product_id", "item_id")


class CatalogueError(Exception):
    """The file can't be read as a catalogue."""


class Like(NamedTuple):
    """An id of the catalogue, and `how` the other one differs from it."""

    id: str
    how: str


class Catalogue:
    def __init__(self, ids: set[str]) -> None:
        self._ids = ids
        self._plain = {_plain(id): id for id in ids}
        # A shop's own number often has something in front of it, or behind it, on one of the two sides.
        self._ends = {end: id for id in ids for end in _ends(id)}

    @classmethod
    def read(cls, path: Path) -> "Catalogue":
        """The ids in a file: one a line, CSV with a column `id`, or XML with an element `id`. Raises CatalogueError."""
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                ids = {id for found in _read(file) if (id := found.strip())}
        except OSError as error:
            raise CatalogueError(f"{path} can't be read: {error.strerror}") from None
        except (UnicodeDecodeError, csv.Error, ElementTree.ParseError) as error:
            raise CatalogueError(f"{path} is no catalogue: {error}") from None
        if not ids:
            raise CatalogueError(f"there are no ids in {path}")
        return cls(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def like(self, id: str) -> Like | None:
        """The id that was probably meant, where there is one."""
        plain = self._plain.get(_plain(id))
        if plain is not None:
            return Like(plain, "other case" if plain.lower() == id.lower() else "blanks or zeros")
        for end in _ends(id):
            if end in self._ids:
                return Like(end, "prefix or suffix")
        meant = self._ends.get(id)
        return Like(meant, "prefix or suffix") if meant else None


def _plain(id: str) -> str:
    return id.strip().lower().lstrip("0")


def _ends(id: str) -> Iterator[str]:
    """What is left of an id without its first, or its last, part."""
    parts = [match.start() for match in SEPARATOR.finditer(id)]
    if parts:
        yield id[parts[0] + 1 :]
        yield id[: parts[-1]]


def _read(file: IO[str]) -> Iterator[str]:
    first = file.readline()
    file.seek(0)
    if first.lstrip().startswith("<"):
        yield from _elements(file)
        return
    separator = max("\t;,|", key=first.count)
    if not first.count(separator):
        yield from (line for line in file if line.strip().lower() not in ID_COLUMNS)
        return
    rows = csv.reader(file, delimiter=separator)
    names = [name.strip().lower() for name in next(rows)]
    column = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if column is None:
        raise csv.Error(f"its columns are {', '.join(names)[:200]}, and none is `id`")
    yield from (row[column] for row in rows if len(row) > column)


def _elements(file: IO[str]) -> Iterator[str]:
    """The text of each `<id>`, whatever its namespace. What was read is let go: feeds are large."""
    # A feed of the user's own: the parser of Python 3.11 resolves nothing outside of it.
    for _, element in ElementTree.iterparse(file):  # noqa: S314
        if element.tag.rpartition("}")[2] == "id":
            yield element.text or ""
        elif len(element) > 2:
            element.clear()
