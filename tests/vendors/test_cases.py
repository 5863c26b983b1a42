"""The case files of every vendor: an event in, the requests out, or why there are none."""

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from firsthand.consent.decision import Decision
from firsthand.event import Event, canonical_name
from firsthand.reasons import Filtered
from firsthand.vendors.base import AnyVendor, Built, Identity, Input, Request, Setup


class Case(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`expect` holds `requests`, with what they go without in `left_out`, or `state` and `reason`."""

    title: str
    vendor: str
    settings: dict[str, Any]
    event: Event
    identity: Identity = Identity()
    consent: Decision = Decision("allow", "none")
    expect: dict[str, Any]


def case_files() -> Iterator[Any]:
    for entry in entry_points(group="firsthand.vendors"):
        spec = find_spec(entry.module)
        folder = Path(spec.origin).parent / "cases" if spec and spec.origin else Path("/nowhere")
        for file in sorted([*folder.glob("*.json"), *folder.glob("*.yaml")]):
            yield pytest.param(entry, file, id=f"{entry.name}-{file.stem}")


@pytest.mark.parametrize(("entry", "file"), list(case_files()))
def test_case(entry: EntryPoint, file: Path) -> None:
    read = json.loads if file.suffix == ".json" else yaml.safe_load
    case = msgspec.convert(read(file.read_text()), Case)
    vendor: AnyVendor = entry.load()
    assert case.vendor == vendor.key == entry.name

    outcome = build(vendor, case)

    if isinstance(outcome, Filtered):
        reason = msgspec.to_builtins(outcome.reason)
        assert {
            "state": outcome.state,
            "reason": {key: reason[key] for key in case.expect.get("reason", {})},
        } == case.expect
    else:
        wanted = case.expect.get("requests")
        assert wanted is not None, f"expected {case.expect}, got {outcome}"
        requests = outcome.requests
        assert [shown(request, want) for request, want in zip(requests, wanted, strict=True)] == wanted
        assert [in_order(shown(request, want).get("body")) for request, want in zip(requests, wanted, strict=True)] == [
            in_order(want.get("body")) for want in wanted
        ]
        (notes,) = outcome.notes
        assert [one.field for one in notes.left_out] == case.expect.get("left_out", [])
        assert build(vendor, case) == outcome, "the same inputs must give the same bytes"


def build(vendor: AnyVendor, case: Case) -> Built | Filtered:
    """As delivery does it: the vendor's `events` first, then `build`."""
    settings = msgspec.convert(case.settings, vendor.settings)
    name = canonical_name(case.event)
    try:
        events = {**vendor.events, **vendor.own_events(settings)}
        if events.get(name) is None:
            code = "no_counterpart" if name in events else "not_mapped"
            raise Filtered(code, f"{vendor.name} has no event for {name}")
        given = Input(case.event, name, case.identity, case.consent)
        return vendor.build(Setup(settings, vendor.endpoints(settings, None)), [given])
    except Filtered as reason:
        return reason


def shown(request: Request, want: dict[str, Any]) -> dict[str, Any]:
    """A request as the case writes it: headers only where it names them, a body of JSON as an object."""
    written: dict[str, Any] = {"method": request.method, "url": request.url}
    if "headers" in want:
        written["headers"] = request.headers
    if request.body is not None:
        try:
            written["body"] = json.loads(request.body)
        except ValueError:
            written["body"] = request.body.decode()
    return written


def in_order(value: Any) -> Any:
    """Objects as lists of pairs, so that the order of a body's fields counts."""
    if isinstance(value, dict):
        return [(key, in_order(entry)) for key, entry in value.items()]
    return [in_order(entry) for entry in value] if isinstance(value, list) else value
