"""Switches that make an emulator misbehave, for some requests or all, the same ones every time.

A fault is `{"kind": "status_503", "rate": 0.1, "seconds": 5, "count": 20, "match": {"event": "trackTransaction"}}`:

- `kind` what goes wrong (`COMMON_KINDS`, and the vendor's own)
- `rate` how many of the requests it meets, from 0 to 1; default 1
- `seconds` how long `slow` waits (default 5), or the `Retry-After` of a status (429: default 1, others: none)
- `count` after how many requests met it is over; default never
- `match` only requests in which these values occur

Several can be in force; the first one that meets a request wins.
"""

import math
import random
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from firsthand.emulators.exchange import PLAIN_TYPE, Answer, HangUp, Reply


class FaultKind(NamedTuple):
    """What goes wrong, and whether the vendor has the event all the same."""

    meaning: str
    taken: bool = False


STATUSES = (400, 401, 403, 404, 408, 413, 425, 429, 500, 502, 503, 504)

COMMON_KINDS: Mapping[str, FaultKind] = {
    **{f"status_{status}": FaultKind(f"{status} {HTTPStatus(status).phrase}") for status in STATUSES},
    "empty": FaultKind("200 without a body, as a broken gateway answers"),
    "html": FaultKind("200 with a page, as a proxy or a captive portal answers"),
    "truncated": FaultKind("200 with the first half of the JSON", taken=True),
    "garbage": FaultKind("bytes that are not HTTP, then the connection is closed", taken=True),
    "slow": FaultKind("the proper answer, `seconds` later", taken=True),
    "cut": FaultKind("the request is read and recorded, then the connection is closed without an answer", taken=True),
    "cut_early": FaultKind("the connection is reset before the body is read; nothing is recorded"),
    "down": FaultKind("the connection is reset at once; nothing is recorded"),
}

CLOSING = frozenset({"cut_early", "down"})
"""Kinds that close the connection, whatever was asked, before the request counts as received."""

GARBAGE = b"\x16\x03\x01\x00\x05\xff\xfe\x00garbage\r\n\r\n"
HTML = b"<!doctype html><html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"


class FaultError(ValueError):
    """A fault that can't be set. The text says what is accepted."""


class Fault(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One fault in force; the module's text says what the fields mean. `hits` counts the requests it met."""

    kind: str
    rate: float = 1.0
    seconds: float | None = None
    count: int | None = None
    match: dict[str, str] | None = None
    hits: int = 0


class Faults:
    """The faults in force at one vendor. Which requests they meet is chance, but the same for the same seed."""

    def __init__(self, kinds: Mapping[str, FaultKind], matches: Collection[str], seed: int) -> None:
        self.kinds = kinds
        self._matches = matches
        self._seed = seed
        self._faults: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311 (no secrets are made here)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def put(self, data: object) -> None:
        """Puts one fault or a list in force, in place of earlier ones. Raises FaultError and changes nothing."""
        faults = [self._read(item) for item in (data if isinstance(data, list) else [data])]
        self._faults = faults
        self._random = random.Random(self._seed)  # noqa: S311 (as above)

    def clear(self) -> None:
        """No faults from here on."""
        self.put([])

    def show(self) -> list[dict[str, object]]:
        """The faults in force, with their `hits`."""
        return [{**msgspec.to_builtins(fault), "rate": fault.rate, "hits": fault.hits} for fault in self._faults]

    def draw(self, kinds: Collection[str], matches: Callable[[Mapping[str, str]], bool] | None = None) -> Fault | None:
        """The fault of these kinds that meets this request, if any. Those with a `match` ask `matches`."""
        for fault in self._faults:
            if fault.kind not in kinds or (fault.count is not None and fault.hits >= fault.count):
                continue
            if fault.match and not (matches and matches(fault.match)):
                continue
            if fault.rate >= 1 or self._random.random() < fault.rate:
                fault.hits += 1
                return fault
        return None

    def _read(self, data: object) -> Fault:
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise FaultError(f'a fault is an object with a "kind", or a list of such; accepted: {self._accepted()}')
        try:
            fault = msgspec.convert({**data, "hits": 0}, Fault)
        except msgspec.ValidationError as error:
            raise FaultError(f"{error}; accepted: kind, rate, seconds, count, match") from None
        if fault.kind not in self.kinds:
            raise FaultError(f"kind {fault.kind!r} is unknown; accepted: {self._accepted()}")
        if not 0 <= fault.rate <= 1:
            raise FaultError(f"rate {fault.rate} is not between 0 and 1")
        if fault.seconds is not None and not (0 <= fault.seconds < math.inf):
            raise FaultError(f"seconds {fault.seconds} is not 0 or more")
        if fault.count is not None and fault.count < 1:
            raise FaultError(f"count {fault.count} is not 1 or more")
        if unknown := set(fault.match or ()) - set(self._matches):
            raise FaultError(f"match can't look at {', '.join(sorted(unknown))}; accepted: {', '.join(self._matches)}")
        if fault.match and fault.kind in CLOSING:
            raise FaultError(f"{fault.kind} closes the connection before the body is read, so it can't match on it")
        return fault

    def _accepted(self) -> str:
        return ", ".join(self.kinds)


def spoil(fault: Fault, reply: Reply) -> Answer:
    """What the client gets in place of the proper reply. Kinds that only a vendor knows leave it as it is."""
    kind = fault.kind
    if kind in CLOSING:
        return HangUp(reset=True)
    if kind == "cut":
        return HangUp()
    if kind == "garbage":
        return HangUp(GARBAGE)
    if kind == "empty":
        return Reply(200, b"", ())
    if kind == "html":
        return Reply(200, HTML, ((b"content-type", b"text/html; charset=utf-8"),))
    if kind == "truncated":
        return Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers)
    if kind.startswith("status_"):
        status = int(kind.removeprefix("status_"))
        seconds = 1.0 if fault.seconds is None and status == 429 else fault.seconds
        retry = () if seconds is None else ((b"retry-after", str(math.ceil(seconds)).encode()),)
        return Reply(status, f"{status} {HTTPStatus(status).phrase}\n".encode(), (PLAIN_TYPE, *retry))
    return reply
