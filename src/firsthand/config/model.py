"""The shape of `firsthand.yaml`, as types. What a field means to the user stands in `example.yaml` and the docs."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from firsthand.config.values import (
    Duration,
    EndpointUrl,
    Masked,
    Network,
    Origin,
    PageUrl,
    Read,
    Size,
    Slug,
    Unreadable,
    WriteKey,
)


def _signing_secret(value: str) -> str:
    # A blank at an end is the line's end of the file it was read from: the sender's copy has none.
    if len(value) >= 8 and value == value.strip():
        return value
    raise Unreadable(
        "this can't be a signing secret",
        "use at least 8 characters without blanks at the ends, such as 64 from `openssl rand -hex 32`",
    )


SigningSecret = Annotated[str, Read(_signing_secret), Masked()]


def _cookie_name(value: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", value):
        return value
    raise Unreadable(f"{value!r} can't be a cookie's name", "use letters, digits, _ and -")


CookieName = Annotated[str, Read(_cookie_name)]

Rate = Annotated[float, Meta(gt=0)]
"""Per second."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Cookies(_Part, frozen=True):
    """The first-party cookies that the collector sets for a source's pages."""

    requires: Literal["consent", "none"] = "consent"
    """`consent`: no cookie before the visitor has agreed to be recognised; `none`: always."""
    anonymous_id: CookieName = "fh_aid"
    session: CookieName = "fh_sid"
    max_age: Annotated[Duration, Meta(gt=0, le=400 * DAY)] = 400 * DAY
    """Of the anonymous id; browsers keep none for longer than 400 days."""
    session_max_age: Annotated[Duration, Meta(gt=0, le=DAY)] = 20 * MINUTE
    """After the last event."""


class Cmp(_Part, frozen=True):
    """How the answers of the site's consent tool are read into categories."""

    categories: dict[str, Annotated[tuple[str, ...], Meta(min_length=1)]] = {}
    """Canonical category → the tool's own codes, such as `marketing: [C0004]`. What is not listed follows the tool's
    usual codes."""
    combine: Literal["all", "any"] = "all"
    """Whether a category with several codes needs all of them granted."""
    cookie: str | None = None
    """The cookie of a tool that is not known by name: JSON `{"marketing": true}`, or a list of the granted codes."""


class Source(_Part, frozen=True):
    """Where events come from: one site, app or back end."""

    key: Slug
    write_key: WriteKey
    name: str = ""
    """For people; the key where none is given."""
    origins: tuple[Origin, ...] = ()
    """The web origins that may send. Empty: any."""
    home_urls: tuple[PageUrl, ...] = ()
    """Pages that count as the home page besides "/"."""
    rate_per_second: Rate | None = None
    signing_secret: SigningSecret | None = None
    """What a back end signs its requests with."""
    require_signature: bool = False
    """Take signed requests only, at every endpoint: a source for back ends."""
    cookies: Cookies = Cookies()
    cmp: Cmp = Cmp()
    bots: Literal["filter", "mark", "ignore"] = "filter"
    """What is done with events of known robots: `filter` sends them to no vendor, `mark` only says so."""

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.key)
        if self.require_signature and self.signing_secret is None:
            raise Unreadable("require_signature is true and there is no signing_secret", "give a signing_secret")

    def __repr__(self) -> str:
        return f"Source({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """For rich, which would print all fields of a struct, secrets too."""
        shown = ("key", "name", "origins")
        return [(field, getattr(self, field)) for field in shown] + [("write_key", "***"), ("signing_secret", "***")]


class Consent(_Part, frozen=True):
    """What an integration asks of the visitor's consent."""

    basis: Literal["tcf", "categories", "none"]
    on_refusal: Literal["suppress", "anonymise"] = "suppress"
    purposes: Annotated[tuple[Annotated[int, Meta(ge=1, le=24)], ...], Meta(min_length=1)] = (1, 3, 4)
    categories: Annotated[tuple[str, ...], Meta(min_length=1)] = ("marketing",)
    hold: Annotated[Duration, Meta(le=DAY)] = 15 * MINUTE
    """How long an event waits for a consent that is not known yet."""


class Delivery(_Part, frozen=True):
    """How an integration's requests are sent."""

    concurrency: Annotated[int, Meta(ge=1, le=1024)] = 32
    rate_per_second: Rate | None = None
    timeout: Annotated[Duration, Meta(gt=0, le=300)] = 10.0
    max_age: Annotated[Duration, Meta(gt=0)] = 24 * HOUR
    """Retries end when the event is this old."""
    max_attempts: Annotated[int, Meta(ge=1)] = 100
    wait_for_id: Annotated[Duration, Meta(le=MINUTE)] = 0.0
    """How long a page's event waits for the vendor's id of its visitor, where none is known yet. 0: not at all."""


class EventRule(_Part, frozen=True):
    enabled: bool = True


class EventMapping(_Part, frozen=True):
    """Which events an integration takes."""

    default: Literal["enabled", "disabled"] = "enabled"
    """What holds for events not listed."""
    events: dict[str, EventRule] = {}

    def takes(self, name: str) -> bool:
        """Whether events of this canonical name are enabled."""
        rule = self.events.get(name)
        return rule.enabled if rule else self.default == "enabled"


class Integration(_Part, frozen=True):
    """A vendor installed with settings."""

    key: Slug
    vendor: str
    settings: Any = {}
    """The vendor's own `settings` struct."""
    enabled: bool = True
    environment: Literal["sandbox", "production"] = "sandbox"
    sources: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    """Keys of the sources it takes events from. None: all, also those added later."""
    endpoints: dict[str, EndpointUrl] = {}
    """Whole URLs by endpoint name, which win over the vendor's own and the emulator's."""
    consent: Consent | None = None
    """None: omitted, which means basis `none` and is worth a warning; see `consent_rule`."""
    delivery: Delivery = Delivery()
    mapping: EventMapping = EventMapping()

    @property
    def consent_rule(self) -> Consent:
        """`consent`, also where it was omitted."""
        return self.consent or Consent(basis="none")

    def takes_source(self, key: str) -> bool:
        return self.sources is None or key in self.sources


class Log(_Part, frozen=True):
    """How much of the event log is kept: the oldest goes when either limit is reached."""

    max_bytes: Size = 10 * 2**30
    max_age: Annotated[Duration, Meta(gt=0)] = 7 * DAY


class Ledger(_Part, frozen=True):
    max_age: Annotated[Duration, Meta(gt=0)] = 30 * DAY


class Identity(_Part, frozen=True):
    """How long it is kept what visitors are known by, since it was last seen."""

    max_age: Annotated[Duration, Meta(gt=0)] = 400 * DAY


class Process(_Part, frozen=True):
    """What belongs to the gateway as a whole."""

    trusted_proxies: tuple[Network, ...] = ()
    """Addresses and ranges whose `X-Forwarded-For` is believed."""
    log: Log = Log()
    ledger: Ledger = Ledger()
    identity: Identity = Identity()


class Config(Process, frozen=True):
    """A whole `firsthand.yaml`."""

    sources: tuple[Source, ...] = ()
    integrations: tuple[Integration, ...] = ()

    @property
    def process(self) -> Process:
        return Process(trusted_proxies=self.trusted_proxies, log=self.log, ledger=self.ledger, identity=self.identity)
