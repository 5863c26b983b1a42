"""The words of Criteo's endpoint: its switches, its error and warning codes, and the report they are collected in.

Criteo documents that `errors` and `warnings` exist and that both are empty on success, nothing else. So the codes and
texts here are our invention, all but `UserIdentifierMissing`, which track.site's connector took from Criteo's guide.
What they enforce is not invented; each says where it comes from.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

VERSION = "s2s_v0"
"""The `version` of the address, by Criteo's guide. Not to be confused with the body's."""
BODY_VERSION = "s2s_v1.0.0"

USER_IDENTIFIER_MISSING = "UserIdentifierMissing"

ERRORS: Mapping[str, str] = {
    "MissingVersion": "the address lacks version=s2s_v0, or the body its version (Criteo's guide always shows both)",
    "MethodInvalid": "the method is neither GET nor POST (Criteo's guide)",
    "ContentTypeInvalid": "a POST that is not application/json, or that is compressed (Criteo's guide: JSON)",
    "BodyAndData": "both a body and a data parameter: which one counts is documented nowhere",
    "BodyTooLarge": "more than 1 MiB (our limit: Criteo documents none)",
    "MalformedJson": "no payload, or not one JSON object in UTF-8 (comments and trailing commas are not JSON)",
    "FieldType": "a field is of the wrong JSON type altogether",
    "AccountMissing": "no account (Criteo's guide: required)",
    "AccountInvalid": "account is not a partner id, digits as text or number; an object is the app protocol's",
    "MappingKeyMissing": "a GUM id without the mapping key that it is salted for (Criteo's guide: required)",
    USER_IDENTIFIER_MISSING: "nothing to tell the visitor by",
    "EmailHashInvalid": "not lower-case hex of the right length, or a raw address not trimmed and in lower case",
    "EmailHashEmpty": "the hash of an empty text, the classic fault that gives all visitors one address",
    "EmailHashMismatch": "the forms of the address contradict each other",
    "EventsMissing": "events is not an array of at least one event",
    "UnknownEvent": "the event has no name, or one that is not in Criteo's guide; names are case-sensitive",
    "ItemMissing": "the event needs an item (Criteo's guide)",
    "ItemShape": "item has another shape than Criteo's guide shows for this event",
    "ItemIdEmpty": "an item without id",
    "PriceInvalid": "an item's unit price is not a number, 0 or more, with a decimal point",
    "QuantityInvalid": "a quantity is not a whole number, 1 or more (0 or more for travellers and rooms)",
    "TransactionIdMissing": "a sale without id (Criteo's guide: required)",
    "TimestampInvalid": "not ISO 8601 with Z or an offset, or in the future",
    "TimestampMissing": "an offline sale (user_segment 19) without timestamp (Criteo's guide: mandatory)",
    "DedupInvalid": "dd is neither 0 nor 1 (Criteo's guide)",
    "StoreIdShape": "store_id is a list where one store is meant, or the reverse (Criteo's guide)",
    "DateInvalid": "a travel date is not YYYY-MM-DD, or checkout comes before checkin",
}

WARNINGS: Mapping[str, str] = {
    "MappingKeyMissing": "no mapping key, which Criteo's guide requires; without a GUM id it is not missed",
    "UnknownField": "a field or parameter that Criteo's guide does not have",
    "EmptyValue": "an empty text or null; it counts as absent (Criteo's tag checker reports this too)",
    "AliasUsed": "a name from Criteo's browser tag or app SDKs in place of the guide's",
    "NumberAsString": "a number in quotes, as the guide's templates have it",
    "IdAsNumber": "an id as a number; ids are text",
    "KeywordIgnored": "keyword is ignored, the field is keywords (the guide's table and its example differ)",
    "ItemShape": "an object where a product id is expected, let through by the switch `lenient`",
    "SiteTypeUnknown": "site_type is not d, m or t (Criteo's guide)",
    "CurrencyUnknown": "currency is not an ISO 4217 code in capitals",
    "MissingIp": "no ip, or not an address; highly recommended (Tealium's connector)",
    "MissingUserAgent": "no useragent; highly recommended (Tealium's connector)",
    "MissingUrl": "no full_url, or not an absolute web address; highly recommended (Tealium's connector)",
    "TimestampTooOld": "more than 15 minutes old: newer copies of the guide ask for near real time",
    "TimestampEpoch": "the time as a number since 1970; reported to work at Criteo's tag manager endpoint",
    "MoreThanThreeItems": "viewList takes the top three products (Criteo's guide)",
    "ConsentIncomplete": "gra, grs and grv don't belong together, or grs can't be read",
    "RawEmail": "the address itself; Criteo takes it, hashes are enough",
    "NonStandardVersion": "the body's version is not s2s_v1.0.0",
}


class Age(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds for an event's age."""

    warn_seconds: float = 900
    """Older online events are warned of (track.site, from a newer copy of Criteo's guide: 15 minutes)."""
    online_seconds: float = 86_400
    """Older online events are accepted and silently discarded. The length is our invention."""
    offline_seconds: float = 172_800
    """Older offline sales are accepted and silently discarded (Amperity: 2 days)."""
    future_seconds: float = 300
    """Events further ahead are refused. Our invention."""


