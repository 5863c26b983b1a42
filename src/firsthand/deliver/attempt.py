"""One attempt at deliveries: may they go, what goes, what the vendor said, and what that makes of them.

Nothing here waits but for the vendor's answer. Whatever goes wrong with one event ends in that event's outcome.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import structlog

from firsthand.config import Integration
from firsthand.consent import GivenAnswer
from firsthand.consent.switches import read as read_switches
from firsthand.consent.switches import switched
from firsthand.deliver.breaker import Breaker
from firsthand.deliver.clock import Clock
from firsthand.deliver.gone import Gone
from firsthand.deliver.identifying import Identifier
from firsthand.deliver.item import Item
from firsthand.deliver.outcome import CUT_SHORT, Given, conclude, dead, note, shown
from firsthand.deliver.permission import Permission
from firsthand.deliver.poison import Care
from firsthand.deliver.policy import CONFIGURATION, backoff, is_refusal, retry_after, verdicts
from firsthand.deliver.redirects import Sender
from firsthand.deliver.tail import UNREADABLE
from firsthand.event import Event, parse_time
from firsthand.identity import Hub
from firsthand.ledger.masking import brief
from firsthand.ledger.records import Failure
from firsthand.ledger.scrub import ERASED, end
from firsthand.placeholders import read_event
from firsthand.reasons import HELD, Dead, Filtered, Reason
from firsthand.vendors.base import Answer, AnyVendor, Built, Identity, Input, LeftOut, Notes, Request, Setup, Verdict
from firsthand.vendors.suggest import OF_OUR_OWN, Suggestions

log = structlog.get_logger()

RESTING = frozenset({429, 503})
"""Statuses whose `Retry-After` (429: even without one) rests the whole lane, not only the one delivery."""

TROUBLE = frozenset({"retry", "ambiguous"})


class Attempts:
    """The attempts of one integration.

    `callers` are, per source, the callers whom that source's vendor ids may belong to (several when a source feeds
    several accounts of one vendor); `origins` are those of their pages. `care` is taken after
    the process has died again and again.
    """

    def __init__(
        self,
        *,
        integration: Integration,
        vendor: AnyVendor,
        setup: Setup[Any],
        revision: int,
        callers: dict[str, frozenset[str]],
        sender: Sender,
        breaker: Breaker,
        clock: Clock,
        care: Care | None = None,
        hub: Hub | None = None,
        gone: Gone | None = None,
        origins: Mapping[str, str] | None = None,
    ) -> None:
        self.vendor = vendor
        self.gone = gone or Gone()
        self._events = {**vendor.events, **vendor.own_events(setup.settings)}
        self._suggestions = Suggestions(self._events)
        self._integration = integration
        self._setup = setup
        self._revision = revision
        self._sender = sender
        self._breaker = breaker
        self._origins = origins or {}
        self._clock = clock
        self._care = care
        self.permission = Permission(integration, vendor, hub)
        self.identifier = Identifier(vendor, setup.settings, callers, self.permission.policy, hub)
        self.between: Callable[[list[Item]], Awaitable[bool]] | None = None
        """Awaited between two requests of an attempt, with what has had an answer; False: what is left waits."""

    async def close(self) -> None:
        """Close the connections to the vendor."""
        await self._sender.close()

    # -- decisions -----------------------------------------------------------------------------------------------

    def unwanted(self, event: Event, name: str) -> Reason | None:
        """Why this integration does not take an event of this name, if it doesn't."""
        if event.context.get("erased") is True:
            return ERASED
        if (bot := event.get("context", "bot")) and isinstance(bot, dict) and bot.get("filtered") is True:
            return Reason("bot", "context.userAgent", f"the visitor is a program ({str(bot.get('name'))[:60]})")
        if name not in self._events and name not in self._integration.mapping.events and name not in OF_OUR_OWN:
            meant = f"; did you mean {meant!r}?" if (meant := self._suggestions.meant(name)) else ""
            return Reason("not_mapped", "event", f"{name!r} is not mapped to anything at {self.vendor.name}{meant}")
        if self._events.get(name) is None:
            return Reason("no_counterpart", "event", f"{self.vendor.name} has no counterpart of {name!r}")
        if not self._integration.mapping.takes(name):
            return Reason("disabled_event", "event", f"{name!r} is switched off in this integration's mapping")
        if event.integrations and switched(read_switches(event.integrations), self.permission.policy.names) is False:
            return Reason("condition", "integrations", "the event itself leaves this integration out")
        return None

    def _admit(self, item: Item, now_ms: int) -> bool:
        """Whether a delivery may be sent now; otherwise it has been given its state. Age comes before consent."""
        delivery, event = item.delivery, item.event
        if (fate := self.gone.fate(delivery)) is not None:
            if fate == "theirs":
                self.erased(item)
                return False
            event = None
        if event is None:
            try:
                event = item.event = read_event(delivery.event or b"")
            except UNREADABLE as error:
                self.dead(item, Reason("mapping_error", None, f"the event cannot be read ({type(error).__name__})"))
                return False
        if self.identifier.erased(delivery.source, event, delivery.received_ms):
            self.erased(item)
            return False
        waits_until = delivery.next_ms if delivery.code in HELD else None
        delivery.detail.reason = None
        limit = self.vendor.max_age(self._setup.settings, event)
        age = (now_ms - parse_time(event.timestamp)) / 1000
        if limit is not None and age > limit:
            text = f"{_span(age)} old; the limit is {_span(limit)}"
            reason = Reason("too_old", "timestamp", f"{text}. {self.vendor.too_old(event)}".rstrip(". "))
            (self.dead if delivery.detail.tries else self.filtered)(item, reason)
            return False
        return self._consented(item, event, now_ms) and self._identify(item, event, now_ms, waits_until)

    def _consented(self, item: Item, event: Event, now_ms: int) -> bool:
        """Whether consent lets a delivery be sent, with or without identity; decided anew each time."""
        detail = item.delivery.detail
        if not detail.tries:
            detail.revision = self._revision
        refused = self.permission.decide(item, event, now_ms)
        if refused is not None:
            detail.identity = None
            self.filtered(item, refused)
        return refused is None and item.delivery.state != "held"

    def _identify(self, item: Item, event: Event, now_ms: int, waits_until: int | None) -> bool:
        """Freeze what is known of the visitor at the first attempt, or have it wait for more to be known: at most
        `waits_until`, if it waits already (milliseconds)."""
        delivery, detail = item.delivery, item.delivery.detail
        frozen = detail.identity
        if frozen is not None and not self.identifier.outdated(delivery.source, event, delivery.received_ms, frozen):
            return True
        found = self.identifier.identity(delivery.source, event, delivery.received_ms, now_ms, detail.consent)
        if isinstance(found, Reason):
            self.dead(item, found)
            return False
        until_ms = waits_until or self._wait_until_ms(item)
        if now_ms < until_ms and not item.early and self.identifier.awaits(event, found, delivery, now_ms):
            delivery.state, delivery.next_ms, detail.reason = "held", until_ms, self.identifier.waiting
            return False
        detail.identity = found
        return True

    def _wait_until_ms(self, item: Item) -> int:
        """Until when an event may wait for the vendor's id. A page asks for it once it may: where the visitor has
        agreed meanwhile, the wait begins then."""
        wait = self._integration.delivery.wait_for_id
        since_ms = max(item.delivery.received_ms, item.answer.at_ms if item.answer is not None else 0)
        return since_ms + round(wait * 1000) if wait else 0

    # -- the attempt ---------------------------------------------------------------------------------------------

    async def attempt(self, items: list[Item]) -> float:
        """Bring each of these to its next state. Returns the seconds for which the vendor wants to be left alone."""
        if self._care is None:
            return await self._together(items)
        rest = 0.0
        for item in items:
            async with self._care.alone(self._integration.key, item.delivery):
                rest = max(rest, await self._together([item]))
        return rest

    async def _together(self, items: list[Item]) -> float:
        now_ms = self._clock.now_ms()
        ready = [item for item in items if self._admitted(item, now_ms)]
        try:
            return await self._attempt(ready, now_ms) if ready else 0.0
        except Exception as error:
            for item in ready:
                if item.delivery.state in ("pending", "retrying", "held"):
                    self._failed(item, error)
            return 0.0

    def _admitted(self, item: Item, now_ms: int) -> bool:
        try:
            return self._admit(item, now_ms)
        except Exception as error:
            self._failed(item, error)
            return False

    def _failed(self, item: Item, error: Exception) -> None:
        """A fault of ours must not stop the lane. The event is not lost: it can be replayed once mended."""
        log.error("an attempt failed", integration=self._integration.key, error=type(error).__name__, exc_info=error)
        self.dead(item, Reason("mapping_error", None, f"an error of ours ({type(error).__name__})"))

    async def _attempt(self, items: list[Item], now_ms: int) -> float:
        if len(items) > 1 and any((d := item.delivery.detail).accepted or d.unknown or d.refused for item in items):
            return await self._one_by_one(items)  # what was taken, or refused, in another batch must not go again so
        requests = self._build(items)
        if requests is None:
            return await self._one_by_one(items) if len(items) > 1 else 0.0
        return await self._send(items, requests, now_ms)

    async def _one_by_one(self, items: list[Item]) -> float:
        return max([await self.attempt([item]) for item in items])

    def _build(self, items: list[Item]) -> list[Request] | None:
        """The requests, or None when something stands against it (with a single item: its outcome is set)."""
        inputs = [
            Input(
                _as_answered(item.event, item.counted),
                item.name,
                item.delivery.detail.identity or Identity(),
                item.delivery.detail.consent,
                self._origins.get(item.delivery.source),
            )
            for item in items
            if item.event is not None and item.delivery.detail.consent is not None
        ]
        try:
            built = self.vendor.build(self._setup, inputs)
            _note(items, built)
            return built.requests
        except (Filtered, Dead) as refusal:
            if len(items) == 1:
                (self.dead if refusal.state == "dead" else self.filtered)(items[0], refusal.reason)
        except Exception as error:
            log.error("a vendor failed to build", vendor=self.vendor.key, error=type(error).__name__, exc_info=error)
            if len(items) == 1:
                message = f"the vendor module failed ({type(error).__name__})"
                self.dead(items[0], Reason("mapping_error", None, message))
        return None

    async def _send(self, items: list[Item], requests: list[Request], now_ms: int) -> float:
        """Send what the vendor has not taken yet; then each item's verdicts make its state."""
        given: list[Given] = [[] for _ in items]
        ordinals = [0] * len(items)
        rest, wait = 0.0, 0.0
        limits: dict[int, int | None] = {}
        for item in items:
            detail = item.delivery.detail
            if not detail.tries:
                detail.revision, detail.vendor_version = self._revision, self.vendor.version
                sent = b"".join([r.url.encode() + (r.body or b"") for r in requests])
                detail.sent_sha256 = hashlib.sha256(sent).hexdigest()
            detail.tries += not detail.unfinished
        under_way, going = False, True
        for request in requests:
            parts = [(i, ordinals[i]) for i in request.items]
            for i, ordinal in parts:
                ordinals[i] = ordinal + 1
            if all([n in (d := items[i].delivery.detail).accepted or n in d.unknown for i, n in parts]):
                continue
            if any([verdict.kind == "retry" for i, _ in parts for _, verdict in given[i]]):
                continue  # the vendor is in trouble: what is left of this event waits with the rest
            if under_way and going:
                going = await self._go_on(items)
            if not going:
                for i, ordinal in parts:
                    given[i].append((ordinal, CUT_SHORT))
                continue
            under_way, stops = True, self._breaker.stops
            result, exchanges = await self._sender.send(request, parts[0][1])
            for i in request.items:  # before anything can go wrong with reading the answer
                items[i].delivery.exchanges = [*items[i].delivery.exchanges, *exchanges]
            judged = [
                self._whose_fault(items[i], verdict)
                for i, verdict in zip(request.items, verdicts(self.vendor, self._setup, request, result), strict=True)
            ]
            for (i, ordinal), verdict in zip(parts, judged, strict=True):
                given[i].append((ordinal, verdict))
                note(items[i].delivery.detail, ordinal, verdict)
            if isinstance(result, Failure) and result.sent:
                for i in request.items:
                    limits[i] = request.max_uncertain
                    items[i].delivery.detail.uncertain += 1
            self._tell_breaker([items[i] for i in request.items], judged, stops)
            if (isinstance(result, Answer) and "retry-after" in result.headers) or exchanges[-1].status == 429:
                asked = retry_after(result, now_ms, self._integration.delivery.max_age)
                wait = max(wait, asked or 0.0)
                if exchanges[-1].status in RESTING:
                    rest = max(rest, asked or backoff(items[0].delivery.detail.tries, self._clock.jitter()))
        for i, item in enumerate(items):
            budget, longest = self._integration.delivery, max(wait, rest)
            conclude(item.delivery, given[i], longest, limits.get(i), budget, self._clock)
        return rest

    async def _go_on(self, items: list[Item]) -> bool:
        """Between two requests: have written down how far each event is. Says whether to go on."""
        if self.between is None:
            return True
        answered = [item for item in items if item.delivery.exchanges]
        for item in answered:
            item.delivery.state, item.delivery.next_ms = "retrying", self._clock.now_ms()
            item.delivery.detail.unfinished = True
        return await self.between(answered)

    def _whose_fault(self, item: Item, verdict: Verdict) -> Verdict:
        """Credentials that are refused for one event, while other events are taken, are that event's fault."""
        since, breaker = item.refused_at, self._breaker
        if not is_refusal(verdict) or since is None or breaker.open or breaker.passes == since:
            return verdict
        message = f"{verdict.message}; other events are taken with them, this one was refused twice"
        return Verdict("rejected", code=verdict.code, message=message)

    def _tell_breaker(self, items: list[Item], judged: list[Verdict], stops: int) -> None:
        """A vendor that says no to an event is alive; one that answers nothing sensible, or nobody, is not. `stops` are
        the breaker's as the request began."""
        breaker, key, cause = self._breaker, self._integration.key, judged[0].message
        refusals = [verdict for verdict in judged if is_refusal(verdict)]
        if any(verdict.kind == "retry" for verdict in refusals):
            for item in items:
                item.refused_at = breaker.passes
            if breaker.refused(refusals[0].code, cause):
                remedy = f"renew them and apply, or `firsthand integrations resume {key}`"
                log.error(
                    "the vendor refuses the credentials: sending stops", integration=key, cause=cause, remedy=remedy
                )
        elif any(
            v.kind in ("retry", "ambiguous") or (v.kind == "rejected" and v.code in CONFIGURATION) for v in judged
        ):
            if breaker.failed(cause):
                log.warning("vendor trouble: sending pauses", integration=key, cause=cause)
        elif not refusals:
            was_open = breaker.open
            breaker.succeeded(stops)
            if was_open and not breaker.open:
                log.info("vendor answers again", integration=key)
            for item in items:  # an event that is taken in part says nothing about itself
                item.refused_at = None if item.refused_at is None else breaker.passes

    # -- outcomes ------------------------------------------------------------------------------------------------

    def filtered(self, item: Item, reason: Reason) -> None:
        """We decided not to send it."""
        item.delivery.state, item.delivery.next_ms, item.delivery.detail.reason = "filtered", None, shown(reason)

    def erased(self, item: Item) -> None:
        """Its visitor was erased: what it holds of them goes with it."""
        end(item.delivery)

    def dead(self, item: Item, reason: Reason) -> None:
        """It could not be sent."""
        dead(item.delivery, reason)


def _note(items: list[Item], built: Built) -> None:
    """What these are sent without, as it may be shown to people."""
    for item, notes in zip(items, built.notes or [Notes()] * len(items), strict=True):
        detail = item.delivery.detail
        detail.left_out = [LeftOut(one.field, brief(one.value, one.field), one.why) for one in notes.left_out]
        detail.total = notes.total


def _as_answered(event: Event, answer: GivenAnswer | None) -> Event:
    """An event with the answer that counted in place of its own: vendors are told on which string it was sent."""
    if answer is None:
        return event
    return msgspec.structs.replace(event, context={**event.context, "consent": answer.consent})


def _span(seconds: float) -> str:
    return f"{seconds / 86_400:,.0f} days" if seconds >= 3 * 86_400 else f"{seconds / 3600:.3g} h"
