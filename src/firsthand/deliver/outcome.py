"""From what the vendor said to an event's requests to the state that the event is in."""

from msgspec.structs import replace

from firsthand.config import Delivery as Budget
from firsthand.deliver.clock import Clock
from firsthand.deliver.policy import AMBIGUOUS_TRIES, backoff, is_refusal
from firsthand.ledger.records import Delivery, Detail
from firsthand.personal import mask_text
from firsthand.reasons import Reason
from firsthand.vendors.base import Verdict

CERTAINTIES = ("unverifiable", "accepted_with_warnings", "accepted")
"""The least sure first. An event of several requests is as sure as the least sure of them."""
CUT_SHORT = Verdict("retry")
"""Of a request that is not sent for now, though the ones before it were: the rest of its event waits with it."""

Given = list[tuple[int, Verdict]]
"""What one try brought: which of the event's requests, and what was said to it."""


def note(detail: Detail, ordinal: int, verdict: Verdict) -> None:
    """What the vendor has taken is known from then on, whatever comes of the event's other requests."""
    if verdict.kind == "accepted":
        detail.accepted = sorted({*detail.accepted, ordinal})
        detail.certainty = min(detail.certainty, verdict.certainty or "accepted", key=CERTAINTIES.index)
        detail.warnings = verdict.message or detail.warnings


def conclude(delivery: Delivery, given: Given, wait: float, limit: int | None, budget: Budget, clock: Clock) -> None:
    """The verdicts on an event's requests → its state. `limit` is how often the vendor may have received one of them
    unknown to us, where one has ended so now."""
    detail = delivery.detail
    detail.unfinished = False
    by_kind: dict[str, list[Verdict]] = {}
    for _, verdict in given:
        by_kind.setdefault(verdict.kind, []).append(verdict)
    if "ambiguous" in by_kind:
        detail.ambiguous += 1
    if "retry" in by_kind and limit is not None and detail.uncertain >= limit:
        ordinal, failed = next(one for one in given if one[1].kind == "retry")
        detail.unknown = sorted({*detail.unknown, ordinal})
        times = "" if detail.uncertain == 1 else f" {detail.uncertain} times"
        message = f"the vendor may have received it{times}, and would count each: {failed.message}"
        dead(delivery, Reason("outcome_unknown", None, message))
    elif "retry" in by_kind:
        _retry(delivery, by_kind["retry"][0], wait, budget, clock)
    elif "ambiguous" in by_kind and detail.ambiguous < AMBIGUOUS_TRIES:
        _retry(delivery, by_kind["ambiguous"][0], wait, budget, clock)
    elif "ambiguous" in by_kind:
        dead(delivery, Reason("vendor_ambiguous", None, by_kind["ambiguous"][0].message))
    elif "rejected" in by_kind:
        no = by_kind["rejected"][0]
        taken = len(detail.accepted)
        but = f"{taken} of the event's requests were accepted; one was not: {no.message}" if taken else no.message
        dead(delivery, Reason(no.code, None, but))
    elif detail.unknown:
        message = f"{len(detail.unknown)} of the event's requests may have arrived before and went no second time"
        dead(delivery, Reason("outcome_unknown", None, message))
    elif not detail.accepted:
        dead(delivery, Reason("mapping_error", None, "the vendor module made no request for this event"))
    else:
        delivery.state, delivery.next_ms, delivery.certainty = "delivered", None, detail.certainty


def _retry(delivery: Delivery, verdict: Verdict, wait: float, budget: Budget, clock: Clock) -> None:
    detail, now_ms = delivery.detail, clock.now_ms()
    if verdict is CUT_SHORT:
        delivery.state, delivery.next_ms, detail.unfinished = "retrying", now_ms, True
        return
    refused, spent = is_refusal(verdict), ""
    detail.refused += refused
    tries = detail.tries - detail.refused
    if tries >= budget.max_attempts:
        spent = f"{tries} attempts were made"
    elif (now_ms - delivery.received_ms) / 1000 > budget.max_age:
        spent = f"retries end {budget.max_age / 3600:g} h after an event was received"
    if spent:
        code = verdict.code if refused else "attempts_exhausted"
        dead(delivery, Reason(code, None, f"{spent}; last: {verdict.message}"))
        return
    if refused:  # due as soon as the lane goes on
        detail.reason = Reason(verdict.code, None, verdict.message)
    pause = max(0.0 if refused else backoff(tries, clock.jitter()), wait)
    delivery.state, delivery.next_ms = "retrying", now_ms + round(pause * 1000)


def shown(reason: Reason) -> Reason:
    """Why, as it is kept: it may name what the event says."""
    return replace(reason, message=mask_text(reason.message)) if reason.message else reason


def dead(delivery: Delivery, reason: Reason) -> None:
    """It could not be sent."""
    delivery.state, delivery.next_ms, delivery.detail.reason = "dead", None, shown(reason)
