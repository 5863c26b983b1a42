"""Which rows are one event together: those that follow each other with the same value, or each by itself."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.importing.rows import Place, Reader, Row

GROUP_ROWS = 1_000
GROUP_BYTES = 1 << 20
"""Of one group, as its rows stand in the file. What has more would be more than an event may have."""
UNKNOWN = ""
"""In place of a group's value: whatever row comes next, it may belong to the group."""
OUT = "\0"
"""In place of a row's value: it belongs to no group, and the mapping leaves it out."""
Key = Callable[[Row], str | None]
"""The value of a row by which it is grouped; None where that can't be told, OUT where that does not matter."""


class Group(NamedTuple):
    """Rows that follow each other and are one event, or none of them is."""

    rows: Sequence[Row]
    after: Place
    """Where the row behind the last one begins."""
    fault: BadRow | None = None
    open: str | None = None
    """The group was too large and may go on behind `after`: its value, or UNKNOWN."""


def groups(reader: Reader, start: Place, key: Key, open: str | None = None) -> Iterator[Group]:
    """Rows of the same value, from a place on. `open` is that of the group in front of the place.

    An order whose lines are not all known must not become a smaller sale. So a row of which nobody can tell where it
    belongs sets aside the group in front of it and the one behind it, and a group that is too large is set aside in
    pieces, to its end.
    """
    rows: list[Row] = []
    size, value, after, large = 0, open or UNKNOWN, start, open is not None
    blame: int | None = None

    def group(open: str | None = None) -> Group:
        fault = None
        if large:
            reason = (
                f"over {GROUP_ROWS:,} lines, or {GROUP_BYTES >> 20} MiB, with the same value: more than an order has"
            )
            fault = BadRow("group", f"{reason}, so look whether group_by names the right column")
        elif blame is not None:
            fault = BadRow("group", f"line {blame:,} can't be used, and is or may be of the same order", None, blame)
        return Group(rows, after, fault, open)

    for row in reader.rows(start):
        found = key(row)
        if found not in (None, OUT, value) and value != UNKNOWN:
            if rows:
                yield group()
            rows, size, blame, large = [], 0, None, False
        if found != OUT:
            value = found or UNKNOWN
        if blame is None and (found is None or row.fault is not None):
            blame = row.line
        rows.append(row)
        size += 0 if callable(row.raw) else len(row.raw)
        after = reader.place
        if len(rows) >= GROUP_ROWS or size >= GROUP_BYTES:
            large = True
            yield group(value)
            rows, size = [], 0
    if rows:
        yield group()


def singly(reader: Reader, start: Place, order: Key, column: str) -> Iterator[Group]:
    """Each row by itself, from a place on. Raises ImportFailed, in front of them, at rows that are lines of one order.

    `order` is a row's order id, made from `column`.
    """
    held, known = None, None
    for row in reader.rows(start):
        found = order(row)
        if held is not None:
            if found is not None and found == known:
                raise ImportFailed(
                    f"lines {held.rows[0].line:,} and {row.line:,} have the same order id ({column}), and would be two"
                    f" sales. Where an order has a line for each product, add to the mapping: group_by: {{column:"
                    f" {column}}}; where each line is a sale of its own, add: group_by: false"
                )
            yield held
        held, known = Group((row,), reader.place), found
    if held is not None:
        yield held


def each(reader: Reader, start: Place) -> Iterator[Group]:
    """Each row by itself, from a place on."""
    for row in reader.rows(start):
        yield Group((row,), reader.place)
