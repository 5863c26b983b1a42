"""Whether consent lets a delivery be sent: by the event's own answer, and by what its visitor has said since."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from firsthand.config import Integration
from firsthand.consent import GivenAnswer, decide_again, decide_consent, decide_opted_out, decide_unknown
from firsthand.deliver.item import Item
from firsthand.event import Event, moment
from firsthand.reasons import Reason
from firsthand.vendors.base import AnyVendor
from firsthand.vendors.installed import policy_of


class Visitor(Protocol):
    @property
    def answers(self) -> Sequence[Sequence[GivenAnswer]]:
        """What was answered, from the event's own browser to the same user's others."""
        ...

    def opt_out_ms(self, names: Iterable[str]) -> int | None:
        """When the visitor opted out at the vendor whose ids have these names, if they did."""
        ...


class Visitors(Protocol):
    """What is known of visitors (the identity hub)."""

    def known(self, source: str, anonymous_id: str | None, user_id: str | None) -> Visitor: ...


class Permission:
    """By one integration's rule. Without `visitors` the event's own answer counts alone."""

    def __init__(self, integration: Integration, vendor: AnyVendor, visitors: Visitors | None) -> None:
        self._visitors = visitors
        self._hold_ms = round(integration.consent_rule.hold * 1000)
        self.policy = policy_of(integration, vendor)
        caller = vendor.id_caller(integration.settings) if vendor.id_caller else ""
        names = (f"{vendor.id_name}@{caller}" if caller else None, vendor.id_name)
        self._id_names = [name for name in names if name]

    def settles(self, consent: Any) -> bool:
        """Whether a `context.consent` decides what waits for an answer here."""
        return decide_consent(consent, self.policy).decision != "hold"

    def decide(self, item: Item, event: Event, now_ms: int) -> Reason | None:
        """Record what consent lets be done with a delivery now. It may be `held` after that; a reason says why it is
        not to be sent at all."""
        delivery = item.delivery
        visitor = self._visitors and self._visitors.known(delivery.source, event.anonymous_id, event.user_id)
        answers = visitor.answers if visitor else ()
        if item.answer is not None:
            answers = ([item.answer], *answers)
        decision, item.counted = decide_again(event, moment(event, delivery.received_ms), answers, self.policy)
        if decision.decision == "allow" and visitor and (at_ms := visitor.opt_out_ms(self._id_names)):
            decision = decide_opted_out(at_ms)
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
