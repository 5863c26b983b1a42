"""What a vendor is: a declaration and two pure functions.

`build` turns events into requests and `judge` reads the vendor's answer. Neither knows a clock, chance, a
store or the network: the same inputs give the same bytes, which is what makes a replay exact. Everything
else (queues, retries, redirects, rate limits, recording) is done for every vendor alike by `firsthand.deliver`.

To add a vendor, make a folder with a `VENDOR` in it and name it in the entry point group `firsthand.vendors`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import msgspec

from firsthand.consent.decision import Decision
from firsthand.event import Event

S = TypeVar("S", bound=msgspec.Struct)
INDEX = re.compile(r"\[[0-9]+\]")


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of the visitor beyond the event itself.

    `vendor_ids` are by flat name (`criteo_gum_id`). `email` and `user_id` are the newest ones that the visitor gave;
    what the event itself says wins over them.
    """

    vendor_ids: dict[str, str] = {}
    email: str | None = None
    user_id: str | None = None


class Input(msgspec.Struct, frozen=True):
    """Everything `build` may look at for one event."""

    event: Event
    name: str
    """The canonical name (`firsthand.event.canonical_name`), a key of the vendor's `events` table."""
    identity: Identity
    consent: Decision
    """`allow` or `anonymise`: nothing else reaches `build`."""
    origin: str | None = None
    """Of the source's pages (`https://shop.example`), where it has one: a relative address of a page is completed by
    it."""


class Setup(msgspec.Struct, Generic[S], frozen=True):
    """An integration as `build` and `judge` see it: the vendor's settings and whole URLs by endpoint name."""

    settings: S
    endpoints: dict[str, str]


class Request(msgspec.Struct, frozen=True):
    """One HTTP request to send."""

    method: Literal["GET", "POST"]
    url: str
    headers: dict[str, str] = {}
    body: bytes | None = None
    items: tuple[int, ...] = (0,)
    """Which of the inputs given to `build` this request carries, by index."""
    max_uncertain: int | None = None
    """How many tries may end with an unknown outcome (a time-out after the body was sent) before we give up,
    for events that the vendor would count twice. None: no limit of its own."""


class LeftOut(msgspec.Struct, frozen=True):
    """What an event was sent without: an optional field that can't be read, or an order line that is no product.

    `field` is its path, such as `context.ip` or `properties.products[0].position`.
    """

    field: str
    value: Any
    why: str

    @property
    def of_all(self) -> str:
        """The field in whichever of the products: `properties.products[].position`."""
        return INDEX.sub("[]", self.field)


class Total(msgspec.Struct, frozen=True):
    """What an order says that it comes to, and what the lines that are sent add up to: decimal numbers, exact.

    `field` is where the event says it; None, as is `said`, where it doesn't.
    """

    field: str | None
    said: str | None
    lines: str


class Notes(msgspec.Struct):
    """What is to be said of one event that was made into requests. `total` only where it is not what the lines come to,
    or lines were left out."""

    left_out: list[LeftOut] = []
    total: Total | None = None

    def leave_out(self, field: str, value: Any, why: str) -> None:
        if all(note.field != field for note in self.left_out):
            self.left_out.append(LeftOut(field, value, why))


