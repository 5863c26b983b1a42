"""The file to import: what it is, whether it stays the same, and a reader for it."""

import gzip
import hashlib
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import IO

from firsthand.importing import format as formats
from firsthand.importing.delimited import DelimitedReader
from firsthand.importing.faults import ImportFailed
from firsthand.importing.format import Format
from firsthand.importing.jsonlines import JsonLinesReader
from firsthand.importing.rows import Reader

CHUNK = 1 << 20
GZIP_MARK = b"\x1f\x8b"


class SourceFile:
    """A file that is open from its fingerprint to its last row, so that both are of one content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file: IO[bytes] = path.open("rb")
        except OSError as error:
            raise ImportFailed(f"{path} can't be read: {error.strerror}") from None
        found = os.fstat(self._file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ImportFailed(f"{path} is no file: an import reads its file twice, and again to go on")
        self.size = found.st_size
        self._changed = found.st_mtime_ns
        self._by_name = False
        self.format = Format()
        """With what the file's name tells, once there is a reader."""

    def fingerprint(self, progress: Callable[[int], None]) -> str:
        """SHA-256 of the content; `progress` is told how many bytes have been read."""
        digest, done = hashlib.sha256(), 0
        self._file.seek(0)
        while chunk := self._file.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            progress(done)
        return digest.hexdigest()

    def reader(self, format: Format) -> Reader:
        """Rows of the file. Raises ImportFailed."""
        format = self.format = formats.complete(format, self.path.name)
        name = self.path.name
        self._file.seek(0)
        if format.type == "parquet":
            from firsthand.importing.parquet import ParquetReader  # DuckDB takes a while to import

            self._by_name = True
            return ParquetReader(self.path)
        file = self._file
        if file.read(2) == GZIP_MARK:
            file.seek(0)
            file = io.BufferedReader(gzip.GzipFile(fileobj=self._file, mode="rb"), CHUNK)
        file.seek(0)
        if format.type == "jsonl":
            return JsonLinesReader(file, self._fraction, name, format.encoding)
        return DelimitedReader(file, self._fraction, name, format)

    def check_unchanged(self) -> None:
        """Raises ImportFailed when somebody wrote into the file: its lines would not be those of its fingerprint."""
        found = os.stat(self.path) if self._by_name else os.fstat(self._file.fileno())
        if (found.st_size, found.st_mtime_ns) != (self.size, self._changed):
            raise ImportFailed(f"{self.path} was changed during the import: import it again as it is now")

    def close(self) -> None:
        self._file.close()

    def _fraction(self) -> float:
        return self._file.tell() / max(self.size, 1)
