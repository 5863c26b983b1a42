"""Where an import goes: the collector's address, its write key, and what can be asked about what has arrived."""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from firsthand.eventlog.base import START, Gap
from firsthand.eventlog.sqlite_reader import SqliteLogReader
from firsthand.importing.collector import check_url
from firsthand.importing.faults import ImportFailed
from firsthand.settings import Settings

WRITE_KEY = "FIRSTHAND_WRITE_KEY"


class Destination(msgspec.Struct, frozen=True):
    source: str
    url: str
    write_key: str
    data: Path | None
    """The gateway's own folder; None where the gateway is another machine's."""

    @property
    def name(self) -> str:
        """What tells it from others: the gateway on this folder is the same one under any address."""
        return "" if self.data is not None else self.url

    def journal(self, file: Path, file_hash: str) -> Path:
        if self.data is None:
            return file.with_name(f"{file.name}.import-progress")
        return self.data / "imports" / f"{file_hash[:32]}.db"


def destination(source: str, url: str | None, settings: Settings, env: Mapping[str, str] = os.environ) -> Destination:
    """Raises ImportFailed, and StateError where the data folder has no gateway."""
    if url is not None and (wrong := check_url(url)):
        raise ImportFailed(wrong)
    if url is not None and (key := env.get(WRITE_KEY)):
        return Destination(source, url.rstrip("/"), key, None)
    from firsthand.state.database import StateError
    from firsthand.state.store import State

    try:
        sources = {found.key: found for found in State.open(settings.data).sources()}
    except StateError as error:
        raise ImportFailed(
            f"{error}. An import needs the gateway's data folder (--data), or another machine's address and write key"
            f" (--url and {WRITE_KEY})"
        ) from None
    if source not in sources:
        raise ImportFailed(f"there is no source {source}; there are: {', '.join(sources) or 'none'}")
    if url is None and not settings.collect_port:
        raise ImportFailed("FIRSTHAND_COLLECT_PORT is 0, any free port: give the collector's address with --url")
    host = settings.collect_host if settings.collect_host not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    here = f"http://{host}:{settings.collect_port}"
    return Destination(source, (url or here).rstrip("/"), sources[source].write_key, settings.data)


class Arrived:
    """Asks the gateway's own log which events it has, when the collector's memory of a day may have ended."""

    def __init__(self, data: Path | None, source: str) -> None:
        self._source = source
        self.why_not = "the log no longer has all events of that time"
        """Why it can't be told whether something has arrived."""
        if data is None:
            self.why_not = "this gateway's log is on another machine"
        self._log: SqliteLogReader | None = None
        self._stack = ExitStack()
        if data is not None:
            try:
                self._log = SqliteLogReader(data)
                self._stack.callback(self._log.close)
            except FileNotFoundError:
                self._log = None

    def known(self, ids: Iterable[str]) -> set[str]:
        """Those of the ids that the log has."""
        if self._log is None:
            return set()
        return {id for id in ids if self._log.find(self._source, id) is not None}

    async def remembers(self, since_ms: int) -> bool:
        """Whether the log has kept everything received since a time, so that what it doesn't have never arrived."""
        if self._log is None:
            return False
        for shard in self._log.shards():
            oldest = await self._log.read(shard, START, 2)
            if oldest and isinstance(oldest[0], Gap):
                rows = [row for row in oldest if not isinstance(row, Gap)]
                if not rows or rows[0].received_ms > since_ms:
                    return False
        return True

    def close(self) -> None:
        self._stack.close()
