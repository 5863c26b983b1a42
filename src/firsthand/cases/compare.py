"""What became of a case's event against what was expected, field by field."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from firsthand.cases.case import Case, Expectation, ExpectedRequest
from firsthand.cases.rehearse import Outcome, Subject, rehearse
from firsthand.config.faults import Path, render
from firsthand.vendors.base import Request


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """`expected` and `got` are unset where there was nothing."""

    path: str
    expected: Any = UNSET
    got: Any = UNSET


def check(case: Case, subject: Subject) -> list[Difference]:
    """Everything in which a case is not as expected. Raises `CaseError` where it can't be run."""
    outcome = rehearse(case, subject)
    found = list(_differences(case.expect, outcome))
    if outcome.requests and rehearse(case, subject).requests != outcome.requests:
        found.append(Difference("requests", "the same bytes each time", "other bytes the second time"))
    return found


def _differences(expect: Expectation, outcome: Outcome) -> Iterator[Difference]:
    if expect.requests is None:
        yield from _state(expect, outcome)
    elif not outcome.requests and expect.requests:
        yield Difference("requests", _counted(len(expect.requests)), _said(outcome))
    else:
        if len(expect.requests) != len(outcome.requests):
            yield Difference("requests", _counted(len(expect.requests)), _counted(len(outcome.requests)))
        if expect.left_out is not UNSET:
            yield from _compare(expect.left_out, list(outcome.left_out), ("left_out",))
        for index, (wanted, request) in enumerate(zip(expect.requests, outcome.requests, strict=False)):
            yield from _request(wanted, request, ("requests", index))


def _state(expect: Expectation, outcome: Outcome) -> Iterator[Difference]:
    if outcome.requests:
        yield Difference("state", expect.state, f"it is sent: {_counted(len(outcome.requests))}")
        return
    if expect.state != outcome.state:
        yield Difference("state", expect.state, _said(outcome))
    elif expect.reason is not None:
        for name in expect.reason.__struct_fields__:
            wanted, got = getattr(expect.reason, name), getattr(outcome.reason, name)
            if wanted is not None and wanted != got:
                yield Difference(f"reason.{name}", wanted, got)


def _said(outcome: Outcome) -> str:
    reason = outcome.reason
    return ": ".join(part for part in (outcome.state, reason.code, reason.field, reason.message) if part)


def _counted(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"


def _request(wanted: ExpectedRequest, request: Request, path: Path) -> Iterator[Difference]:
    if wanted.method is not UNSET:
        yield from _compare(wanted.method, request.method, (*path, "method"))
    if wanted.url is not UNSET:
        yield from _compare(wanted.url, request.url, (*path, "url"))
    headers = {name.lower(): value for name, value in request.headers.items()}
    for name, value in wanted.headers.items():
        yield from _compare(value, headers.get(name.lower(), UNSET), (*path, "headers", name))
    if wanted.body is not UNSET:
        yield from _compare(wanted.body, _body(request.body), (*path, "body"))


def _body(body: bytes | None) -> Any:
    if body is None:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _compare(expected: Any, got: Any, path: Path) -> Iterator[Difference]:
    """Objects by name, whatever their order; lists by place; 2 is 2.0, and no number is true or false."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for key in dict.fromkeys([*expected, *got]):
            yield from _compare(expected.get(key, UNSET), got.get(key, UNSET), (*path, key))
    elif isinstance(expected, list) and isinstance(got, list):
        for index in range(max(len(expected), len(got))):
            wanted, found = (side[index] if index < len(side) else UNSET for side in (expected, got))
            yield from _compare(wanted, found, (*path, index))
    elif expected != got or isinstance(expected, bool) != isinstance(got, bool):
        yield Difference(render(path), expected, got)
