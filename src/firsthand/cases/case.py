"""What a case file holds, and how it is found and read."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from firsthand.config.document import Loader
from firsthand.event import Event, parse_time
from firsthand.vendors.base import Identity

SUFFIXES = (".json", ".yaml", ".yml")


class CaseError(Exception):
    """A case that can't be run: what is wrong with its file."""


class Consent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A decision that the case brings along, in place of the one the event would lead to."""

    decision: Literal["allow", "anonymise"]
    basis: str = "none"
    detail: str = ""


class ExpectedRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out is not looked at; of `headers`, only those named are."""

    method: str | msgspec.UnsetType = msgspec.UNSET
    url: str | msgspec.UnsetType = msgspec.UNSET
    headers: dict[str, str] = {}
    body: Any = msgspec.UNSET
    """JSON, or text where the body is none."""


class ExpectedReason(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out is not looked at."""

    code: str | None = None
    field: str | None = None
    message: str | None = None


class Expectation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Either `requests`, or the `state` in which an event ends that is not sent, with its `reason`."""

    requests: list[ExpectedRequest] | None = None
    left_out: list[str] | msgspec.UnsetType = msgspec.UNSET
    """The paths of what the requests go without, such as `context.ip`. Not looked at where it is not there."""
    state: Literal["filtered", "dead", "held"] | None = None
    reason: ExpectedReason | None = None

    def __post_init__(self) -> None:
        if (self.requests is None) == (self.state is None):
            raise ValueError("expect has either `requests`, or `state` with `reason`")
        if self.requests is not None and self.reason is not None:
            raise ValueError("expect has a `reason` only with a `state`")


class Case(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An event and what is to become of it: at a vendor with settings, or at an integration of the configuration."""

    title: str
    vendor: str | None = None
    settings: dict[str, Any] | None = None
    integration: str | None = None
    """A key in the configuration file, in place of `vendor` and `settings`."""
    event: Event
    identity: Identity | None = None
    """What is known of the visitor. None: what the event itself says."""
    consent: Consent | None = None
    history: list[Event] = []
    """What else the same visitor has sent by `now`, earlier or later than the event: an answer on consent, an id."""
    now: str | None = None
    """When the event is delivered. None: at once, so that it is never too old."""
    expect: Expectation

    def __post_init__(self) -> None:
        if (self.vendor is None) == (self.integration is None):
            raise ValueError("a case has either `vendor`, with its `settings`, or `integration`")
        if self.integration is not None and self.settings is not None:
            raise ValueError("a case with `integration` takes its settings from the configuration: remove `settings`")
        if self.history and self.now is None:
            raise ValueError("a case with `history` says `now`: what was answered when decides")
        if self.now is not None:
            _check_time("now", self.now)
            _check_time("event.timestamp", self.event.timestamp)


def find(paths: Iterable[Path]) -> list[Path]:
    """The case files among these paths; folders are searched. A file that is named is taken whatever its name."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        else:
            found.append(path)
    return list(dict.fromkeys(found))


def read(path: Path) -> Case:
    """The case in a file, JSON or YAML. Raises `CaseError`."""
    try:
        text = path.read_text(encoding="utf-8")
        # YAML as `firsthand.yaml` is read: 2026-11-22 and `no` are text.
        values = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=Loader)  # noqa: S506
    except OSError as error:
        raise CaseError(f"it can't be read: {error.strerror}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise CaseError(f"it is not {kind}: {' '.join(str(error).split())}") from None
    try:
        return msgspec.convert(values, Case)
    except msgspec.ValidationError as error:
        raise CaseError(f"it is not a case: {error}") from None


def _check_time(name: str, text: str) -> None:
    try:
        parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is no time such as 2026-11-22T10:15:00Z, which `now` is compared with") from None
