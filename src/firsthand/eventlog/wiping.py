"""Takes what was deleted out of the files of an embedded store, byte by byte.

SQLite leaves deleted bytes where they were until something else needs the room: in pages that are still in use (there
`secure_delete=fast` overwrites them, at no cost), in pages that are free, and in the write-ahead log. Free pages are
filled with zeros by a table that takes them all, and the log is emptied into the file.
"""

from collections.abc import Iterator

import apsw

from firsthand.eventlog.files import transaction

CHUNK_PAGES = 256
TABLE = "wiped"
READER_MS, BUSY_MS = 200, 5_000
"""How long a reader is waited for at the end, and at other times."""


def wipe(db: apsw.Connection) -> Iterator[None]:
    """Overwrite free pages and empty the write-ahead log, in small steps: other work may be done between them.

    Raises apsw.BusyError where a reader keeps the write-ahead log from being emptied; then it is to be done again.
    """
    page = int(db.pragma("page_size"))
    db.pragma("secure_delete", 1)  # a page that is freed is overwritten: also the end of one that was half filled
    with transaction(db):
        db.execute(f"CREATE TABLE IF NOT EXISTS {TABLE} (zeros BLOB NOT NULL)")
    while free := int(db.pragma("freelist_count")):
        with transaction(db):
            db.execute(f"INSERT INTO {TABLE} VALUES (zeroblob(?))", (min(free, CHUNK_PAGES) * (page - 4),))  # noqa: S608
        yield
    while int(db.execute(f"SELECT count(*) FROM {TABLE}").get):  # noqa: S608
        with transaction(db):
            db.execute(f"DELETE FROM {TABLE} WHERE rowid = (SELECT max(rowid) FROM {TABLE})")  # noqa: S608
        yield
    with transaction(db):
        db.execute(f"DROP TABLE {TABLE}")
    db.pragma("secure_delete", "fast")
    db.set_busy_timeout(READER_MS)  # others wait for this connection's owner meanwhile
    try:
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        db.set_busy_timeout(BUSY_MS)
