"""Finds out whether a ledger that showed damage can be used."""

from pathlib import Path
from typing import Any

import apsw

from firsthand.eventlog.files import open_reader
from firsthand.ledger.damage import DAMAGED
from firsthand.ledger.rows import DELIVERY, read_delivery


def fault_of(directory: Path) -> str | None:
    """What is wrong with the ledger in a folder; None where it is whole, or where there is none. Reads all of it.

    Raises apsw.NotADBError where the file is no database any more.
    """
    try:
        db = open_reader(directory / "ledger.db")
    except FileNotFoundError:
        return None
    try:
        said: Any = db.execute("PRAGMA integrity_check(1)").get
        if said != "ok":
            return str(said).replace("\n", " ")
        sql = f"SELECT {DELIVERY} FROM deliveries WHERE state IN ('retrying', 'held')"  # noqa: S608
        for row in db.execute(sql):
            read_delivery(*row)
    except apsw.NotADBError:
        raise
    except DAMAGED as error:
        return f"{type(error).__name__}: {error}"
    finally:
        db.close()
    return None
