"""The lines of a text file, as bytes, with their numbers and offsets; no line can fill the memory."""

import zlib
from typing import IO, NamedTuple

from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.importing.rows import START, Place

LINE_BYTES = 1 << 20
CHUNK = 1 << 18
UTF_8_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    number: int
    end: int
    """The offset of the next line."""
    raw: bytes
    """With its line end."""


class Lines:
    """Reads lines one at a time; `back` puts some of them in front again."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self._back: list[Line] = []
        self._number, self._offset = START
        try:
            mark = file.read(3)
        except (OSError, EOFError, zlib.error) as error:
            raise ImportFailed(f"{name} can't be read: {error}") from None
        if mark[:2] in UTF_16_MARKS:
            raise ImportFailed(f"{name} is UTF-16: make it UTF-8 first, as with iconv -f utf-16 -t utf-8")
        self._first = len(UTF_8_MARK) if mark == UTF_8_MARK else 0
        self.seek(START)

    def seek(self, place: Place) -> None:
        self._back.clear()
        self._number, self._offset = place.line, max(place.offset, self._first)
        self._file.seek(self._offset)

    def next(self) -> Line | None:
        """The next line, or None at the end. Of a line that is too long the beginning, see `too_long`."""
        if self._back:
            return self._back.pop()
        try:
            raw = self._file.readline(LINE_BYTES)
            if not raw:
                return None
            self._offset += len(raw)
            if len(raw) == LINE_BYTES and not raw.endswith(b"\n"):
                self._skip()
        except (OSError, EOFError, zlib.error) as error:
            raise ImportFailed(f"{self._name} is damaged at or behind line {self._number:,}: {error}") from None
        line = Line(self._number, self._offset, raw)
        self._number += 1
        return line

    def _skip(self) -> None:
        """To the end of a line that is too long."""
        while more := self._file.readline(CHUNK):
            self._offset += len(more)
            if more.endswith(b"\n"):
                break

    def back(self, lines: list[Line]) -> None:
        self._back.extend(reversed(lines))


def too_long(raw: bytes) -> BadRow | None:
    if len(raw) < LINE_BYTES:
        return None
    return BadRow("too_long", f"the line has over {LINE_BYTES:,} bytes: is this a text file, with line ends?")


def without_end(raw: bytes) -> bytes:
    return raw.removesuffix(b"\n").removesuffix(b"\r")


def decode(raw: bytes, encoding: str) -> str:
    """The text of a line. Raises BadRow."""
    if b"\0" in raw:
        raise BadRow("invalid_text", f"byte {raw.index(0) + 1} is NUL, which no text has")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadRow("invalid_text", f"byte {error.start + 1} is not {encoding}: see format.encoding") from None
