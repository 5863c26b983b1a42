"""Runs one event the way delivery does (mapping, age, consent, identity, build) and stops where it would be sent."""

import asyncio
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from firsthand.cases.case import Case, CaseError
from firsthand.config import Cmp, Config, ConfigError, Consent, Integration
from firsthand.config.convert import convert
from firsthand.config.document import Document
from firsthand.config.values import did_you_mean
from firsthand.consent import Decision, cmp
from firsthand.deliver.attempt import Attempts
from firsthand.deliver.breaker import Breaker
from firsthand.deliver.clock import Clock
from firsthand.deliver.item import Item
from firsthand.deliver.process import callers_of
from firsthand.deliver.redirects import Sender
from firsthand.event import Event, canonical_name, format_time, parse_time
from firsthand.identity import Hub
from firsthand.identity.lesson import names_of
from firsthand.ledger.records import Delivery, Failure
from firsthand.reasons import Reason
from firsthand.state.roster import Live
from firsthand.vendors import VendorError, get, registry
from firsthand.vendors.base import Answer, AnyVendor, Built, Input, Request, Setup

NOW_MS = parse_time("2026-01-01T00:00:00Z")
EMULATOR = "http://127.0.0.1:9090"


class Subject(msgspec.Struct, frozen=True):
    """What a case is about: an integration, and where its events come from."""

    integration: Integration
    source: str = "case"
    home_urls: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    cmp: Cmp = Cmp()
    """How the source reads consent."""
    origin: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of the event: `requests`, and the paths of what they go without; or a state and its reason."""

    requests: tuple[Request, ...] = ()
    left_out: tuple[str, ...] = ()
    state: str = ""
    reason: Reason = Reason("")


def subject_of(case: Case, config: Config | None = None) -> Subject:
    """What a case is about. Raises `CaseError`."""
    if case.integration is not None:
        return _configured(case.integration, config)
    try:
        vendor = get(case.vendor or "")
    except VendorError as error:
        raise CaseError(str(error)) from None
    document = Document("", {}, "settings")
    settings = convert(document, vendor.settings, case.settings or {}, ("settings",))
    try:
        document.raise_faults()
    except ConfigError as error:
        raise CaseError("; ".join(map(str, error.faults))) from None
    return Subject(Integration(key="case", vendor=vendor.key, settings=settings))


def _configured(key: str, config: Config | None) -> Subject:
    if config is None:
        raise CaseError(f"it is about the integration {key}: name the configuration that has it with --config")
    found = next((integration for integration in config.integrations if integration.key == key), None)
    if found is None:
        keys = [integration.key for integration in config.integrations]
        raise CaseError(f"the configuration has no integration {key}; {did_you_mean(key, keys)}")
    lives = [Live(integration, 0) for integration in config.integrations]
    mine = [source for source in config.sources if found.takes_source(source.key)]
    home_urls = frozenset(url for source in mine for url in source.home_urls)
    if not mine:
        return Subject(found)
    origin = next(iter(mine[0].origins), None)
    return Subject(found, mine[0].key, home_urls, callers_of(mine[0].key, Live(found, 0), lives), mine[0].cmp, origin)


def rehearse(case: Case, subject: Subject) -> Outcome:
    """What becomes of a case's event. A disabled integration counts as enabled: it is to be enabled some day."""
    integration, vendor = subject.integration, get(subject.integration.vendor)
    requests: list[Request] = []
    left_out: list[str] = []

    def build(setup: Setup[Any], inputs: Sequence[Input]) -> Built:
        consent = inputs[0].consent if case.consent is None else Decision(**msgspec.structs.asdict(case.consent))
        event = replace(case.event, context=inputs[0].event.context)  # with the answer that counted
        built = vendor.build(setup, [replace(inputs[0], event=event, consent=consent)])
        requests.extend(built.requests)
        left_out.extend(one.field for notes in built.notes for one in notes.left_out)
        return Built([])  # so that nothing is sent

    if case.consent is not None:
        # Decided by the case: whatever the event says, it comes to `build`, which puts the case's decision in place.
        integration = replace(integration, consent=Consent(basis="none", on_refusal="anonymise"))
    event, clock = _at_its_time(case)
    event = _collected(event, subject)
    name = canonical_name(event, subject.home_urls)
    delivery = Delivery(shard=0, position=1, source=subject.source, visitor=0, received_ms=_received_ms(event))
    delivery.detail.identity = case.identity
    item = Item(delivery, event, name)
    with _hub(case, subject) as hub:
        attempts = _attempts(integration, dataclasses.replace(vendor, build=build), subject, clock, hub)
        unwanted = attempts.unwanted(event, name)
        if unwanted is not None:
            return Outcome(state="filtered", reason=unwanted)
        asyncio.run(attempts.attempt([item]))
    if requests:
        return Outcome(tuple(requests), tuple(left_out))
    decision = delivery.detail.consent
    held = Reason("", "context.consent", f"{decision.basis}: {decision.detail}" if decision else None)
    return Outcome(state=delivery.state, reason=delivery.detail.reason or held)


def _collected(event: Event, subject: Subject) -> Event:
    """With its consent as the collector would have read it."""
    context = dict(event.context)
    cmp.complete(context, {}, False, subject.cmp)
    return replace(event, context=context)


def _at_its_time(case: Case) -> "tuple[Event, StillClock]":
    """The event, and the moment at which it is delivered. Without `now` that is the moment it was made."""
    if case.now is not None:
        return case.event, StillClock(parse_time(case.now))
    return replace(case.event, timestamp=format_time(NOW_MS), received_at=""), StillClock(NOW_MS)


def _received_ms(event: Event) -> int:
    try:
        return parse_time(event.received_at or event.timestamp)
    except ValueError:
        raise CaseError("event.receivedAt is no time such as 2026-11-22T10:15:00Z") from None


@contextmanager
def _hub(case: Case, subject: Subject) -> Iterator[Hub | None]:
    """What has been learned from the case's history."""
    if not case.history:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        hub = Hub(Path(folder), names_of(registry().values()))
        history = [_collected(event, subject) for event in case.history]
        entries = [(n, subject.source, _received_ms(event), event) for n, event in enumerate(history, 1)]
        hub.observe(0, entries, len(entries))
        yield hub
        hub.close()


def _attempts(integration: Integration, vendor: AnyVendor, subject: Subject, clock: Clock, hub: Hub | None) -> Attempts:
    # The vendor's own addresses, so that a case holds in sandbox as in production; the emulator's where there are none.
    endpoints = vendor.endpoints(integration.settings, EMULATOR) | vendor.endpoints(integration.settings, None)
    return Attempts(
        integration=integration,
        vendor=vendor,
        setup=Setup(integration.settings, endpoints | integration.endpoints),
        revision=0,
        callers={subject.source: subject.callers},
        sender=Sender(NoNetwork(), (), clock),
        breaker=Breaker(clock),
        clock=clock,
        hub=hub,
        origins={subject.source: subject.origin} if subject.origin else None,
    )


class StillClock(Clock):
    """It is always the same moment."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms


class NoNetwork:
    """A transport over which nothing goes."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer | Failure:
        raise AssertionError("a case is never sent")

    async def close(self) -> None:
        pass
