"""Behaves as Raptor's tracking service (`t.raptorsmartadvisor.com`), and judges strictly.

Raptor's answer is an image, the same for everything it is sent. What it made of a tracking its customers see in the
Control Panel (Data Management → Live Tracking Stream): here that is the ledger.

Routes, under `/raptor`: `/{customer}.rsa` for trackings of a site, `/{customer}.stream` for sales in a shop.
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple, cast

import msgspec

from firsthand.emulators.base import Clock, Emulator, Sleep
from firsthand.emulators.exchange import Answer, Reply, Request, not_found
from firsthand.emulators.faults import CLOSING, COMMON_KINDS, Fault, spoil
from firsthand.emulators.ledger import Entry
from firsthand.emulators.raptor_checks import PARAMETER, Judgement, judge
from firsthand.emulators.raptor_rules import LONGEST, Settings

ROUTE = re.compile(r"/([A-Za-z0-9_-]{1,64})\.(rsa|stream)")
BEACON = Reply(
    200, b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"), ((b"content-type", b"image/gif"),)
)
MAX_LINES = 500_000
"""Order lines remembered in order to know a repeated one."""
EQUAL_SECONDS = 2.0
"""So soon after each other come two equal lines of one order."""

_ANSWER_KINDS = frozenset(COMMON_KINDS) - CLOSING


Line = tuple[str, ...]


class Newest(NamedTuple):
    """The line of an order that came last. `answered`: its sender was told so."""

    line: Line
    at: float
    answered: bool
    repeated: bool


class RaptorEntry(Entry, gc=False, kw_only=True):
    """A tracking in the ledger. `body` holds what was in its query, decoded."""

    customer: str
    endpoint: Literal["rsa", "stream"]
    event: str
    """p1 in lower case."""
    cookie_id: str | None
    session_id: str | None
    user_id: str | None
    """ruid, decoded."""
    duplicate: bool
    """The same order line has come before, so that it counts twice."""


class Raptor(Emulator):
    """Raptor's tracking service."""

    key: ClassVar[str] = "raptor"
    settings_type: ClassVar[type[msgspec.Struct]] = Settings
    settings: Settings
    counts: ClassVar[tuple[str, ...]] = ("faults", "duplicate")
    fault_matches: ClassVar[frozenset[str]] = frozenset({"event", "product"})

    def __init__(self, clock: Clock, seed: int, sleep: Sleep) -> None:
        super().__init__(clock, seed, sleep)
        self._lines: dict[Line, None] = {}
        self._newest: dict[tuple[str, str], Newest] = {}

    def forget(self) -> None:
        super().forget()
        self._lines.clear()
        self._newest.clear()

    async def answer(self, request: Request) -> Answer:
        route = ROUTE.fullmatch(request.path)
        if route is None:
            here = f"/{self.key}/CUSTOMER.rsa, /{self.key}/CUSTOMER.stream"
            return not_found(f"there is nothing at {request.whole_path}; this emulator has {here}")
        if self.faults and (closing := self.faults.draw(CLOSING)):
            return spoil(closing, BEACON)
        await request.read()
        endpoint = cast(Literal["rsa", "stream"], route[2])
        found = judge(request.method, request.query, endpoint == "stream", self.settings)
        fault = self.faults.draw(_ANSWER_KINDS, lambda match: _matches(found, match)) if self.faults else None
        answer = BEACON if fault is None else spoil(fault, BEACON)
        self._record(request, found, route[1], endpoint, fault, answer)
        if fault is not None and fault.kind == "slow":
            await self.sleep(5.0 if fault.seconds is None else fault.seconds)
        return answer

    def _record(
        self,
        request: Request,
        found: Judgement,
        customer: str,
        endpoint: Literal["rsa", "stream"],
        fault: Fault | None,
        answer: Answer,
    ) -> None:
        taken = fault is None or self.faults.kinds[fault.kind].taken
        if len(request.url) > LONGEST:
            found.warn("AddressLong")
        duplicate = taken and not found.errors and self._is_repeated(customer, found, answered=fault is None)
        if duplicate:
            found.warn("DuplicateBuy", found.values.get("p21", "")[:50])
        values = found.values
        self.ledger.add(
            RaptorEntry(
                at=round(self.clock() * 1000),
                method=request.method,
                url=request.url,
                body=msgspec.json.encode(values),
                body_is_json=True,
                accepted=taken and not found.errors,
                errors=tuple(found.errors),
                warnings=tuple(found.warnings),
                status=answer.status if isinstance(answer, Reply) else None,
                fault=fault.kind if fault else None,
                customer=customer,
                endpoint=endpoint,
                event=found.event,
                cookie_id=values.get("coid"),
                session_id=values.get("sid"),
                user_id=found.user or None,
                duplicate=duplicate,
            )
        )
        self.ledger.counts["faults"] += fault is not None
        self.ledger.counts["duplicate"] += duplicate

    def _is_repeated(self, customer: str, found: Judgement, answered: bool) -> bool:
        """Whether an order line came before. An order may have two equal ones: the second is taken for that where it
        follows on the first at once, whose sender had its answer and so no cause to send it again."""
        if found.event != "buy":
            return False
        order, at = (customer, found.values.get("p21", "")), self.clock()
        line = (customer, *(f"{name}={value}" for name, value in found.values.items() if PARAMETER.fullmatch(name)))
        newest = self._newest.get(order)
        if newest is not None and newest.line == line and newest.answered and at - newest.at < EQUAL_SECONDS:
            repeated = newest.repeated
        else:
            repeated = line in self._lines
        self._lines[line], self._newest[order] = None, Newest(line, at, answered, repeated)
        remembered: tuple[dict[Any, Any], ...] = (self._lines, self._newest)
        for kept in remembered:
            while len(kept) > MAX_LINES:
                del kept[next(iter(kept))]
        return repeated


def _matches(found: Judgement, match: Mapping[str, str]) -> bool:
    seen = {"event": found.event, "product": found.values.get("p2", "")}
    return all(seen[name] == value for name, value in match.items())