class Built(msgspec.Struct, frozen=True):
    """What `build` makes of its inputs. `notes` are one for each of them, or none at all."""

    requests: list[Request]
    notes: tuple[Notes, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What the vendor answered. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Verdict(msgspec.Struct, frozen=True):
    """What an answer means for one event.

    - `accepted`: the vendor said yes; `certainty` says how sure that is
    - `rejected`: the vendor said no for good: dead, with `code`
    - `ambiguous`: the answer is no answer (empty, HTML): tried twice in all, then dead `vendor_ambiguous`
    - `retry`: may work later
    """

    kind: Literal["accepted", "rejected", "ambiguous", "retry"]
    certainty: Literal["accepted", "accepted_with_warnings", "unverifiable"] | None = None
    code: str = "vendor_rejected"
    message: str | None = None


ACCEPTED = Verdict("accepted", "accepted")
UNVERIFIABLE = Verdict("accepted", "unverifiable")


class Cookie(msgspec.Struct, frozen=True, kw_only=True):
    """A first-party cookie that a vendor's events need; the collector sets it, and reads it into `context.ids`."""

    name: str
    id: str
    """The name under `context.ids`, such as `raptor_coid`."""
    max_age: float
    """Seconds."""
    make: Literal["uuid", "query", "email"]
    """Where its value comes from: a new UUID v4 when there is none; the parameter `query` of the landing page's URL,
    which wins over an older value; the visitor's e-mail address, which is encrypted in the cookie."""
    query: str = ""
    renew: bool = True
    """Set again with each tracking, so that `max_age` counts from the last one."""
    adopts: tuple[str, ...] = ()
    """Names under which the vendor's own script kept the same value: where this cookie is not there, one of those
    gives its first."""


class Sync(msgspec.Struct, frozen=True, kw_only=True):
    """How a page learns the vendor's id of the visitor, which only the vendor's own cookie knows.

    `url` is the vendor's address with `{callback}` (a script that calls it back with an object) and `redirect_url`
    the same with `{return}` (a redirect that brings the id back in place of `@USERID@`). Both are whole but for
    that; the consent parameters are added by `consent`.
    """

    name: str
    """In the collector's addresses: `/v1/sync/{name}`."""
    id: str
    """The name under `context.ids`, with the caller: `criteo_gum_id@123`."""
    caller: str
    url: str
    redirect_url: str
    cookie: str | None = None
    """A first-party cookie that may hold the id already."""
    max_age: float = 3 * 86400.0
    """Seconds until an id is asked for again."""
    retry_age: float = 86400.0
    """Seconds until it is asked for again where the vendor knew none."""


@dataclass(frozen=True, kw_only=True)
class Vendor(Generic[S]):
    """A kind of integration, as the catalogue shows it and delivery runs it."""

    key: str
    name: str
    brand: str = ""
    """What people call the vendor, in whose name an event switches off all that is installed of it: `Criteo`."""
    category: str
    documentation: str
    """Where the vendor documents this interface, and the version or date it was built from."""
    version: str
    """Version of this module; recorded with each delivery so that a replay is known to be exact."""
    settings: type[S]
    events: Mapping[str, str | None]
    """Canonical event name → the vendor's event, or None where the vendor has no counterpart."""
    own_events: Callable[[S], Mapping[str, str]] = field(default=lambda settings: {})
    """What an integration's settings add to `events`, such as names of the shop's own."""
    build: Callable[[Setup[S], Sequence[Input]], Built]
    """Requests for these events. Raises `Filtered` or `Dead` when an event can't be sent (with `batch` 1). An optional
    field that can't be read is no reason for that: it is left out, and noted."""
    judge: Callable[[Setup[S], Request, Answer], list[Verdict] | None]
    """A verdict for each of `request.items`, in that order; None leaves it to the HTTP status."""
    endpoints: Callable[[S, str | None], dict[str, str]]
    """Whole URLs by endpoint name: the vendor's own, or under the emulator's base URL when one is given."""
    hosts: tuple[str, ...] = ()
    """Hosts a redirect may lead to, such as `*.criteo.com`. Redirects elsewhere are refused."""
    batch: int = 1
    """How many events one call of `build` may be given."""
    max_age: Callable[[S, Event], float | None] = field(default=lambda settings, event: None)
    """Seconds after which an event is too old to send, or None."""
    too_old: Callable[[Event], str] = field(default=lambda event: "")
    """What the vendor does with an event as old as that, for the reason of those that are not sent."""
    tcf_vendor_id: int | None = None
    advertising: bool = True
    id_name: str | None = None
    """The name under `context.ids` of the vendor's id for a visitor, such as `criteo_gum_id`."""
    id_caller: Callable[[S], str] | None = None
    """Whom that id belongs to when the vendor salts ids per caller, such as the mapping key."""
    cookies: Callable[[S], tuple[Cookie, ...]] = field(default=lambda settings: ())
    """First-party cookies that events from pages need."""
    sync: Callable[[Setup[S], dict[str, Any]], Sync | None] = field(default=lambda setup, consent: None)
    """How pages learn the vendor's id, given `context.consent`; None where there is no such way, or no consent."""


AnyVendor = Vendor[Any]
