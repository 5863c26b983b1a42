"""Rows of text with columns: CSV as RFC 4180 has it, with any delimiter, or separated by blanks."""

import csv
import re
from collections.abc import Callable, Iterator
from typing import IO

from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.importing.format import Format
from firsthand.importing.lines import Line, Lines, decode, too_long, without_end
from firsthand.importing.rows import Get, Place, Row, by_index

RECORD_BYTES = 1 << 18
"""How far a quoted field is followed from line to line: an unclosed quote must not swallow the file."""
CARRIAGE_RETURN = "there is a CR inside the line: quote the field, or make the line ends LF, as with tr '\\r' '\\n'"
csv.field_size_limit(1 << 20)
_BLANKS = re.compile("[ \t]+")


class DelimitedReader:
    """One row a line, or several where a quoted field has line ends. Empty lines are skipped, and so are those of
    nothing but delimiters, as spreadsheets write them below a table."""

    def __init__(self, file: IO[bytes], done: Callable[[], float], name: str, format: Format) -> None:
        self._file = file
        self._done = done
        self._format = format
        self._delimiter = format.separator
        self._lines = Lines(file, name)
        self.columns: list[str] = []
        self.place = Place(1, 0)
        self._read_columns(name)
        self.first = self.place

    def _read_columns(self, name: str) -> None:
        if not self._format.has_header:
            self.columns = list(self._format.columns or ())
            return
        header = next(self._rows(), None)
        if header is None:
            raise ImportFailed(f"{name} is empty: there is no header")
        if header.fault is not None:
            raise ImportFailed(f"the header of {name} can't be read: {header.fault}")
        self.columns = [cell.strip() for cell in header.cells]
        if self._format.columns is not None and list(self._format.columns) != self.columns:
            raise ImportFailed(
                f"the header of {name} is not what format.columns says: {', '.join(self.columns)};"
                " leave format.columns out, or say header: false where the first line is no header"
            )

    def column(self, name: str) -> Get:
        return by_index(self.columns, name)

    def rows(self, start: Place) -> Iterator[Row]:
        self.place = start
        self._lines.seek(self.place)
        width = len(self.columns)
        for row in self._rows():
            if row.fault is None and len(row.cells) != width:
                fault = BadRow("columns", f"{len(row.cells)} columns where {width} are expected")
                row = Row(row.line, row.cells, row.raw, fault)
            if row.fault is not None or any(row.cells):
                yield row

    def fraction(self) -> float:
        return self._done()

    def close(self) -> None:
        self._file.close()

    def _rows(self) -> Iterator[Row]:
        delimiter, encoding = self._delimiter, self._format.encoding
        while (line := self._lines.next()) is not None:
            number, end, raw = line
            self.place = Place(number + 1, end)
            if raw.isspace():
                continue
            if fault := too_long(raw):
                yield Row(number, None, raw, fault)
                continue
            if delimiter is not None and b'"' in raw:
                yield self._quoted(line)
                continue
            raw = without_end(raw)
            try:
                text = decode(raw, encoding)
                if "\r" in text:
                    raise BadRow("malformed_csv", CARRIAGE_RETURN)
            except BadRow as bad:
                yield Row(number, None, raw, bad)
                continue
            if delimiter is None:
                yield Row(number, text.split() if text.isascii() else _BLANKS.split(text.strip(" \t")), text)
            else:  # without a quote in it there is nothing more to CSV
                yield Row(number, text.split(delimiter), text)

    def _quoted(self, first: Line) -> Row:
        """A row that has quotes. Where it can't be read, only its first line is given up."""
        taken = [first]

        def texts() -> Iterator[str]:
            yield self._text(first)
            while taken[-1].end - first.end < RECORD_BYTES and (line := self._lines.next()) is not None:
                taken.append(line)
                yield self._text(line)

        reader = csv.reader(texts(), delimiter=self._delimiter or ",", strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            self._lines.back(taken[1:])
            open_quote = len(taken) > 1 or "unexpected end" in str(error)
            reason = "a quoted field is not closed" if open_quote else f"this is not CSV: {error}"
            if "new-line" in str(error):
                reason = CARRIAGE_RETURN
            return Row(first.number, None, without_end(first.raw), BadRow("malformed_csv", reason))
        self.place = Place(taken[-1].number + 1, taken[-1].end)
        raw = without_end(b"".join(line.raw for line in taken))
        try:
            decode(raw, self._format.encoding)
        except BadRow as bad:
            return Row(first.number, None, raw, bad)
        return Row(first.number, cells, raw)

    def _text(self, line: Line) -> str:
        """The text for the CSV reader; bytes that are none are found once the whole row is known."""
        return line.raw.decode(self._format.encoding, "replace")
