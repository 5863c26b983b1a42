"""What is counted of a source besides its events, on its way into `events.db`.

Whoever names a source chooses many of the values, so only so many are told apart.
"""

import contextlib
from collections import Counter

import apsw

from firsthand.eventlog.base import Noted
from firsthand.eventlog.files import transaction

SCHEMA = """
CREATE TABLE IF NOT EXISTS noted (
    kind TEXT NOT NULL, source TEXT NOT NULL, value TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, source, value)) WITHOUT ROWID;
"""
ADD = "INSERT INTO noted VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"
MOST_VALUES = 50
"""Of a kind and a source."""
MOST_CHARACTERS = 200
OTHERS = "(others)"
"""What stands for all further values."""

Counts = Counter[tuple[Noted, str, str]]
"""By kind, source and value."""


class Notes:
    """Counted in memory, and written from time to time with what else is written: `take`, then `write`, and where that
    failed `put_back`. The file has the tables of `SCHEMA`. Not safe to use from two threads at once."""

    def __init__(self, db: apsw.Connection) -> None:
        self._counts: Counts = Counter()
        self._known: dict[tuple[str, str], set[str]] = {}
        with contextlib.suppress(apsw.CorruptError):
            _take_over_refusals(db)
            for kind, source, value in db.execute("SELECT kind, source, value FROM noted"):
                self._known.setdefault((kind, source), set()).add(value)

    def add(self, source: str, kind: Noted, value: str, count: int) -> None:
        value = value[:MOST_CHARACTERS]
        known = self._known.setdefault((kind, source), set())
        if value not in known:
            if len(known) >= MOST_VALUES:
                value = OTHERS
            known.add(value)
        self._counts[kind, source, value] += count

    def take(self) -> Counts:
        counts, self._counts = self._counts, Counter()
        return counts

    def put_back(self, counts: Counts) -> None:
        self._counts.update(counts)


def write(db: apsw.Connection, counts: Counts) -> None:
    """Within a transaction."""
    db.executemany(ADD, [(*key, count) for key, count in counts.items()])


def _take_over_refusals(db: apsw.Connection) -> None:
    """Into `noted`, from where older versions counted them."""
    if db.table_exists("main", "refusals"):
        with transaction(db):
            db.execute("INSERT INTO noted SELECT 'refused', source, code, count FROM refusals")
            db.execute("DROP TABLE refusals")
