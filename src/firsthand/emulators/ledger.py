"""What an emulator received: the last requests in full, and counts of all of them.

Memory only. At most `MAX_ENTRIES` requests and `MAX_BYTES` of their addresses and bodies are kept, the oldest go
first; the counts go on. Bodies are kept as they came and only put into JSON when someone reads.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import msgspec

from firsthand.event import format_time

MAX_ENTRIES = 200_000
MAX_BYTES = 268_435_456
CHUNK = 500
"""Entries encoded at a time, so that reading a full ledger holds up no one."""


class Entry(msgspec.Struct, gc=False, kw_only=True):
    """One request received. Vendors add what they can say about it in a subclass."""

    counted_as: ClassVar[str] = "accepted"
    """The count to which it adds if it is accepted."""

    at: int
    """When, in milliseconds since 1970; shown as ISO 8601."""
    method: str
    url: str
    body: bytes
    """What was judged: the body, or the payload that came in the address. Shown as JSON if it is, else as text."""
    body_is_json: bool
    accepted: bool
    """Whether the vendor has the event and found no error. What the client was told can differ under a fault."""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    status: int | None = 200
    """The HTTP status answered; None when the connection was closed without one."""
    fault: str | None = None
    """The kind of fault that met this request."""


class Ledger:
    """Requests by index, from 0, as they came. `counts` has `accepted`, and what the emulator counts by `names`."""

    def __init__(self, names: Iterable[str] = (), max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._names = names
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.clear()

    def clear(self) -> None:
        """Empties it; indexes and counts start again at 0."""
        self._entries: dict[int, Entry] = {}
        self._first = self._next = self._bytes = 0
        self.counts: Counter[str] = Counter(dict.fromkeys(("accepted", "redirects", *self._names), 0))

    def add(self, entry: Entry) -> None:
        """Adds a request, and lets go of the oldest ones when there are too many."""
        self._entries[self._next] = entry
        self._next += 1
        self._bytes += len(entry.body) + len(entry.url)
        self.counts[entry.counted_as] += entry.accepted
        while len(self._entries) > self._max_entries or (
            self._bytes > self._max_bytes and self._first < self._next - 1
        ):
            gone = self._entries.pop(self._first)
            self._first += 1
            self._bytes -= len(gone.body) + len(gone.url)

    def page(self, since: int = 0, limit: int | None = None) -> Iterator[bytes]:
        """JSON in pieces: the counts as of now, then the requests from index `since` on, at most `limit`.

        `first` is the oldest index still kept, `next` the `since` of the following page.
        """
        start = min(max(since, self._first), self._next)
        end = self._next if limit is None else min(start + limit, self._next)
        head = {"total": self._next, **self.counts, "first": self._first, "next": end}
        entries = self._entries
        yield msgspec.json.encode(head)[:-1] + b',"received":['
        comma = b""
        for chunk in range(start, end, CHUNK):
            found = ((index, entries.get(index)) for index in range(chunk, min(chunk + CHUNK, end)))
            shown = [_show(index, entry) for index, entry in found if entry is not None]
            if shown:
                yield comma + msgspec.json.encode(shown)[1:-1]
                comma = b","
        yield b"]}"


def _show(index: int, entry: Entry) -> dict[str, Any]:
    shown = {"index": index, **msgspec.structs.asdict(entry), "at": format_time(entry.at)}
    shown["body"] = msgspec.Raw(entry.body) if shown.pop("body_is_json") else entry.body.decode("utf-8", "replace")
    return shown
