"""Which ids go to a vendor with an event: what the event carries, else what is known of its visitor by now."""

from typing import Any

from firsthand.consent import Decision, Policy
from firsthand.consent.decide import decide_consent
from firsthand.event import Event, moment
from firsthand.identity import Hub, Known
from firsthand.ledger.records import Delivery
from firsthand.reasons import Reason
from firsthand.vendors.base import AnyVendor, Identity

UNKNOWN_MS = 86_400_000
"""How long a page does not ask again where the vendor knew no id (`Sync.retry_age`)."""


class Identifier:
    """For one integration. Without a `hub` nothing is known but what events carry."""

    def __init__(
        self, vendor: AnyVendor, settings: Any, callers: dict[str, frozenset[str]], policy: Policy, hub: Hub | None
    ) -> None:
        self._name = vendor.id_name
        self._caller = vendor.id_caller(settings) if vendor.id_caller else ""
        self._callers = callers
        self._cookies = vendor.cookies(settings)
        self._policy = policy
        self._hub = hub
        self.waiting = Reason("waiting_for_id", f"context.ids.{self._name}", "no id of the visitor is known yet")
        """Why an event waits that `awaits` is true of."""

    def erased(self, source: str, event: Event, received_ms: int) -> bool:
        """Whether the visitor has been erased since."""
        if event.context.get("erased") is True:
            return True
        return self._hub is not None and self._hub.erased(source, event, received_ms)

    def identity(
        self, source: str, event: Event, received_ms: int, now_ms: int, consent: Decision | None
    ) -> Identity | Reason:
        """What is known now, or why it cannot be said.

        An id of the event wins, unless the visitor has opted out of it at the vendor since, or before of this very
        one. Where the event is to go out without identity, there is none.
        """
        if consent is not None and consent.decision != "allow":
            return Identity()
        ids = event.get("context", "ids")
        own: dict[str, str] = {}
        if isinstance(ids, dict) and self._name is not None:
            value = ids.get(f"{self._name}@{self._caller}")
            if value is None and self._name in ids:
                if self._ambiguous(source):
                    callers = ", ".join(sorted(self._callers[source]))
                    message = f"this source feeds several callers ({callers}): say {self._name}@CALLER"
                    return Reason("field_invalid", f"context.ids.{self._name}", message)
                value = ids[self._name]
            if isinstance(value, str) and value:
                own[self._name] = value
        if isinstance(ids, dict):
            own |= {c.id: ids[c.id] for c in self._cookies if isinstance(ids.get(c.id), str) and ids[c.id]}
        if self._hub is None:
            return Identity(own)
        known = self._hub.known(source, event.anonymous_id, event.user_id)
        at_ms = moment(event, received_ms)
        found = {name: value for name, value in own.items() if not self._opted_out(known, name, value, at_ms)}
        if self._name is not None and self._name not in own:
            value = self._known(known, source, now_ms)
            if value:
                found[self._name] = value
        for cookie in self._cookies:
            if cookie.id not in own:
                value = known.vendor_id(cookie.id, now_ms, self._refused, cookie.max_age * 1000)
                if value:
                    found[cookie.id] = value
        return Identity(found, None if event.email else known.email, None if event.user_id else known.user_id)

    def outdated(self, source: str, event: Event, received_ms: int, frozen: Identity) -> bool:
        """Whether the visitor has opted out, since it was frozen, of the vendor's id in it."""
        value = frozen.vendor_ids.get(self._name or "")
        if self._hub is None or value is None:
            return False
        known = self._hub.known(source, event.anonymous_id, event.user_id)
        return self._opted_out(known, self._name or "", value, moment(event, received_ms))

    def awaits(self, event: Event, found: Identity, delivery: Delivery, now_ms: int) -> bool:
        """Whether the page that an event comes from may be about to bring the vendor's id, which is not known yet."""
        if self._hub is None or self._name is None or self._name in found.vendor_ids or "page" not in event.context:
            return False
        consent = delivery.detail.consent
        if consent is not None and consent.decision != "allow":
            return False
        known = self._hub.known(delivery.source, event.anonymous_id, event.user_id)
        return now_ms >= known.unknown_ms(self._names()) + UNKNOWN_MS

    def brings(self, event: Event) -> bool:
        """Whether an event says what the vendor's id of its visitor is, or that there is none."""
        said: list[Any] = [event.context.get("ids")]
        if event.type == "identify":
            if isinstance(event.properties.get("sync"), dict):
                return True
            said.append(event.traits)
        return any(name in one for one in said if isinstance(one, dict) for name in self._names())

    def _ambiguous(self, source: str) -> bool:
        """Whether an id that names no caller may belong to one of several."""
        return len(self._callers.get(source, ())) > 1

    def _names(self) -> tuple[str, ...]:
        return (f"{self._name}@{self._caller}", self._name or "") if self._caller else (self._name or "",)

    def _opted_out(self, known: Known, name: str, value: str, at_ms: int) -> bool:
        return name == self._name and any(known.opted_out(key, value, at_ms) for key in self._names())

    def _known(self, known: Known, source: str, now_ms: int) -> str | None:
        """The id of our caller; one that names none counts where there is but one."""
        for key in self._names():
            if key == self._name and self._caller and self._ambiguous(source):
                continue
            if value := known.vendor_id(key, now_ms, self._refused):
                return value
        return None

    def _refused(self, consent: dict[str, Any]) -> bool:
        return decide_consent(consent, self._policy).decision in ("refuse", "anonymise")
