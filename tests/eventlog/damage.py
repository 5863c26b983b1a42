"""Damages files of a log as a disk does: whole pages, behind SQLite's back."""

from pathlib import Path
from typing import Any

import apsw
from tests.contract.logs import SqliteLog


def pages(file: Path, tables: str) -> list[tuple[int, int]]:
    """Number and rows of each leaf page of the tables whose name is like this, in the order of their keys."""
    db = apsw.Connection(str(file))
    sql = "SELECT pageno, ncell FROM dbstat WHERE name LIKE ? AND pagetype = 'leaf' ORDER BY name, path"
    found: list[Any] = db.execute(sql, (tables,)).fetchall()
    db.close()
    return found


def overwrite(file: Path, page: int, size: int) -> None:
    with file.open("r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(b"\xff" * size)


async def damage(log: SqliteLog, table: str, *places: int) -> None:
    """Overwrite leaf pages of a table of `events.db` and open the log anew. Place 0 is the first page, -1 the last."""
    await log.writer.close()
    log.reader.close()
    path = log.directory / "events.db"
    leaves = pages(path, table)
    for place in places:
        overwrite(path, leaves[place][0], 4096)
    log._open()
