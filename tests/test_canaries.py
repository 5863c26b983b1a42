"""What others say may repeat anything that was sent to them: none of it is kept, answered or logged as it was."""

import io
import json
import sys

import pytest
import structlog
from tests.collect.client import Client

from firsthand import logging
from firsthand.consent.decision import Decision
from firsthand.deliver.outcome import shown
from firsthand.deliver.policy import verdicts
from firsthand.deliver.redirects import RedirectRefused, Result
from firsthand.event import Event
from firsthand.ledger.records import Failure
from firsthand.reasons import Reason
from firsthand.vendors.base import Answer, Identity, Input, Setup
from firsthand.vendors.criteo_s2s import VENDOR
from firsthand.vendors.criteo_s2s.settings import CriteoS2S

ADDRESS, PHONE = "canary.bird@shop.example", "+49 170 7654321"
SAID = f"no: {ADDRESS}, canary.bird%2540shop.example, Y2FuYXJ5LmJpcmRAc2hvcC5leGFtcGxl, {PHONE} from 203.0.113.99"
CANARIES = ("canary", "7654321", "Y2FuYXJ5", "203.0.113.99")


def told(text: object) -> list[str]:
    return [canary for canary in CANARIES if canary in str(text)]


@pytest.mark.parametrize(
    "result",
    [
        Answer(200, {}, json.dumps({"errors": [SAID], "warnings": []}).encode()),
        Answer(200, {}, json.dumps({"errors": [], "warnings": [{"value": SAID}]}).encode()),
        Failure("other", False, f"could not resolve {SAID}"),
        RedirectRefused(f"the redirects lead round in a circle (back to https://{ADDRESS}@x/{SAID})"),
    ],
    ids=["errors", "warnings", "failure", "redirect"],
)
def test_the_words_of_a_vendor(result: Result) -> None:
    settings = CriteoS2S(partner_id="12345", mapping_key="123")
    setup = Setup(settings, VENDOR.endpoints(settings, None))
    visit = Event(type="page", anonymous_id="v")
    (request,) = VENDOR.build(setup, [Input(visit, "Page Viewed", Identity(), Decision("allow", "none"))]).requests
    (verdict,) = verdicts(VENDOR, setup, request, result)
    assert verdict.message
    assert told(verdict.message) == []


def test_the_reason_of_a_refusal_of_ours() -> None:
    reason = shown(Reason("no_counterpart", None, f"Criteo has no event for {ADDRESS!r}"))
    assert reason.message == "Criteo has no event for '***@shop.example'"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (f"/v1/{ADDRESS}", {}, {}),
        ("/v1/track", {"authorization": f"Bearer {ADDRESS}"}, {}),
        ("/v1/track", {"authorization": f"{ADDRESS} x"}, {}),
        ("/v1/track", {"content-encoding": ADDRESS}, {}),
        ("/v1/track", {"origin": f"https://{ADDRESS}"}, {"writeKey": "site-key"}),
        ("/v1/track", {}, {"writeKey": ADDRESS}),
        ("/v1/track", {}, {"event": {ADDRESS: PHONE}}),
        ("/v1/track", {}, {"context": {"ids": {ADDRESS: PHONE}}, "properties": ADDRESS}),
        ("/v1/batch", {}, {"batch": [{"type": ADDRESS, "anonymousId": "v"}, {"type": PHONE, "userId": PHONE}]}),
        ("/v1/batch", {}, {"batch": ADDRESS}),
        (f"/v1/pixel/{ADDRESS}", {}, {}),
    ],
)
async def test_answers_of_the_collector(path: str, headers: dict[str, str], body: object) -> None:
    answer = await Client().post(path, body, key=None if "authorization" in headers else "shop-key", headers=headers)
    assert told(answer.body) == []


def test_lines_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    logging.set_up()
    log = structlog.get_logger()
    try:
        raise ValueError(SAID)
    except ValueError as error:
        log.error("it failed", cause=f"{ADDRESS} {PHONE}", exc_info=error)
    line = json.loads(written.getvalue())
    assert told({**line, "exception": line["exception"].replace("203.0.113.99", "")}) == []
