"""What the ledger holds: deliveries, attempts, ranges. These are the rows of every implementation."""

from typing import Literal

import msgspec

from firsthand.consent.decision import Decision
from firsthand.eventlog.base import Position
from firsthand.reasons import Reason
from firsthand.vendors.base import Identity, LeftOut, Total

State = Literal["pending", "held", "retrying", "delivered", "filtered", "dead"]
LIVE = "live"
"""The note that lists the integrations which are delivered to; removed ones keep their rows in the ledger."""
CANNOT_RUN = "cannot_run"
"""The reason of a lane that is down because its integration cannot be read, or its vendor's module fails."""
OPEN: tuple[State, ...] = ("retrying", "held")
Cause = Literal["dns", "tls", "connect", "timeout_connect", "timeout", "cut", "protocol", "other"]


class Failure(msgspec.Struct, frozen=True):
    """Why an exchange has no answer. `sent` is False only when the vendor cannot have seen the request."""

    cause: Cause
    sent: bool
    message: str


class Exchange(msgspec.Struct, frozen=True):
    """One attempt: a request as it went out and what came back. Bodies are exact.

    `at_ms` is milliseconds since 1970; `request_index` counts the delivery's requests, `hop` the redirects.
    """

    at_ms: int
    duration_ms: int
    request_index: int
    hop: int
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    status: int | None = None
    response_headers: dict[str, str] = {}
    response_body: bytes = b""
    failure: Failure | None = None


class Detail(msgspec.Struct, omit_defaults=True):
    """What the first attempt froze, and how far the delivery has come.

    `accepted` are the indexes of requests the vendor has taken, `unknown` of those it may have and that are not sent
    again for that; `sent_sha256` is of the first attempt's addresses and bodies.
    """

    name: str = ""
    revision: int = 0
    vendor_version: str = ""
    consent: Decision | None = None
    identity: Identity | None = None
    reason: Reason | None = None
    sent_sha256: str | None = None
    tries: int = 0
    refused: int = 0
    """How many of the tries ended with refused credentials: they use up no `max_attempts`."""
    unfinished: bool = False
    """The last try ended between two requests. The next one goes on with it, as a part of the same try."""
    maybe_sent: bool = False
    """A process that died may have sent it before: of that nothing is recorded."""
    uncertain: int = 0
    ambiguous: int = 0
    accepted: list[int] = []
    unknown: list[int] = []
    certainty: Literal["unverifiable", "accepted_with_warnings", "accepted"] = "accepted"
    """The least sure of the answers to the requests that were accepted so far."""
    warnings: str | None = None
    left_out: list[LeftOut] = []
    """What it was sent without. Values are masked."""
    total: Total | None = None


class Delivery(msgspec.Struct, kw_only=True):
    """What became of one event at one integration.

    `generation` is 0 for the live lane and counts up with each replay. `visitor` is the log's hash. `event` is kept
    while the delivery may still need it (retrying, held, dead), so that dropping the log never breaks it.
    """

    shard: int
    position: Position
    generation: int = 0
    source: str
    visitor: int
    received_ms: int
    state: State = "pending"
    certainty: str | None = None
    next_ms: int | None = None
    message_id: str | None = None
    event: bytes | None = None
    detail: Detail = msgspec.field(default_factory=Detail)
    exchanges: list[Exchange] = []
    """Attempts that are not in the ledger yet."""
    previous: tuple[str, str | None, str | None] | None = None
    """State, certainty and reason code as last recorded, to take off the counts when this one is added."""
    replaces_range: int | None = None
    """Row id of the range this event was part of, when a replay takes it out of one."""

    @property
    def code(self) -> str | None:
        return self.detail.reason.code if self.detail.reason else None


class Range(msgspec.Struct, frozen=True):
    """Events that met the same fate all at once: from `first` to `last`, both inclusive."""

    shard: int
    first: Position
    last: Position
    source: str
    state: State
    code: str
    count: int


class Counted(msgspec.Struct, frozen=True):
    """How many deliveries of a lane and source are in a state, for a reason."""

    source: str
    state: str
    certainty: str | None
    code: str | None
    count: int


class LaneState(msgspec.Struct, frozen=True):
    """What a lane needs to go on where it stopped.

    `cursors`: everything at or before it, per shard, is settled. `settled`: positions beyond the cursor that are, with
    the source of each. `open`: the retrying; the held are read one by one. `counted`: by shard and source, what the log
    had counted up to the cursor.
    """

    id: int
    cursors: dict[int, Position]
    settled: dict[int, dict[Position, str]]
    open: list[Delivery]
    counted: dict[tuple[int, str], int]


class LaneBatch(msgspec.Struct, kw_only=True):
    """What a lane commits at once."""

    lane: int
    cursors: dict[int, Position] = {}
    deliveries: list[Delivery] = []
    ranges: list[Range] = []
