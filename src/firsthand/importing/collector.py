"""The running collector: a batch out, and what it said back."""

import random
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from firsthand.http import HttpTransport
from firsthand.importing.faults import BadRow, ImportFailed
from firsthand.ledger.records import Failure

TIMEOUT = 60.0
LONGEST_PAUSE = 30.0
LONGEST_ASKED = 600.0
_ITEM = re.compile(r"\$\.batch\[\d+\]\.?")


class Refused(msgspec.Struct):
    index: int
    code: str
    message: str
    path: str | None = None

    def fault(self) -> BadRow:
        return BadRow(self.code, self.message, _ITEM.sub("", self.path or "") or None)


class Taken(msgspec.Struct):
    """The collector has the batch on disk, but for the items it refused."""

    accepted: int
    rejected: Sequence[Refused]


class Whole(msgspec.Struct):
    """The collector refuses the request as a whole: because of one event in it, or because it is too large.

    `code` is None where it was not the collector that spoke.
    """

    code: str | None
    message: str


class Later(msgspec.Struct):
    """The collector can't take it now. `seconds`: how long it wants to be left alone, if it says so."""

    why: str
    seconds: float | None = None


class _Error(msgspec.Struct):
    code: str | None = None
    message: str = ""


class _Answer(msgspec.Struct):
    accepted: int | None = None
    rejected: list[Refused] = []
    error: _Error | None = None


class Collector:
    """`url` is the collector's address, such as `http://127.0.0.1:8080`."""

    def __init__(self, url: str, write_key: str, connections: int) -> None:
        self.url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {write_key}", "content-type": "application/json"}
        self._transport = HttpTransport(timeout=TIMEOUT, connections=connections, agent="firsthand-import")

    async def close(self) -> None:
        await self._transport.close()

    async def send(self, events: Sequence[bytes]) -> Taken | Whole | Later:
        """Raises ImportFailed where the same request would never be taken."""
        body = b'{"batch":[' + b",".join(events) + b"]}"
        said = await self._transport.send("POST", f"{self.url}/v1/batch", self._headers, body)
        if isinstance(said, Failure):
            if said.cause == "other":
                raise ImportFailed(f"{self.url} can't be asked: {said.message}")
            return Later(f"{self.url} does not answer ({said.message})")
        status, headers = said.status, said.headers
        answer = _read(said.body)
        if status == 200 or (status == 400 and answer.rejected):
            if answer.accepted is None:
                raise ImportFailed(f"{self.url} answers, but not as a collector of Firsthand does")
            return Taken(answer.accepted, answer.rejected)
        code, message = (answer.error.code, answer.error.message) if answer.error else (None, "")
        text = f"HTTP {status}" + (f": {message}" if message else "")
        if status == 400 and code:
            return Whole(code, message)
        if status == 413:
            return Whole(code, f"the way to {self.url} takes no request so large ({text})")
        if status in (408, 425, 429) or status >= 500:
            retry_after = headers.get("retry-after", "")
            seconds = float(retry_after) if retry_after.isdigit() else None
            return Later(f"the collector says {text}", seconds)
        raise ImportFailed(_explain(self.url, status, text, headers.get("location")))


def _read(text: bytes) -> _Answer:
    try:
        return msgspec.json.decode(text, type=_Answer)
    except (msgspec.MsgspecError, UnicodeError):
        return _Answer()


def _explain(url: str, status: int, said: str, location: str | None) -> str:
    if status in (401, 403):
        remedy = "where the source is new or has another key, apply the configuration and start serve again"
        return f"the collector at {url} does not accept this source's write key: {said}; {remedy}"
    if status == 404:
        return f"there is no collector at {url}: {said}; give its address with --url"
    if 300 <= status < 400:
        return f"{url} sends elsewhere ({said}): give the address it names with --url: {location or 'none'}"
    return f"the collector at {url} refuses the requests: {said}"


def pause(tries: int, asked: float | None) -> float:
    """Seconds until the next try: what was asked for, else longer each time, and not all at once."""
    if asked is not None:
        return min(asked, LONGEST_ASKED) + random.random() / 4  # noqa: S311 (no secret)
    return min(LONGEST_PAUSE, 0.5 * 2.0 ** min(tries, 10)) * (0.5 + random.random() / 2)  # noqa: S311


def check_url(url: str) -> str | None:
    """What is wrong with a collector's address."""
    try:
        parts: Any = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or parts.username:
        return f"{url} is not the address of a collector: write it like https://collect.example"
    return None
