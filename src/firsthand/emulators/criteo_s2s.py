"""Behaves as Criteo's endpoint for server-to-server website events (`widget.criteo.com/m/event`), and judges strictly.

By Criteo's guide "Server To Server - Website Events": the entry host answers 307 towards the regional host, and the
regional host always answers 200 with `{"errors": [], "warnings": []}`, both empty when all is well. Neither checks who
is calling. Codes and texts of errors are our invention, see `criteo_s2s_rules`.

Routes, under `/criteo-s2s`: `/m/event` (the entry host), `/eu/m/event`, `/us/m/event`, `/as/m/event`; `/sync`, which
is another host of Criteo's (`gum.criteo.com`), see `criteo_s2s_sync`.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import ClassVar

import msgspec

from firsthand.emulators.base import Clock, Emulator, Sleep
from firsthand.emulators.criteo_s2s_checks import Call, Consent, Judgement, judge
from firsthand.emulators.criteo_s2s_rules import USER_IDENTIFIER_MISSING, Settings
from firsthand.emulators.criteo_s2s_sync import Consent as SyncConsent
from firsthand.emulators.criteo_s2s_sync import Status, sync, user_of
from firsthand.emulators.exchange import Answer, Reply, Request, not_found
from firsthand.emulators.faults import CLOSING, COMMON_KINDS, Fault, FaultKind, spoil
from firsthand.emulators.ledger import Entry

REGIONS = ("eu", "us", "as")
REGION_HEADER = b"x-emulator-region"
FOREIGN = "http://evil.example/m/event"
ACCEPTED = Reply(200, b'{"errors":[],"warnings":[]}')
MAX_SALES = 500_000
"""Sales remembered in order to know a repeated one."""

ENTRY_KINDS: Mapping[str, FaultKind] = {
    "redirect_http": FaultKind("the entry host redirects to http://, as Criteo's guide shows it"),
}
HOP_KINDS: Mapping[str, FaultKind] = {
    "loop": FaultKind("307 to the same address again"),
    "redirect_no_location": FaultKind("307 without Location"),
    "redirect_foreign": FaultKind(f"307 to {FOREIGN}"),
    "redirect_302": FaultKind("302 in place of 307, to the regional address"),
}
ANSWER_KINDS: Mapping[str, FaultKind] = {
    "errors": FaultKind("200 with an error, whatever was sent"),
    "warnings": FaultKind("200 with a warning, whatever was sent", taken=True),
}
INJECTED = "InjectedFault: the emulator was told to answer this"

_FINAL_KINDS = frozenset({*COMMON_KINDS, *ANSWER_KINDS, *HOP_KINDS}) - CLOSING
_REDIRECTING_KINDS = frozenset({*ENTRY_KINDS, *HOP_KINDS})


class CriteoEntry(Entry, gc=False, kw_only=True):
    """An event request in the ledger. Accepted is not attributed: see `matched` and `discarded_late`."""

    hop: str
    """`regional`, or `entry` where the entry host answered itself."""
    region: str
    account: str
    events: tuple[str | None, ...]
    consent: Consent
    """What the address says of consent for Criteo, vendor 91."""
    identity: tuple[str, ...]
    """The fields that tell or lead to the visitor."""
    privacy_violation: bool
    """Consent was refused and identity is there all the same. Criteo takes refused events, without the visitor's id."""
    user: str | None
    """The browser to which `/sync` gave this GUM id for this mapping key. None: to nobody, or for another."""
    matched: bool
    """Criteo could find the visitor: by a GUM id, e-mail, idfa or gaid, and consent isn't refused."""
    anonymous: bool
    """The visitor's identity is the only thing that is missing. Criteo wants these events too."""
    duplicate: bool
    """The account has sent this transaction id before. Criteo removes such sales later (Amperity, of offline ones)."""
    discarded_late: bool
    """Accepted, then thrown away for its age without a word (Amperity: 2 days for offline sales)."""


class SyncEntry(Entry, gc=False, kw_only=True):
    """A cookie sync in the ledger. `accepted` says that it was answered; its count is `syncs`."""

    counted_as: ClassVar[str] = "syncs"

    caller: str
    response: str
    """`r`: 0, 1 or 2."""
    sync: Status | None
    """What was answered; None where the call was refused."""
    id: str | None
    """The id handed out, salted for the caller."""
    user: str | None
    """Criteo's own id for the browser, which stands with that browser's events too."""
    consent: SyncConsent


