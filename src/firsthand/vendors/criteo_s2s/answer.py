"""What Criteo's answers mean. The status is always 200; the body tells whether the event was taken."""

from urllib.parse import parse_qs, urlsplit

from msgspec import json

from firsthand.vendors.answers import faults, joined
from firsthand.vendors.base import ACCEPTED, Answer, Request, Setup, Verdict
from firsthand.vendors.criteo_s2s.request import anonymous
from firsthand.vendors.criteo_s2s.settings import CriteoS2S


def judge(setup: Setup[CriteoS2S], request: Request, answer: Answer) -> list[Verdict] | None:
    """The guide: `{"errors": [], "warnings": []}` is success; anything else, as a proxy's 204, is likely a fault."""
    if not 200 <= answer.status < 300:
        return None
    body = faults(answer.body)
    if body is None:
        return [Verdict("ambiguous", message="The answer is not what Criteo answers")]
    if body.errors:
        sent = request.body or parse_qs(urlsplit(request.url).query)["data"][0]
        unnamed = all("UserIdentifierMissing" in joined([error]) for error in body.errors)
        if not (unnamed and anonymous(json.decode(sent))):
            return [Verdict("rejected", message=joined(body.errors))]
    notes = body.errors or body.warnings
    return [Verdict("accepted", "accepted_with_warnings", message=joined(notes)) if notes else ACCEPTED]
