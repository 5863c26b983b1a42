"""The file of rows set aside: one JSON object a line, in the order of the imported file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from firsthand.importing.faults import ImportFailed, Reject
from firsthand.private import create_private


class Rejects:
    """Written only as far as the journal says, so that a run that goes on repeats nothing. Made with its first row."""

    def __init__(self, imported: Path, size: int) -> None:
        """`size` is how many bytes of it count; what is behind them is written again."""
        path = self.path = imported.with_name(f"{imported.name}.rejects.jsonl")
        self._file: IO[bytes] | None = None
        if path.exists():
            self._open()
            assert self._file is not None  # noqa: S101 (for the type checker)
            self._file.truncate(min(size, path.stat().st_size))
            self._file.seek(0, os.SEEK_END)

    def add(self, rejects: Sequence[Reject]) -> int:
        """Put these at the end and on the disk. Returns the file's size."""
        if rejects:
            self._open()
        if self._file is None:
            return 0
        try:
            if rejects:
                self._file.write(b"".join(msgspec.json.encode(reject) + b"\n" for reject in rejects))
                self._file.flush()
                os.fsync(self._file.fileno())
            return self._file.tell()
        except OSError as error:
            raise ImportFailed(f"the rejects can't be written to {self.path}: {error.strerror}") from None

    def close(self) -> None:
        """An empty file goes: there are no rejects any more."""
        if self._file is not None:
            self._file.close()
            if not self.path.stat().st_size:
                self.path.unlink()

    def _open(self) -> None:
        if self._file is None:
            try:
                create_private(self.path)
                self._file = self.path.open("r+b")
            except OSError as error:
                raise ImportFailed(f"the rejects can't be written to {self.path}: {error.strerror}") from None