FLAGS = ("privacy_violation", "matched", "anonymous", "duplicate", "discarded_late")


class CriteoS2S(Emulator):
    """Criteo's widget endpoint, and its cookie sync."""

    key: ClassVar[str] = "criteo-s2s"
    settings_type: ClassVar[type[msgspec.Struct]] = Settings
    settings: Settings
    fault_kinds: ClassVar[Mapping[str, FaultKind]] = {**ANSWER_KINDS, **HOP_KINDS, **ENTRY_KINDS}
    counts: ClassVar[tuple[str, ...]] = ("faults", "syncs", *FLAGS)
    fault_matches: ClassVar[frozenset[str]] = frozenset({"event"})

    def __init__(self, clock: Clock, seed: int, sleep: Sleep) -> None:
        super().__init__(clock, seed, sleep)
        self._sales: dict[tuple[str, str], None] = {}
        self.routes: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "/m/event": self._entry,
            "/sync": self._sync,
            **{f"/{region}/m/event": partial(self._regional, region) for region in REGIONS},
        }

    def forget(self) -> None:
        super().forget()
        self._sales.clear()

    async def answer(self, request: Request) -> Answer:
        route = self.routes.get(request.path)
        if route is None:
            here = ", ".join(f"/{self.key}{path}" for path in self.routes)
            return not_found(f"there is nothing at {request.whole_path}; this emulator has {here}")
        return await route(request)

    async def _entry(self, request: Request) -> Answer:
        asked = request.header(REGION_HEADER)
        region = asked if asked in REGIONS else self.settings.region
        if not self.settings.redirect:
            return await self._receive(request, "entry", region)
        if self.faults:
            if closing := self.faults.draw(CLOSING):
                return spoil(closing, ACCEPTED)
            body, size = await request.read()
            call = _call(request, body, size)
            fault = self.faults.draw(_REDIRECTING_KINDS, lambda match: self._matches(call, match))
            if fault is not None:
                return self._redirect_badly(request, fault, region)
        return self._redirect(request, self._location(request, region))

    async def _regional(self, region: str, request: Request) -> Answer:
        return await self._receive(request, "regional", region)

    async def _receive(self, request: Request, hop: str, region: str) -> Answer:
        """Judges and records an event request, and answers it as Criteo would or as a fault has it."""
        if self.faults and (closing := self.faults.draw(CLOSING)):
            return spoil(closing, ACCEPTED)
        body, size = await request.read()
        now = self.clock()
        call = _call(request, body, size)
        found = judge(call, self.settings, now)
        fault = self.faults.draw(_FINAL_KINDS, lambda match: _has_event(found, match)) if self.faults else None
        if fault is not None and fault.kind in HOP_KINDS:
            return self._redirect_badly(request, fault, region)
        if fault is not None and fault.kind in ANSWER_KINDS:
            (found.errors if fault.kind == "errors" else found.warnings).append(INJECTED)
        reply = ACCEPTED
        if found.errors or found.warnings:
            reply = Reply(200, msgspec.json.encode({"errors": found.errors, "warnings": found.warnings}))
        answer = reply if fault is None else spoil(fault, reply)
        self._record(request, found, now, hop, region, fault, answer)
        if fault is not None and fault.kind == "slow":
            await self.sleep(5.0 if fault.seconds is None else fault.seconds)
        return answer

    def _record(
        self, request: Request, found: Judgement, now: float, hop: str, region: str, fault: Fault | None, answer: Answer
    ) -> None:
        accepted = not found.errors and (fault is None or self.faults.kinds[fault.kind].taken)
        refused = found.consent == "refused"
        counts = self.ledger.counts
        entry = CriteoEntry(
            at=round(now * 1000),
            method=request.method,
            url=request.url,
            body=found.raw,
            body_is_json=found.raw_is_json,
            accepted=accepted,
            errors=tuple(found.errors),
            warnings=tuple(found.warnings),
            status=answer.status if isinstance(answer, Reply) else None,
            fault=fault.kind if fault else None,
            hop=hop,
            region=region,
            account=found.account,
            events=tuple(event.name for event in found.events),
            consent=found.consent,
            identity=found.identity,
            privacy_violation=refused and bool(found.identity),
            user=_user(found),
            matched=found.matched and not refused,
            anonymous=found.errors == [USER_IDENTIFIER_MISSING],
            duplicate=accepted and self._is_repeated(found),
            discarded_late=accepted and any(event.too_late for event in found.events),
        )
        self.ledger.add(entry)
        counts["faults"] += fault is not None
        for flag in FLAGS:
            counts[flag] += getattr(entry, flag)

    async def _sync(self, request: Request) -> Answer:
        """Answers and records a call of a browser. A fault's `match` knows it as the event `sync`."""
        if self.faults and (closing := self.faults.draw(CLOSING)):
            return spoil(closing, ACCEPTED)
        now = self.clock()
        reply, found = sync(request, self.settings)
        fault = self.faults.draw(COMMON_KINDS, lambda match: match.get("event") == "sync") if self.faults else None
        answer = reply if fault is None else spoil(fault, reply)
        self.ledger.add(
            SyncEntry(
                at=round(now * 1000),
                method=request.method,
                url=request.url,
                body=b"",
                body_is_json=False,
                accepted=not found.errors and (fault is None or self.faults.kinds[fault.kind].taken),
                errors=found.errors,
                warnings=found.warnings,
                status=answer.status if isinstance(answer, Reply) else None,
                fault=fault.kind if fault else None,
                caller=found.caller,
                response=found.response,
                sync=found.status,
                id=found.id,
                user=found.user,
                consent=found.consent,
            )
        )
        self.ledger.counts["faults"] += fault is not None
        if fault is not None and fault.kind == "slow":
            await self.sleep(5.0 if fault.seconds is None else fault.seconds)
        return answer

    def _is_repeated(self, found: Judgement) -> bool:
        repeated = False
        for event in found.events:
            if event.transaction_id is not None:
                sale = (found.account, event.transaction_id)
                repeated = repeated or sale in self._sales
                self._sales[sale] = None
        while len(self._sales) > MAX_SALES:
            del self._sales[next(iter(self._sales))]
        return repeated

    def _matches(self, call: Call, match: Mapping[str, str]) -> bool:
        return _has_event(judge(call, self.settings, self.clock()), match)

    def _redirect(self, request: Request, location: str | None, status: int = 307) -> Reply:
        self.ledger.counts["redirects"] += 1
        return Reply(status, b"", () if location is None else ((b"location", location.encode("latin-1")),))

    def _redirect_badly(self, request: Request, fault: Fault, region: str) -> Reply:
        if fault.kind == "redirect_no_location":
            return self._redirect(request, None)
        if fault.kind == "redirect_foreign":
            return self._redirect(request, FOREIGN)
        if fault.kind == "loop":
            return self._redirect(request, request.url)
        if fault.kind == "redirect_http":
            return self._redirect(request, self._location(request, region, "http"))
        return self._redirect(request, self._location(request, region), 302)

    def _location(self, request: Request, region: str, scheme: str | None = None) -> str:
        """The regional address. Criteo's guide shows `version` alone in it, so what else there was is lost."""
        query = request.query
        if self.settings.location_query == "version_only":
            query = "&".join(part for part in query.split("&") if part.startswith("version="))
        location = f"/{self.key}/{region}/m/event{'?' if query else ''}{query}"
        if self.settings.location == "relative" and scheme is None:
            return location
        return f"{scheme or request.scheme}://{request.host}{location}"


def _call(request: Request, body: bytes, size: int) -> Call:
    return Call(
        request.method,
        request.query,
        request.header(b"content-type"),
        request.header(b"content-encoding"),
        body,
        size,
    )


def _user(found: Judgement) -> str | None:
    ids = found.payload.get("id") if found.payload else None
    caller, id = (ids.get("mapping_key"), ids.get("mapped_user_id")) if isinstance(ids, dict) else (None, None)
    return user_of(str(caller), id) if isinstance(caller, (str, int)) and isinstance(id, str) else None


def _has_event(found: Judgement, match: Mapping[str, str]) -> bool:
    return any(event.name == match.get("event") for event in found.events)
