"""Rows of JSON lines: one object a line. Empty lines are skipped."""

from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.importing.lines import Lines, decode, too_long, without_end
from firsthand.importing.rows import START, Get, Place, Row, inside

SAMPLE_LINES = 1_000


class JsonLinesReader:
    """`columns` are the keys in the first lines, and dotted those of the objects inside."""

    def __init__(self, file: IO[bytes], done: Callable[[], float], name: str, encoding: str = "utf-8") -> None:
        self._file = file
        self._done = done
        self._encoding = encoding
        self._lines = Lines(file, name)
        self.first = self.place = START
        self.columns = self._sample(name)

    def _sample(self, name: str) -> list[str]:
        found: dict[str, None] = {}
        for number, row in enumerate(self.rows(START)):
            if not number and row.fault is not None and row.raw.lstrip()[:1] in ("[", b"["):
                raise ImportFailed(f"{name} is one JSON list: make it lines first, as with jq -c '.[]' {name}")
            if row.fault is None:
                found |= dict.fromkeys(_keys(row.cells))
            if number == SAMPLE_LINES:
                break
        return list(found)

    def column(self, name: str) -> Get:
        if name not in self.columns:
            raise KeyError(name)
        if "." not in name:
            return lambda cells: cells.get(name)
        whole, steps = (lambda cells: cells), name.split(".")
        path = inside(whole, steps)
        return lambda cells: cells[name] if name in cells else path(cells)

    def rows(self, start: Place) -> Iterator[Row]:
        self.place = start
        self._lines.seek(self.place)
        decoder = msgspec.json.Decoder()
        while (line := self._lines.next()) is not None:
            number, end, raw = line
            self.place = Place(number + 1, end)
            if raw.isspace():
                continue
            raw = without_end(raw)
            try:
                if fault := too_long(line.raw):
                    raise fault
                text = decode(raw, self._encoding)
                yield Row(number, _object(decoder, text), text)
            except BadRow as bad:
                yield Row(number, None, raw, bad)

    def fraction(self) -> float:
        return self._done()

    def close(self) -> None:
        self._file.close()


def _object(decoder: msgspec.json.Decoder[Any], text: str) -> dict[str, Any]:
    try:
        value = decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadRow("malformed_json", f"this is not JSON: {error}") from None
    except RecursionError:
        raise BadRow("too_deep", "the objects and lists nest too deep") from None
    if not isinstance(value, dict):
        raise BadRow("malformed_json", "this is JSON, but no object")
    return value


def _keys(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in row.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
