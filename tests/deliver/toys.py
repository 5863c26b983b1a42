"""Vendors small enough to read at a glance, and what they answer.

They say `{"ok": true}`, `{"warning": "…"}`, `{"no": "a reason code"}`, or for a batch a list of these. An event may
carry instructions for a vendor module that fails: `properties.fail` is `build`, `judge`, `max_age`, `refuse` or `dead`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from firsthand.event import Event
from firsthand.ledger.records import Cause, Failure
from firsthand.reasons import Dead, Filtered
from firsthand.vendors.base import ACCEPTED, Answer, AnyVendor, Built, Input, Request, Setup, Vendor, Verdict


class ToySettings(msgspec.Struct, frozen=True, kw_only=True):
    host: str = "toy.example"
    caller: str = "caller-1"
    max_age: float | None = None
    max_uncertain: int | None = None
    greeting: str = "hello"


def _body(input: Input, **more: object) -> dict[str, object]:
    consent, ids = input.consent.decision, input.identity.vendor_ids
    return {"id": input.event.message_id, "name": input.name, "consent": consent, "ids": ids, **more}


def _check(input: Input) -> None:
    match input.event.properties.get("fail"):
        case "build":
            raise RuntimeError("the toy is broken")
        case "refuse":
            raise Filtered("condition", "the toy does not want this one")
        case "dead":
            raise Dead("field_missing", "the toy needs a price", "properties.price")


def build_one(setup: Setup[ToySettings], inputs: Sequence[Input]) -> Built:
    (input,) = inputs
    _check(input)
    if input.event.properties.get("fail") == "nothing":
        return Built([])
    body = msgspec.json.encode(_body(input, greeting=setup.settings.greeting))
    return Built([Request("POST", setup.endpoints["events"], {}, body, max_uncertain=setup.settings.max_uncertain)])


def build_lines(setup: Setup[ToySettings], inputs: Sequence[Input]) -> Built:
    (input,) = inputs
    _check(input)
    lines = [_body(input, product=product["product_id"]) for product in input.event.products]
    url, most = setup.endpoints["events"], setup.settings.max_uncertain
    return Built([Request("POST", url, {}, msgspec.json.encode(line), max_uncertain=most) for line in lines])


def build_bulk(setup: Setup[ToySettings], inputs: Sequence[Input]) -> Built:
    for input in inputs:
        _check(input)
    body = msgspec.json.encode([_body(input) for input in inputs])
    return Built([Request("POST", setup.endpoints["events"], {}, body, items=tuple(range(len(inputs))))])


def judge(setup: Setup[ToySettings], request: Request, answer: Answer) -> list[Verdict] | None:
    if b"judge" in (request.body or b""):
        raise RuntimeError("the toy cannot read")
    if answer.status != 200:
        return None
    try:
        said: Any = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return [Verdict("ambiguous", message="the toy mumbles")] * len(request.items)
    return [_verdict(one) for one in (said if isinstance(said, list) else [said] * len(request.items))]


def _verdict(said: Mapping[str, Any]) -> Verdict:
    if "no" in said:
        return Verdict("rejected", code=said["no"], message="the toy says no")
    if "later" in said:
        return Verdict("retry", message="the toy is busy")
    if "warning" in said:
        return Verdict("accepted", "accepted_with_warnings", message=said["warning"])
    return ACCEPTED


def max_age(settings: ToySettings, event: Event) -> float | None:
    if event.properties.get("fail") == "max_age":
        raise RuntimeError("the toy has no sense of time")
    return settings.max_age


def _toy(key: str, build: Any, batch: int = 1) -> AnyVendor:
    return Vendor(
        key=key,
        name=key.title(),
        brand="Toymakers",
        category="Toys",
        documentation="none",
        version="1",
        settings=ToySettings,
        events={"Order Completed": "order", "Product Viewed": "view", "Home Page Viewed": "home", "Signed In": None},
        build=build,
        judge=judge,
        endpoints=lambda settings, emulator: {"events": f"https://{settings.host}/events"},
        hosts=("*.toy.example",),
        batch=batch,
        max_age=max_age,
        tcf_vendor_id=91,
        id_name="toy_id",
        id_caller=lambda settings: settings.caller,
    )


VENDORS: dict[str, AnyVendor] = {
    "toy": _toy("toy", build_one),
    "lines": _toy("lines", build_lines),
    "bulk": _toy("bulk", build_bulk, batch=5),
}


def ok() -> Answer:
    return Answer(200, {}, b'{"ok": true}')


def says(said: object, status: int = 200, **headers: str) -> Answer:
    """An answer with a JSON body: `says({"no": "vendor_rejected"}, retry_after="5")`."""
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, msgspec.json.encode(said))


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def failure(cause: Cause, sent: bool) -> Failure:
    return Failure(cause, sent, "so it is")
