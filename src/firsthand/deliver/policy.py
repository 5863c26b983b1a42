"""What happens next: reads an exchange's result as a verdict, and says when to try again.

Causes decide. What the vendor said no to is final; what may work later is tried again, with full jitter, within a
budget of age and count; what nobody knows is tried again too.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec.structs import replace

from firsthand.deliver.redirects import RedirectRefused, Result
from firsthand.ledger.masking import mask_words
from firsthand.ledger.records import Failure
from firsthand.reasons import CREDENTIALS
from firsthand.vendors.base import UNVERIFIABLE, Answer, AnyVendor, Request, Setup, Verdict

BASE_SECONDS = 1.0
CAP_SECONDS = 900.0
TRANSIENT = frozenset({408, 425, 429})
AMBIGUOUS_TRIES = 2
CONFIGURATION = frozenset({"redirect_refused", "vendor_ambiguous"})
"""Codes that say more about the way to the vendor than about the event."""


def verdicts(vendor: AnyVendor, setup: Setup[Any], request: Request, result: Result) -> list[Verdict]:
    """A verdict for each of a request's items. What the vendor said in it may be shown: it may name what was sent."""
    return [_shown(verdict) for verdict in _judged(vendor, setup, request, result)]


def _shown(verdict: Verdict) -> Verdict:
    return replace(verdict, message=mask_words(verdict.message)) if verdict.message else verdict


def _judged(vendor: AnyVendor, setup: Setup[Any], request: Request, result: Result) -> list[Verdict]:
    if isinstance(result, Failure):
        return [Verdict("retry", message=f"{result.cause}: {result.message}")] * len(request.items)
    if isinstance(result, RedirectRefused):
        return [Verdict("rejected", code="redirect_refused", message=result.message)] * len(request.items)
    judged = vendor.judge(setup, request, result) or [by_status(result)] * len(request.items)
    return [_waits(verdict) if is_refusal(verdict) else verdict for verdict in judged]


def is_refusal(verdict: Verdict) -> bool:
    """Whether it says that the vendor refuses the credentials, which is no fault of the event."""
    return verdict.kind in ("rejected", "retry") and verdict.code in CREDENTIALS


def _waits(refusal: Verdict) -> Verdict:
    return Verdict("retry", code=refusal.code, message=refusal.message)


def by_status(answer: Answer) -> Verdict:
    """The verdict where the vendor has no rule of its own for a status."""
    status = answer.status
    if 200 <= status < 300:
        return UNVERIFIABLE
    if status == 401:
        return Verdict("rejected", code="auth_failed", message="HTTP 401: the vendor does not accept the credentials")
    if status == 403:
        return Verdict("rejected", code="scope_denied", message="HTTP 403: the credentials do not allow this")
    if 400 <= status < 500 and status not in TRANSIENT:
        return Verdict("rejected", message=f"HTTP {status}")
    return Verdict("retry", message=f"HTTP {status}")


def backoff(tries: int, jitter: float) -> float:
    """Seconds until the next try: a random part of a limit that doubles with each try (full jitter)."""
    return min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(tries - 1, 30)) * jitter


def retry_after(result: Result, now_ms: int, longest: float) -> float | None:
    """Seconds the vendor asks us to wait (Retry-After: seconds or a date), at most `longest`; None if it doesn't."""
    if not isinstance(result, Answer) or "retry-after" not in result.headers:
        return None
    text = result.headers["retry-after"].strip()
    if text.isascii() and text.isdigit():
        return min(float(text), longest)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now_ms / 1000
    return min(max(seconds, 0.0), longest)
