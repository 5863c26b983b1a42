"""What Criteo's answers mean. The status is always 200; the body tells whether the event was taken."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from firsthand.vendors.base import ACCEPTED, Answer, Request, Setup, Verdict
from firsthand.vendors.criteo_s2s.request import anonymous
from firsthand.vendors.criteo_s2s.settings import CriteoS2S

LONGEST_MESSAGE = 1000


def judge(setup: Setup[CriteoS2S], request: Request, answer: Answer) -> list[Verdict] | None:
    """The guide: `{"errors": [], "warnings": []}` is success; anything else, even no answer, is likely a fault.

    That holds for the whole 2xx family: a 204 from a proxy in between has delivered nothing.
    """
    return [verdict(request, answer.body)] * len(request.items) if 200 <= answer.status < 300 else None


def verdict(request: Request, body: bytes) -> Verdict:
    try:
        answer = msgspec.json.decode(body)
        errors = answer["errors"]
        warnings = answer.get("warnings") or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return Verdict("ambiguous", message="The answer is not what Criteo answers")
    if not isinstance(errors, list):
        return Verdict("ambiguous", message="The answer's errors are not a list")
    if not errors:
        return Verdict("accepted", "accepted_with_warnings", message=joined(warnings)) if warnings else ACCEPTED
    if all("UserIdentifierMissing" in joined([error]) for error in errors) and anonymous(sent(request)):
        return Verdict("accepted", "accepted_with_warnings", message=joined(errors))
    return Verdict("rejected", message=joined(errors))


def joined(faults: Any) -> str:
    """Faults as one text. Their type is not documented, so each is shown as it is."""
    faults = faults if isinstance(faults, list) else [faults]
    shown = "; ".join(fault if isinstance(fault, str) else msgspec.json.encode(fault).decode() for fault in faults)
    return shown[:LONGEST_MESSAGE]


def sent(request: Request) -> Any:
    return msgspec.json.decode(request.body or parse_qs(urlsplit(request.url).query)["data"][0])
