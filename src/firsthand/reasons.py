"""Why a delivery ended as it did, or waits: the closed list of reason codes.

Each code is explained, with what to do about it, in `docs/reasons.md`; a test keeps the two in step.
"""

from typing import Literal, get_args

import msgspec

FilteredCode = Literal[
    "not_mapped",
    "disabled_event",
    "integration_disabled",
    "condition",
    "consent_refused",
    "consent_unknown",
    "bot",
    "too_old",
    "no_counterpart",
    "erased",
    "sampled",
]
DeadCode = Literal[
    "field_missing",
    "field_invalid",
    "identity_missing",
    "too_old",
    "vendor_rejected",
    "vendor_ambiguous",
    "auth_failed",
    "scope_denied",
    "redirect_refused",
    "attempts_exhausted",
    "outcome_unknown",
    "mapping_error",
    "poison",
    "backlog_overflow",
    "log_damaged",
]
HeldCode = Literal["waiting_for_id"]
HELD: tuple[str, ...] = get_args(HeldCode)
CREDENTIALS: tuple[str, ...] = ("auth_failed", "scope_denied")
"""What the vendor says of credentials. It stops the whole lane: its deliveries are `retrying` for it, and dead only
after `delivery.max_age`, or where other events are taken meanwhile."""
FILTERED: tuple[str, ...] = get_args(FilteredCode)
DEAD: tuple[str, ...] = get_args(DeadCode)


class Reason(msgspec.Struct, frozen=True):
    """A reason code, the event field it is about (dotted path) if any, and a sentence for a person."""

    code: str
    field: str | None = None
    message: str | None = None


class Filtered(Exception):
    """We decided not to send this event. Raised by a vendor's `build`."""

    state: Literal["filtered", "dead"] = "filtered"

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = Reason(code, field, message)


class Dead(Filtered):
    """This event cannot be sent as it is. Raised by a vendor's `build`."""

    state = "dead"
