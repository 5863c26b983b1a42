"""Whether consent lets a delivery be sent: by the event's own answer, and by what its visitor has said since."""

from typing import TYPE_CHECKING, Any, Protocol

from firsthand.config import Integration
from firsthand.consent import GivenAnswer, Policy, decide_again, decide_consent, decide_unknown
from firsthand.event import Event
from firsthand.reasons import Reason
from firsthand.vendors.base import AnyVendor

if TYPE_CHECKING:
    from firsthand.deliver.attempt import Item


class Visitor(Protocol):
    @property
    def consent(self) -> tuple[dict[str, Any], int] | None:
        """The newest answer and when it was given (milliseconds since 1970)."""
        ...


class Visitors(Protocol):
    """What is known of visitors (the identity hub)."""

    def known(self, source: str, anonymous_id: str | None, user_id: str | None) -> Visitor: ...


class Permission:
    """By one integration's rule. Without `visitors` the event's own answer counts alone."""

    def __init__(self, integration: Integration, vendor: AnyVendor, visitors: Visitors | None) -> None:
        rule = integration.consent_rule
        self._visitors = visitors
        self._hold_ms = round(rule.hold * 1000)
        self.policy = Policy(
            basis=rule.basis,
            on_refusal=rule.on_refusal,
            purposes=rule.purposes,
            categories=rule.categories,
            vendor_id=vendor.tcf_vendor_id,
            advertising=vendor.advertising,
        )

    def settles(self, consent: Any) -> bool:
        """Whether a `context.consent` decides what waits for an answer here."""
        return decide_consent(consent, self.policy).decision != "hold"

    def decide(self, item: "Item", event: Event, now_ms: int) -> Reason | None:
        """Record what consent lets be done with a delivery now. It may be `held` after that; a reason says why it is
        not to be sent at all."""
        delivery = item.delivery
        answers = (item.answer, self._newest(delivery.source, event))
        decision, item.counted = decide_again(event, answers, self.policy)
        code = "consent_refused"
        if decision.decision == "hold":
            ends_ms = delivery.received_ms + self._hold_ms
            if now_ms < ends_ms and not item.early:
                delivery.state, delivery.next_ms, delivery.detail.consent = "held", ends_ms, decision
                return None
            code = "consent_unknown"
            decision = decide_unknown(self.policy, item.early if now_ms < ends_ms else "")
        delivery.detail.consent = decision
        if delivery.state == "held":
            delivery.state, delivery.next_ms = "pending", None
        if decision.decision != "refuse":
            return None
        said = decision.detail if code == "consent_unknown" else f"{decision.basis}: {decision.detail}"
        given = f", answered at {decision.answered_at}" if decision.answered_at else ""
        return Reason(code, "context.consent", said + given)

    def _newest(self, source: str, event: Event) -> GivenAnswer | None:
        if self._visitors is None:
            return None
        found = self._visitors.known(source, event.anonymous_id, event.user_id).consent
        return GivenAnswer(*found) if found else None
