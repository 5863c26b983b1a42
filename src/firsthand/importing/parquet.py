"""Rows of a Parquet file, read by DuckDB as a stream: never more than a few row groups' columns in memory."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from firsthand.importing.faults import ImportFailed
from firsthand.importing.rows import START, Get, Place, Row, by_index

ROWS_AT_A_TIME = 1_000
SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "1GB",
    # Nothing is fetched from the network: what reads Parquet is built in.
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
_READ = "FROM read_parquet(?, file_row_number = true) WHERE file_row_number >= ?"


class ParquetReader:
    """A row's line is its number, from 1; its offset is one less."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db = duckdb.connect(":memory:", config=SETTINGS)
        # A file's name is no pattern, whatever characters it has.
        self._name = "".join(f"[{character}]" if character in "*?[" else character for character in str(path))
        try:
            described = self._db.execute(f"DESCRIBE SELECT * {_READ}", [self._name, 0]).fetchall()
            counted = self._db.execute("SELECT count(*) FROM read_parquet(?)", [self._name]).fetchone()
        except duckdb.Error as error:
            raise ImportFailed(f"{path} can't be read as Parquet: {_first_line(error)}") from None
        self.columns = [name for name, *_ in described if name != "file_row_number"]
        self._total: int = counted[0] if counted else 0
        self.first = self.place = START

    def column(self, name: str) -> Get:
        return by_index(self.columns, name)

    def rows(self, start: Place) -> Iterator[Row]:
        self.place = start
        query = f"SELECT * EXCLUDE (file_row_number) {_READ}"
        try:
            result = self._db.execute(query, [self._name, self.place.offset])
            while found := result.fetchmany(ROWS_AT_A_TIME):
                for cells in found:
                    line = self.place.line
                    self.place = Place(line + 1, line)
                    yield Row(line, cells, partial(_named, self.columns, cells))
        except duckdb.Error as error:
            raise ImportFailed(
                f"{self._path} can't be read behind row {self.place.offset}: {_first_line(error)}"
            ) from None

    def fraction(self) -> float:
        return self.place.offset / max(self._total, 1)

    def close(self) -> None:
        self._db.close()


def _named(columns: list[str], cells: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(columns, cells, strict=True))


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