class Sync(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How `/sync` behaves."""

    third_party_cookies: bool = True
    """False: the browser keeps no cookies of Criteo's on others' pages, as Safari."""
    id_at_first_call: bool = True
    """False: the first call of a browser only sets Criteo's cookie, the next one gives the id."""
    return_hosts: dict[str, tuple[str, ...]] = {}
    """By caller (`c`), the hosts that `u` may lead to. Callers not named: loopback, and shopname.com with what is
    under it."""
    without_id: Literal["empty", "macro"] = "empty"
    """What is put in place of `@USERID@` where there is no id: nothing, or it stays. Criteo documents neither."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The switches of `/_control/criteo-s2s/settings`."""

    region: Literal["eu", "us", "as"] = "eu"
    """Where the entry host sends events. The header `X-Emulator-Region` has precedence."""
    redirect: bool = True
    """False: the entry host answers itself, as Criteo's mobile documentation says it may."""
    location_query: Literal["keep", "version_only"] = "version_only"
    """What is left of the query in Location. Criteo's guide shows `version` alone."""
    location: Literal["absolute", "relative"] = "absolute"
    lenient: bool = False
    """Let objects through where product ids are expected, as walkerOS sends them."""
    visitor_id_identifies: bool = True
    """Whether `retailer_visitor_id` alone tells the visitor. Sources differ; it never counts as a match."""
    purposes: tuple[int, ...] = (1,)
    """TCF purposes that must be granted besides the vendor; which ones Criteo asks for is documented nowhere."""
    age: Age = Age()
    sync: Sync = Sync()


class Report:
    """Collects faults, each one a text that starts with its code."""

    __slots__ = ("errors", "prefix", "warnings")

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.prefix = ""
        """Put before each text: `events[0].` while an event is looked at."""

    def error(self, code: str, text: str) -> None:
        """Something Criteo would refuse. `code` is one of `ERRORS`."""
        self.errors.append(f"{self.prefix}{code}: {text}")

    def warn(self, code: str, text: str) -> None:
        """Something Criteo would take, but should be told of. `code` is one of `WARNINGS`."""
        self.warnings.append(f"{self.prefix}{code}: {text}")

    def tidy(self, fields: dict[str, Any], known: frozenset[str], where: str = "") -> dict[str, Any]:
        """The fields without the empty ones. Warns of these, and of those that are not known."""
        if None not in (values := fields.values()) and "" not in values and fields.keys() <= known:
            return fields
        for name in fields:
            if name not in known:
                self.warn("UnknownField", f"{where}{name} is not in the guide")
        full = {name: value for name, value in fields.items() if value is not None and value != ""}
        for name in fields:
            if name not in full:
                self.warn("EmptyValue", f"{where}{name} is empty; leave it out")
        return full

    def is_id(self, value: object, where: str) -> bool:
        """Whether this is an id: text, or with a warning a number."""
        if isinstance(value, str):
            return True
        if isinstance(value, int) and not isinstance(value, bool):
            self.warn("IdAsNumber", f"{where} {value} is a number; ids are text")
            return True
        return False


def show(value: object) -> str:
    """The value as an error text shows it, shortened."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if value is None:
        return "missing"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return msgspec.json.encode(value).decode()
